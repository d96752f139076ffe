/*
 * Message-secret add-ons and reporting tokens against poll-votes.json and
 * reporting-token.json, and a vote from building to counting.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/message/message.h"
#include "vectors.h"

typedef struct {
    wagw_str_t secret, id, sender, modifier, iv, plain, sealed;
    const char *label;
    bool aad;
} addon_t;

static wagw_str_t member(const cJSON *row, const char *name, const char *alias)
{
    const char *s = vec_str(row, name);

    return wagw_cstr(s ? s : vec_str(row, alias));
}

static addon_t addon(wagw_arena_t *a, const cJSON *row, const char *label)
{
    addon_t x;

    memset(&x, 0, sizeof(x));
    x.label = label ? label : vec_str(row, "label");
    x.aad = label != NULL;
    x.secret = vec_bytes(a, row, "message_secret");
    x.iv = vec_bytes(a, row, "iv");
    x.plain = vec_bytes(a, row, "plaintext");
    x.sealed = vec_bytes(a, row, "enc_payload");
    x.id =
        member(row, vec_str(row, "event_message_id") ? "event_message_id" : "poll_message_id", "original_message_id");
    x.sender = member(row, vec_str(row, "event_creator_jid") ? "event_creator_jid" : "poll_creator_jid",
                      "original_sender_jid");
    x.modifier = member(row, vec_str(row, "responder_jid") ? "responder_jid" : "voter_jid", "modification_sender_jid");
    return x;
}

static int addon_open(wagw_buf_t *out, const addon_t *x)
{
    return wagw_addon_open(out, x->secret, x->id, x->sender, x->modifier, x->label, x->aad, x->iv, x->sealed);
}

static bool addon_row(wagw_arena_t *a, const cJSON *row, const char *label)
{
    addon_t x = addon(a, row, label);
    wagw_buf_t b = {0};
    bool ok;

    ok = addon_open(&b, &x) == WAGW_OK && wagw_str_eq(wagw_buf_view(&b), x.plain);
    wagw_buf_reset(&b);
    ok = ok && wagw_addon_seal(&b, x.secret, x.id, x.sender, x.modifier, x.label, x.aad, x.iv.p, x.plain) == WAGW_OK &&
         wagw_str_eq(wagw_buf_view(&b), x.sealed);
    wagw_buf_free(&b);
    return ok;
}

static bool vote_row(wagw_arena_t *a, const cJSON *row)
{
    addon_t x = addon(a, row, "Poll Vote");
    const cJSON *want = vec_get(row, "expected_selected_hashes"), *options = vec_get(row, "options"), *one;
    wagw_str_t *hashes;
    size_t n;
    int i = 0;

    if (!addon_row(a, row, "Poll Vote") || wagw_poll_vote_read(a, x.plain, &hashes, &n) != WAGW_OK ||
        n != (size_t)cJSON_GetArraySize(want)) {
        return false;
    }
    cJSON_ArrayForEach(one, want)
    {
        if (!wagw_str_eq(hashes[i++], vec_bytes_item(a, one))) {
            return false;
        }
    }
    i = 0;
    cJSON_ArrayForEach(one, options)
    {
        uint8_t hash[32];

        assert_int_equal(wagw_poll_option_hash(hash, wagw_cstr(one->valuestring)), WAGW_OK);
        if (!wagw_str_eq(wagw_str(hash, 32),
                         vec_bytes_item(a, cJSON_GetArrayItem(vec_get(row, "option_hashes"), i++)))) {
            return false;
        }
    }
    return true;
}

static void count(bool ok, unsigned *passed, unsigned *failed, const char *kind, int i)
{
    if (ok) {
        (*passed)++;
    } else {
        print_error("%s %d differs\n", kind, i);
        (*failed)++;
    }
}

static void test_votes(void **state)
{
    cJSON *json = vec_load("poll-votes");
    const cJSON *row;
    unsigned passed = 0, failed = 0;
    wagw_arena_t a = {0};
    int i = 0;

    (void)state;
    if (json == NULL) {
        skip();
    }

    cJSON_ArrayForEach(row, vec_get(json, "votes"))
    {
        count(vote_row(&a, row), &passed, &failed, "vote", i++);
    }
    cJSON_ArrayForEach(row, vec_get(json, "event_responses"))
    {
        count(addon_row(&a, row, "Event Response"), &passed, &failed, "event response", i++);
    }
    cJSON_ArrayForEach(row, vec_get(json, "other_addons"))
    {
        count(addon_row(&a, row, NULL), &passed, &failed, "add-on", i++);
    }
    cJSON_ArrayForEach(row, vec_get(json, "bad_votes"))
    {
        wagw_buf_t b = {0};
        addon_t x = addon(&a, row, "Poll Vote");

        count(addon_open(&b, &x) == WAGW_CRYPTO && b.n == 0, &passed, &failed, "bad vote", i++);
        wagw_buf_free(&b);
    }

    vec_count("poll-votes", passed, failed, 0);
    assert_int_equal(failed, 0);
    assert_true(passed > 0);
    wagw_arena_free(&a);
    cJSON_Delete(json);
}

static void test_tokens(void **state)
{
    cJSON *json = vec_load("reporting-token");
    const cJSON *row;
    unsigned passed = 0, failed = 0;
    wagw_arena_t a = {0};
    int i = 0;

    (void)state;
    if (json == NULL) {
        skip();
    }

    cJSON_ArrayForEach(row, vec_get(json, "entries"))
    {
        uint8_t token[16];
        size_t n = 99;
        bool ok;
        wagw_str_t want = vec_bytes(&a, row, "reporting_token");
        wagw_str_t bytes = vec_bytes(&a, row, "message_proto");

        ok = wagw_reporting_token(token, &n, bytes, vec_bytes(&a, row, "message_secret"), member(row, "message_id", ""),
                                  member(row, "sender_jid", ""), member(row, "chat_jid", "")) == WAGW_OK &&
             wagw_str_eq(wagw_str(token, n), want);
        count(ok, &passed, &failed, "token", i++);

        assert_int_equal(
            wagw_reporting_token(token, &n, bytes, WAGW_STR_NULL, WAGW_STR("A"), WAGW_STR("B"), WAGW_STR("C")),
            WAGW_OK);
        assert_int_equal(n, 0);
    }

    vec_count("reporting-token", passed, failed, 0);
    assert_int_equal(failed, 0);
    assert_true(passed > 0);
    wagw_arena_free(&a);
    cJSON_Delete(json);
}

static wagw_jid_t jid(const char *text)
{
    wagw_jid_t j;

    assert_int_equal(wagw_jid_parse(&j, wagw_cstr(text)), WAGW_OK);
    return j;
}

/* A poll is built and stored; another account votes; the creator reads it. */
static void test_vote_from_rest(void **state)
{
    wagw_arena_t a = {0};
    wagw_build_t b;
    wagw_built_t poll, vote;
    wagw_content_t c;
    wagw_row_message_t row;
    wagw_buf_t plain = {0};
    wagw_str_t *hashes, *options;
    size_t n, noptions;
    uint8_t secret[32], hash[32];
    const char *field;
    uint64_t seed = 7;
    cJSON *params;

    (void)state;
    vec_random(&seed, secret, sizeof(secret));
    memset(&b, 0, sizeof(b));
    b.kind = WAGW_BUILD_POLL;
    b.secret = secret;
    b.chat = jid("120363000000000001@g.us");
    b.self = jid("111@lid");
    b.now_ms = 1767225600000;
    b.params = params =
        cJSON_Parse("{\"question\":\"Lunch?\",\"options\":[\"Pizza\",\"Salad\"],\"multipleAnswers\":true}");
    assert_int_equal(wagw_message_build(&poll, &a, &b, &field), WAGW_OK);
    assert_string_equal(poll.stanza_type, "poll");
    assert_string_equal(poll.polltype, "creation");
    cJSON_Delete(params);

    assert_int_equal(wagw_message_read(&c, &a, poll.bytes), WAGW_OK);
    memset(&row, 0, sizeof(row));
    row.id = WAGW_STR("3EB0AAAA");
    row.content = c.content;
    row.secret = c.secret;
    assert_int_equal(row.secret.n, 32);

    b.kind = WAGW_BUILD_POLL_VOTE;
    b.self = jid("222@lid");
    b.target = &row;
    b.target_author = jid("111@lid");
    b.params = params = cJSON_Parse("{\"selectedOptions\":[\"Salad\"]}");
    assert_int_equal(wagw_message_build(&vote, &a, &b, &field), WAGW_OK);
    assert_string_equal(vote.polltype, "vote");
    assert_true(vote.hide_fail && vote.hidden);
    cJSON_Delete(params);

    assert_int_equal(wagw_message_read(&c, &a, vote.bytes), WAGW_OK);
    assert_int_equal(c.is, WAGW_IS_POLL_VOTE);
    assert_true(wagw_str_is(c.key.participant, "111@lid"));
    assert_int_equal(c.secret.n, 0);
    assert_int_equal(wagw_addon_open(&plain, row.secret, c.key.id, WAGW_STR("111@lid"), WAGW_STR("222@lid"),
                                     "Poll Vote", true, c.vote_iv, c.vote_payload),
                     WAGW_OK);
    assert_int_equal(wagw_poll_vote_read(&a, wagw_buf_view(&plain), &hashes, &n), WAGW_OK);
    assert_int_equal(wagw_poll_options(&a, row.content, &options, &noptions), WAGW_OK);
    assert_int_equal(n, 1);
    assert_int_equal(noptions, 2);
    assert_int_equal(wagw_poll_option_hash(hash, options[1]), WAGW_OK);
    assert_memory_equal(hash, hashes[0].p, 32);

    b.params = params = cJSON_Parse("{\"selectedOptions\":[\"Soup\"]}");
    assert_int_equal(wagw_message_build(&vote, &a, &b, &field), WAGW_MALFORMED);
    assert_string_equal(field, "selectedOptions");
    cJSON_Delete(params);

    wagw_buf_free(&plain);
    wagw_arena_free(&a);
}

