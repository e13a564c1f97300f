#include "spank/arguments.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spank/paths.h"

typedef bool reader(const char* value, void* field);

static bool read_path(const char* value, void* field) {
    if (value[0] != '/') return false;
    *(const char**)field = value;
    return true;
}

static bool read_path_or_none(const char* value, void* field) {
    if (strcmp(value, "none") != 0) return read_path(value, field);
    *(const char**)field = "";
    return true;
}

static bool parse_number(const char* text, unsigned least, unsigned most, unsigned* number) {
    if (!isdigit((unsigned char)text[0]) || strlen(text) > 9) return false;
    char* end = NULL;
    const unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value < least || value > most) return false;
    *number = (unsigned)value;
    return true;
}

static bool read_endpoint(const char* value, void* field) {
    const char* colon = strrchr(value, ':');
    unsigned port = 0;
    if (colon == NULL || colon == value || !parse_number(colon + 1, 1, 65535, &port)) return false;
    *(const char**)field = value;
    return true;
}

static bool read_wish(const char* value, void* field) {
    return *value != '\0' && grl_wish_parse(value, field);
}

static bool read_deadline(const char* value, void* field) {
    return parse_number(value, 1, 60, field);
}

static bool read_width(const char* value, void* field) {
    return parse_number(value, 2, 65533, field);
}

static const struct {
    const char* name;
    reader* read;
    size_t field;
    const char* wanted;
} table[] = {
    {"coordinator", read_endpoint, offsetof(struct grl_arguments, coordinator), "HOST:PORT"},
    {"default", read_wish, offsetof(struct grl_arguments, site_wish), GRL_WISH_USAGE},
    {"munge_socket", read_path, offsetof(struct grl_arguments, munge_socket), "an absolute path"},
    {"master", read_path, offsetof(struct grl_arguments, master), "an absolute path"},
    {"agent", read_path, offsetof(struct grl_arguments, agent), "an absolute path"},
    {"mpi", read_path_or_none, offsetof(struct grl_arguments, mpi), "an absolute path or none"},
    {"log", read_path, offsetof(struct grl_arguments, log), "an absolute path"},
    {"deadline", read_deadline, offsetof(struct grl_arguments, deadline_s), "1 to 60 seconds"},
    {"tree_width", read_width, offsetof(struct grl_arguments, tree_width),
     "slurm.conf's TreeWidth, 2 to 65533"},
};
#define TABLE_SIZE (sizeof table / sizeof table[0])

static bool read_one(const char* argument, struct grl_arguments* read, char* why, size_t size) {
    const char* equals = strchr(argument, '=');
    const size_t length = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        if (strlen(table[i].name) != length || strncmp(table[i].name, argument, length) != 0)
            continue;
        if (equals != NULL && table[i].read(equals + 1, (char*)read + table[i].field)) return true;
        snprintf(why, size, "plugstack.conf: bad argument '%s': %s=%s is wanted", argument,
                 table[i].name, table[i].wanted);
        return false;
    }
    int used = snprintf(why, size, "plugstack.conf: unknown argument '%s'; there are", argument);
    for (size_t i = 0; i < TABLE_SIZE && used > 0 && (size_t)used < size; i++)
        used +=
            snprintf(why + used, size - (size_t)used, "%s %s=", i == 0 ? "" : ",", table[i].name);
    return false;
}

bool grl_arguments_parse(int count, char* const arguments[], struct grl_arguments* read, char* why,
                         size_t why_size) {
    struct grl_arguments all = {
        .master = GRL_MASTER_PATH,
        .agent = GRL_AGENT_PATH,
        .mpi = GRL_MPI_PATH,
        .log = GRL_MASTER_LOG,
        .site_wish = {.answer = GRL_UNSET},
        .deadline_s = 5,
        .tree_width = GRL_TREE_WIDTH,
    };
    for (int i = 0; i < count; i++)
        if (!read_one(arguments[i], &all, why, why_size)) return false;
    if (all.site_wish.answer == GRL_YES && all.coordinator == NULL) {
        snprintf(why, why_size,
                 "plugstack.conf: default= asks for protection, but there is no "
                 "coordinator=HOST:PORT");
        return false;
    }
    *read = all;
    return true;
}
