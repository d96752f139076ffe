/*
 * The row encodings: every field survives, what is unknown is skipped, what is
 * damaged is refused.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/store/row.h"
#include "../../core/store/store.h"
#include "vectors.h"

static void assert_str(wagw_str_t v, const char *want)
{
    assert_int_equal(v.n, strlen(want));
    assert_memory_equal(v.p, want, v.n);
}

static void integers(void **state)
{
    static const uint64_t us[] = {1, 127, 128, 255, 256, 65535, UINT32_MAX, 1ull << 32, UINT64_MAX};
    static const int64_t is[] = {1, -1, 63, -64, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX};
    wagw_buf_t b = {0};
    wagw_tlv_t r;
    wagw_str_t s;
    uint64_t u;
    uint8_t tag;

    (void)state;

    for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
        assert_int_equal(wagw_tlv_put_u(&b, (uint8_t)(i + 1), us[i]), WAGW_OK);
    }

    for (size_t i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
        assert_int_equal(wagw_tlv_put_i(&b, (uint8_t)(i + 100), is[i]), WAGW_OK);
    }

    r = (wagw_tlv_t){wagw_buf_view(&b), 0};

    for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
        assert_int_equal(wagw_tlv_next(&r, &tag, &u, &s), WAGW_OK);
        assert_int_equal(tag, i + 1);
        assert_true(u == us[i]);
        assert_null(s.p);
    }

    for (size_t i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
        assert_int_equal(wagw_tlv_next(&r, &tag, &u, &s), WAGW_OK);
        assert_int_equal(tag, i + 100);
        assert_true(wagw_tlv_i(u) == is[i]);
    }

    assert_int_equal(wagw_tlv_next(&r, &tag, &u, &s), WAGW_NOT_FOUND);
    wagw_buf_free(&b);
}

static void nothing_is_written_for_zero(void **state)
{
    wagw_buf_t b = {0};

    (void)state;

    assert_int_equal(wagw_tlv_put_u(&b, 1, 0), WAGW_OK);
    assert_int_equal(wagw_tlv_put_i(&b, 2, 0), WAGW_OK);
    assert_int_equal(wagw_tlv_put_s(&b, 3, WAGW_STR("")), WAGW_OK);
    assert_int_equal(b.n, 0);
    wagw_buf_free(&b);
}

static void strings_of_all_lengths(void **state)
{
    static const size_t lens[] = {1, 255, 256, 65536, 100000};
    uint8_t *big = calloc(1, 100000);
    wagw_buf_t b = {0};
    wagw_tlv_t r;
    wagw_str_t s;
    uint64_t u;
    uint8_t tag;

    (void)state;
    assert_non_null(big);
    memset(big, 0xA5, 100000);

    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(wagw_tlv_put_s(&b, 7, wagw_str(big, lens[i])), WAGW_OK);
    }

    r = (wagw_tlv_t){wagw_buf_view(&b), 0};

    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(wagw_tlv_next(&r, &tag, &u, &s), WAGW_OK);
        assert_int_equal(s.n, lens[i]);
        assert_memory_equal(s.p, big, s.n);
    }

    assert_int_equal(wagw_tlv_next(&r, &tag, &u, &s), WAGW_NOT_FOUND);
    wagw_buf_free(&b);
    free(big);
}

static wagw_row_message_t sample(void)
{
    return (wagw_row_message_t){
        .chat = WAGW_STR("120363000000000001@g.us"),
        .id = WAGW_STR("3EB0AABBCC"),
        .sender = WAGW_STR("15550001@s.whatsapp.net"),
        .sender_alt = WAGW_STR("99@lid"),
        .from_me = true,
        .status = WAGW_MSG_PLAYED,
        .flags = WAGW_ROW_EDITED | WAGW_ROW_APP,
        .t_ms = 1700000000123,
        .created_ms = 1700000000456,
        .edited_ms = -5,
        .type = WAGW_STR("text"),
        .body = WAGW_STR("h\xC3\xA9llo"),
        .push_name = WAGW_STR("Ann"),
        .to = WAGW_STR("99@lid"),
        .quoted = WAGW_STR("{\"id\":\"X\"}"),
        .mentions = WAGW_STR("[]"),
        .media = WAGW_STR("{}"),
        .content = WAGW_STR("\0\1\2"),
        .secret = WAGW_STR("0123456789abcdef0123456789abcdef"),
        .ref = WAGW_STR("my-ref"),
        .stanza = WAGW_STR("stanza"),
        .edit = WAGW_STR("1"),
        .stanza_type = WAGW_STR("text"),
        .error = 463,
        .expiration = 86400,
    };
}

static void message_keeps_every_field(void **state)
{
    wagw_row_message_t in = sample(), out;
    wagw_buf_t b = {0}, again = {0};

    (void)state;

    assert_int_equal(wagw_row_message_encode(&b, &in), WAGW_OK);
    assert_int_equal(wagw_row_message_decode(&out, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(wagw_row_message_encode(&again, &out), WAGW_OK);
    assert_int_equal(b.n, again.n);
    assert_memory_equal(b.p, again.p, b.n);

    assert_str(out.id, "3EB0AABBCC");
    assert_str(out.sender_alt, "99@lid");
    assert_str(out.stanza_type, "text");
    assert_true(out.from_me);
    assert_int_equal(out.status, WAGW_MSG_PLAYED);
    assert_int_equal(out.flags, WAGW_ROW_EDITED | WAGW_ROW_APP);
    assert_true(out.edited_ms == -5 && out.t_ms == 1700000000123);
    assert_int_equal(out.error, 463);
    assert_int_equal(out.expiration, 86400);
    assert_int_equal(out.content.n, 3);

    wagw_buf_free(&b);
    wagw_buf_free(&again);
}

static void the_other_rows_keep_theirs(void **state)
{
    wagw_row_chat_t chat = {.id = WAGW_STR("1@s.whatsapp.net"), .muted_until = -1, .pinned = 9, .marked_unread = true};
    wagw_row_contact_t contact = {.jid = WAGW_STR("1@lid"), .verified_name = WAGW_STR("V"), .blocked = true};
    wagw_row_receipt_t receipt = {.chat = WAGW_STR("c"), .id = WAGW_STR("i"), .user = WAGW_STR("u"), .played = 3};
    wagw_row_reaction_t reaction = {.id = WAGW_STR("i"), .emoji = WAGW_STR("\xF0\x9F\x91\x8D"), .t_ms = 5};
    wagw_row_instance_t instance = {.jid = WAGW_STR("1:2@s.whatsapp.net"), .disconnect_code = -1, .connected_ms = 8};
    wagw_delivery_t delivery = {.id = WAGW_STR("d"), .seq = UINT64_MAX, .status = 3, .status_code = -7, .attempts = 2};
    wagw_idempotency_t idem = {.status = 201, .body = WAGW_STR("{}")};
    wagw_buf_t b = {0};

    (void)state;

    assert_int_equal(wagw_row_chat_encode(&b, &chat), WAGW_OK);
    memset(&chat, 0xFF, sizeof(chat));
    assert_int_equal(wagw_row_chat_decode(&chat, wagw_buf_view(&b)), WAGW_OK);
    assert_true(chat.muted_until == -1 && chat.pinned == 9 && chat.marked_unread && !chat.archived);
    assert_int_equal(chat.name.n, 0);

    wagw_buf_reset(&b);
    assert_int_equal(wagw_row_contact_encode(&b, &contact), WAGW_OK);
    assert_int_equal(wagw_row_contact_decode(&contact, wagw_buf_view(&b)), WAGW_OK);
    assert_str(contact.verified_name, "V");
    assert_true(contact.blocked && !contact.business);

    wagw_buf_reset(&b);
    assert_int_equal(wagw_row_receipt_encode(&b, &receipt), WAGW_OK);
    assert_int_equal(wagw_row_receipt_decode(&receipt, wagw_buf_view(&b)), WAGW_OK);
    assert_true(receipt.played == 3 && receipt.read == 0);

    wagw_buf_reset(&b);
    assert_int_equal(wagw_row_reaction_encode(&b, &reaction), WAGW_OK);
    assert_int_equal(wagw_row_reaction_decode(&reaction, wagw_buf_view(&b)), WAGW_OK);
    assert_str(reaction.emoji, "\xF0\x9F\x91\x8D");

    wagw_buf_reset(&b);
    assert_int_equal(wagw_row_instance_encode(&b, &instance), WAGW_OK);
    assert_int_equal(wagw_row_instance_decode(&instance, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(instance.disconnect_code, -1);

    wagw_buf_reset(&b);
    assert_int_equal(wagw_row_delivery_encode(&b, &delivery), WAGW_OK);
    assert_int_equal(wagw_row_delivery_decode(&delivery, wagw_buf_view(&b)), WAGW_OK);
    assert_true(delivery.seq == UINT64_MAX && delivery.status_code == -7 && delivery.status == 3);

    wagw_buf_reset(&b);
    assert_int_equal(wagw_row_idempotency_encode(&b, &idem), WAGW_OK);
    assert_int_equal(wagw_row_idempotency_decode(&idem, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(idem.status, 201);
    assert_str(idem.body, "{}");

    wagw_buf_free(&b);
}

static void unknown_tags_are_skipped(void **state)
{
    wagw_row_receipt_t r;
    wagw_buf_t b = {0};

    (void)state;

    wagw_tlv_put_s(&b, 200, WAGW_STR("from a newer version"));
    wagw_tlv_put_i(&b, 5, 42);
    wagw_tlv_put_u(&b, 255, 1);
    wagw_tlv_put_s(&b, 1, WAGW_STR("out of order"));
    assert_int_equal(wagw_row_receipt_decode(&r, wagw_buf_view(&b)), WAGW_OK);
    assert_true(r.read == 42);
    assert_str(r.chat, "out of order");
    wagw_buf_free(&b);
}

static void wrong_types_and_ranges_are_refused(void **state)
{
    wagw_row_message_t m;
    wagw_buf_t b = {0};

    (void)state;

    wagw_tlv_put_u(&b, 1, 5); /* chat is a string */
    assert_int_equal(wagw_row_message_decode(&m, wagw_buf_view(&b)), WAGW_MALFORMED);

    wagw_buf_reset(&b);
    wagw_tlv_put_s(&b, 8, WAGW_STR("x")); /* t_ms is a number */
    assert_int_equal(wagw_row_message_decode(&m, wagw_buf_view(&b)), WAGW_MALFORMED);

    wagw_buf_reset(&b);
    wagw_tlv_put_u(&b, 6, 256); /* status is a byte */
    assert_int_equal(wagw_row_message_decode(&m, wagw_buf_view(&b)), WAGW_MALFORMED);

    wagw_buf_reset(&b);
    wagw_tlv_put_u(&b, 5, 2); /* from_me is 0 or 1 */
    assert_int_equal(wagw_row_message_decode(&m, wagw_buf_view(&b)), WAGW_MALFORMED);

    wagw_buf_reset(&b);
    wagw_tlv_put_u(&b, 7, 1ull << 32); /* flags are 32 bits */
    assert_int_equal(wagw_row_message_decode(&m, wagw_buf_view(&b)), WAGW_MALFORMED);
    assert_null(m.chat.p);

    wagw_buf_free(&b);
}

