/* Jobs of sends that wait: their items, results, ends, and what a message that is stored already says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "store_util.h"

#define ANN "15550001@s.whatsapp.net"
#define BOB "15550002@s.whatsapp.net"
#define CIT "15550003@s.whatsapp.net"

static const uint8_t *const keys[] = {NULL, stu_key};

static void job(stu_t *t, const char *id, wagw_sends_t *j)
{
    wagw_sends_item_t items[] = {{0, WAGW_STR(ANN), WAGW_STR("ID0"), WAGW_STR("{\"n\":1}"), -1},
                                 {1, WAGW_STR(BOB), WAGW_STR("ID1"), WAGW_STR_NULL, -1},
                                 {2, WAGW_STR(CIT), WAGW_STR("ID2"), WAGW_STR_NULL, -1}};

    *j = (wagw_sends_t){.id = wagw_cstr(id),
                        .instance = t->num,
                        .priority = 7,
                        .delay_ms = 5,
                        .jitter_ms = 6,
                        .created_ms = 1000,
                        .next_ms = 1001,
                        .expires_ms = 9000,
                        .content = WAGW_STR("{\"type\":\"text\"}")};
    assert_int_equal(wagw_store_sends_create(t->s, j, items, 3), WAGW_OK);
    assert_true(j->num > 0);
}

/* As the engine does it: an operation of a batch. */
static void result(stu_t *t, wagw_sends_result_t r)
{
    wagw_buf_t v = {0};
    wagw_batch_t *b = stu_batch(t->num);

    assert_int_equal(wagw_row_sends_result_encode(&v, &r), WAGW_OK);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_SENDS, 0, WAGW_STR_NULL, wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_free(&v);
    stu_apply(t, b);
}

static void next(stu_t *t, uint64_t num, int rc, const char *to, const char *id, const char *variables, int known)
{
    wagw_arena_t a = {0};
    wagw_sends_t j = {0};
    wagw_sends_item_t item = {0};

    assert_int_equal(wagw_store_sends_next(t->s, num, &a, &j, &item), rc);
    if (rc == WAGW_OK) {
        assert_string_equal((const char *)j.content.p, "{\"type\":\"text\"}");
        assert_string_equal((const char *)item.to.p, to);
        assert_string_equal((const char *)item.message_id.p, id);
        assert_string_equal(item.variables.n ? (const char *)item.variables.p : "", variables);
        assert_int_equal(item.known, known);
    }
    wagw_arena_free(&a);
}

static int one_open(void *data, const wagw_sends_t *j)
{
    *(wagw_sends_t *)data = *j;
    assert_int_equal(j->priority, 7);
    assert_int_equal(j->delay_ms, 5);
    assert_int_equal(j->jitter_ms, 6);
    assert_int_equal(j->expires_ms, 9000);

    return WAGW_OK;
}

static void is_json(stu_t *t, const char *id, const char *want)
{
    uint32_t instance = 0;
    wagw_buf_t json = {0};
    char *text;
    cJSON *o;

    assert_int_equal(wagw_store_sends_get(t->s, wagw_cstr(id), &instance, &json), WAGW_OK);
    assert_int_equal(instance, t->num);
    o = stu_json(&json);
    cJSON_DeleteItemFromObject(o, "createdAt");
    cJSON_DeleteItemFromObject(o, "expiresAt");
    text = cJSON_PrintUnformatted(o);
    assert_string_equal(text, want);
    free(text);
    cJSON_Delete(o);
}

#define HEAD(id, status) "{\"id\":\"" id "\",\"instanceId\":\"one\",\"status\":\"" status "\",\"total\":3,"

static void course(void **state)
{
    wagw_sends_t j, open = {0};
    wagw_buf_t json = {0};
    stu_t t;

    (void)state;
    for (int k = 0; k < 2; k++) {
        stu_begin(&t, keys[k]);
        job(&t, "job-1", &j);
        assert_int_equal(wagw_store_sends_create(t.s, &j, NULL, 0), WAGW_DUPLICATE);
        is_json(&t, "job-1",
                HEAD("job-1", "queued") "\"sent\":0,\"failed\":0,\"pending\":3,\"finishedAt\":null,\"results\":["
                                        "{\"to\":\"" ANN "\",\"status\":\"pending\",\"messageId\":\"ID0\"},"
                                        "{\"to\":\"" BOB "\",\"status\":\"pending\",\"messageId\":\"ID1\"},"
                                        "{\"to\":\"" CIT "\",\"status\":\"pending\",\"messageId\":\"ID2\"}]}");
        next(&t, j.num, WAGW_OK, ANN, "ID0", "{\"n\":1}", -1);

        /* killed behind the engine's commit: the next owner sees that the message is there */
        stu_text(&t, ANN, "ID0", true, 5, "text");
        stu_reopen(&t);
        next(&t, j.num, WAGW_OK, ANN, "ID0", "{\"n\":1}", WAGW_MSG_SENT);
        assert_int_equal(wagw_store_sends_each(t.s, one_open, &open), WAGW_OK);
        assert_int_equal(open.num, j.num);
        assert_int_equal(open.pending, 3);

        result(&t, (wagw_sends_result_t){.num = j.num, .at = 0, .status = WAGW_ITEM_SENT, .now_ms = 2000});
        /* an answer that comes twice counts once */
        result(&t, (wagw_sends_result_t){.num = j.num, .at = 0, .status = WAGW_ITEM_FAILED, .now_ms = 2000});
        next(&t, j.num, WAGW_OK, BOB, "ID1", "", -1);
        result(&t, (wagw_sends_result_t){.num = j.num,
                                         .at = 1,
                                         .status = WAGW_ITEM_FAILED,
                                         .code = WAGW_STR("WA_ERROR"),
                                         .error = WAGW_STR("no"),
                                         .now_ms = 3000});
        result(&t, (wagw_sends_result_t){.num = j.num, .at = 2, .status = WAGW_ITEM_SENT, .now_ms = 4000});
        next(&t, j.num, WAGW_NOT_FOUND, "", "", "", 0);
        is_json(&t, "job-1",
                HEAD("job-1", "done") "\"sent\":2,\"failed\":1,\"pending\":0,\"finishedAt\":"
                                      "\"1970-01-01T00:00:04.000Z\",\"results\":["
                                      "{\"to\":\"" ANN "\",\"status\":\"sent\",\"messageId\":\"ID0\"},"
                                      "{\"to\":\"" BOB "\",\"status\":\"failed\",\"error\":\"no\",\"code\":"
                                      "\"WA_ERROR\"},"
                                      "{\"to\":\"" CIT "\",\"status\":\"sent\",\"messageId\":\"ID2\"}]}");

        /* pruned by its end, not by its beginning */
        assert_int_equal(wagw_store_sends_prune(t.s, 4000), WAGW_OK);
        assert_int_equal(wagw_store_sends_get(t.s, WAGW_STR("job-1"), NULL, &json), WAGW_OK);
        wagw_buf_reset(&json);
        assert_int_equal(wagw_store_sends_prune(t.s, 4001), WAGW_OK);
        assert_int_equal(wagw_store_sends_get(t.s, WAGW_STR("job-1"), NULL, &json), WAGW_NOT_FOUND);
        wagw_buf_free(&json);
        stu_end(&t);
    }
}

