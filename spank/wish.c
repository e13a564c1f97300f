#include "spank/wish.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_INTERVAL 31536000 /* seconds: a year */

static bool parse_seconds(const char* text, unsigned least, unsigned* seconds) {
    if (!isdigit((unsigned char)text[0]) || strlen(text) > 9) return false;
    char* end = NULL;
    const unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value < least || value > LONGEST_INTERVAL) return false;
    *seconds = (unsigned)value;
    return true;
}

bool grl_wish_parse(const char* text, struct grl_wish* wish) {
    unsigned every_s = 0;
    enum grl_answer answer = GRL_YES;
    /* "(null)" is what Slurm makes of no value on the way from sbatch to the sruns inside. */
    if (text == NULL || *text == '\0' || strcmp(text, "(null)") == 0 ||
        strcmp(text, "on-demand") == 0) {
        every_s = 0;
    } else if (strcmp(text, "no") == 0) {
        answer = GRL_NO;
    } else if (!parse_seconds(text, 1, &every_s)) {
        return false;
    }
    wish->answer = answer;
    wish->every_s = every_s;
    return true;
}

void grl_wish_format(struct grl_wish wish, char* text, size_t size) {
    if (wish.answer == GRL_NO)
        snprintf(text, size, "no");
    else if (wish.every_s == 0)
        snprintf(text, size, "on-demand");
    else
        snprintf(text, size, "%u", wish.every_s);
}

void grl_decision_format(struct grl_decision decision, char* text, size_t size) {
    if (!decision.protect)
        snprintf(text, size, "no");
    else
        snprintf(text, size, "%s:%u", decision.asked ? "asked" : "site", decision.every_s);
}

bool grl_decision_parse(const char* text, struct grl_decision* decision) {
    struct grl_decision read = {.protect = false};
    if (strcmp(text, "no") != 0) {
        static const char asked[] = "asked:";
        static const char site[] = "site:";
        read.protect = true;
        read.asked = strncmp(text, asked, sizeof asked - 1) == 0;
        if (!read.asked && strncmp(text, site, sizeof site - 1) != 0) return false;
        text += read.asked ? sizeof asked - 1 : sizeof site - 1;
        if (!parse_seconds(text, 0, &read.every_s)) return false;
    }
    *decision = read;
    return true;
}
