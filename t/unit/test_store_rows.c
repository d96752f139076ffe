/*
 * Rows with tables of their own: what is put comes back, chats merge, listings
 * show the contract's objects page by page.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "store_util.h"

#define ANN "15550001@s.whatsapp.net"
#define ANN_LID "77001@lid"
#define GROUP "120363000000000001@g.us"

static void lid_known(stu_t *t, const char *lid_user, const char *pn_user)
{
    wagw_batch_t *b = stu_batch(t->num);

    stu_put(b, WAGW_REC_PN_OF, lid_user, wagw_cstr(pn_user));
    stu_put(b, WAGW_REC_LID_OF, pn_user, wagw_cstr(lid_user));
    stu_apply(t, b);
}

static void merge(stu_t *t, const char *from, const char *to)
{
    wagw_batch_t *b = stu_batch(t->num);

    assert_int_equal(wagw_batch_add(b, WAGW_OP_CHAT_MERGE, 0, wagw_cstr(from), wagw_cstr(to)), WAGW_OK);
    stu_apply(t, b);
}

static void messages_come_back(void **state)
{
    wagw_row_message_t m = {
        .chat = WAGW_STR(GROUP),
        .id = WAGW_STR("ID1"),
        .sender = WAGW_STR(ANN),
        .sender_alt = WAGW_STR(ANN_LID),
        .status = WAGW_MSG_RECEIVED,
        .flags = WAGW_ROW_FORWARDED | WAGW_ROW_VIEW_ONCE,
        .t_ms = 1700000000123,
        .created_ms = 1700000000456,
        .edited_ms = 1700000000789,
        .type = WAGW_STR("image"),
        .body = WAGW_STR("b\xC3\xB6"
                         "dy"),
        .push_name = WAGW_STR("Ann"),
        .to = WAGW_STR(GROUP),
        .quoted = WAGW_STR("{\"id\":\"Q\"}"),
        .mentions = WAGW_STR("[\"x\"]"),
        .media = WAGW_STR("{\"size\":1}"),
        .content = WAGW_STR("\0\1\2"),
        .secret = WAGW_STR("0123456789abcdef0123456789abcdef"),
        .ref = WAGW_STR("ref"),
        .stanza = WAGW_STR("st\0anza"),
        .edit = WAGW_STR("1"),
        .stanza_type = WAGW_STR("media"),
        .error = 463,
        .expiration = 86400,
    };
    const char *key = GROUP "|ID1|" ANN;
    wagw_buf_t want = {0};
    wagw_arena_t a = {0};
    wagw_row_message_t got;
    wagw_batch_t *b;
    wagw_rec_t *r;
    stu_t t;

    (void)state;

    for (int sealed = 0; sealed < 2; sealed++) {
        stu_begin(&t, sealed ? stu_key : NULL);
        b = stu_batch(t.num);
        stu_message(b, &m);
        stu_apply(&t, b);

        r = stu_load(&t, t.num, WAGW_REC_MESSAGE, key, false, &a);
        assert_non_null(r);
        assert_true(wagw_str_eq(r->key, wagw_cstr(key)));
        wagw_buf_reset(&want);
        assert_int_equal(wagw_row_message_encode(&want, &m), WAGW_OK);
        assert_true(wagw_str_eq(r->value, wagw_buf_view(&want)));

        /* the same key again is the same row */
        m.status = WAGW_MSG_READ;
        m.body = WAGW_STR("changed");
        b = stu_batch(t.num);
        stu_message(b, &m);
        stu_apply(&t, b);
        r = stu_load(&t, t.num, WAGW_REC_MESSAGE, GROUP "|ID1|", true, &a);
        assert_non_null(r);
        assert_null(r->next);
        assert_int_equal(wagw_row_message_decode(&got, r->value), WAGW_OK);
        assert_int_equal(got.status, WAGW_MSG_READ);
        assert_true(wagw_str_is(got.body, "changed"));
        assert_true(wagw_str_is(got.stanza, "st\0anza"));

        assert_false(stu_has(&t, t.num, WAGW_REC_MESSAGE, GROUP "|ID1|"));
        assert_false(stu_has(&t, t.num + 1, WAGW_REC_MESSAGE, key));

        b = stu_batch(t.num);
        assert_int_equal(wagw_batch_add(b, WAGW_OP_DEL, WAGW_REC_MESSAGE, wagw_cstr(key), WAGW_STR_NULL), WAGW_OK);
        stu_apply(&t, b);
        assert_false(stu_has(&t, t.num, WAGW_REC_MESSAGE, key));

        m.status = WAGW_MSG_RECEIVED;
        m.body = WAGW_STR("b\xC3\xB6"
                          "dy");
        stu_end(&t);
    }

    wagw_buf_free(&want);
    wagw_arena_free(&a);
}

static void pending_ones_oldest_first(void **state)
{
    static const char *const ids[] = {"Z", "A", "M"};
    wagw_arena_t a = {0};
    wagw_rec_t *r;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);

    for (int i = 0; i < 3; i++) {
        wagw_row_message_t m = {.chat = WAGW_STR(ANN),
                                .id = wagw_cstr(ids[i]),
                                .from_me = true,
                                .status = WAGW_MSG_PENDING,
                                .stanza = WAGW_STR("wire"),
                                .t_ms = 1000 - i};
        wagw_batch_t *b = stu_batch(t.num);

        stu_message(b, &m);
        stu_apply(&t, b);
    }

    stu_text(&t, ANN, "SENT", true, 5, "x");
    r = stu_load(&t, t.num, WAGW_REC_PENDING, "", true, &a);

    for (int i = 0; i < 3; i++, r = r->next) {
        wagw_row_message_t m;

        assert_non_null(r);
        assert_int_equal(r->kind, WAGW_REC_PENDING);
        assert_int_equal(wagw_row_message_decode(&m, r->value), WAGW_OK);
        assert_true(wagw_str_eq(m.id, wagw_cstr(ids[i])));
        assert_true(wagw_str_is(m.stanza, "wire"));
        assert_true(wagw_str_starts(r->key, WAGW_STR(ANN "|")));
    }

    assert_null(r);
    wagw_arena_free(&a);
    stu_end(&t);
}

