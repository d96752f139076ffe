/*
 * A group of turns: what it puts is written with the transaction.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "store_util.h"

static int find_event_seq(void *data, const wagw_instance_t *i)
{
    *(uint64_t *)data = i->event_seq;
    return WAGW_OK;
}

/* What a group of turns puts is written with the transaction, each row once: nobody may see a difference. */
static void rows_put_over_and_over_in_one_transaction(void **state)
{
    wagw_row_message_t m = {.chat = WAGW_STR("1@s.whatsapp.net"), .id = WAGW_STR("A"), .from_me = true, .t_ms = 5};
    wagw_row_chat_t c = {.id = WAGW_STR("1@s.whatsapp.net"), .last_id = WAGW_STR("A")};
    wagw_event_t ev = {.name = "message.sent", .data = WAGW_STR("{}")};
    wagw_batch_t *b[500];
    uint64_t messages, chats, seq = 0;
    wagw_buf_t json = {0};
    char key[20];
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);

    for (int round = 0; round < 2; round++) {
        assert_int_equal(wagw_store_begin(t.s), WAGW_OK);

        for (int i = 0; i < 500; i++) {
            b[i] = stu_batch(t.num);
            snprintf(key, sizeof(key), "%d", i);
            stu_put(b[i], WAGW_REC_META, "same", wagw_cstr(key));
            stu_put(b[i], WAGW_REC_META, key, WAGW_STR("1"));
            ev.seq = (uint64_t)i + 1;
            assert_int_equal(wagw_batch_event(b[i], &ev), WAGW_OK);
            m.status = i == 0 ? WAGW_MSG_PENDING : i == 1 ? WAGW_MSG_SENT : WAGW_MSG_DELIVERED;
            stu_message(b[i], &m);
            stu_chat(b[i], &c);
            if (i == 3) {
                assert_int_equal(wagw_batch_add(b[i], WAGW_OP_DEL, WAGW_REC_META, WAGW_STR("2"), WAGW_STR_NULL),
                                 WAGW_OK);
            }
            assert_int_equal(wagw_store_apply(t.s, b[i]), WAGW_OK);

            if (i == 7) { /* a reader in between, of the same transaction */
                assert_true(stu_has(&t, t.num, WAGW_REC_META, "7"));
                assert_false(stu_has(&t, t.num, WAGW_REC_META, "2"));
                assert_int_equal(wagw_store_instance_counts(t.s, t.num, &messages, &chats), WAGW_OK);
                assert_int_equal(messages, 1);
                assert_int_equal(chats, 1);
            }
        }

        /* first undone, then done */
        assert_int_equal(wagw_store_end(t.s, round == 1), WAGW_OK);
        for (int i = 0; i < 500; i++) {
            wagw_batch_destroy(b[i]);
        }
        assert_int_equal(wagw_store_instance_counts(t.s, t.num, &messages, &chats), WAGW_OK);
        assert_int_equal(messages, round);
        assert_int_equal(chats, round);
        assert_int_equal(stu_has(&t, t.num, WAGW_REC_META, "499"), round == 1);
        assert_int_equal(wagw_store_instance_each(t.s, find_event_seq, &seq), WAGW_OK);
        assert_int_equal(seq, round * 500);
    }

    assert_int_equal(wagw_store_message_get(t.s, t.num, WAGW_STR("i"), WAGW_STR(""), WAGW_STR("A"), false, &json),
                     WAGW_OK);
    assert_non_null(memmem(json.p, json.n, "\"delivered\"", 11));
    wagw_buf_free(&json);

    /* a chat that is deleted and comes back, a message that is deleted and comes back */
    b[0] = stu_batch(t.num);
    assert_int_equal(wagw_batch_add(b[0], WAGW_OP_DEL, WAGW_REC_CHAT, c.id, WAGW_STR_NULL), WAGW_OK);
    assert_int_equal(
        wagw_batch_add(b[0], WAGW_OP_DEL, WAGW_REC_MESSAGE, WAGW_STR("1@s.whatsapp.net|A|"), WAGW_STR_NULL), WAGW_OK);
    stu_apply(&t, b[0]);
    assert_int_equal(wagw_store_instance_counts(t.s, t.num, &messages, &chats), WAGW_OK);
    assert_int_equal(messages, 0);
    assert_int_equal(chats, 0);
    b[0] = stu_batch(t.num);
    stu_chat(b[0], &c);
    stu_message(b[0], &m);
    stu_apply(&t, b[0]);
    assert_int_equal(wagw_store_instance_counts(t.s, t.num, &messages, &chats), WAGW_OK);
    assert_int_equal(messages, 1);
    assert_int_equal(chats, 1);
    stu_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_put_over_and_over_in_one_transaction),
    };

    return cmocka_run_group_tests_name("store late", tests, NULL, NULL);
}