static void ends(void **state)
{
    wagw_sends_t j, open = {0};
    wagw_buf_t json = {0};
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);

    job(&t, "cancelled", &j);
    result(&t, (wagw_sends_result_t){.num = j.num, .at = 0, .status = WAGW_ITEM_SENT, .now_ms = 1});
    result(&t, (wagw_sends_result_t){
                   .num = j.num, .rest = true, .status = WAGW_ITEM_CANCELLED, .code = WAGW_STR("C"), .now_ms = 2});
    is_json(&t, "cancelled",
            HEAD("cancelled", "cancelled") "\"sent\":1,\"failed\":0,\"pending\":0,\"code\":\"C\",\"finishedAt\":"
                                           "\"1970-01-01T00:00:00.002Z\",\"results\":["
                                           "{\"to\":\"" ANN "\",\"status\":\"sent\",\"messageId\":\"ID0\"},"
                                           "{\"to\":\"" BOB
                                           "\",\"status\":\"cancelled\",\"error\":\"\",\"code\":\"C\"},"
                                           "{\"to\":\"" CIT "\",\"status\":\"cancelled\",\"error\":\"\",\"code\":\"C\"}"
                                           "]}");

    job(&t, "late", &j);
    result(&t, (wagw_sends_result_t){.num = j.num,
                                     .rest = true,
                                     .status = WAGW_ITEM_FAILED,
                                     .code = WAGW_STR("INSTANCE_NOT_CONNECTED"),
                                     .now_ms = 2});
    assert_int_equal(wagw_store_sends_get(t.s, WAGW_STR("late"), NULL, &json), WAGW_OK);
    assert_non_null(strstr((char *)json.p, "\"status\":\"failed\",\"total\":3,\"sent\":0,\"failed\":3"));
    wagw_buf_free(&json);
    assert_int_equal(wagw_store_sends_each(t.s, one_open, &open), WAGW_OK);
    assert_int_equal(open.num, 0);

    /* they go with their instance, whether or not its messages stay */
    job(&t, "gone", &j);
    assert_int_equal(wagw_store_instance_delete(t.s, t.num, true), WAGW_OK);
    assert_int_equal(wagw_store_sends_get(t.s, WAGW_STR("gone"), NULL, &json), WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_sends_create(t.s, &(wagw_sends_t){.id = WAGW_STR("x"), .instance = 4711}, NULL, 0),
                     WAGW_STATE);
    stu_end(&t);
}

static int queue_row(void *data, const wagw_queue_row_t *q)
{
    char *text = data;

    snprintf(text, 64, "%s %.*s", q->paused ? "paused" : "runs", (int)q->used.n, (const char *)q->used.p);

    return WAGW_OK;
}

static void queues(void **state)
{
    char text[64] = "none";
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    assert_int_equal(wagw_store_queue_each(t.s, queue_row, text), WAGW_OK);
    assert_string_equal(text, "none");
    assert_int_equal(wagw_store_queue_put(t.s, &(wagw_queue_row_t){t.num, true, WAGW_STR_NULL}), WAGW_OK);
    stu_reopen(&t);
    assert_int_equal(wagw_store_queue_each(t.s, queue_row, text), WAGW_OK);
    assert_string_equal(text, "paused {}");
    assert_int_equal(wagw_store_queue_put(t.s, &(wagw_queue_row_t){t.num, false, WAGW_STR("{\"a\":1}")}), WAGW_OK);
    assert_int_equal(wagw_store_queue_each(t.s, queue_row, text), WAGW_OK);
    assert_string_equal(text, "runs {\"a\":1}");
    stu_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(course), cmocka_unit_test(ends), cmocka_unit_test(queues)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
