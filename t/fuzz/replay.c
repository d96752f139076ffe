/*
 * Runs a fuzz target over files, and the files of directories, without a fuzzer:
 * what was once found stays mended on machines that have no clang.
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static size_t replay_file(const char *path)
{
    long n;
    uint8_t *p;
    FILE *f = fopen(path, "rb");

    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0) {
        perror(path);
        exit(1);
    }
    rewind(f);
    p = malloc(n ? (size_t)n : 1); /* not a byte more: sanitizers see what reads behind it */
    if (p == NULL || fread(p, 1, (size_t)n, f) != (size_t)n) {
        perror(path);
        exit(1);
    }
    fclose(f);
    (void)LLVMFuzzerTestOneInput(p, (size_t)n);
    free(p);
    return 1;
}

/* A directory that is not there has nothing: not every target has seeds of its own. */
static size_t replay(const char *name)
{
    size_t count = 0;
    char path[4096];
    DIR *d = opendir(name);
    struct dirent *e;

    if (d == NULL) {
        return errno == ENOTDIR ? replay_file(name) : 0;
    }
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.' && snprintf(path, sizeof(path), "%s/%s", name, e->d_name) < (int)sizeof(path)) {
            count += replay_file(path);
        }
    }
    closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;

    for (int i = 1; i < argc; i++) {
        count += replay(argv[i]);
    }
    printf("# %zu inputs\n", count);
    return count ? 0 : 1;
}
