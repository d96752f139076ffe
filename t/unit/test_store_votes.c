/* The tally of polls and events, and what takes votes away. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "store_util.h"
#include "../../core/message/message.h"

#define ANN "15550001@s.whatsapp.net"
#define BOB "15550002@s.whatsapp.net"

static void message(wagw_batch_t *b, const char *id, const char *json)
{
    const char *field;
    wagw_buf_t content = {0}, row = {0}, key = {0};
    wagw_row_message_t m = {.chat = WAGW_STR(ANN), .id = wagw_cstr(id), .from_me = true, .t_ms = 1000};
    cJSON *o = cJSON_Parse(json);

    assert_int_equal(wagw_message_from_json(&content, o, &field), WAGW_OK);
    m.content = wagw_buf_view(&content);
    m.type = WAGW_STR("poll");
    assert_int_equal(wagw_row_message_encode(&row, &m), WAGW_OK);
    wagw_buf_printf(&key, ANN "|%s|", id);
    wagw_buf_u8(&key, 0);
    stu_put(b, WAGW_REC_MESSAGE, (char *)key.p, wagw_buf_view(&row));
    cJSON_Delete(o);
    wagw_buf_free(&content);
    wagw_buf_free(&row);
    wagw_buf_free(&key);
}

static void vote(wagw_batch_t *b, const char *key, const char *options, int64_t at)
{
    wagw_buf_t row = {0};
    wagw_row_vote_t v = {.options = wagw_cstr(options), .t_ms = at};

    assert_int_equal(wagw_row_vote_encode(&row, &v), WAGW_OK);
    stu_put(b, WAGW_REC_VOTE, key, wagw_buf_view(&row));
    wagw_buf_free(&row);
}

static void is_tally(stu_t *t, const char *id, const char *want)
{
    uint32_t count;
    wagw_buf_t json = {0};
    char *text;
    cJSON *o;

    assert_int_equal(wagw_store_message_votes(t->s, t->num, wagw_cstr(id), &json, &count), WAGW_OK);
    o = stu_json(&json);
    assert_int_equal(cJSON_GetArraySize(o), count);
    text = cJSON_PrintUnformatted(o);
    assert_string_equal(text, want);
    free(text);
    cJSON_Delete(o);
}

static void tally(void **state)
{
    uint32_t count;
    wagw_buf_t json = {0}, v = {0};
    wagw_row_instance_t own = {.jid = WAGW_STR("15559999:3@s.whatsapp.net")};
    wagw_batch_t *b;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    b = stu_batch(t.num);
    wagw_row_instance_encode(&v, &own);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_INSTANCE, 0, WAGW_STR_NULL, wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_free(&v);
    message(b, "POLL",
            "{\"pollCreationMessage\":{\"name\":\"q\",\"options\":[{\"optionName\":\"x\"},"
            "{\"optionName\":\"\\\"y\\\"\"}]}}");
    message(b, "EVENT", "{\"eventMessage\":{\"name\":\"e\"}}");
    message(b, "TEXT", "{\"conversation\":\"t\"}");
    vote(b, ANN "|POLL|", "[\"x\"]", 2);
    vote(b, ANN "|POLL|" ANN, "[\"x\",\"\\\"y\\\"\",\"gone\"]", 1);
    vote(b, ANN "|POLL|" BOB, "[\"x\"]", 3);
    vote(b, ANN "|EVENT|" BOB, "[\"maybe\"]", 3);
    stu_apply(&t, b);
    is_tally(&t, "POLL",
             "[{\"option\":\"x\",\"voters\":[\"" ANN "\",\"15559999@s.whatsapp.net\",\"" BOB
             "\"],\"votes\":3},{\"option\":\"\\\"y\\\"\",\"voters\":[\"" ANN "\"],\"votes\":1}]");
    is_tally(&t, "EVENT",
             "[{\"option\":\"going\",\"voters\":[],\"votes\":0},{\"option\":\"maybe\",\"voters\":[\"" BOB
             "\"],\"votes\":1},{\"option\":\"not_going\",\"voters\":[],\"votes\":0}]");
    assert_int_equal(wagw_store_message_votes(t.s, t.num, WAGW_STR("TEXT"), &json, &count), WAGW_STATE);
    wagw_buf_reset(&json);
    assert_int_equal(wagw_store_message_votes(t.s, t.num, WAGW_STR("NONE"), &json, &count), WAGW_NOT_FOUND);
    wagw_buf_free(&json);

    /* withdrawn; as the engine reads it back */
    b = stu_batch(t.num);
    vote(b, ANN "|POLL|" BOB, "[]", 4);
    stu_apply(&t, b);
    is_tally(&t, "POLL",
             "[{\"option\":\"x\",\"voters\":[\"" ANN "\",\"15559999@s.whatsapp.net\"],\"votes\":2},"
             "{\"option\":\"\\\"y\\\"\",\"voters\":[\"" ANN "\"],\"votes\":1}]");
    assert_true(stu_has(&t, t.num, WAGW_REC_VOTE, ANN "|POLL|" BOB));

    stu_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tally)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
