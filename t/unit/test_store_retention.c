/* Old messages are deleted in steps, with what hangs on them; what is spared stays, and the counters are right. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "store_util.h"

#define ANN "15550001@s.whatsapp.net"

static void put(stu_t *t, const char *id, uint32_t flags, uint8_t status, int64_t t_ms)
{
    wagw_row_message_t m = {.chat = WAGW_STR(ANN),
                            .id = wagw_cstr(id),
                            .from_me = true,
                            .t_ms = t_ms,
                            .status = status,
                            .flags = flags,
                            .type = WAGW_STR("text"),
                            .body = WAGW_STR("x")};
    wagw_batch_t *b = stu_batch(t->num);

    stu_message(b, &m);
    stu_apply(t, b);
}

static uint64_t count(stu_t *t)
{
    uint64_t messages, chats;

    assert_int_equal(wagw_store_instance_counts(t->s, t->num, &messages, &chats), WAGW_OK);

    return messages;
}

static bool there(stu_t *t, const char *id)
{
    char key[128];

    snprintf(key, sizeof(key), ANN "|%s|", id);

    return stu_has(t, t->num, WAGW_REC_MESSAGE, key);
}

static void steps(void **state)
{
    char id[16];
    uint32_t n;
    wagw_buf_t v = {0};
    wagw_row_reaction_t r = {.emoji = WAGW_STR("+"), .t_ms = 5};
    wagw_batch_t *b;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);

    for (int i = 0; i < 25; i++) {
        snprintf(id, sizeof(id), "OLD%d", i);
        put(&t, id, 0, WAGW_MSG_READ, 1000 + i);
    }
    put(&t, "STARRED", WAGW_ROW_STARRED, WAGW_MSG_READ, 1);
    put(&t, "KEPT", WAGW_ROW_KEPT, WAGW_MSG_READ, 1);
    put(&t, "PENDING", 0, WAGW_MSG_PENDING, 1);
    put(&t, "HIDDEN", WAGW_ROW_HIDDEN, WAGW_MSG_READ, 1);
    put(&t, "NEW", 0, WAGW_MSG_READ, 5000);
    put(&t, "UNLISTED", WAGW_ROW_UNLISTED, WAGW_MSG_READ, 5000);
    b = stu_batch(t.num);
    assert_int_equal(wagw_row_reaction_encode(&v, &r), WAGW_OK);
    stu_put(b, WAGW_REC_REACTION, ANN "|OLD3|" ANN, wagw_buf_view(&v));
    stu_put(b, WAGW_REC_REACTION, ANN "|NEW|" ANN, wagw_buf_view(&v));
    wagw_buf_free(&v);
    stu_apply(&t, b);
    assert_int_equal(count(&t), 29);

    assert_int_equal(wagw_store_retention(t.s, t.num, 5000, false, 10, &n), WAGW_OK);
    assert_int_equal(n, 10);
    assert_int_equal(wagw_store_retention(t.s, t.num, 5000, false, 10, &n), WAGW_OK);
    assert_int_equal(n, 10);
    assert_int_equal(wagw_store_retention(t.s, t.num, 5000, false, 10, &n), WAGW_OK);
    assert_in_range(n, 5, 6);
    assert_int_equal(wagw_store_retention(t.s, t.num, 5000, false, 10, &n), WAGW_OK);
    assert_int_equal(n, 0);
    assert_int_equal(count(&t), 4);
    assert_false(there(&t, "OLD3"));
    assert_false(there(&t, "HIDDEN"));
    assert_false(stu_has(&t, t.num, WAGW_REC_REACTION, ANN "|OLD3|" ANN));
    assert_true(stu_has(&t, t.num, WAGW_REC_REACTION, ANN "|NEW|" ANN));
    assert_true(there(&t, "STARRED") && there(&t, "KEPT") && there(&t, "PENDING") && there(&t, "NEW"));

    /* what is not stored for good; and a clock that was set back deletes nothing */
    assert_int_equal(wagw_store_retention(t.s, t.num, -86400000, false, 10, &n), WAGW_OK);
    assert_int_equal(n, 0);
    assert_int_equal(wagw_store_retention(t.s, t.num, 6000, true, 10, &n), WAGW_OK);
    assert_int_equal(n, 1);
    assert_false(there(&t, "UNLISTED"));
    assert_true(there(&t, "NEW"));
    assert_int_equal(count(&t), 4);
    stu_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
