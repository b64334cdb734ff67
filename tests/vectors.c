/* A bilinear sampler in C, held against the golden vectors: python -m stn_ref vectors --out DIR
   cc -std=c99 vectors.c -lm && ./a.out DIR/torch.json */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WRONG
#define floorf truncf
#endif
enum { INPUT, GRID, VALUE, BOUND, ARRAYS };
static const char *const KEYS[] = {"\"input\":", "\"grid\":", "\"value\":", "\"value_bound\":"};
static char line[1 << 20];
static double data[ARRAYS][1 << 12], worst;
static long shape[ARRAYS][4], cases, values;

static void check(int aligned) { /* the case in data and shape */
    long *s = shape[INPUT], H = s[2], W = s[3], points = shape[GRID][1] * shape[GRID][2];
    for (long i = 0; i < s[0] * s[1] * points; i++) { /* (n, c, point), as value has them */
        long plane = i / points, point = plane / s[1] * points + i % points;
        float gx = data[GRID][2 * point], gy = data[GRID][2 * point + 1], found = 0;
        float x = aligned ? (gx + 1) / 2 * (W - 1) : ((gx + 1) * W - 1) / 2;
        float y = aligned ? (gy + 1) / 2 * (H - 1) : ((gy + 1) * H - 1) / 2;
        for (int tap = 0; tap < 4; tap++) {
            float m = floorf(x) + tap % 2, n = floorf(y) + tap / 2;
            if (m >= 0 && m < W && n >= 0 && n < H)
                found += (float)data[INPUT][(plane * H + (long)n) * W + (long)m]
                         * (1 - fabsf(x - m)) * (1 - fabsf(y - n));
        }
        found = isfinite(x) && isfinite(y) ? found : NAN;
        double off = fabs(found - data[VALUE][i]), units = off == 0 ? 0 : off / data[BOUND][i];
        if (isnan(units)) units = isnan(found) && isnan(data[VALUE][i]) ? 0 : INFINITY;
        worst = units > worst ? units : worst, values++;
    }
    cases++;
}

int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    int wanted = 0, aligned = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (!strncmp(line, "\"dtype\":", 8)) wanted = strstr(line, "float32") != NULL;
        if (!strncmp(line, "\"options\":", 10)) {
            wanted = wanted && strstr(line, "\"bilinear\"") && strstr(line, "\"zeros\"");
            aligned = strstr(line, "\"align_corners\": true") != NULL;
        }
        for (int k = 0; wanted && k < ARRAYS; k++) {
            if (strncmp(line, KEYS[k], strlen(KEYS[k]))) continue;
            char *at = strchr(line, '['), *end;
            for (int axis = 0; axis < 4; axis++) shape[k][axis] = strtol(at + 1, &at, 10);
            double *to = data[k];
            for (at = strstr(at, "\"data\": \"") + 9; *to = strtod(at, &end), end != at; at = end) to++;
            if (k == BOUND) check(aligned);
        }
    }
    printf("%ld cases, %ld values, worst error %.3g bounds\n", cases, values, worst);
    return values && worst <= 1 ? 0 : 1;
}
