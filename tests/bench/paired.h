// Calls in pairs, one of each of two ways, whose order changes so that drift and habit fall on both
// alike.
#pragma once

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static inline void print_samples(const char* name, const double* samples, int count) {
    printf(", \"%s\": [", name);
    for (int i = 0; i < count; i++) printf("%s%.3f", i == 0 ? "" : ",", samples[i]);
    printf("]");
}

// `once` does an operation the gated way or the other, and returns microseconds. Prints a JSON
// object.
static inline void measure_pairs(const char* name, int operation, int bytes, int samples,
                                 double (*once)(int operation, int bytes, int gated)) {
    double* with = calloc((size_t)samples, sizeof *with);
    double* without = calloc((size_t)samples, sizeof *without);
    for (int i = -10; i < samples; i++) {
        double pair[2];
        for (int k = 0; k < 2; k++) {
            const int gated = (k ^ i) & 1;
            pair[gated] = once(operation, bytes, gated);
        }
        if (i < 0) continue;  // the first ones open connections
        without[i] = pair[0];
        with[i] = pair[1];
    }
    printf("{\"operation\": \"%s\", \"bytes\": %d", name, bytes);
    print_samples("with", with, samples);
    print_samples("without", without, samples);
    printf("}\n");
    fflush(stdout);
    free(with);
    free(without);
}
