#include "spank/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REAP_LIMIT_MS 1000

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void grl_command_add_word(struct grl_command* command, const char* word) {
    const int most = (int)(sizeof command->words / sizeof command->words[0]) - 1;
    if (command->count == most)
        command->full = true;
    else
        command->words[command->count++] = word;
}

void grl_command_add(struct grl_command* command, const char* format, ...) {
    const size_t left = sizeof command->text - command->used;
    va_list values;
    va_start(values, format);
    const int length = vsnprintf(command->text + command->used, left, format, values);
    va_end(values);
    if (length < 0 || (size_t)length >= left) {
        command->full = true;
        return;
    }
    grl_command_add_word(command, command->text + command->used);
    command->used += (size_t)length + 1;
}

/* The hosts' signal masks and handlers are not the child's, nor is their environment. */
static int spawn(const char* const words[], int answer, int life, pid_t* child) {
    static char* const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_adddup2(&files, answer, GRL_ANSWER_FD);
    if (life >= 0) posix_spawn_file_actions_adddup2(&files, life, GRL_LIFE_FD);
    posix_spawn_file_actions_addclosefrom_np(&files, life >= 0 ? GRL_LIFE_FD + 1 : GRL_LIFE_FD);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&files, 0, 1);
    posix_spawn_file_actions_adddup2(&files, 0, 2);
    const int error =
        posix_spawn(child, words[0], &files, &attributes, (char* const*)words, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* Moves `fd` above the numbers that the child gives its own descriptors. */
static int lift(int fd) {
    const int lifted = fcntl(fd, F_DUPFD_CLOEXEC, GRL_LIFE_FD + 1);
    close(fd);
    return lifted;
}

/* One line of at most `size` bytes; its length, 0 at the end of the stream, -1 past the deadline.
 */
static int read_line(int fd, char* line, size_t size, long deadline) {
    size_t used = 0;
    for (;;) {
        const long left = deadline - now_ms();
        struct pollfd input = {.fd = fd, .events = POLLIN};
        const int ready = left > 0 ? poll(&input, 1, (int)left) : 0;
        if (ready == 0) return -1;
        if (ready < 0) {
            if (errno == EINTR) continue;
            return 0;
        }
        const ssize_t n = read(fd, line + used, size - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n > 0) used += (size_t)n;
        line[used] = '\0';
        char* end = strchr(line, '\n');
        if (end != NULL) *end = '\0';
        if (end != NULL || n <= 0 || used == size - 1) return (int)strlen(line);
    }
}

static void reap(pid_t child) {
    const long deadline = now_ms() + REAP_LIMIT_MS;
    pid_t ended;
    while ((ended = waitpid(child, NULL, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
        if (now_ms() > deadline) {
            kill(child, SIGKILL);
            while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
            return;
        }
        const struct timespec nap = {.tv_nsec = 2000000};
        nanosleep(&nap, NULL);
    }
}

struct grl_answer_line grl_helper_run(const struct grl_command* command, int life, int limit_ms) {
    struct grl_answer_line answer = {.ready = false};
    const char* const program = command->words[0];
    if (command->full) {
        snprintf(answer.text, sizeof answer.text, "the command line of grl-master is too long");
        return answer;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(answer.text, sizeof answer.text, "no pipe to %s: %m", program);
        return answer;
    }
    ends[1] = lift(ends[1]);
    const int lifted_life = life < 0 ? -1 : fcntl(life, F_DUPFD_CLOEXEC, GRL_LIFE_FD + 1);
    const long deadline = now_ms() + limit_ms;
    pid_t child = -1;
    const int error = ends[1] < 0 || (life >= 0 && lifted_life < 0)
                          ? errno
                          : spawn(command->words, ends[1], lifted_life, &child);
    if (ends[1] >= 0) close(ends[1]);
    if (lifted_life >= 0) close(lifted_life);
    if (error != 0) {
        close(ends[0]);
        errno = error;
        snprintf(answer.text, sizeof answer.text, "cannot run %s: %m", program);
        return answer;
    }
    char line[sizeof answer.text] = "";
    const int length = read_line(ends[0], line, sizeof line, deadline);
    close(ends[0]);
    if (length < 0) kill(child, SIGKILL); /* a daemon it left behind ends by its life pipe */
    reap(child);
    for (char* c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' ';
    static const char refused[] = "refused: ";
    static const char beside[] = "beside: ";
    answer.ready = strcmp(line, "ready") == 0;
    if (answer.ready) return answer;
    if (length < 0)
        snprintf(answer.text, sizeof answer.text, "%s did not answer within %d ms", program,
                 limit_ms);
    else if ((answer.beside = strncmp(line, beside, sizeof beside - 1) == 0))
        memcpy(answer.text, line + sizeof beside - 1, strlen(line) - sizeof beside + 2);
    else if (strncmp(line, refused, sizeof refused - 1) == 0)
        memcpy(answer.text, line + sizeof refused - 1, strlen(line) - sizeof refused + 2);
    else
        snprintf(answer.text, sizeof answer.text, "%s ended without an answer", program);
    return answer;
}
