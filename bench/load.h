/* Shared by the load generators for DHCP and HTTP: clock, latencies and their percentiles, and exit on an error. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint32_t *latencies; /* microseconds, in order of arrival */
static size_t latency_count, latency_room;

static void die(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, errno ? strerror(errno) : "wrong");
    exit(2);
}

static uint64_t microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void measured(uint64_t took) {
    if (latency_count == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 1 << 12;
        if (!(latencies = realloc(latencies, latency_room * sizeof *latencies)))
            die("memory");
    }
    latencies[latency_count++] = (uint32_t)took;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The latency in milliseconds that this share does not exceed; sorts the latencies. */
static double percentile(double share) {
    if (!latency_count)
        return 0;
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    return latencies[(size_t)(share * (double)(latency_count - 1))] / 1000.0;
}
