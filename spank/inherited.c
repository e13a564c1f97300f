#include "spank/inherited.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_back(const char* name) {
    char set_record[64], was_record[64];
    snprintf(set_record, sizeof set_record, GRL_SET_RECORD "%s", name);
    snprintf(was_record, sizeof was_record, GRL_WAS_RECORD "%s", name);
    const char* set = getenv(set_record);
    const char* now = getenv(name);
    if (set != NULL && now != NULL && strcmp(set, now) == 0) {
        const char* was = getenv(was_record);
        if (was != NULL)
            setenv(name, was, 1);
        else
            unsetenv(name);
    }
    unsetenv(set_record);
    unsetenv(was_record);
}

/* The list may have been added to, so only the one entry goes. */
static void drop_library(const char* library) {
    const char* list = getenv(GRL_PRELOAD_ENV);
    if (list == NULL || library == NULL || *library == '\0') return;
    const size_t length = strlen(library);
    char* rest = malloc(strlen(list) + 1);
    if (rest == NULL) return;
    size_t used = 0;
    bool dropped = false;
    for (const char* at = list; *at != '\0';) {
        const size_t gap = strspn(at, ": ");
        const size_t word = strcspn(at + gap, ": ");
        if (word == length && memcmp(at + gap, library, word) == 0) {
            dropped = true;
        } else {
            const size_t from = used == 0 ? gap : 0;
            memcpy(rest + used, at + from, gap - from + word);
            used += gap - from + word;
        }
        at += gap + word;
    }
    rest[used] = '\0';
    if (dropped && used == 0)
        unsetenv(GRL_PRELOAD_ENV);
    else if (dropped)
        setenv(GRL_PRELOAD_ENV, rest, 1);
    free(rest);
}

void grl_inherited_strip(const char* library) {
    put_back(GRL_FENCE_ENV);
    put_back(GRL_YIELD_ENV);
    drop_library(library);
    unsetenv(GRL_PAGE_ENV);
    unsetenv(GRL_AGENT_ENV);
}