/* Each cut is made in memory of exactly that size, so that a sanitizer sees a read beyond it. */
static void every_truncation_is_safe(void **state)
{
    wagw_row_message_t in = sample(), out;
    wagw_buf_t b = {0};
    size_t whole = 0;

    (void)state;

    assert_int_equal(wagw_row_message_encode(&b, &in), WAGW_OK);

    for (size_t n = 0; n < b.n; n++) {
        uint8_t *cut = malloc(n + 1);

        assert_non_null(cut);
        memcpy(cut, b.p, n);
        cut = realloc(cut, n != 0 ? n : 1);

        /* a cut between two fields is a shorter row, any other is malformed */
        if (wagw_row_message_decode(&out, wagw_str(cut, n)) == WAGW_OK) {
            whole++;
        }

        free(cut);
    }

    assert_int_equal(whole, 25);
    wagw_buf_free(&b);
}

static void damaged_bytes_never_crash(void **state)
{
    wagw_row_message_t in = sample(), out;
    uint64_t seed = 7;
    wagw_buf_t b = {0};
    uint8_t r[4];

    (void)state;

    assert_int_equal(wagw_row_message_encode(&b, &in), WAGW_OK);

    for (int i = 0; i < 20000; i++) {
        size_t at;
        uint8_t old;

        vec_random(&seed, r, sizeof(r));
        at = (size_t)(r[0] << 8 | r[1]) % b.n;
        old = b.p[at];
        b.p[at] = r[2];

        if (wagw_row_message_decode(&out, wagw_buf_view(&b)) == WAGW_OK) {
            assert_true(out.body.n <= b.n);
        } else {
            assert_null(out.body.p);
        }

        b.p[at] = old;
    }

    wagw_buf_free(&b);
}

static void status_names(void **state)
{
    (void)state;

    assert_string_equal(wagw_msg_status_name(WAGW_MSG_PENDING), "pending");
    assert_string_equal(wagw_msg_status_name(WAGW_MSG_RECEIVED), "received");
    assert_string_equal(wagw_msg_status_name(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(nothing_is_written_for_zero),
        cmocka_unit_test(strings_of_all_lengths),
        cmocka_unit_test(message_keeps_every_field),
        cmocka_unit_test(the_other_rows_keep_theirs),
        cmocka_unit_test(unknown_tags_are_skipped),
        cmocka_unit_test(wrong_types_and_ranges_are_refused),
        cmocka_unit_test(every_truncation_is_safe),
        cmocka_unit_test(damaged_bytes_never_crash),
        cmocka_unit_test(status_names),
    };

    return cmocka_run_group_tests_name("row", tests, NULL, NULL);
}
