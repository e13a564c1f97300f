// The functions of Asio, compiled once instead of in every file that uses it.
#include <boost/asio/impl/src.hpp>
