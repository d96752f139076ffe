/* Schedules: a due time is claimed once, with its job; how they end; what a caller may change. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "store_util.h"

static const uint8_t *const keys[] = {NULL, stu_key};
static const wagw_scope_t all = {WAGW_STR_NULL, WAGW_STR("master")};

static wagw_schedule_t row(stu_t *t, const char *id, int64_t next_ms)
{
    return (wagw_schedule_t){.id = wagw_cstr(id),
                             .instance = t->num,
                             .priority = 5,
                             .next_ms = next_ms,
                             .send_ms = next_ms,
                             .ttl_ms = 1000,
                             .created_ms = 1,
                             .updated_ms = 1,
                             .to = WAGW_STR("[\"15550001@s.whatsapp.net\"]"),
                             .body = WAGW_STR("{\"type\":\"text\"}")};
}

static wagw_schedule_t get(stu_t *t, const char *id)
{
    wagw_arena_t a = {0};
    wagw_schedule_t c;

    assert_int_equal(wagw_store_schedule_get(t->s, &all, wagw_cstr(id), &a, &c), WAGW_OK);
    assert_string_equal((const char *)c.body.p, "{\"type\":\"text\"}");
    assert_string_equal((const char *)c.instance_id.p, "one");
    wagw_arena_free(&a);

    return c;
}

static int fire(stu_t *t, wagw_schedule_t *c, int64_t due, int64_t next, const char *job, wagw_sends_t *j)
{
    wagw_sends_item_t item = {.to = WAGW_STR("15550001@s.whatsapp.net"), .message_id = wagw_cstr(job), .known = -1};

    *j = (wagw_sends_t){.id = wagw_cstr(job),
                        .instance = t->num,
                        .kind = WAGW_SENDS_SCHEDULE,
                        .expires_ms = 9000,
                        .content = WAGW_STR("{}")};

    return wagw_store_schedule_fire(t->s, c->num, due, next, due, j, &item, 1);
}

static void end(stu_t *t, uint64_t job, wagw_item_status_t status, const char *code)
{
    wagw_buf_t v = {0};
    wagw_batch_t *b = stu_batch(t->num);
    wagw_sends_result_t r = {.num = job, .status = (uint8_t)status, .code = wagw_cstr(code), .now_ms = 7000};

    assert_int_equal(wagw_row_sends_result_encode(&v, &r), WAGW_OK);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_SENDS, 0, WAGW_STR_NULL, wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_free(&v);
    stu_apply(t, b);
}

static int count(void *data, const wagw_sends_t *j)
{
    if (j->schedule && j->schedule_id.n) {
        ++*(int *)data;
    }
    if (j->cancelled) {
        *(int *)data += 100;
    }

    return WAGW_OK;
}

static int open_jobs(stu_t *t)
{
    int n = 0;

    assert_int_equal(wagw_store_sends_each(t->s, count, &n), WAGW_OK);

    return n;
}

static void once(void **state)
{
    wagw_arena_t a = {0};
    wagw_schedule_t c;
    wagw_sends_t j, second;
    int64_t next;
    stu_t t;

    (void)state;
    for (int k = 0; k < 2; k++) {
        stu_begin(&t, keys[k]);
        c = row(&t, "s1", 5000);
        assert_int_equal(wagw_store_schedule_create(t.s, &c), WAGW_OK);
        assert_int_equal(wagw_store_schedule_create(t.s, &c), WAGW_DUPLICATE);
        assert_int_equal(wagw_store_schedule_due(t.s, 4999, &a, &c), WAGW_NOT_FOUND);
        assert_int_equal(wagw_store_schedule_next(t.s, &next), WAGW_OK);
        assert_int_equal(next, 5000);
        assert_int_equal(wagw_store_schedule_due(t.s, 5000, &a, &c), WAGW_OK);
        assert_int_equal(fire(&t, &c, 5000, 0, "j1", &j), WAGW_OK);
        assert_int_equal(fire(&t, &c, 5000, 0, "j2", &second), WAGW_NOT_FOUND);
        assert_int_equal(open_jobs(&t), 1);
        stu_reopen(&t);
        assert_int_equal(open_jobs(&t), 1);
        assert_int_equal(wagw_store_schedule_due(t.s, 9999, &a, &c), WAGW_NOT_FOUND);
        assert_int_equal(wagw_store_schedule_next(t.s, &next), WAGW_OK);
        assert_int_equal(next, 0);
        c = get(&t, "s1");
        assert_int_equal(c.status, WAGW_SCHEDULE_RUNNING);
        assert_int_equal(c.last_ms, 5000);
        end(&t, j.num, WAGW_ITEM_SENT, "");
        end(&t, j.num, WAGW_ITEM_SENT, "");
        c = get(&t, "s1");
        assert_int_equal(c.status, WAGW_SCHEDULE_DONE);
        assert_int_equal(c.sent, 1);
        assert_int_equal(c.finished_ms, 7000);
        assert_int_equal(wagw_store_schedules_prune(t.s, 7000), WAGW_OK);
        (void)get(&t, "s1");
        assert_int_equal(wagw_store_schedules_prune(t.s, 7001), WAGW_OK);
        assert_int_equal(wagw_store_schedule_get(t.s, &all, WAGW_STR("s1"), &a, &c), WAGW_NOT_FOUND);
        wagw_arena_free(&a);
        stu_end(&t);
    }
}

static void again(void **state)
{
    wagw_schedule_t c;
    wagw_sends_t j, k;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    c = row(&t, "s1", 5000);
    assert_int_equal(wagw_store_schedule_create(t.s, &c), WAGW_OK);
    c = get(&t, "s1");
    assert_int_equal(fire(&t, &c, 5000, 6000, "j1", &j), WAGW_OK);
    assert_int_equal(fire(&t, &c, 6000, 7000, "j2", &k), WAGW_OK);
    end(&t, j.num, WAGW_ITEM_FAILED, "WA_ERROR");
    c = get(&t, "s1");
    assert_int_equal(c.status, WAGW_SCHEDULE_RUNNING);
    end(&t, k.num, WAGW_ITEM_SENT, "");
    c = get(&t, "s1");
    assert_int_equal(c.status, WAGW_SCHEDULED);
    assert_int_equal(c.runs, 2);
    assert_int_equal(c.sent, 1);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.finished_ms, 0);

    /* the rest of it is cancelled with it, over a crash too */
    assert_int_equal(fire(&t, &c, 7000, 8000, "j3", &j), WAGW_OK);
    c = row(&t, "s1", 9000);
    assert_int_equal(wagw_store_schedule_update(t.s, &c, 8000), WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_schedule_cancel(t.s, WAGW_STR("s1"), 7500), WAGW_OK);
    stu_reopen(&t);
    assert_int_equal(open_jobs(&t), 101);
    end(&t, j.num, WAGW_ITEM_CANCELLED, "CANCELLED");
    c = get(&t, "s1");
    assert_int_equal(c.status, WAGW_SCHEDULE_CANCELLED);
    assert_int_equal(c.next_ms, 0);
    assert_int_equal(c.finished_ms, 7500);

    /* one that failed says why */
    c = row(&t, "s2", 5000);
    assert_int_equal(wagw_store_schedule_create(t.s, &c), WAGW_OK);
    /* what was read before a due time was claimed does not bring it back */
    assert_int_equal(wagw_store_schedule_update(t.s, &c, 4000), WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_schedule_update(t.s, &c, 5000), WAGW_OK);
    c = get(&t, "s2");
    assert_int_equal(fire(&t, &c, 5000, 0, "j4", &j), WAGW_OK);
    end(&t, j.num, WAGW_ITEM_FAILED, "INSTANCE_NOT_CONNECTED");
    c = get(&t, "s2");
    assert_int_equal(c.status, WAGW_SCHEDULE_FAILED);
    assert_int_equal(c.failed, 1);
    assert_int_equal(wagw_store_schedule_cancel(t.s, WAGW_STR("s2"), 8000), WAGW_OK);
    c = get(&t, "s2");
    assert_int_equal(c.status, WAGW_SCHEDULE_FAILED);
    assert_int_equal(wagw_store_instance_delete(t.s, t.num, true), WAGW_OK);
    assert_int_equal(open_jobs(&t), 0);
    stu_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once),
        cmocka_unit_test(again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