static void other_rows_come_back(void **state)
{
    wagw_row_chat_t chat = {.id = WAGW_STR(ANN),
                            .name = WAGW_STR("Ann"),
                            .lid = WAGW_STR(ANN_LID),
                            .pn = WAGW_STR(ANN),
                            .unread = 3,
                            .archived = true,
                            .pinned = 77,
                            .muted_until = -1,
                            .ephemeral = 86400,
                            .last_ms = 9,
                            .last_id = WAGW_STR("L"),
                            .last_body = WAGW_STR("last"),
                            .last_type = WAGW_STR("text"),
                            .last_from_me = true,
                            .marked_unread = true};
    wagw_row_contact_t contact = {.jid = WAGW_STR(ANN),
                                  .lid = WAGW_STR(ANN_LID),
                                  .pn = WAGW_STR(ANN),
                                  .name = WAGW_STR("Ann B"),
                                  .push_name = WAGW_STR("annie"),
                                  .verified_name = WAGW_STR("Ann Ltd"),
                                  .business = true,
                                  .blocked = true};
    wagw_row_receipt_t receipt = {.chat = WAGW_STR(ANN), .id = WAGW_STR("R"), .user = WAGW_STR(ANN), .read = 4};
    wagw_row_reaction_t reaction = {.chat = WAGW_STR(ANN), .id = WAGW_STR("R"), .emoji = WAGW_STR("+"), .t_ms = 6};
    wagw_buf_t v[4] = {{0}};
    static const uint8_t kinds[4] = {WAGW_REC_CHAT, WAGW_REC_CONTACT, WAGW_REC_RECEIPT, WAGW_REC_REACTION};
    static const char *const keys[4] = {ANN, ANN, ANN "|R|" ANN, ANN "|R|"};
    static const char *const prefixes[4] = {"155", "1555", ANN "|R|", ANN "|"};
    wagw_arena_t a = {0};
    wagw_batch_t *b;
    wagw_rec_t *r;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);

    wagw_row_chat_encode(&v[0], &chat);
    wagw_row_contact_encode(&v[1], &contact);
    wagw_row_receipt_encode(&v[2], &receipt);
    wagw_row_reaction_encode(&v[3], &reaction);

    /* of a message that is not there no receipt is kept */
    b = stu_batch(t.num);
    stu_put(b, kinds[2], keys[2], wagw_buf_view(&v[2]));
    stu_apply(&t, b);
    assert_null(stu_load(&t, t.num, kinds[2], keys[2], false, &a));
    stu_text(&t, ANN, "R", true, 1, "with a receipt");

    /* twice: insert and update */
    for (int round = 0; round < 2; round++) {
        b = stu_batch(t.num);
        for (int i = 0; i < 4; i++) {
            stu_put(b, kinds[i], keys[i], wagw_buf_view(&v[i]));
        }
        stu_apply(&t, b);
    }

    for (int i = 0; i < 4; i++) {
        r = stu_load(&t, t.num, kinds[i], keys[i], false, &a);
        assert_non_null(r);
        assert_true(wagw_str_eq(r->key, wagw_cstr(keys[i])));
        assert_true(wagw_str_eq(r->value, wagw_buf_view(&v[i])));
        r = stu_load(&t, t.num, kinds[i], prefixes[i], true, &a);
        assert_non_null(r);
        assert_null(r->next);
        assert_null(stu_load(&t, t.num, kinds[i], "155500", false, &a));
    }

    b = stu_batch(t.num);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(wagw_batch_add(b, WAGW_OP_DEL, kinds[i], wagw_cstr(keys[i]), WAGW_STR_NULL), WAGW_OK);
    }
    stu_apply(&t, b);

    for (int i = 0; i < 4; i++) {
        assert_false(stu_has(&t, t.num, kinds[i], keys[i]));
        wagw_buf_free(&v[i]);
    }

    wagw_arena_free(&a);
    stu_end(&t);
}

