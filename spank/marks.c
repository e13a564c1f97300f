#include "spank/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct name {
    char path[PATH_MAX];
};

static struct name restored(const char* directory, const char* node) {
    struct name name;
    snprintf(name.path, sizeof name.path, "%s/restored-%s", directory, node);
    return name;
}

static struct name fifo(const char* directory, const char* node, uint32_t job) {
    struct name name;
    snprintf(name.path, sizeof name.path, "%s/job-%s-%u", directory, node, job);
    return name;
}

bool grl_mark_restored(const char* directory, const char* node, uint32_t job) {
    const struct name name = restored(directory, node);
    const int file = open(name.path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0) return false;
    const bool done = fchmod(file, 0644) == 0 && dprintf(file, "%u\n", job) > 0;
    close(file);
    return done;
}

bool grl_is_restored(const char* directory, const char* node, uint32_t job) {
    const struct name name = restored(directory, node);
    const int file = open(name.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return false;
    char text[16] = "", wanted[16];
    const ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    snprintf(wanted, sizeof wanted, "%u\n", job);
    return length > 0 && strcmp(text, wanted) == 0;
}

void grl_unmark_restored(const char* directory, const char* node, uint32_t job) {
    if (grl_is_restored(directory, node, job)) unlink(restored(directory, node).path);
}

int grl_job_listen(const char* directory, const char* node, uint32_t job, uid_t user) {
    const struct name name = fifo(directory, node, job);
    if (unlink(name.path) != 0 && errno != ENOENT) return -1; /* of a job that was queued again */
    if (mkfifo(name.path, 0600) != 0) return -1;
    /* Also for writing, so that it never ends; opened before it is another's. */
    const int reader = open(name.path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (reader >= 0 && fchown(reader, user, (gid_t)-1) == 0) return reader;
    const int error = errno;
    if (reader >= 0) close(reader);
    unlink(name.path);
    errno = error;
    return -1;
}

void grl_job_note(const char* directory, const char* node, uint32_t job) {
    const struct name name = fifo(directory, node, job);
    const int writer = open(name.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    if (writer < 0) return;
    if (fstat(writer, &status) == 0 && S_ISFIFO(status.st_mode)) {
        const ssize_t written = write(writer, "", 1);
        (void)written; /* full: it has been noted often enough */
    }
    close(writer);
}

bool grl_job_was_noted(int reader, const char* directory, const char* node, uint32_t job) {
    char byte;
    const bool noted = read(reader, &byte, 1) == 1;
    close(reader);
    unlink(fifo(directory, node, job).path);
    return noted;
}
