#include "grl/mca/settings.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef GRL_PMIX_SYSCONF
#define GRL_PMIX_SYSCONF "/etc"
#endif
#ifndef GRL_OPEN_MPI_SYSCONF
#define GRL_OPEN_MPI_SYSCONF "/etc/openmpi"
#endif

#define FILES_SETTING "mca_base_param_files"
#define LARGEST_FILE 262144

const struct grl_mca_library grl_mca_pmix = {"PMIX_MCA_", ".pmix/mca-params.conf",
                                             GRL_PMIX_SYSCONF "/pmix-mca-params.conf"};
const struct grl_mca_library grl_mca_open_mpi = {"OMPI_MCA_", ".openmpi/mca-params.conf",
                                                 GRL_OPEN_MPI_SYSCONF "/openmpi-mca-params.conf"};

bool grl_mca_own_environment(void* context, const char* name, char* value, size_t size) {
    (void)context;
    const char* text = secure_getenv(name);
    if (text == NULL || strlen(text) >= size) return false;
    memcpy(value, text, strlen(text) + 1);
    return true;
}

/* Nothing that could make the caller wait, or that has no end. */
static FILE* open_file(const char* path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return NULL;
    struct stat status;
    FILE* file = NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= LARGEST_FILE)
        file = fdopen(fd, "re");
    if (file == NULL) close(fd);
    return file;
}

static char* trim(char* text) {
    while (isspace((unsigned char)*text)) text++;
    char* end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1])) end--;
    *end = '\0';
    return text;
}

static bool find_in_file(const char* path, const char* name, struct grl_mca_setting* found) {
    FILE* file = open_file(path);
    if (file == NULL) return false;
    bool any = false;
    char* line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) >= 0) {
        char* equals = strchr(line, '=');
        if (equals == NULL || line[0] == '#') continue;
        *equals = '\0';
        if (strcmp(trim(line), name) != 0) continue;
        snprintf(found->value, sizeof found->value, "%s", trim(equals + 1));
        any = true;
    }
    free(line);
    fclose(file);
    if (any) snprintf(found->where, sizeof found->where, "%s", path);
    return any;
}

static bool look_for(const struct grl_mca_library* library, const char* name, grl_mca_look* look,
                     void* context, char* value, size_t size) {
    char variable[128];
    snprintf(variable, sizeof variable, "%s%s", library->prefix, name);
    return look(context, variable, value, size);
}

bool grl_mca_find(const struct grl_mca_library* library, const char* name, grl_mca_look* look,
                  void* context, struct grl_mca_setting* found) {
    if (look_for(library, name, look, context, found->value, sizeof found->value)) {
        snprintf(found->where, sizeof found->where, "%s%s", library->prefix, name);
        return true;
    }
    char files[4096];
    if (!look_for(library, FILES_SETTING, look, context, files, sizeof files)) {
        char home[1024];
        const bool has_home = look(context, "HOME", home, sizeof home) && home[0] == '/';
        snprintf(files, sizeof files, "%s%s%s%s%s", has_home ? home : "", has_home ? "/" : "",
                 has_home ? library->home_files : "", has_home ? "," : "", library->own_file);
    }
    char* rest = files;
    for (const char* path; (path = strsep(&rest, ",")) != NULL;)
        if (path[0] == '/' && find_in_file(path, name, found)) return true;
    return false;
}

bool grl_mca_list_has(const char* list, const char* component) {
    const bool all_but = list[0] == '^';
    const size_t length = strlen(component);
    for (const char* word = all_but ? list + 1 : list; *word != '\0';) {
        const size_t span = strcspn(word, ",");
        if (span == length && strncmp(word, component, length) == 0) return !all_but;
        word += span + (word[span] == ',' ? 1 : 0);
    }
    return all_but || list[0] == '\0';
}

bool grl_mca_is_false(const char* value) {
    static const char* const words[] = {"0", "f", "false", "n", "no", "disabled"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(value, words[i]) == 0) return true;
    return false;
}