static void a_lid_chat_becomes_the_phone_chat(void **state)
{
    wagw_row_chat_t lid = {.id = WAGW_STR(ANN_LID), .name = WAGW_STR("Ann"), .unread = 2, .last_ms = 20};
    wagw_row_chat_t pn = {.id = WAGW_STR(ANN), .unread = 1, .last_ms = 10, .archived = true}, got;
    wagw_arena_t a = {0};
    wagw_batch_t *b;
    wagw_rec_t *r;
    stu_t t;

    (void)state;

    /* nothing there yet: renamed; both there: merged */
    for (int both = 0; both < 2; both++) {
        stu_begin(&t, stu_key);
        lid.last_id = WAGW_STR("L");
        b = stu_batch(t.num);
        stu_chat(b, &lid);
        stu_put(b, WAGW_REC_REACTION, ANN_LID "|L|", WAGW_STR(""));
        stu_apply(&t, b);
        stu_text(&t, ANN_LID, "L", true, 20, "in lid");
        b = stu_batch(t.num);
        stu_put(b, WAGW_REC_RECEIPT, ANN_LID "|L|" ANN, WAGW_STR(""));
        stu_apply(&t, b);
        stu_text(&t, ANN_LID, "SAME", true, 15, "lid's copy");
        {
            wagw_row_message_t in = {.chat = WAGW_STR(ANN_LID),
                                     .id = WAGW_STR("IN"),
                                     .sender = WAGW_STR(ANN_LID),
                                     .status = WAGW_MSG_RECEIVED,
                                     .content = WAGW_STR("bytes"),
                                     .t_ms = 12};

            b = stu_batch(t.num);
            stu_message(b, &in);
            stu_put(b, WAGW_REC_RECEIPT, ANN_LID "|SAME|" ANN_LID, WAGW_STR(""));
            stu_put(b, WAGW_REC_REACTION, ANN_LID "|SAME|" ANN_LID, WAGW_STR(""));
            stu_apply(&t, b);
        }

        if (both) {
            b = stu_batch(t.num);
            stu_chat(b, &pn);
            stu_apply(&t, b);
            stu_text(&t, ANN, "P", true, 10, "in pn");
            stu_text(&t, ANN, "SAME", true, 15, "pn's copy");
        }

        merge(&t, ANN_LID, ANN);
        merge(&t, ANN_LID, ANN);
        merge(&t, "nobody@lid", ANN);

        assert_false(stu_has(&t, t.num, WAGW_REC_CHAT, ANN_LID));
        assert_false(stu_has(&t, t.num, WAGW_REC_MESSAGE, ANN_LID "|L|"));
        assert_true(stu_has(&t, t.num, WAGW_REC_MESSAGE, ANN "|L|"));
        assert_true(stu_has(&t, t.num, WAGW_REC_RECEIPT, ANN "|L|" ANN));
        assert_true(stu_has(&t, t.num, WAGW_REC_REACTION, ANN "|L|"));

        /* the author has the new name too, and the sealed content still opens */
        assert_false(stu_has(&t, t.num, WAGW_REC_MESSAGE, ANN "|IN|" ANN_LID));
        assert_true(stu_has(&t, t.num, WAGW_REC_RECEIPT, ANN "|SAME|" ANN));
        assert_true(stu_has(&t, t.num, WAGW_REC_REACTION, ANN "|SAME|" ANN));
        r = stu_load(&t, t.num, WAGW_REC_MESSAGE, ANN "|IN|" ANN, false, &a);
        assert_non_null(r);
        {
            wagw_row_message_t m;

            assert_int_equal(wagw_row_message_decode(&m, r->value), WAGW_OK);
            assert_true(wagw_str_is(m.content, "bytes") && wagw_str_is(m.sender_alt, ANN_LID));
        }

        r = stu_load(&t, t.num, WAGW_REC_CHAT, ANN, false, &a);
        assert_int_equal(wagw_row_chat_decode(&got, r->value), WAGW_OK);
        assert_true(wagw_str_is(got.lid, ANN_LID) && wagw_str_is(got.pn, ANN) && wagw_str_is(got.name, "Ann"));
        assert_true(wagw_str_is(got.last_id, "L"));
        assert_int_equal(got.unread, both ? 3 : 2);
        assert_int_equal(got.archived, both);

        r = stu_load(&t, t.num, WAGW_REC_MESSAGE, ANN "|SAME|", false, &a);
        {
            wagw_row_message_t m;

            assert_int_equal(wagw_row_message_decode(&m, r->value), WAGW_OK);
            assert_true(wagw_str_eq(m.body, wagw_cstr(both ? "pn's copy" : "lid's copy")));
        }

        stu_text(&t, ANN_LID, "NEW", true, 30, "a new chat under the old name");
        assert_true(stu_has(&t, t.num, WAGW_REC_MESSAGE, ANN_LID "|NEW|"));
        assert_false(stu_has(&t, t.num, WAGW_REC_MESSAGE, ANN "|NEW|"));
        stu_end(&t);
    }

    wagw_arena_free(&a);
}

static void assert_counts(stu_t *t, uint64_t messages, uint64_t chats)
{
    uint64_t m, c;

    assert_int_equal(wagw_store_instance_counts(t->s, t->num, &m, &c), WAGW_OK);
    assert_int_equal(m, messages);
    assert_int_equal(c, chats);
}

static unsigned message_count(stu_t *t, const char *chat)
{
    wagw_buf_t json = {0};
    unsigned n;
    cJSON *o;

    assert_int_equal(wagw_store_chat_get(t->s, t->num, wagw_cstr(chat), &json), WAGW_OK);
    o = stu_json(&json);
    n = (unsigned)cJSON_GetObjectItem(o, "messageCount")->valueint;
    cJSON_Delete(o);

    return n;
}

