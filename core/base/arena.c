#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base.h"

#define ARENA_FIRST 2048
#define ARENA_CHUNK_MAX (64u * 1024)

struct wagw_arena_chunk_s {
    wagw_arena_chunk_t *older;
    size_t cap;
    size_t used;
    _Alignas(16) uint8_t data[];
};

/*
 * Turns make and drop arenas thousands of times a second, and malloc is slow
 * for chunks of this size (it tidies its small ones first): each thread keeps
 * some, at most 120 KiB.  Not where the sanitizer should see every end of use.
 */
#define SPARE_SIZES 3
#if defined(__SANITIZE_ADDRESS__)
#define SPARE_BYTES 0
#else
#define SPARE_BYTES (40u * 1024)
#endif

static _Thread_local struct {
    wagw_arena_chunk_t *first;
    size_t bytes;
} spare[SPARE_SIZES + 1]; /* the last one stays empty: other capacities */

static size_t spare_index(size_t cap)
{
    size_t i;

    for (i = 0; i < SPARE_SIZES && cap != (size_t)ARENA_FIRST << i; i++) {
        /* void */
    }
    return i;
}

static wagw_arena_chunk_t *chunk_make(size_t cap)
{
    size_t i = spare_index(cap);
    wagw_arena_chunk_t *c = spare[i].first;

    if (c != NULL) {
        spare[i].first = c->older;
        spare[i].bytes -= cap;
        return c;
    }
    c = malloc(sizeof(*c) + cap);
    if (c != NULL) {
        c->cap = cap;
    }
    return c;
}

static void chunk_free(wagw_arena_chunk_t *c)
{
    size_t i = spare_index(c->cap);

    if (i == SPARE_SIZES || spare[i].bytes + c->cap > SPARE_BYTES) {
        free(c);
        return;
    }
    c->older = spare[i].first;
    spare[i].first = c;
    spare[i].bytes += c->cap;
}

void *wagw_arena_alloc(wagw_arena_t *a, size_t n)
{
    size_t cap;
    wagw_arena_chunk_t *c = a->head;

    if (n > SIZE_MAX / 2) {
        return NULL;
    }
    /* nothing is also something: two empty pieces have two addresses */
    n = n == 0 ? 16 : (n + 15) & ~(size_t)15;

    if (c == NULL || n > c->cap - c->used) {
        cap = c == NULL ? ARENA_FIRST : c->cap * 2;
        if (cap > ARENA_CHUNK_MAX) {
            cap = ARENA_CHUNK_MAX;
        }
        if (cap < n) {
            cap = n;
        }
        c = chunk_make(cap);
        if (c == NULL) {
            return NULL;
        }
        c->older = a->head;
        c->used = 0;
        a->head = c;
    }
    c->used += n;
    a->used += n;
    return c->data + c->used - n;
}

void *wagw_arena_zalloc(wagw_arena_t *a, size_t n)
{
    void *p = wagw_arena_alloc(a, n);

    if (p != NULL && n > 0) {
        memset(p, 0, n);
    }
    return p;
}

wagw_str_t wagw_arena_str(wagw_arena_t *a, wagw_str_t s)
{
    uint8_t *p;

    p = s.n < SIZE_MAX / 2 ? wagw_arena_alloc(a, s.n + 1) : NULL;
    if (p == NULL) {
        return WAGW_STR_NULL;
    }
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return wagw_str(p, s.n);
}

wagw_str_t wagw_arena_printf(wagw_arena_t *a, const char *fmt, ...)
{
    int n;
    char *p;
    va_list args;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        return WAGW_STR_NULL;
    }
    p = wagw_arena_alloc(a, (size_t)n + 1);
    if (p == NULL) {
        return WAGW_STR_NULL;
    }
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return wagw_str(p, (size_t)n);
}

void wagw_arena_reset(wagw_arena_t *a)
{
    wagw_arena_chunk_t *c = a->head;

    while (c != NULL && c->older != NULL) {
        wagw_arena_chunk_t *older = c->older;

        chunk_free(c);
        c = older;
    }
    /* a first chunk made for one giant piece is not worth keeping */
    if (c != NULL && c->cap > ARENA_CHUNK_MAX) {
        chunk_free(c);
        c = NULL;
    }
    if (c != NULL) {
        c->used = 0;
    }
    a->head = c;
    a->used = 0;
}

void wagw_arena_free(wagw_arena_t *a)
{
    while (a->head != NULL) {
        wagw_arena_chunk_t *older = a->head->older;

        chunk_free(a->head);
        a->head = older;
    }
    a->used = 0;
}
