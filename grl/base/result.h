// Errors are values: what failed, where, and why (with what to do where there is something).
// An Error prints as one line. Nothing in GRL throws across a module's boundary.
#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <utility>

namespace grl {

// Why a request was not done, in the classes a caller can act on. The numbers are grlctl's exit
// codes (docs/operator.md) and travel in replies; never renumber.
enum class ErrorKind : int {
    failed = 1,       // it was tried and failed; the reason is in the text
    usage = 2,        // the caller's words are off
    unreachable = 3,  // the other part did not answer
    refused = 4,      // it cannot be done now or here (not ready, no room, unsafe)
    not_found = 5,    // no such job, line, guest or host
    denied = 6,       // the caller may not do this
    protocol = 7,     // a message, file or stream that is not what it should be
};

struct Error {
    ErrorKind kind = ErrorKind::failed;
    std::string what;   // the act that failed: "capture of guest g1"
    std::string where;  // host, file or peer: "h2:/ckpt/lab/7/3/g1.img"; may be empty
    std::string why;    // reason, and what to do: "no space left: free some or lower retention"

    std::string text() const {
        std::string s = what;
        if (!where.empty()) s += " (" + where + ")";
        if (!why.empty()) s += ": " + why;
        return s;
    }
};

template <class T>
using Result = boost::system::result<T, Error>;

inline Error fail(std::string what, std::string where, std::string why,
                  ErrorKind kind = ErrorKind::failed) {
    return Error{kind, std::move(what), std::move(where), std::move(why)};
}

// The text of an errno value; safe in threads.
std::string errno_text(int error_number);

// boost::system::result asks for this; reached only by value() on an error, which GRL never calls.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

}  // namespace grl