/* The counts are kept by the database whatever happens to the rows. */
static void counts_follow_the_rows(void **state)
{
    wagw_row_message_t m = {.chat = WAGW_STR(ANN), .id = WAGW_STR("X"), .flags = WAGW_ROW_HIDDEN, .t_ms = 1};
    wagw_row_chat_t lid = {.id = WAGW_STR(ANN_LID)}, pn = {.id = WAGW_STR(ANN)};
    wagw_batch_t *b;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    assert_counts(&t, 0, 0);

    stu_text(&t, ANN, "A", true, 1, "one");
    stu_text(&t, ANN, "A", true, 2, "the same again");
    stu_text(&t, ANN_LID, "A", true, 1, "the same under the other name");
    stu_text(&t, ANN_LID, "B", true, 1, "two");
    assert_counts(&t, 3, 0);

    b = stu_batch(t.num);
    stu_message(b, &m);
    stu_chat(b, &lid);
    stu_chat(b, &pn);
    stu_chat(b, &pn);
    stu_apply(&t, b);
    assert_counts(&t, 3, 2);
    assert_int_equal(message_count(&t, ANN_LID), 2);

    m.flags = 0;
    b = stu_batch(t.num);
    stu_message(b, &m);
    stu_apply(&t, b);
    assert_counts(&t, 4, 2);
    assert_int_equal(message_count(&t, ANN), 2);

    merge(&t, ANN_LID, ANN);
    assert_counts(&t, 3, 1);
    assert_int_equal(message_count(&t, ANN), 3);

    m.flags = WAGW_ROW_HIDDEN;
    b = stu_batch(t.num);
    stu_message(b, &m);
    stu_apply(&t, b);
    assert_counts(&t, 2, 1);

    b = stu_batch(t.num);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_DEL, WAGW_REC_MESSAGE, WAGW_STR(ANN "|A|"), WAGW_STR_NULL), WAGW_OK);
    stu_apply(&t, b);
    assert_counts(&t, 1, 1);
    assert_int_equal(message_count(&t, ANN), 1);

    b = stu_batch(t.num);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_DEL, WAGW_REC_CHAT, WAGW_STR(ANN), WAGW_STR_NULL), WAGW_OK);
    stu_apply(&t, b);
    assert_counts(&t, 1, 0);
    b = stu_batch(t.num);
    stu_chat(b, &pn);
    stu_apply(&t, b);
    assert_counts(&t, 1, 1);
    assert_int_equal(message_count(&t, ANN), 1);
    stu_end(&t);
}

static cJSON *list(stu_t *t, const wagw_message_filter_t *f, uint64_t *total, bool *more, char cursor[128])
{
    wagw_buf_t json = {0}, next = {0};
    uint32_t count;
    uint64_t n;
    bool m;
    cJSON *o;
    int rc = wagw_store_messages(t->s, t->num, f, &json, &count, &n, &m, &next);

    if (rc != WAGW_OK) {
        fail_msg("%s: %s", wagw_rc_name(rc), wagw_store_error(t->s));
    }

    o = stu_json(&json);
    assert_int_equal(cJSON_GetArraySize(o), count);

    if (total != NULL) {
        *total = n;
    }

    if (more != NULL) {
        *more = m;
    }

    if (cursor != NULL) {
        assert_true(next.n < 128);
        memcpy(cursor, next.p != NULL ? (const char *)next.p : "", next.n);
        cursor[next.n] = '\0';
    }

    wagw_buf_free(&next);

    return o;
}

/* The ids of a listing, joined. */
static void assert_ids(cJSON *o, const char *want)
{
    char got[512] = "";
    const cJSON *m;

    cJSON_ArrayForEach(m, o)
    {
        strcat(got, stu_get(m, "messageId"));
        strcat(got, " ");
    }

    if (strlen(got) > 0) {
        got[strlen(got) - 1] = '\0';
    }

    assert_string_equal(got, want);
    cJSON_Delete(o);
}

#define FILTER                                                                                                         \
    (wagw_message_filter_t)                                                                                            \
    {                                                                                                                  \
        .instance_id = WAGW_STR("one"), .from_me = -1, .limit = 50                                                     \
    }

static void ten_messages(stu_t *t)
{
    static const char *const ids[] = {"M0", "M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8", "M9"};

    /* two of each time, alternating sides */
    for (int i = 0; i < 10; i++) {
        stu_text(t, ANN, ids[i], i & 1, 1000 + i / 2, i == 4 ? "50% off_now" : "plain");
    }
}

static void pages_of_messages(void **state)
{
    wagw_message_filter_t f;
    char cursor[128];
    uint64_t total;
    bool more;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    ten_messages(&t);
    stu_text(&t, GROUP, "G", false, 1001, "in the group");

    f = FILTER;
    f.chat = WAGW_STR(ANN);
    assert_ids(list(&t, &f, &total, &more, cursor), "M9 M8 M7 M6 M5 M4 M3 M2 M1 M0");
    assert_int_equal(total, 10);
    assert_false(more);
    assert_string_equal(cursor, "");

    f.limit = 4;
    assert_ids(list(&t, &f, &total, &more, cursor), "M9 M8 M7 M6");
    assert_true(more && total == 10 && cursor[0] != '\0');

    /* a page after new messages came is what it would have been */
    stu_text(&t, ANN, "NEW", false, 5000, "x");
    stu_text(&t, ANN, "LATE", false, 1003, "arrived late, into the page already seen");
    f.cursor = wagw_cstr(cursor);
    assert_ids(list(&t, &f, NULL, &more, cursor), "M5 M4 M3 M2");
    assert_true(more);
    f.cursor = wagw_cstr(cursor);
    assert_ids(list(&t, &f, NULL, &more, cursor), "M1 M0");
    assert_true(!more && cursor[0] == '\0');

    f = FILTER;
    f.chat = WAGW_STR(ANN);
    f.limit = 3;
    f.offset = 2;
    assert_ids(list(&t, &f, NULL, &more, NULL), "M8 LATE M7");
    assert_true(more);

    f.offset = 0;
    f.before = WAGW_STR("M5");
    assert_ids(list(&t, &f, NULL, &more, NULL), "M4 M3 M2");
    assert_true(more);

    /* after: the nearest newer ones, shown newest first */
    f.before = WAGW_STR_NULL;
    f.after = WAGW_STR("M2");
    assert_ids(list(&t, &f, NULL, &more, cursor), "M5 M4 M3");
    assert_true(more);
    f.after = WAGW_STR_NULL;
    f.cursor = wagw_cstr(cursor);
    assert_ids(list(&t, &f, NULL, &more, cursor), "LATE M7 M6");

    f.cursor = WAGW_STR_NULL;
    f.after = WAGW_STR("M2");
    f.before = WAGW_STR("M5");
    assert_ids(list(&t, &f, NULL, &more, NULL), "M4 M3");
    assert_false(more);

    stu_end(&t);
}

