#include "grl/base/result.h"

#include <cstring>
#include <stdexcept>

namespace grl {

std::string errno_text(int error_number) {
    char buffer[128];
    return strerror_r(error_number, buffer, sizeof buffer);  // the GNU form returns the text
}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
    throw std::logic_error(error.text());
}

}  // namespace grl
