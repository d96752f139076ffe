/* Cron expressions and the files of time zones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../ngx_wagw/ngx_wagw_cron.c"
#include "../../ngx_wagw/ngx_wagw_cron_zone.c"

static int64_t at(const char *iso)
{
    int64_t ms;

    assert_int_equal(wagw_iso_parse(wagw_cstr(iso), &ms), WAGW_OK);

    return ms / 1000;
}

static void next(const char *text, const ngx_wagw_tz_t *tz, const char *after, const char *want)
{
    char iso[32];
    int64_t t;
    ngx_wagw_cron_t c;

    assert_int_equal(ngx_wagw_cron_parse(&c, wagw_cstr(text)), WAGW_OK);
    t = ngx_wagw_cron_next(&c, tz, at(after));
    if (want == NULL) {
        assert_int_equal(t, 0);
        return;
    }
    wagw_iso_text(t * 1000, iso);
    iso[16] = '\0';
    assert_string_equal(iso, want);
}

static void expressions(void **state)
{
    ngx_wagw_tz_t utc = {0};
    ngx_wagw_cron_t c;
    static const char *const bad[] = {"",
                                      "*",
                                      "* * * *",
                                      "* * * * * *",
                                      "60 * * * *",
                                      "* 24 * * *",
                                      "* * 0 * *",
                                      "* * 32 * *",
                                      "* * * 13 *",
                                      "* * * * 8",
                                      "5/2 * * * *",
                                      "*/0 * * * *",
                                      "*/61 * * * *",
                                      "5-2 * * * *",
                                      "1,,2 * * * *",
                                      ", * * * *",
                                      "@daily",
                                      "-1 * * * *",
                                      "1- * * * *",
                                      "* * * foo *",
                                      "* * L * *",
                                      "**  * * *",
                                      "* * * * mon,",
                                      "1.5 * * * *",
                                      "0001 * * * *"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ngx_wagw_cron_parse(&c, wagw_cstr(bad[i])), WAGW_MALFORMED);
    }

    next("* * * * *", &utc, "2026-01-01T00:00:00Z", "2026-01-01T00:01");
    next("* * * * *", &utc, "2026-01-01T00:00:59Z", "2026-01-01T00:01");
    next("*/15 * * * *", &utc, "2026-01-01T23:46:00Z", "2026-01-02T00:00");
    next("30 9 * * *", &utc, "2026-01-01T09:29:59Z", "2026-01-01T09:30");
    next(" 30\t9 * * * ", &utc, "2026-01-01T09:30:00Z", "2026-01-02T09:30");
    next("0 9 * * mon-fri", &utc, "2026-01-02T10:00:00Z", "2026-01-05T09:00");
    next("0 9 * * 7", &utc, "2026-01-01T00:00:00Z", "2026-01-04T09:00");
    next("0 9 * * 5-7", &utc, "2026-01-03T10:00:00Z", "2026-01-04T09:00");
    next("0 0 1 JAN *", &utc, "2026-01-01T00:00:00Z", "2027-01-01T00:00");
    next("0 0 29 2 *", &utc, "2026-01-01T00:00:00Z", "2028-02-29T00:00");
    next("0 0 29 2 *", &utc, "2096-03-01T00:00:00Z", "2104-02-29T00:00");
    next("* * 29 2 *", &utc, "2096-03-01T00:00:00Z", "2104-02-29T00:00");
    next("0 0 31 2 *", &utc, "2026-01-01T00:00:00Z", NULL);
    next("* * 31 2 *", &utc, "2026-01-01T00:00:00Z", NULL);
    /* either the day or the weekday */
    next("0 0 13 * 5", &utc, "2026-01-01T12:00:00Z", "2026-01-02T00:00");
    next("0 0 13 * 5", &utc, "2026-01-09T12:00:00Z", "2026-01-13T00:00");
    /* both, where one begins with a star */
    next("0 0 */13 * 5", &utc, "2026-01-01T12:00:00Z", "2026-02-27T00:00");
    next("1-10/3,50 8,20 * * *", &utc, "2026-01-01T08:10:00Z", "2026-01-01T08:50");
    next("1-10/3,50 8,20 * * *", &utc, "2026-01-01T08:50:00Z", "2026-01-01T20:01");
}

static void rules(ngx_wagw_tz_t *tz, const char *text)
{
    *tz = (ngx_wagw_tz_t){0};
    assert_int_equal(ngx_wagw_tz_rules(tz, wagw_cstr(text)), WAGW_OK);
}