static void filters_of_messages(void **state)
{
    wagw_message_filter_t f;
    wagw_buf_t json = {0};
    wagw_row_message_t hidden = {
        .chat = WAGW_STR(ANN), .id = WAGW_STR("HIDDEN"), .flags = WAGW_ROW_HIDDEN, .t_ms = 9000};
    wagw_batch_t *b;
    uint32_t count;
    uint64_t total;
    bool more;
    cJSON *o;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    ten_messages(&t);
    stu_text(&t, GROUP, "G", false, 1001, "in the group");
    b = stu_batch(t.num);
    stu_message(b, &hidden);
    stu_apply(&t, b);

    f = FILTER;
    f.from_me = 1;
    assert_ids(list(&t, &f, &total, NULL, NULL), "M9 M7 M5 M3 M1");
    assert_int_equal(total, 5);

    f = FILTER;
    f.status = WAGW_STR("received");
    f.since_ms = 1001;
    f.until_ms = 1003;
    assert_ids(list(&t, &f, NULL, NULL, NULL), "M6 M4 G M2");

    f = FILTER;
    f.type = WAGW_STR("image");
    assert_ids(list(&t, &f, &total, NULL, NULL), "");
    assert_int_equal(total, 0);

    /* wildcards are letters like any other */
    f = FILTER;
    f.q = WAGW_STR("50% OFF_");
    assert_ids(list(&t, &f, NULL, NULL, NULL), "M4");
    f.q = WAGW_STR("5%");
    assert_ids(list(&t, &f, NULL, NULL, NULL), "");
    f.q = WAGW_STR("' OR 1=1 --");
    assert_ids(list(&t, &f, NULL, NULL, NULL), "");

    f = FILTER;
    f.chat = WAGW_STR("nobody@s.whatsapp.net");
    assert_ids(list(&t, &f, &total, &more, NULL), "");
    assert_true(total == 0 && !more);

    f = FILTER;
    f.status = WAGW_STR("nonsense");
    assert_int_equal(wagw_store_messages(t.s, t.num, &f, &json, &count, &total, &more, NULL), WAGW_MALFORMED);
    f = FILTER;
    f.cursor = WAGW_STR("bm9uc2Vuc2U");
    assert_int_equal(wagw_store_messages(t.s, t.num, &f, &json, &count, &total, &more, NULL), WAGW_MALFORMED);
    f = FILTER;
    f.before = WAGW_STR("UNKNOWN");
    assert_int_equal(wagw_store_messages(t.s, t.num, &f, &json, &count, &total, &more, NULL), WAGW_NOT_FOUND);
    wagw_buf_reset(&json);

    f = FILTER;
    f.limit = 1;
    f.chat = WAGW_STR(GROUP);
    f.with_chat = true;
    o = list(&t, &f, NULL, NULL, NULL);
    assert_string_equal(stu_get(cJSON_GetArrayItem(o, 0), "instanceId"), "one");
    {
        cJSON *c = cJSON_GetObjectItem(cJSON_GetArrayItem(o, 0), "chat");

        assert_string_equal(stu_get(c, "chatId"), GROUP);
        assert_string_equal(stu_get(c, "name"), "120363000000000001");
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(c, "isGroup")));
    }
    cJSON_Delete(o);
    wagw_buf_free(&json);
    stu_end(&t);
}

/* A search through a long history comes in bounded steps and finds everything in the end. */
static void a_search_never_scans_it_all_at_once(void **state)
{
    wagw_message_filter_t f = FILTER;
    char cursor[128];
    uint64_t total;
    unsigned pages = 0;
    wagw_batch_t *b;
    bool more;
    cJSON *o;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    b = stu_batch(t.num);

    for (int i = 0; i < 20010; i++) {
        char id[16];
        wagw_row_message_t m = {
            .chat = WAGW_STR(ANN), .status = WAGW_MSG_RECEIVED, .t_ms = 1 + i, .body = WAGW_STR("hay")};

        snprintf(id, sizeof(id), "H%d", i);
        m.id = wagw_cstr(id);
        m.body = i == 3 || i == 9 ? WAGW_STR("needle") : WAGW_STR("hay");
        stu_message(b, &m);
    }

    stu_apply(&t, b);

    f.q = WAGW_STR("needle");
    o = list(&t, &f, &total, &more, cursor);
    assert_int_equal(cJSON_GetArraySize(o), 0);
    cJSON_Delete(o);
    assert_true(more && cursor[0] != '\0' && total == UINT64_MAX);

    f.cursor = wagw_cstr(cursor);
    assert_ids(list(&t, &f, NULL, &more, cursor), "H9 H3");
    assert_false(more);

    /* every row once, page after page, with a filter that all of them pass */
    f = FILTER;
    f.from_me = 0;
    f.limit = 1000;
    total = 0;

    do {
        o = list(&t, &f, NULL, &more, cursor);
        total += (uint64_t)cJSON_GetArraySize(o);
        cJSON_Delete(o);
        f.cursor = wagw_cstr(cursor);
        pages++;
    } while (more && pages < 100);

    assert_int_equal(total, 20010);
    stu_end(&t);
}

