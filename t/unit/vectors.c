#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "vectors.h"

#define VEC_FILE_MAX (64u << 20)

static int vec_nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* Length of the name without a `.json` behind it. */
static int vec_stem(const char *name)
{
    size_t n = strlen(name);

    return (int)(n > 5 && strcmp(name + n - 5, ".json") == 0 ? n - 5 : n);
}

static char *vec_read(FILE *f)
{
    char *text;
    size_t n = 0, cap = 1u << 16, got;

    text = malloc(cap + 1);
    while (text != NULL && (got = fread(text + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n == cap) {
            char *more = cap < VEC_FILE_MAX ? realloc(text, cap * 2 + 1) : NULL;

            if (more == NULL) {
                free(text);
                return NULL;
            }
            text = more;
            cap *= 2;
        }
    }
    if (text != NULL) {
        text[n] = '\0';
    }
    return text;
}

/* "\\u0000" becomes "\\ue000", a character that no vector uses. */
static void vec_keep_nuls(char *text)
{
    char *p;

    for (p = strchr(text, '\\'); p != NULL && p[1] != '\0'; p = strchr(p + 2, '\\')) {
        if (strncmp(p, "\\u0000", 6) == 0) {
            p[2] = 'e';
        }
    }
}

cJSON *vec_load(const char *name)
{
    FILE *f;
    char path[4096], *text;
    cJSON *root = NULL;
    const char *dir = getenv("VECTORS");
    bool given = dir != NULL && *dir != '\0';

    snprintf(path, sizeof(path), "%s/%.*s.json", given ? dir : "t/vectors", vec_stem(name), name);

    f = fopen(path, "rb");
    if (f == NULL) {
        printf("vectors %.*s: absent\n", vec_stem(name), name);
        fflush(stdout);
        if (!given) {
            fail_msg("%s cannot be read", path);
        }
        return NULL;
    }

    text = vec_read(f);
    fclose(f);
    if (text != NULL) {
        vec_keep_nuls(text);
        root = cJSON_Parse(text);
        free(text);
    }
    if (root == NULL) {
        fail_msg("%s is not JSON", path);
    }
    return root;
}

void vec_later(const char *name, const char *row)
{
    printf("later %.*s.json: %s\n", vec_stem(name), name, row);
}

void vec_count(const char *name, unsigned passed, unsigned failed, unsigned later)
{
    printf("vectors %.*s.json: %u passed, %u failed, %u later\n", vec_stem(name), name, passed, failed, later);
    fflush(stdout);
}

const cJSON *vec_get(const cJSON *obj, const char *key)
{
    return obj ? cJSON_GetObjectItemCaseSensitive(obj, key) : NULL;
}

size_t vec_hex_item(const cJSON *item, uint8_t *out, size_t cap)
{
    size_t i, n;
    const char *s;

    if (cJSON_IsObject(item)) {
        item = vec_get(item, "$hex");
    }
    s = cJSON_GetStringValue(item);
    if (s == NULL) {
        return VEC_NONE;
    }
    n = strlen(s);
    if (n % 2 != 0 || n / 2 > cap) {
        return VEC_NONE;
    }
    for (i = 0; i < n / 2; i++) {
        int hi = vec_nibble(s[2 * i]), lo = vec_nibble(s[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            return VEC_NONE;
        }
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return n / 2;
}

size_t vec_hex(const cJSON *obj, const char *key, uint8_t *out, size_t cap)
{
    return vec_hex_item(vec_get(obj, key), out, cap);
}

wagw_str_t vec_bytes_item(wagw_arena_t *a, const cJSON *item)
{
    size_t n, cap;
    uint8_t *p;
    const char *s;

    s = cJSON_GetStringValue(cJSON_IsObject(item) ? vec_get(item, "$hex") : item);
    if (s == NULL) {
        return WAGW_STR_NULL;
    }
    cap = strlen(s) / 2;
    p = wagw_arena_alloc(a, cap + 1);
    if (p == NULL) {
        return WAGW_STR_NULL;
    }
    n = vec_hex_item(item, p, cap);
    return n == VEC_NONE ? WAGW_STR_NULL : wagw_str(p, n);
}

wagw_str_t vec_bytes(wagw_arena_t *a, const cJSON *obj, const char *key)
{
    return vec_bytes_item(a, vec_get(obj, key));
}

wagw_str_t vec_text(wagw_arena_t *a, const cJSON *item)
{
    const char *s = cJSON_GetStringValue(item);
    uint8_t *p;
    size_t n = 0;

    p = s ? wagw_arena_alloc(a, strlen(s) + 1) : NULL;
    if (p == NULL) {
        return WAGW_STR_NULL;
    }
    while (*s != '\0') {
        if (strncmp(s, "\xee\x80\x80", 3) == 0) {
            p[n++] = '\0';
            s += 3;
        } else {
            p[n++] = (uint8_t)*s++;
        }
    }
    return wagw_str(p, n);
}

const char *vec_str(const cJSON *obj, const char *key)
{
    return cJSON_GetStringValue(vec_get(obj, key));
}

int64_t vec_int(const cJSON *obj, const char *key, int64_t fallback)
{
    const cJSON *item = vec_get(obj, key);

    if (cJSON_IsNumber(item)) {
        return (int64_t)item->valuedouble;
    }
    if (cJSON_IsString(item)) {
        return strtoll(item->valuestring, NULL, 10);
    }
    return fallback;
}

bool vec_bool(const cJSON *obj, const char *key)
{
    return cJSON_IsTrue(vec_get(obj, key));
}

void vec_random(void *data, uint8_t *p, size_t n)
{
    size_t i;
    uint64_t x, *seed = data;

    for (i = 0; i < n; i++) {
        /* splitmix64: every seed gives a different, full-period stream */
        *seed += 0x9e3779b97f4a7c15u;
        x = *seed;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        p[i] = (uint8_t)((x ^ (x >> 31)) >> 24);
    }
}
