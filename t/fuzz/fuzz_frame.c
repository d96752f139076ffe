/*
 * Bytes on the socket between workers and the owner.  First byte: 0 to 3 the
 * whole stream, else the fields of one payload, a script that reads them
 * coming first.  Memory of pools is malloc'ed here, to the byte.
 */

#include "../../ngx_wagw/ngx_wagw_frame.c"

#include <stdlib.h>

#define FUZZ_PIECES 256

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void *pieces[FUZZ_PIECES];
static size_t npieces;

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void *fuzz_piece(size_t n)
{
    need(npieces < FUZZ_PIECES);
    pieces[npieces] = malloc(n ? n : 1);
    need(pieces[npieces] != NULL);
    return pieces[npieces++];
}

static void fuzz_pool_free(void)
{
    while (npieces) {
        free(pieces[--npieces]);
    }
}

void *ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    (void)pool;
    return fuzz_piece(size);
}

ngx_array_t *ngx_array_create(ngx_pool_t *pool, ngx_uint_t n, size_t size)
{
    ngx_array_t *a = fuzz_piece(sizeof(ngx_array_t));

    need(n * size <= 2 * NGX_WAGW_FRAME_MAX);
    *a = (ngx_array_t){.elts = fuzz_piece(n * size), .size = size, .nalloc = n, .pool = pool};
    return a;
}

void *ngx_array_push(ngx_array_t *a)
{
    need(a->nelts < a->nalloc);
    return (u_char *)a->elts + a->size * a->nelts++;
}

/* A settings payload that is taken is written as the same bytes again. */
static void fuzz_settings(const ngx_wagw_frame_t *f)
{
    size_t at;
    wagw_buf_t one = {0}, two = {0};
    ngx_wagw_frame_t back;
    ngx_wagw_reader_t r = ngx_wagw_reader(f);
    ngx_wagw_main_conf_t conf, before;

    memset(&conf, 0, sizeof(conf));
    memset(&before, 0, sizeof(before));
    if (ngx_wagw_settings_read(&r, NULL, &conf) != NGX_OK) {
        need(memcmp(&conf, &before, sizeof(conf)) == 0);
        goto done;
    }
    ngx_wagw_settings_write(&one, &conf);
    need(!one.failed);
    back = (ngx_wagw_frame_t){.p = one.p, .n = one.n};
    r = ngx_wagw_reader(&back);
    need(ngx_wagw_settings_read(&r, NULL, &before) == NGX_OK && r.p == r.end);
    ngx_wagw_settings_write(&two, &before);
    at = one.n;
    need(two.n == at && memcmp(one.p, two.p, at) == 0);

done:
    wagw_buf_free(&one);
    wagw_buf_free(&two);
    fuzz_pool_free();
}

static void fuzz_read(const uint8_t *script, size_t n, const ngx_wagw_frame_t *f)
{
    u_char *end = f->p + f->n;
    ngx_str_t s;
    ngx_wagw_reader_t r = ngx_wagw_reader(f);
    volatile u_char sum = 0;

    for (size_t i = 0; i < n; i++) {
        u_char *was = r.p;

        switch (script[i] % 4) {
        case 0:
            need(ngx_wagw_get_u32(&r) == 0 || !r.bad);
            break;
        case 1:
            need(ngx_wagw_get_u64(&r) == 0 || !r.bad);
            break;
        case 2:
            s = ngx_wagw_get_str(&r);
            need(s.len == 0 || (!r.bad && s.data >= f->p && s.data + s.len <= end));
            for (size_t k = 0; k < s.len; k++) {
                sum += s.data[k];
            }
            break;
        default:
            need(ngx_wagw_get_copy(&r, NULL, &s) == NGX_OK && s.data[s.len] == '\0');
            fuzz_pool_free();
        }
        need(r.p >= was && r.p <= end);
    }
}

static void fuzz_stream(wagw_str_t in)
{
    static const uint8_t script[] = {0, 0, 0, 1, 2, 3, 2, 3, 0, 2};
    size_t at = 0, was, begin;
    ngx_int_t rc;
    wagw_buf_t b = {0}, out = {0};
    ngx_wagw_frame_t f;

    need(wagw_buf_str(&b, in) == WAGW_OK);
    for (;;) {
        was = at;
        rc = ngx_wagw_frame_next(&b, &at, &f);
        if (rc != NGX_OK) {
            need(at == was && (rc == NGX_AGAIN || rc == NGX_ERROR));
            break;
        }
        need(at <= b.n && at - was == f.n + NGX_WAGW_FRAME_HEAD && f.p + f.n == b.p + at);
        fuzz_read(script, sizeof(script), &f);
        fuzz_settings(&f);

        /* the same bytes when it is written again */
        wagw_buf_reset(&out);
        begin = ngx_wagw_frame_begin(&out, f.id, f.op, f.flags);
        need(wagw_buf_add(&out, f.p, f.n) == WAGW_OK);
        if (ngx_wagw_frame_end(&out, begin) == NGX_OK) {
            need(out.n == at - was && memcmp(out.p, b.p + was, out.n) == 0);
        }
    }
    wagw_buf_free(&b);
    wagw_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    size_t len;
    u_char *copy;
    ngx_wagw_frame_t f = {0};

    if (n == 0) {
        return 0;
    }
    if (*p < 4) {
        fuzz_stream(wagw_str(p + 1, n - 1));
        return 0;
    }
    len = *p % 32;
    if (n < 1 + len) {
        return 0;
    }
    f.n = n - 1 - len;
    copy = malloc(f.n ? f.n : 1);
    need(copy != NULL);
    memcpy(copy, p + 1 + len, f.n);
    f.p = copy;
    fuzz_read(p + 1, len, &f);
    fuzz_settings(&f);
    free(copy);
    return 0;
}
