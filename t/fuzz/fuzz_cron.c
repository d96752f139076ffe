/*
 * Cron expressions and time zone files.  The first line is an expression, the
 * rest the file.  Whatever is found is later than what was asked for, a full
 * minute, and the next one is later again.
 */

#include "../../ngx_wagw/ngx_wagw_cron.c"
#include "../../ngx_wagw/ngx_wagw_cron_zone.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const uint8_t *end = n ? memchr(p, '\n', n) : NULL;
    size_t len = end ? (size_t)(end - p) : n;
    int64_t t = 1767225600, after;
    ngx_wagw_cron_t c;
    ngx_wagw_tz_t tz = {0};

    if (ngx_wagw_tz_rules(&tz, wagw_str(p, len)) != WAGW_OK) {
        tz = (ngx_wagw_tz_t){0};
    }
    (void)ngx_wagw_tz_offset(&tz, t);

    if (end && ngx_wagw_tz_parse(&tz, wagw_str(end + 1, n - len - 1)) != WAGW_OK) {
        tz = (ngx_wagw_tz_t){0};
    }

    if (ngx_wagw_cron_parse(&c, wagw_str(p, len)) == WAGW_OK) {
        for (int i = 0; i < 3 && t; i++) {
            after = t;
            t = ngx_wagw_cron_next(&c, &tz, after);
            need(t == 0 || t > after);
        }
    }

    ngx_wagw_tz_free(&tz);

    return 0;
}