static void test_wrong_input(void **state)
{
    wagw_buf_t b = {0};
    wagw_arena_t a = {0};
    wagw_str_t *hashes;
    size_t n;
    uint8_t zero[64] = {0}, token[16];
    static const uint8_t truncated[] = {0x0a, 0x20, 1, 2, 3};
    static const uint8_t short_hash[] = {0x0a, 0x03, 1, 2, 3};

    (void)state;
    assert_int_equal(wagw_addon_open(&b, wagw_str(zero, 32), WAGW_STR("i"), WAGW_STR("s"), WAGW_STR("m"), "Poll Vote",
                                     true, wagw_str(zero, 11), wagw_str(zero, 20)),
                     WAGW_MALFORMED);
    assert_int_equal(wagw_addon_open(&b, wagw_str(zero, 32), WAGW_STR("i"), WAGW_STR("s"), WAGW_STR("m"), "Poll Vote",
                                     true, wagw_str(zero, 12), wagw_str(zero, 15)),
                     WAGW_MALFORMED);
    assert_int_equal(wagw_addon_open(&b, wagw_str(zero, 31), WAGW_STR("i"), WAGW_STR("s"), WAGW_STR("m"), "Poll Vote",
                                     true, wagw_str(zero, 12), wagw_str(zero, 20)),
                     WAGW_MALFORMED);
    assert_int_equal(b.n, 0);

    assert_int_equal(wagw_poll_vote_read(&a, wagw_str(truncated, sizeof(truncated)), &hashes, &n), WAGW_MALFORMED);
    assert_int_equal(wagw_poll_vote_read(&a, wagw_str(short_hash, sizeof(short_hash)), &hashes, &n), WAGW_MALFORMED);
    assert_int_equal(wagw_poll_vote_read(&a, WAGW_STR_NULL, &hashes, &n), WAGW_OK);
    assert_int_equal(n, 0);

    assert_int_equal(wagw_reporting_token(token, &n, wagw_str(truncated, sizeof(truncated)), wagw_str(zero, 32),
                                          WAGW_STR("i"), WAGW_STR("s"), WAGW_STR("c")),
                     WAGW_MALFORMED);
    assert_int_equal(n, 0);
    wagw_buf_free(&b);
    wagw_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_votes),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_vote_from_rest),
        cmocka_unit_test(test_wrong_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
