#include "pmix_hooks/page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace grl {
namespace {

std::string failed(const char* what, const char* path) {
    char text[128];
    return std::string("cannot ") + what + " the line page " + path + ": " +
           strerror_r(errno, text, sizeof text);
}

}  // namespace

LinePage* map_line_page(const char* path, std::string& why) {
    const int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat status {};
    if (file < 0 || fstat(file, &status) != 0) {
        why = failed("open", path);
        if (file >= 0) close(file);
        return nullptr;
    }
    const auto bytes = static_cast<std::size_t>(status.st_size);
    const char* fault = "is shorter than its header";
    void* memory = MAP_FAILED;
    if (bytes >= sizeof(LinePage)) {
        memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory == MAP_FAILED) {
            why = failed("map", path);
            close(file);
            return nullptr;
        }
        fault = line_page_fault(*static_cast<LinePage*>(memory), bytes);
    }
    close(file);
    if (fault == nullptr) return static_cast<LinePage*>(memory);
    why = std::string("the line page ") + path + " " + fault;
    if (memory != MAP_FAILED) munmap(memory, bytes);
    return nullptr;
}

}  // namespace grl
