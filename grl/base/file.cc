#include "grl/base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace grl {

namespace {

Error error_at(const char* act, const std::string& path, int error_number) {
    return fail(act, path, errno_text(error_number),
                error_number == ENOENT ? ErrorKind::not_found : ErrorKind::failed);
}

Result<void> write_all(int fd, const std::string& text, const std::string& path) {
    std::size_t done = 0;
    while (done < text.size()) {
        ssize_t n = write(fd, text.data() + done, text.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_at("writing a file", path, errno);
        done += static_cast<std::size_t>(n);
    }
    return {};
}

std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

void Fd::reset(int fd) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return error_at("reading a file", path, errno);
    std::string text;
    char buffer[65536];
    for (;;) {
        ssize_t n = read(fd.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_at("reading a file", path, errno);
        if (n == 0) return text;
        text.append(buffer, static_cast<std::size_t>(n));
        if (text.size() > limit) {
            return fail("reading a file", path,
                        "it is larger than " + std::to_string(limit) + " bytes",
                        ErrorKind::protocol);
        }
    }
}

Result<void> sync_directory(const std::string& path) {
    Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return error_at("opening a directory", path, errno);
    if (fsync(fd.get()) != 0) return error_at("syncing a directory", path, errno);
    return {};
}

Result<void> replace_file(const std::string& path, const std::string& text) {
    // Two writers, also on hosts whose pids are alike, never share a temporary file: the last rename
    // wins, whole.
    std::string temporary = path + ".tmp.XXXXXX";
    Fd fd(mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) return error_at("creating a file", temporary, errno);
    Result<void> done = write_all(fd.get(), text, temporary);
    if (done && fsync(fd.get()) != 0) done = error_at("syncing a file", temporary, errno);
    if (done && rename(temporary.c_str(), path.c_str()) != 0) {
        done = error_at("renaming a file into place", path, errno);
    }
    if (!done) {
        unlink(temporary.c_str());
        return done;
    }
    return sync_directory(parent_of(path));
}

}  // namespace grl