static void clocks(void **state)
{
    ngx_wagw_tz_t tz;
    static const char *const bad[] = {"",
                                      "C",
                                      "CET",
                                      "CET-25",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M3.5.0,M13.5.0",
                                      "CET-1CEST,M3.5.0,M10.6.0",
                                      "<CET-1",
                                      "CET-1CEST,M3.5.0,M10.5.0/3x",
                                      "CET-1CEST,J0,J1",
                                      "CET-1CEST,366,1"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tz = (ngx_wagw_tz_t){0};
        assert_int_equal(ngx_wagw_tz_rules(&tz, wagw_cstr(bad[i])), WAGW_MALFORMED);
    }

    rules(&tz, "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-03-29T00:59:59Z")), 3600);
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-03-29T01:00:00Z")), 7200);
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-10-25T00:59:59Z")), 7200);
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-10-25T01:00:00Z")), 3600);
    next("0 9 * * *", &tz, "2026-03-28T12:00:00Z", "2026-03-29T07:00");
    /* jumped over: after the jump, and only once */
    next("30 2 * * *", &tz, "2026-03-28T12:00:00Z", "2026-03-29T01:30");
    next("30 2 * * *", &tz, "2026-03-29T01:30:00Z", "2026-03-30T00:30");
    /* twice: the first time */
    next("30 2 * * *", &tz, "2026-10-24T12:00:00Z", "2026-10-25T00:30");
    next("30 2 * * *", &tz, "2026-10-25T00:30:00Z", "2026-10-26T01:30");
    /* each hour: as the clock shows */
    next("30 * * * *", &tz, "2026-10-25T00:30:00Z", "2026-10-25T01:30");
    next("30 * * * *", &tz, "2026-03-29T00:30:00Z", "2026-03-29T01:30");
    next("0 * 1 4 *", &tz, "2026-03-01T00:00:00Z", "2026-03-31T22:00");

    rules(&tz, "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1");
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-07-01T00:00:00Z")), -2 * 3600);
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-12-01T00:00:00Z")), -3 * 3600);
    /* the other half of the earth: over the new year */
    rules(&tz, "AEST-10AEDT,M10.1.0,M4.1.0/3");
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-01-01T00:00:00Z")), 11 * 3600);
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2026-06-01T00:00:00Z")), 10 * 3600);
    next("0 9 * * *", &tz, "2026-01-01T00:00:00Z", "2026-01-01T22:00");
    rules(&tz, "IST-5:30");
    next("0 9 * * *", &tz, "2026-01-01T00:00:00Z", "2026-01-01T03:30");
    rules(&tz, "XXX3YYY,J60/0,J300/0");
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2028-03-01T02:59:59Z")), -3 * 3600);
    assert_int_equal(ngx_wagw_tz_offset(&tz, at("2028-03-01T03:00:00Z")), -2 * 3600);
}

static void u32(wagw_buf_t *b, uint32_t v)
{
    for (int i = 24; i >= 0; i -= 8) {
        wagw_buf_u8(b, (uint8_t)(v >> i));
    }
}

static void head(wagw_buf_t *b, uint32_t times, uint32_t types, uint32_t chars)
{
    wagw_buf_cstr(b, "TZif2");
    for (int i = 0; i < 15; i++) {
        wagw_buf_u8(b, 0);
    }
    u32(b, 0);
    u32(b, 0);
    u32(b, 0);
    u32(b, times);
    u32(b, types);
    u32(b, chars);
}

static void files(void **state)
{
    ngx_wagw_tz_t tz;
    wagw_buf_t b = {0};
    uint8_t *cut;

    (void)state;
    head(&b, 0, 1, 4);
    wagw_buf_add(&b, "\0\0\0\0\0\0UTC", 10);
    head(&b, 2, 2, 4);
    u32(&b, 0);
    u32(&b, 1000);
    u32(&b, 0);
    u32(&b, 2000);
    wagw_buf_add(&b, "\1\0", 2);
    u32(&b, 3600);
    wagw_buf_add(&b, "\0\0", 2);
    u32(&b, 7200);
    wagw_buf_add(&b, "\1\0", 2);
    wagw_buf_add(&b, "ABC\0\nABC-3\n", 11);

    assert_int_equal(ngx_wagw_tz_parse(&tz, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(ngx_wagw_tz_offset(&tz, 999), 3600);
    assert_int_equal(ngx_wagw_tz_offset(&tz, 1000), 7200);
    assert_int_equal(ngx_wagw_tz_offset(&tz, 1999), 7200);
    assert_int_equal(ngx_wagw_tz_offset(&tz, 2000), 3 * 3600);
    ngx_wagw_tz_free(&tz);

    /* cut anywhere: in a block of its own, so that a read too far is seen */
    for (size_t n = 0; n < b.n; n++) {
        cut = malloc(n + 1);
        memcpy(cut, b.p, n);
        assert_int_equal(ngx_wagw_tz_parse(&tz, wagw_str(cut, n)), WAGW_MALFORMED);
        assert_null(tz.at);
        free(cut);
    }
    wagw_buf_free(&b);

    assert_int_equal(ngx_wagw_tz_load(&tz, WAGW_STR("")), WAGW_OK);
    assert_int_equal(ngx_wagw_tz_offset(&tz, 5), 0);
    assert_int_equal(ngx_wagw_tz_load(&tz, WAGW_STR("Nowhere/Atall")), WAGW_NOT_FOUND);
    assert_int_equal(ngx_wagw_tz_load(&tz, WAGW_STR("Europe")), WAGW_NOT_FOUND);
    assert_int_equal(ngx_wagw_tz_load(&tz, WAGW_STR("Europe/Berlin")), WAGW_OK);
    next("0 9 * * *", &tz, "2026-07-01T12:00:00Z", "2026-07-02T07:00");
    next("0 9 * * *", &tz, "2050-01-01T12:00:00Z", "2050-01-02T08:00");
    ngx_wagw_tz_free(&tz);
    assert_false(ngx_wagw_tz_name_ok(WAGW_STR("../etc/passwd")));
    assert_false(ngx_wagw_tz_name_ok(WAGW_STR("/etc/passwd")));
    assert_false(ngx_wagw_tz_name_ok(WAGW_STR("Europe/../x")));
    assert_false(ngx_wagw_tz_name_ok(WAGW_STR("Europe/")));
    assert_true(ngx_wagw_tz_name_ok(WAGW_STR("America/Argentina/Buenos_Aires")));
    assert_true(ngx_wagw_tz_name_ok(WAGW_STR("Etc/GMT+3")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions),
        cmocka_unit_test(clocks),
        cmocka_unit_test(files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
