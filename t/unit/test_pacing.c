/* Pacing: windows, delay, burst, new chats, warm-up, a clock that jumps. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../ngx_wagw/ngx_wagw_pacing.c"

#define T0 1700000000000LL

static ngx_wagw_pacing_t conf(const char *json)
{
    ngx_wagw_pacing_t p = {0};
    cJSON *o = cJSON_Parse(json);
    const char *field;

    assert_non_null(o);
    assert_null(ngx_wagw_pacing_wrong(o, &field));
    ngx_wagw_pacing_conf(&p, o);
    cJSON_Delete(o);

    return p;
}

static void windows(void **state)
{
    ngx_wagw_pacing_t p = conf("{\"perMinute\":5,\"perHour\":7}");

    (void)state;
    assert_true(ngx_wagw_pacing_on(&p));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ngx_wagw_pacing_at(&p, T0 + i), T0 + i);
        /* told once, when four of five are used */
        assert_int_equal(ngx_wagw_pacing_take(&p, T0 + i, false, 0), i == 3 ? 1 << NGX_WAGW_PACE_MINUTE : 0);
    }
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 + 10), T0 + 60000);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 + 60000), T0 + 60000);
    assert_int_equal(ngx_wagw_pacing_take(&p, T0 + 60000, false, 0), 1 << NGX_WAGW_PACE_HOUR);
    assert_int_equal(ngx_wagw_pacing_take(&p, T0 + 60000, false, 0), 0);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 + 60001), T0 + 3600000);

    /* a clock set back does not hold everything for ever */
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 - 86400000), T0 - 86400000);
    ngx_wagw_pacing_reset(&p);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0), T0);
}

static void delays(void **state)
{
    ngx_wagw_pacing_t p = conf("{\"minDelayMs\":100,\"jitterMs\":50}");

    (void)state;
    (void)ngx_wagw_pacing_take(&p, T0, false, 20);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 + 1), T0 + 120);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 + 200), T0 + 200);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 - 5000), T0 - 5000);

    /* three at once, then one every second */
    p = conf("{\"perMinute\":60,\"burst\":3}");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ngx_wagw_pacing_at(&p, T0), T0);
        (void)ngx_wagw_pacing_take(&p, T0, false, 0);
    }
    assert_int_equal(ngx_wagw_pacing_at(&p, T0), T0 + 1001);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 + 1001), T0 + 1001);
}

static void chats(void **state)
{
    ngx_wagw_pacing_t p = conf("{\"newChatsPerDay\":1}"), q = {0};
    wagw_buf_t b = {0};
    cJSON *o;

    (void)state;
    assert_int_equal(ngx_wagw_pacing_chat_at(&p, T0), T0);
    assert_int_equal(ngx_wagw_pacing_take(&p, T0, true, 0), 1 << NGX_WAGW_PACE_CHATS);
    assert_int_equal(ngx_wagw_pacing_chat_at(&p, T0 + 5), T0 + DAY_MS);
    assert_int_equal(ngx_wagw_pacing_at(&p, T0 + 5), T0 + 5);

    /* a restart remembers */
    ngx_wagw_pacing_save(&p, &b);
    o = cJSON_ParseWithLength((char *)b.p, b.n);
    q = conf("{\"newChatsPerDay\":1}");
    ngx_wagw_pacing_load(&q, o);
    assert_int_equal(ngx_wagw_pacing_chat_at(&q, T0 + 5), T0 + DAY_MS);
    cJSON_Delete(o);
    wagw_buf_free(&b);
}

static void warms_up(void **state)
{
    ngx_wagw_pacing_t p = conf("{\"perDay\":100,\"warmup\":{\"enabled\":true,\"since\":1700000000000}}");

    (void)state;
    assert_int_equal(ngx_wagw_pacing_limit(&p, NGX_WAGW_PACE_DAY, T0 + 1), 20);
    assert_int_equal(ngx_wagw_pacing_limit(&p, NGX_WAGW_PACE_DAY, T0 + 3 * DAY_MS + 1), 60);
    assert_int_equal(ngx_wagw_pacing_limit(&p, NGX_WAGW_PACE_DAY, T0 + 6 * DAY_MS + 1), 100);
    p.limit[NGX_WAGW_PACE_DAY] = 2;
    assert_int_equal(ngx_wagw_pacing_limit(&p, NGX_WAGW_PACE_DAY, T0 + 1), 1);
}

static void refusals(void **state)
{
    static const struct {
        const char *json, *field;
    } wrong[] = {{"{\"perMinute\":0}", "perMinute"},     {"{\"perHour\":1.5}", "perHour"},
                 {"{\"perDay\":\"9\"}", "perDay"},       {"{\"burst\":-1}", "burst"},
                 {"{\"minDelayMs\":1e9}", "minDelayMs"}, {"{\"jitterMs\":true}", "jitterMs"},
                 {"{\"warmup\":1}", "warmup"},           {"{\"warmup\":{\"enabled\":1}}", "warmup"}};
    const char *field;
    ngx_wagw_pacing_t p;
    cJSON *o;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        o = cJSON_Parse(wrong[i].json);
        assert_non_null(ngx_wagw_pacing_wrong(o, &field));
        assert_string_equal(field, wrong[i].field);
        cJSON_Delete(o);
    }
    p = conf("{\"perMinute\":null,\"unknown\":1}");
    assert_false(ngx_wagw_pacing_on(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows), cmocka_unit_test(delays), cmocka_unit_test(chats),
                                       cmocka_unit_test(warms_up), cmocka_unit_test(refusals)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
