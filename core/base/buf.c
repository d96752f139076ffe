#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base.h"

#define BUF_FIRST 256

int wagw_buf_grow(wagw_buf_t *b, size_t more)
{
    size_t cap;
    uint8_t *p;

    if (b->failed) {
        return WAGW_NOMEM;
    }
    if (more <= b->cap - b->n) {
        return WAGW_OK;
    }
    if (more > SIZE_MAX / 2 - b->n) {
        b->failed = true;
        return WAGW_NOMEM;
    }
    cap = b->cap > BUF_FIRST / 2 ? b->cap * 2 : BUF_FIRST;
    if (cap < b->n + more) {
        cap = b->n + more;
    }
    p = realloc(b->p, cap);
    if (p == NULL) {
        b->failed = true;
        return WAGW_NOMEM;
    }
    b->p = p;
    b->cap = cap;
    return WAGW_OK;
}

int wagw_buf_str(wagw_buf_t *b, wagw_str_t s)
{
    return wagw_buf_add(b, s.p, s.n);
}

int wagw_buf_cstr(wagw_buf_t *b, const char *s)
{
    return wagw_buf_add(b, s, s ? strlen(s) : 0);
}

int wagw_buf_be(wagw_buf_t *b, uint64_t v, unsigned bytes)
{
    uint8_t out[8];
    unsigned i;

    if (bytes > sizeof(out)) {
        b->failed = true;
        return WAGW_ERROR;
    }
    for (i = bytes; i > 0; i--) {
        out[i - 1] = (uint8_t)v;
        v >>= 8;
    }
    return wagw_buf_add(b, out, bytes);
}

int wagw_buf_printf(wagw_buf_t *b, const char *fmt, ...)
{
    int n;
    va_list args;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    if (n < 0) {
        b->failed = true;
        return WAGW_ERROR;
    }
    if (wagw_buf_reserve(b, (size_t)n + 1) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    va_start(args, fmt);
    vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, args);
    va_end(args);
    b->n += (size_t)n;
    return WAGW_OK;
}

void wagw_buf_consume(wagw_buf_t *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    if (n > 0) {
        memmove(b->p, b->p + n, b->n - n);
        b->n -= n;
    }
}

void wagw_buf_reset(wagw_buf_t *b)
{
    b->n = 0;
    b->failed = false;
}

void wagw_buf_free(wagw_buf_t *b)
{
    free(b->p);
    memset(b, 0, sizeof(*b));
}

void wagw_buf_wipe(wagw_buf_t *b)
{
    if (b->p != NULL) {
        wagw_wipe(b->p, b->cap);
    }
    wagw_buf_free(b);
}
