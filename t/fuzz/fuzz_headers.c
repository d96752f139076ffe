/*
 * Header values.  First byte: even a range of a file (its size follows in
 * eight bytes), odd a Retry-After.
 */

#include <stdlib.h>

#include "../../ngx_wagw/ngx_wagw_headers.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* The same range written the plainest way is the same bytes. */
static void fuzz_range(wagw_str_t v, uint64_t size)
{
    int rc;
    uint64_t from = 7, to = 3, from2, to2;
    wagw_buf_t b = {0};

    rc = ngx_wagw_headers_range(v, size, &from, &to);
    need(rc == WAGW_OK || rc == WAGW_MALFORMED || rc == WAGW_LIMIT);
    if (rc != WAGW_OK) {
        need(from == 7 && to == 3);
        return;
    }
    need(from < to && to <= size);
    need(wagw_buf_printf(&b, "bytes=%llu-%llu", (unsigned long long)from, (unsigned long long)to - 1) == WAGW_OK);
    need(ngx_wagw_headers_range(wagw_buf_view(&b), size, &from2, &to2) == WAGW_OK && from2 == from && to2 == to);
    need(ngx_wagw_headers_range(wagw_buf_view(&b), from ? from : 1, &from2, &to2) == (from ? WAGW_LIMIT : WAGW_OK));
    wagw_buf_free(&b);
}

static void fuzz_retry_after(wagw_str_t v)
{
    uint64_t seconds = 0;
    wagw_str_t was = v;

    if (ngx_wagw_headers_retry_after(&v, &seconds) == WAGW_OK) {
        need(v.n > 0);
    }
    need(v.n == 0 || (v.p >= was.p && v.p + v.n <= was.p + was.n && *v.p > ' ') || (*v.p != ' ' && *v.p != '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    uint64_t size = 0;

    if (n < 9) {
        return 0;
    }
    for (int i = 1; i < 9; i++) {
        size = size << 8 | p[i];
    }
    if (*p % 2 == 0) {
        fuzz_range(wagw_str(p + 9, n - 9), size ? size : 1);
    } else {
        fuzz_retry_after(wagw_str(p + 1, n - 1));
    }
    return 0;
}