static void one_message(void **state)
{
    wagw_row_chat_t chat = {
        .id = WAGW_STR(ANN), .last_id = WAGW_STR("M9"), .last_ms = 1004, .last_body = WAGW_STR("x")};
    wagw_row_receipt_t rc1 = {.delivered = 1700000000000, .read = 1700000001000};
    wagw_row_reaction_t re = {.emoji = WAGW_STR("\xF0\x9F\x91\x8D"), .t_ms = 1700000002000};
    wagw_row_instance_t own = {.jid = WAGW_STR("15559999:3@s.whatsapp.net"), .lid = WAGW_STR("88:3@lid")};
    wagw_row_reaction_t removed = {.t_ms = 5};
    wagw_buf_t json = {0}, v = {0};
    wagw_batch_t *b;
    uint32_t count;
    cJSON *o;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    ten_messages(&t);
    lid_known(&t, "77001", "15550001");

    b = stu_batch(t.num);
    stu_chat(b, &chat);
    wagw_row_instance_encode(&v, &own);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_INSTANCE, 0, WAGW_STR_NULL, wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_reset(&v);
    wagw_row_receipt_encode(&v, &rc1);
    stu_put(b, WAGW_REC_RECEIPT, ANN "|M9|" ANN, wagw_buf_view(&v));
    wagw_buf_reset(&v);
    wagw_row_reaction_encode(&v, &re);
    stu_put(b, WAGW_REC_REACTION, ANN "|M9|", wagw_buf_view(&v));
    wagw_buf_reset(&v);
    wagw_row_reaction_encode(&v, &removed);
    stu_put(b, WAGW_REC_REACTION, ANN "|M9|" ANN, wagw_buf_view(&v));
    stu_apply(&t, b);

    assert_int_equal(wagw_store_message_get(t.s, t.num, WAGW_STR("one"), WAGW_STR_NULL, WAGW_STR("M9"), true, &json),
                     WAGW_OK);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "chatId"), ANN);
    assert_string_equal(stu_get(o, "from"), "15559999@s.whatsapp.net");
    assert_string_equal(stu_get(cJSON_GetObjectItem(o, "chat"), "chatId"), ANN);
    cJSON_Delete(o);

    /* the chat by its other names */
    assert_int_equal(
        wagw_store_message_get(t.s, t.num, WAGW_STR("one"), WAGW_STR(ANN_LID), WAGW_STR("M9"), false, &json), WAGW_OK);
    wagw_buf_reset(&json);
    assert_int_equal(
        wagw_store_message_get(t.s, t.num, WAGW_STR("one"), WAGW_STR("+1 555-0001"), WAGW_STR("M9"), false, &json),
        WAGW_OK);
    wagw_buf_reset(&json);
    assert_int_equal(wagw_store_message_get(t.s, t.num, WAGW_STR("one"), WAGW_STR(GROUP), WAGW_STR("M9"), false, &json),
                     WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_message_get(t.s, t.num, WAGW_STR("one"), WAGW_STR_NULL, WAGW_STR("NONE"), false, &json),
                     WAGW_NOT_FOUND);

    assert_int_equal(wagw_store_message_receipts(t.s, t.num, WAGW_STR("M9"), &json, &count), WAGW_OK);
    assert_int_equal(count, 1);
    o = stu_json(&json);
    assert_string_equal(stu_get(cJSON_GetArrayItem(o, 0), "jid"), ANN);
    assert_string_equal(stu_get(cJSON_GetArrayItem(o, 0), "read"), "2023-11-14T22:13:21.000Z");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetArrayItem(o, 0), "played")));
    cJSON_Delete(o);

    assert_int_equal(wagw_store_message_reactions(t.s, t.num, WAGW_STR("M9"), &json, &count), WAGW_OK);
    assert_int_equal(count, 1);
    o = stu_json(&json);
    assert_string_equal(stu_get(cJSON_GetArrayItem(o, 0), "jid"), "15559999@s.whatsapp.net");
    assert_string_equal(stu_get(cJSON_GetArrayItem(o, 0), "emoji"), "\xF0\x9F\x91\x8D");
    cJSON_Delete(o);

    /* where it is, and what is last without it */
    assert_int_equal(wagw_store_message_place(t.s, t.num, WAGW_STR_NULL, WAGW_STR("NONE"), &v, &json), WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_message_place(t.s, t.num, WAGW_STR(GROUP), WAGW_STR("M9"), &v, &json), WAGW_NOT_FOUND);
    wagw_buf_reset(&v);
    assert_int_equal(wagw_store_message_place(t.s, t.num, WAGW_STR(ANN_LID), WAGW_STR("M9"), &v, &json), WAGW_OK);
    assert_true(wagw_str_is(wagw_buf_view(&v), ANN));
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "body"), "plain");
    assert_int_equal(cJSON_GetObjectItem(o, "ms")->valueint, 1004);
    cJSON_Delete(o);

    wagw_buf_free(&v);
    wagw_buf_free(&json);
    stu_end(&t);
}

