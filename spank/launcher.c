#include "spank/launcher.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool grl_is_launcher(const char* name) {
    static const char* const names[] = {"mpirun",  "mpiexec", "orterun",
                                        "prterun", "prte",    "mpirun.openmpi"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(name, names[i], 15) == 0) return true; /* as the kernel cuts it */
    return false;
}

static bool is_nowhere(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) return true;
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3); /* /dev/null */
}

static bool parent_is_launcher(pid_t parent) {
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)parent);
    FILE* file = fopen(path, "re");
    if (file == NULL) return false;
    const bool read = fgets(name, sizeof name, file) != NULL;
    fclose(file);
    name[strcspn(name, "\n")] = '\0';
    return read && grl_is_launcher(name);
}

bool grl_launcher_tell(const char* line) {
    const pid_t parent = getppid();
    if (!is_nowhere(STDERR_FILENO) || !parent_is_launcher(parent)) return false;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/2", (int)parent);
    const int file = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0) return false;
    const bool told = write(file, line, strlen(line)) == (ssize_t)strlen(line);
    close(file);
    return told;
}

bool grl_words_have_components(const char* words, size_t size) {
    for (size_t at = 0; at < size; at += strnlen(words + at, size - at) + 1)
        if (size - at >= 2 && words[at] == ':' && words[at + 1] == '\0') return true;
    return false;
}

bool grl_command_has_components(void) {
    static char words[131072]; /* the longest word that the kernel takes */
    const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    size_t used = 0;
    ssize_t n;
    while (used < sizeof words && (n = read(file, words + used, sizeof words - used)) > 0)
        used += (size_t)n;
    close(file);
    return grl_words_have_components(words, used);
}