static void three_chats(stu_t *t)
{
    wagw_row_chat_t ann = {.id = WAGW_STR(ANN), .last_ms = 30, .last_body = WAGW_STR("hi"), .pinned = 1};
    wagw_row_chat_t group = {
        .id = WAGW_STR(GROUP), .name = WAGW_STR("Zoo"), .last_ms = 20, .unread = 4, .muted_until = -1};
    wagw_row_chat_t old = {.id = WAGW_STR("1@newsletter"),
                           .name = WAGW_STR("news"),
                           .last_ms = 10,
                           .archived = true,
                           .marked_unread = true};
    wagw_row_contact_t contact = {.jid = WAGW_STR(ANN), .push_name = WAGW_STR("Ann"), .blocked = true};
    wagw_row_contact_t bob = {.jid = WAGW_STR("88002@lid"), .name = WAGW_STR("Bob_")};
    wagw_row_instance_t own = {.jid = WAGW_STR("15559999:3@s.whatsapp.net"), .lid = WAGW_STR("88002:3@lid")};
    wagw_batch_t *b = stu_batch(t->num);
    wagw_buf_t v = {0};

    stu_chat(b, &ann);
    stu_chat(b, &group);
    stu_chat(b, &old);
    wagw_row_contact_encode(&v, &contact);
    stu_put(b, WAGW_REC_CONTACT, ANN, wagw_buf_view(&v));
    wagw_buf_reset(&v);
    wagw_row_contact_encode(&v, &bob);
    stu_put(b, WAGW_REC_CONTACT, "88002@lid", wagw_buf_view(&v));
    wagw_buf_reset(&v);
    wagw_row_instance_encode(&v, &own);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_INSTANCE, 0, WAGW_STR_NULL, wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_free(&v);
    stu_apply(t, b);

    lid_known(t, "77001", "15550001");
    stu_text(t, "nochat@s.whatsapp.net", "X", true, 1, "a message makes no chat row of its own");
}

static void assert_chats(stu_t *t, const wagw_chat_filter_t *f, uint64_t want_total, bool want_more, const char *names)
{
    wagw_buf_t json = {0};
    uint32_t count;
    uint64_t total;
    bool more;
    char got[256] = "";
    cJSON *o;
    const cJSON *c;

    assert_int_equal(wagw_store_chats(t->s, t->num, f, &json, &count, &total, &more), WAGW_OK);
    o = stu_json(&json);
    assert_int_equal(cJSON_GetArraySize(o), count);

    cJSON_ArrayForEach(c, o)
    {
        strcat(got, stu_get(c, "name"));
        strcat(got, " ");
    }

    assert_string_equal(got, names);
    assert_int_equal(total, want_total);
    assert_int_equal(more, want_more);
    cJSON_Delete(o);
}

static void listings_of_chats(void **state)
{
    wagw_chat_filter_t all = {.archived = -1, .unread = -1, .type = -1, .limit = 50}, f;
    wagw_buf_t json = {0}, id = {0};
    bool exists;
    cJSON *o;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    three_chats(&t);

    assert_chats(&t, &all, 3, false, "Ann Zoo news ");
    f = all, f.ascending = true;
    assert_chats(&t, &f, 3, false, "news Zoo Ann ");
    f = all, f.sort = 1, f.ascending = true;
    assert_chats(&t, &f, 3, false, "Ann news Zoo ");
    f = all, f.sort = 2;
    assert_chats(&t, &f, 3, false, "Zoo news Ann ");
    f = all, f.limit = 2;
    assert_chats(&t, &f, 3, true, "Ann Zoo ");
    f.offset = 2;
    assert_chats(&t, &f, 3, false, "news ");
    f = all, f.archived = 0;
    assert_chats(&t, &f, 2, false, "Ann Zoo ");
    f = all, f.unread = 1;
    assert_chats(&t, &f, 2, false, "Zoo news ");
    f = all, f.type = 0;
    assert_chats(&t, &f, 1, false, "Ann ");
    f.type = 1;
    assert_chats(&t, &f, 1, false, "Zoo ");
    f.type = 2;
    assert_chats(&t, &f, 1, false, "news ");
    f = all, f.q = WAGW_STR("AN");
    assert_chats(&t, &f, 1, false, "Ann ");
    f.q = WAGW_STR("@g.us");
    assert_chats(&t, &f, 1, false, "Zoo ");
    f.q = WAGW_STR("%");
    assert_chats(&t, &f, 0, false, "");

    assert_int_equal(wagw_store_chat_get(t.s, t.num, WAGW_STR(ANN_LID), &json), WAGW_OK);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "id"), ANN);
    assert_string_equal(stu_get(o, "lid"), ANN_LID);
    assert_string_equal(stu_get(o, "phoneNumber"), "15550001");
    assert_string_equal(stu_get(o, "lastMessage"), "hi");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "pinned")) && cJSON_IsFalse(cJSON_GetObjectItem(o, "isGroup")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "mutedUntil")));
    cJSON_Delete(o);

    assert_int_equal(wagw_store_chat_get(t.s, t.num, WAGW_STR(GROUP), &json), WAGW_OK);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "mutedUntil"), "9999-12-31T23:59:59.999Z");
    assert_int_equal(cJSON_GetObjectItem(o, "unreadCount")->valueint, 4);
    assert_null(cJSON_GetObjectItem(o, "lid"));
    cJSON_Delete(o);

    assert_int_equal(wagw_store_chat_get(t.s, t.num, WAGW_STR("nochat@s.whatsapp.net"), &json), WAGW_NOT_FOUND);

    /* a LID whose chat has not been merged yet is found under either name */
    lid_known(&t, "99003", "15550003");
    {
        wagw_row_chat_t c = {.id = WAGW_STR("99003@lid")};
        wagw_batch_t *b = stu_batch(t.num);

        stu_chat(b, &c);
        stu_apply(&t, b);
    }
    assert_int_equal(wagw_store_chat_resolve(t.s, t.num, WAGW_STR("15550003@c.us"), &id, &exists), WAGW_OK);
    assert_true(exists && wagw_str_is(wagw_buf_view(&id), "99003@lid"));
    wagw_buf_reset(&id);
    assert_int_equal(wagw_store_chat_resolve(t.s, t.num, WAGW_STR("77001@lid"), &id, &exists), WAGW_OK);
    assert_true(exists && wagw_str_is(wagw_buf_view(&id), ANN));
    wagw_buf_reset(&id);
    assert_int_equal(wagw_store_chat_resolve(t.s, t.num, WAGW_STR("15550777"), &id, &exists), WAGW_OK);
    assert_true(!exists && wagw_str_is(wagw_buf_view(&id), "15550777@s.whatsapp.net"));

    wagw_buf_free(&id);
    stu_end(&t);
}

static void contacts_and_lids(void **state)
{
    wagw_buf_t json = {0}, user = {0};
    uint32_t count;
    uint64_t total;
    bool more;
    cJSON *o, *list;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    three_chats(&t);

    assert_int_equal(wagw_store_contacts(t.s, t.num, WAGW_STR_NULL, -1, 1, 0, &json, &count, &more), WAGW_OK);
    assert_true(count == 1 && more);
    o = cJSON_DetachItemFromArray(list = stu_json(&json), 0);
    cJSON_Delete(list);
    assert_string_equal(stu_get(o, "jid"), ANN);
    assert_string_equal(stu_get(o, "lid"), ANN_LID);
    assert_string_equal(stu_get(o, "phoneNumber"), "15550001");
    assert_string_equal(stu_get(o, "pushName"), "Ann");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "name")) && cJSON_IsTrue(cJSON_GetObjectItem(o, "isBlocked")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(o, "isMe")));
    cJSON_Delete(o);

    assert_int_equal(wagw_store_contacts(t.s, t.num, WAGW_STR("b_"), -1, 10, 0, &json, &count, &more), WAGW_OK);
    assert_true(count == 1 && !more);
    o = cJSON_DetachItemFromArray(list = stu_json(&json), 0);
    cJSON_Delete(list);
    assert_string_equal(stu_get(o, "name"), "Bob_");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "phoneNumber")) && cJSON_IsTrue(cJSON_GetObjectItem(o, "isMe")));
    cJSON_Delete(o);

    assert_int_equal(wagw_store_contacts(t.s, t.num, WAGW_STR_NULL, 1, 10, 0, &json, &count, &more), WAGW_OK);
    assert_int_equal(count, 1);
    wagw_buf_reset(&json);
    assert_int_equal(wagw_store_contacts(t.s, t.num, WAGW_STR_NULL, -1, 10, 2, &json, &count, &more), WAGW_OK);
    assert_true(count == 0 && !more);
    assert_true(wagw_str_is(wagw_buf_view(&json), "[]"));
    wagw_buf_reset(&json);
    assert_int_equal(wagw_store_contacts(t.s, 999, WAGW_STR_NULL, -1, 10, 0, &json, &count, &more), WAGW_NOT_FOUND);

    assert_int_equal(wagw_store_contact_get(t.s, t.num, WAGW_STR("77001@lid"), &json), WAGW_OK);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "jid"), ANN);
    cJSON_Delete(o);
    assert_int_equal(wagw_store_contact_get(t.s, t.num, WAGW_STR("+1555-0001"), &json), WAGW_OK);
    wagw_buf_reset(&json);
    assert_int_equal(wagw_store_contact_get(t.s, t.num, WAGW_STR("15550404"), &json), WAGW_NOT_FOUND);

    lid_known(&t, "11001", "15550011");
    assert_int_equal(wagw_store_lids(t.s, t.num, 1, 0, &json, &count, &total), WAGW_OK);
    assert_true(count == 1 && total == 2);
    assert_true(wagw_str_is(wagw_buf_view(&json), "[{\"lid\":\"11001@lid\",\"phoneNumber\":\"15550011\"}]"));
    wagw_buf_reset(&json);
    assert_int_equal(wagw_store_lids(t.s, t.num, 5, 1, &json, &count, &total), WAGW_OK);
    assert_true(wagw_str_is(wagw_buf_view(&json), "[{\"lid\":\"77001@lid\",\"phoneNumber\":\"15550001\"}]"));

    assert_int_equal(wagw_store_lid_get(t.s, t.num, WAGW_STR("77001"), &user), WAGW_OK);
    assert_true(wagw_str_is(wagw_buf_view(&user), "15550001"));
    wagw_buf_reset(&user);

    wagw_buf_free(&user);
    wagw_buf_free(&json);
    stu_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(pending_ones_oldest_first),
        cmocka_unit_test(other_rows_come_back),
        cmocka_unit_test(a_lid_chat_becomes_the_phone_chat),
        cmocka_unit_test(pages_of_messages),
        cmocka_unit_test(filters_of_messages),
        cmocka_unit_test(one_message),
        cmocka_unit_test(counts_follow_the_rows),
        cmocka_unit_test(a_search_never_scans_it_all_at_once),
        cmocka_unit_test(listings_of_chats),
        cmocka_unit_test(contacts_and_lids),
    };

    return cmocka_run_group_tests_name("store rows", tests, NULL, NULL);
}
