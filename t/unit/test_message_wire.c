/*
 * core/message without vectors: wrong and hostile bytes, the wrappers of own
 * devices and groups, what a forward keeps, and the shapes that edits, revokes
 * and reactions have on the wire.
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

#define CHAT "200656743508744@lid"
#define GROUP "120363000000000001@g.us"
#define SELF "111222333444555@lid"

static wagw_arena_t arena;

static int setup(void **state)
{
    (void)state;
    memset(&arena, 0, sizeof(arena));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wagw_arena_free(&arena);
    return 0;
}

static wagw_jid_t jid(const char *text)
{
    wagw_jid_t j;

    assert_int_equal(wagw_jid_parse(&j, wagw_cstr(text)), WAGW_OK);
    return j;
}

static void put_varint(wagw_buf_t *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        wagw_buf_u8(b, (uint8_t)(v | 0x80));
    }
    wagw_buf_u8(b, (uint8_t)v);
}

static void put_bytes(wagw_buf_t *b, uint32_t num, wagw_str_t v)
{
    put_varint(b, (uint64_t)num << 3 | 2);
    put_varint(b, v.n);
    wagw_buf_str(b, v);
}

/* Takes what the buffer holds into the arena and empties it. */
static wagw_str_t take(wagw_buf_t *b)
{
    wagw_str_t s = wagw_arena_str(&arena, wagw_buf_view(b));

    wagw_buf_free(b);
    memset(b, 0, sizeof(*b));
    return s;
}

static wagw_str_t from_json(const char *text)
{
    cJSON *json = cJSON_Parse(text);
    wagw_buf_t b = {0};
    const char *field = NULL;

    assert_non_null(json);
    assert_int_equal(wagw_message_from_json(&b, json, &field), WAGW_OK);
    cJSON_Delete(json);
    return take(&b);
}

static void assert_json(wagw_str_t bytes, const char *want)
{
    cJSON *a, *b = cJSON_Parse(want);
    wagw_buf_t out = {0};

    assert_int_equal(wagw_message_json(&out, bytes), WAGW_OK);
    a = cJSON_ParseWithLength((char *)out.p, out.n);
    assert_non_null(a);
    assert_non_null(b);
    if (!cJSON_Compare(a, b, true)) {
        print_error("got %.*s\n", (int)out.n, (char *)out.p);
        fail();
    }
    cJSON_Delete(a);
    cJSON_Delete(b);
    wagw_buf_free(&out);
}

static int read_bytes(wagw_str_t bytes)
{
    wagw_content_t c;

    return wagw_message_read(&c, &arena, bytes);
}

/* extendedTextMessage{contextInfo{quotedMessage{...}}}, from the inside out. */
static wagw_str_t nested_quotes(unsigned levels)
{
    wagw_buf_t m = {0}, next = {0};

    put_bytes(&m, 1, WAGW_STR("x"));
    for (unsigned i = 0; i < levels; i++) {
        static const uint32_t path[] = {3, 17, 6};

        for (unsigned k = 0; k < 3; k++) {
            put_bytes(&next, path[k], wagw_buf_view(&m));
            wagw_buf_free(&m);
            m = next;
            memset(&next, 0, sizeof(next));
        }
    }
    return take(&m);
}

static void test_nesting(void **state)
{
    (void)state;
    assert_int_equal(read_bytes(nested_quotes(5)), WAGW_OK);
    assert_int_equal(read_bytes(nested_quotes(20)), WAGW_OK);
    assert_int_equal(read_bytes(nested_quotes(22)), WAGW_LIMIT);
    assert_int_equal(read_bytes(nested_quotes(10000)), WAGW_LIMIT);
}

static void test_wrappers(void **state)
{
    static const uint32_t numbers[] = {40, 37, 55, 58, 40, 37, 55, 40};
    wagw_content_t c;
    wagw_buf_t m = {0}, fp = {0};

    (void)state;
    put_bytes(&m, 1, WAGW_STR("inside"));

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        put_bytes(&fp, 1, wagw_buf_view(&m));
        wagw_buf_reset(&m);
        put_bytes(&m, numbers[i], wagw_buf_view(&fp));
        wagw_buf_reset(&fp);

        assert_int_equal(wagw_message_read(&c, &arena, wagw_buf_view(&m)), WAGW_OK);
        if (i < 6) {
            assert_string_equal(c.type, "text");
            assert_true(wagw_str_is(c.body, "inside"));
        } else {
            assert_string_equal(c.type, "unknown");
            assert_int_equal(c.is, WAGW_IS_CONTENT);
        }
    }
    wagw_buf_free(&m);
    wagw_buf_free(&fp);
}

static void test_ephemeral_view_once(void **state)
{
    wagw_content_t c;

    (void)state;
    assert_int_equal(
        wagw_message_read(&c, &arena,
                          from_json("{\"ephemeralMessage\":{\"message\":{\"viewOnceMessageV2\":{\"message\":{"
                                    "\"imageMessage\":{\"mimetype\":\"image/jpeg\",\"fileLength\":\"5\"}}}}}}")),
        WAGW_OK);
    assert_string_equal(c.type, "image");
    assert_int_equal(c.flags, WAGW_ROW_EPHEMERAL | WAGW_ROW_VIEW_ONCE);
    assert_true(wagw_str_is(c.media,
                            "{\"mimetype\":\"image/jpeg\",\"size\":5,\"fileName\":null,\"duration\":null,\"width\":"
                            "null,\"height\":null,\"sha256\":null}"));
}

static void test_wrong_bytes(void **state)
{
    static const struct {
        const char *why;
        uint8_t p[12];
        size_t n;
        int rc;
    } rows[] = {
        {"length beyond the end", {0x0a, 0x05, 'a'}, 3, WAGW_MALFORMED},
        {"tag without value", {0x0a}, 1, WAGW_MALFORMED},
        {"field number 0", {0x02, 0x00}, 2, WAGW_MALFORMED},
        {"group", {0x0b, 0x0c}, 2, WAGW_MALFORMED},
        {"wire type 7", {0x0f, 0x00}, 2, WAGW_MALFORMED},
        {"text as a varint", {0x08, 0x01}, 2, WAGW_MALFORMED},
        {"endless varint",
         {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
         12,
         WAGW_MALFORMED},
        {"length of 64 bits", {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 11, WAGW_MALFORMED},
        {"sub-message cut short", {0x32, 0x03, 0x0a, 0x05, 'a'}, 5, WAGW_MALFORMED},
        {"empty", {0}, 0, WAGW_OK},
    };
    wagw_content_t c;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = read_bytes(wagw_str(rows[i].p, rows[i].n));

        if (rc != rows[i].rc) {
            print_error("%s: %s\n", rows[i].why, wagw_rc_name(rc));
            fail();
        }
    }
    assert_int_equal(wagw_message_read(&c, &arena, WAGW_STR_NULL), WAGW_OK);
    assert_int_equal(c.is, WAGW_IS_NOTHING);
}

/* Every prefix of a rich message ends in an answer, never in a crash. */
static void test_truncated(void **state)
{
    cJSON *json = vec_load("messages");
    const cJSON *row;

    (void)state;
    if (json == NULL) {
        skip();
    }
    cJSON_ArrayForEach(row, vec_get(json, "entries"))
    {
        wagw_str_t bytes = vec_bytes(&arena, row, "encoded");

        for (size_t n = 0; n < bytes.n; n++) {
            uint8_t *exact = malloc(n + 1); /* so that a read beyond n is seen */
            int rc;

            memcpy(exact, bytes.p, n);
            exact[n] = 0xff;
            rc = read_bytes(wagw_str(exact, n));
            assert_true(rc == WAGW_OK || rc == WAGW_MALFORMED);
            free(exact);
        }
        wagw_arena_reset(&arena);
    }
    cJSON_Delete(json);
}

static void test_sizes(void **state)
{
    wagw_buf_t m = {0}, text = {0};
    wagw_str_t big;

    (void)state;
    assert_int_equal(wagw_buf_reserve(&text, 1 << 20), WAGW_OK);
    memset(text.p, 'a', 1 << 20);

    text.n = (1 << 20) - 100;
    put_bytes(&m, 1, wagw_buf_view(&text));
    assert_int_equal(read_bytes(wagw_buf_view(&m)), WAGW_OK);
    wagw_buf_reset(&m);

    text.n = 1 << 20;
    put_bytes(&m, 1, wagw_buf_view(&text));
    assert_int_equal(read_bytes(wagw_buf_view(&m)), WAGW_LIMIT);
    wagw_buf_reset(&m);

    /* two bytes each: many fields, and sub-messages that cost a lot each */
    for (unsigned i = 0; i < 70000; i++) {
        put_bytes(&m, 2, WAGW_STR_NULL);
    }
    assert_int_equal(read_bytes(wagw_buf_view(&m)), WAGW_LIMIT);
    wagw_buf_reset(&m);

    for (unsigned i = 0; i < 60000; i++) {
        put_bytes(&m, 2, WAGW_STR_NULL); /* contactsArrayMessage.contacts */
    }
    big = take(&m);
    put_bytes(&m, 13, big);
    arena.used = 0;
    assert_int_equal(read_bytes(wagw_buf_view(&m)), WAGW_LIMIT);
    assert_true(arena.used < 8u << 20);

    wagw_buf_free(&m);
    wagw_buf_free(&text);
}

static void test_device_sent(void **state)
{
    wagw_buf_t b = {0};
    wagw_content_t c;
    wagw_str_t inner =
        from_json("{\"extendedTextMessage\":{\"text\":\"own\"},\"messageContextInfo\":{\"messageSecret\":"
                  "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}}");

    (void)state;
    assert_int_equal(wagw_message_dsm(&b, inner, WAGW_STR(CHAT)), WAGW_OK);
    assert_int_equal(wagw_message_read(&c, &arena, wagw_buf_view(&b)), WAGW_OK);
    assert_true(wagw_str_is(c.dsm_to, CHAT));
    assert_true(wagw_str_eq(c.content, inner));
    assert_true(wagw_str_is(c.body, "own"));
    assert_int_equal(c.secret.n, 32);
    wagw_buf_reset(&b);

    /* the context info of the outside is carried over when the inside has none */
    assert_int_equal(wagw_message_read(&c, &arena,
                                       from_json("{\"deviceSentMessage\":{\"destinationJid\":\"" CHAT
                                                 "\",\"message\":{\"conversation\":\"x\"}},\"messageContextInfo\":{"
                                                 "\"deviceListMetadataVersion\":2}}")),
                     WAGW_OK);
    assert_json(c.content, "{\"conversation\":\"x\",\"messageContextInfo\":{\"deviceListMetadataVersion\":2}}");

    /* without a destination it would look like anybody's message */
    assert_int_equal(read_bytes(from_json("{\"deviceSentMessage\":{\"message\":{\"conversation\":\"x\"}}}")),
                     WAGW_MALFORMED);
    assert_int_equal(read_bytes(from_json("{\"deviceSentMessage\":{\"destinationJid\":\"" CHAT "\"}}")),
                     WAGW_MALFORMED);
    wagw_buf_free(&b);
}

static void test_sender_key(void **state)
{
    wagw_buf_t b = {0};
    wagw_content_t c;
    wagw_str_t text = from_json("{\"conversation\":\"hi\",\"messageContextInfo\":{\"deviceListMetadataVersion\":2}}");

    (void)state;
    assert_int_equal(wagw_message_add_skdm(&b, text, WAGW_STR(GROUP), WAGW_STR("key")), WAGW_OK);
    assert_int_equal(wagw_message_read(&c, &arena, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(c.is, WAGW_IS_CONTENT);
    assert_true(wagw_str_is(c.skdm_group, GROUP));
    assert_true(wagw_str_is(c.skdm, "key"));
    assert_true(wagw_str_eq(c.content, text));
    wagw_buf_reset(&b);

    assert_int_equal(wagw_message_add_skdm(&b, WAGW_STR_NULL, WAGW_STR(GROUP), WAGW_STR("key")), WAGW_OK);
    assert_int_equal(wagw_message_read(&c, &arena, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(c.is, WAGW_IS_NOTHING);
    assert_true(wagw_str_is(c.skdm, "key"));
    assert_int_equal(c.content.n, 0);
    wagw_buf_free(&b);
}

static void test_unknown_kind(void **state)
{
    wagw_buf_t b = {0};
    wagw_content_t c;

    (void)state;
    put_bytes(&b, 900, WAGW_STR("\x0a\x01x"));
    assert_int_equal(wagw_message_read(&c, &arena, wagw_buf_view(&b)), WAGW_OK);
    assert_int_equal(c.is, WAGW_IS_CONTENT);
    assert_string_equal(c.type, "unknown");
    assert_true(wagw_str_is(c.raw, "{\"unknown\":{\"field\":900,\"message\":\"ojgDCgF4\"}}"));
    wagw_buf_free(&b);
}

/* One send; the row and the params are the caller's. */
static wagw_build_t call(wagw_build_kind_t kind, const cJSON *params, const wagw_row_message_t *target,
                         const char *author)
{
    wagw_build_t b;

    memset(&b, 0, sizeof(b));
    b.kind = kind;
    b.params = params;
    b.chat = jid(author && strcmp(author, CHAT) ? GROUP : CHAT);
    b.self = jid(SELF);
    b.now_ms = 1767225600000;
    b.target = target;
    if (author) {
        b.target_author = jid(author);
    }
    return b;
}

static wagw_row_message_t stored(const char *id, bool from_me, wagw_str_t content)
{
    wagw_row_message_t r;

    memset(&r, 0, sizeof(r));
    r.id = wagw_cstr(id);
    r.from_me = from_me;
    r.content = content;
    return r;
}

static void test_forward(void **state)
{
    wagw_buf_t image = {0}, b = {0};
    wagw_row_message_t row;
    wagw_build_t how;
    wagw_built_t out;
    const char *field;

    (void)state;
    wagw_buf_str(&image, from_json("{\"imageMessage\":{\"url\":\"u\",\"directPath\":\"/d\",\"mediaKey\":\"AAEC\","
                                   "\"contextInfo\":{\"stanzaId\":\"Q\",\"forwardingScore\":4}}}"));
    /* a field of the image, and one of the message, that no schema knows;
     * beside them a revoke, which must not travel along */
    b = image;
    memset(&image, 0, sizeof(image));
    wagw_buf_add(&image, b.p + 2, b.n - 2);
    assert_int_equal(b.p[1], image.n); /* a one-byte length */
    put_bytes(&image, 999, WAGW_STR("inner"));
    wagw_buf_reset(&b);
    put_bytes(&b, 3, wagw_buf_view(&image));
    wagw_buf_str(&b, from_json("{\"protocolMessage\":{\"type\":\"REVOKE\",\"key\":{\"id\":\"V\"}}}"));
    put_bytes(&b, 900, WAGW_STR("outer"));

    row = stored("3EB0", false, wagw_buf_view(&b));
    how = call(WAGW_BUILD_FORWARD, NULL, &row, NULL);
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_json(out.bytes, "{\"imageMessage\":{\"url\":\"u\",\"directPath\":\"/d\",\"mediaKey\":\"AAEC\","
                           "\"contextInfo\":{\"forwardingScore\":5,\"isForwarded\":true}}}");
    assert_non_null(memmem(out.bytes.p, out.bytes.n, "\xba\x3e\x05inner", 8));
    assert_non_null(memmem(out.bytes.p, out.bytes.n, "\xa2\x38\x05outer", 8));
    assert_null(out.edit);
    assert_string_equal(out.stanza_type, "media");
    assert_string_equal(out.mediatype, "image");
    assert_int_equal(out.flags, WAGW_ROW_FORWARDED);
    assert_true(out.media.n > 0);

    /* again, with what came out: the unknown fields are still there */
    row.content = out.bytes;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_non_null(memmem(out.bytes.p, out.bytes.n, "\xba\x3e\x05inner", 8));
    assert_non_null(memmem(out.bytes.p, out.bytes.n, "\xa2\x38\x05outer", 8));

    /* a kind newer than the schema goes as it came */
    wagw_buf_reset(&b);
    put_bytes(&b, 900, WAGW_STR("outer"));
    row.content = wagw_buf_view(&b);
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_true(wagw_str_eq(out.bytes, wagw_buf_view(&b)));

    wagw_buf_free(&b);
    wagw_buf_free(&image);
}

static void test_not_forwarded(void **state)
{
    static const char *const refused[] = {
        "{\"viewOnceMessageV2\":{\"message\":{\"imageMessage\":{\"url\":\"u\"}}}}",
        "{\"imageMessage\":{\"url\":\"u\",\"viewOnce\":true}}",
        "{\"protocolMessage\":{\"type\":\"REVOKE\",\"key\":{\"id\":\"V\"}}}",
        "{\"ephemeralMessage\":{\"message\":{\"protocolMessage\":{\"type\":\"REVOKE\",\"key\":{\"id\":\"V\"}}}}}",
        "{\"reactionMessage\":{\"text\":\"x\"}}",
        "{\"senderKeyDistributionMessage\":{\"groupId\":\"g\"}}",
        "{\"pollUpdateMessage\":{}}",
    };
    wagw_row_message_t row = {0};
    wagw_build_t how;
    wagw_built_t out;
    const char *field;

    (void)state;
    how = call(WAGW_BUILD_FORWARD, NULL, &row, NULL);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        row = stored("3EB0", false, from_json(refused[i]));
        assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_STATE);
    }

    row = stored("3EB0", false, from_json("{\"conversation\":\"x\"}"));
    row.flags = WAGW_ROW_REVOKED;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_STATE);

    how.target = NULL;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_MALFORMED);
    assert_string_equal(field, "messageId");
}

static void test_edit(void **state)
{
    wagw_row_message_t row = stored("3EB0ED17", true, from_json("{\"conversation\":\"old\"}"));
    cJSON *params = cJSON_Parse("{\"newText\":\"new\"}");
    wagw_build_t how = call(WAGW_BUILD_EDIT, params, &row, CHAT);
    wagw_built_t out;
    wagw_content_t c;
    const char *field;

    (void)state;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_json(out.bytes, "{\"editedMessage\":{\"message\":{\"protocolMessage\":{\"key\":{\"remoteJid\":\"" CHAT
                           "\",\"fromMe\":true,\"id\":\"3EB0ED17\"},\"type\":\"MESSAGE_EDIT\",\"editedMessage\":{"
                           "\"extendedTextMessage\":{\"text\":\"new\"}},\"timestampMs\":\"1767225600000\"}}}}");
    assert_string_equal(out.edit, "1");
    assert_string_equal(out.stanza_type, "text");
    assert_null(out.mediatype);
    assert_true(out.hidden && out.hide_fail);
    assert_true(wagw_str_is(out.body, "new"));

    assert_int_equal(wagw_message_read(&c, &arena, out.bytes), WAGW_OK);
    assert_int_equal(c.is, WAGW_IS_EDIT);
    assert_true(wagw_str_is(c.key.id, "3EB0ED17"));
    assert_true(wagw_str_is(c.edited_body, "new"));
    assert_json(c.edited, "{\"extendedTextMessage\":{\"text\":\"new\"}}");
    assert_int_equal(c.target_ms, 1767225600000);

    /* a caption changes in the same media */
    row.content =
        from_json("{\"imageMessage\":{\"url\":\"u\",\"caption\":\"old\",\"contextInfo\":{\"stanzaId\":\"Q\"}}}");
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_int_equal(wagw_message_read(&c, &arena, out.bytes), WAGW_OK);
    assert_json(c.edited, "{\"imageMessage\":{\"url\":\"u\",\"caption\":\"new\"}}");

    row.content = from_json("{\"stickerMessage\":{\"url\":\"u\"}}");
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_STATE);
    row.content = from_json("{\"locationMessage\":{\"name\":\"u\"}}");
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_STATE);
    row = stored("3EB0ED17", false, from_json("{\"conversation\":\"not mine\"}"));
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_STATE);

    cJSON_DeleteItemFromObject(params, "newText");
    row.from_me = true;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_MALFORMED);
    assert_string_equal(field, "newText");
    cJSON_Delete(params);
}

static void test_revoke_and_reaction(void **state)
{
    wagw_row_message_t row = stored("3EB0DEAD", true, WAGW_STR_NULL);
    cJSON *params = cJSON_Parse("{\"emoji\":\"\"}");
    wagw_build_t how = call(WAGW_BUILD_REVOKE, params, &row, SELF);
    wagw_built_t out;
    const char *field;

    (void)state;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_json(out.bytes, "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"" GROUP
                           "\",\"fromMe\":true,\"id\":\"3EB0DEAD\"},\"type\":\"REVOKE\"}}");
    assert_string_equal(out.edit, "7");
    assert_true(out.hidden && out.hide_fail);

    /* as group admin: the author is named */
    row.from_me = false;
    how.target_author = jid("200518253925724@lid");
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_json(out.bytes,
                "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"" GROUP "\",\"fromMe\":false,\"id\":\"3EB0DEAD\","
                "\"participant\":\"200518253925724@lid\"},\"type\":\"REVOKE\"}}");
    assert_string_equal(out.edit, "8");

    /* a removed reaction has its text, empty */
    how.kind = WAGW_BUILD_REACTION;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_non_null(memmem(out.bytes.p, out.bytes.n, "\x12\x00", 2));
    assert_string_equal(out.edit, "7");
    assert_string_equal(out.stanza_type, "reaction");

    memset(&how.target_author, 0, sizeof(how.target_author));
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_MALFORMED);
    assert_string_equal(field, "participant");

    /* not stored: the caller says what it is */
    cJSON_Delete(params);
    how.params = params = cJSON_Parse("{\"emoji\":\"x\",\"messageId\":\"3EB0FFFF\",\"fromMe\":true}");
    how.target = NULL;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_null(out.edit);
    assert_true(out.hide_fail);
    cJSON_Delete(params);
}

static void test_text(void **state)
{
    wagw_jid_t mentions[1] = {jid("200942970336720@lid")};
    cJSON *params = cJSON_Parse("{\"message\":\"@49170123 and @491701234, hi\",\"mentions\":[\"+49 170 123\"]}");
    wagw_build_t how = call(WAGW_BUILD_TEXT, params, NULL, NULL);
    wagw_built_t out;
    const char *field;

    (void)state;
    how.mentions = mentions;
    how.nmentions = 1;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    /* written as the name that clients look for, whole numbers only */
    assert_true(wagw_str_is(out.body, "@200942970336720 and @491701234, hi"));
    assert_true(wagw_str_is(out.mentions, "[\"200942970336720@lid\"]"));
    assert_string_equal(out.type, "text");
    cJSON_Delete(params);

    /* a quote of a message that is not stored */
    how = call(WAGW_BUILD_TEXT, NULL, NULL, NULL);
    how.params = params = cJSON_Parse("{\"text\":\"re\",\"quoted\":{\"id\":\"3EB0AA\",\"text\":\"was\"}}");
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_true(
        wagw_str_is(out.quoted, "{\"id\":\"3EB0AA\",\"participant\":\"" CHAT "\",\"text\":\"was\",\"type\":\"text\"}"));
    how.chat = jid(GROUP);
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_MALFORMED);
    assert_string_equal(field, "quoted.participant");
    cJSON_Delete(params);

    how.params = params = cJSON_Parse("{\"text\":\"\"}");
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_MALFORMED);
    assert_string_equal(field, "message");
    cJSON_Delete(params);
}

/* A quote takes the content only: no quote inside, no key, no revoke. */
static void test_quote_is_flat(void **state)
{
    wagw_row_message_t quoted = stored(
        "3EB0AA", false,
        from_json("{\"extendedTextMessage\":{\"text\":\"a\",\"contextInfo\":{\"stanzaId\":\"Q\",\"quotedMessage\":{"
                  "\"conversation\":\"deeper\"}}},\"protocolMessage\":{\"type\":\"REVOKE\"},"
                  "\"messageContextInfo\":{\"deviceListMetadataVersion\":2}}"));
    cJSON *params = cJSON_Parse("{\"text\":\"re\"}");
    wagw_build_t how = call(WAGW_BUILD_TEXT, params, NULL, NULL);
    wagw_built_t out;
    const char *field;

    (void)state;
    how.quoted = &quoted;
    how.expiration = 86400;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_json(out.bytes, "{\"extendedTextMessage\":{\"text\":\"re\",\"contextInfo\":{\"stanzaId\":\"3EB0AA\","
                           "\"participant\":\"" CHAT "\",\"quotedMessage\":{\"extendedTextMessage\":{\"text\":\"a\"}},"
                           "\"expiration\":86400}}}");
    assert_int_equal(out.flags, WAGW_ROW_EPHEMERAL);
    cJSON_Delete(params);
}

static void test_json_refuses(void **state)
{
    static const struct {
        const char *json;
        const char *field;
    } rows[] = {
        {"{\"nosuch\":1}", "nosuch"},
        {"{\"conversation\":1}", "conversation"},
        {"{\"imageMessage\":\"x\"}", "imageMessage"},
        {"{\"imageMessage\":{\"height\":-1}}", "height"},
        {"{\"imageMessage\":{\"height\":4294967296}}", "height"},
        {"{\"imageMessage\":{\"height\":1.5}}", "height"},
        {"{\"imageMessage\":{\"fileLength\":\"12x\"}}", "fileLength"},
        {"{\"imageMessage\":{\"mediaKey\":\"***\"}}", "mediaKey"},
        {"{\"imageMessage\":{\"mediaKey\":{\"$hex\":\"0g\"}}}", "mediaKey"},
        {"{\"protocolMessage\":{\"type\":\"NOSUCH\"}}", "type"},
        {"{\"pollCreationMessage\":{\"options\":{}}}", "options"},
        {"{\"buttonsMessage\":{\"text\":\"a\",\"imageMessage\":{}}}", "imageMessage"},
    };
    wagw_buf_t b = {0};
    const char *field;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cJSON *json = cJSON_Parse(rows[i].json);

        assert_non_null(json);
        assert_int_equal(wagw_message_from_json(&b, json, &field), WAGW_MALFORMED);
        assert_string_equal(field, rows[i].field);
        assert_int_equal(b.n, 0);
        cJSON_Delete(json);
    }
    assert_int_equal(wagw_message_from_json(&b, NULL, &field), WAGW_MALFORMED);
    wagw_buf_free(&b);
}

static void test_build_refuses(void **state)
{
    static const struct {
        wagw_build_kind_t kind;
        const char *json;
        const char *field;
    } rows[] = {
        {WAGW_BUILD_LOCATION, "{\"latitude\":91,\"longitude\":0}", "latitude"},
        {WAGW_BUILD_LOCATION, "{\"latitude\":0}", "longitude"},
        {WAGW_BUILD_LOCATION, "{\"latitude\":\"1\",\"longitude\":0}", "latitude"},
        {WAGW_BUILD_CONTACT, "{}", "contactName"},
        {WAGW_BUILD_CONTACT, "{\"contactName\":\"A\",\"contactNumber\":\"12\"}", "contactNumber"},
        {WAGW_BUILD_CONTACT, "{\"contacts\":[]}", "contacts"},
        {WAGW_BUILD_CONTACT, "{\"contacts\":[{\"displayName\":\"A\"}]}", "contacts"},
        {WAGW_BUILD_POLL, "{\"options\":[\"a\",\"b\"]}", "question"},
        {WAGW_BUILD_POLL, "{\"question\":\"q\",\"options\":[\"a\"]}", "options"},
        {WAGW_BUILD_POLL, "{\"question\":\"q\",\"options\":[\"a\",\"a\"]}", "options"},
        {WAGW_BUILD_POLL, "{\"question\":\"q\",\"options\":[\"a\",\"b\"],\"selectableCount\":3}", "selectableCount"},
        {WAGW_BUILD_EVENT, "{\"name\":\"n\"}", "startTime"},
        {WAGW_BUILD_EVENT, "{\"name\":\"n\",\"startTime\":\"soon\"}", "startTime"},
        {WAGW_BUILD_EVENT, "{\"name\":\"n\",\"startTime\":1800000000,\"endTime\":1700000000}", "endTime"},
        {WAGW_BUILD_LIST, "{\"title\":\"t\",\"sections\":[]}", "buttonText"},
        {WAGW_BUILD_LIST, "{\"title\":\"t\",\"buttonText\":\"b\",\"sections\":[{\"rows\":[]}]}", "sections"},
        {WAGW_BUILD_BUTTONS, "{\"text\":\"t\"}", "buttons"},
        {WAGW_BUILD_BUTTONS, "{\"text\":\"t\",\"buttons\":[{\"type\":\"url\",\"text\":\"x\"}]}", "buttons"},
        {WAGW_BUILD_GROUP_INVITE, "{\"groupId\":\"49170123456\",\"code\":\"c\"}", "groupId"},
        {WAGW_BUILD_LINK_PREVIEW, "{\"url\":\"javascript:1\"}", "url"},
        {WAGW_BUILD_DISAPPEARING, "{}", "duration"},
        {WAGW_BUILD_RAW, "{\"message\":{\"nosuch\":{}}}", "message.nosuch"},
    };
    wagw_built_t out;
    const char *field;
    uint8_t secret[32] = {1};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cJSON *json = cJSON_Parse(rows[i].json);
        wagw_build_t how = call(rows[i].kind, json, NULL, NULL);

        assert_non_null(json);
        how.secret = secret;
        assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_MALFORMED);
        assert_non_null(field);
        assert_string_equal(field, rows[i].field);
        cJSON_Delete(json);
    }
}

static void test_choices(void **state)
{
    cJSON *params =
        cJSON_Parse("{\"text\":\"Pick\",\"footer\":\"f\",\"buttons\":[{\"buttonId\":\"y\",\"buttonText\":\"Yes\"},"
                    "{\"type\":\"url\",\"text\":\"Go\",\"url\":\"https://a.example\"}]}");
    wagw_build_t how = call(WAGW_BUILD_BUTTONS, params, NULL, NULL);
    wagw_built_t out;
    const char *field;

    (void)state;
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_string_equal(out.type, "buttons");
    assert_string_equal(out.biz, "mixed");
    assert_true(wagw_str_is(out.body, "Pick"));
    assert_json(
        out.bytes,
        "{\"messageContextInfo\":{\"deviceListMetadata\":{},\"deviceListMetadataVersion\":2},"
        "\"interactiveMessage\":{\"header\":{\"title\":\"\",\"hasMediaAttachment\":false},\"body\":{\"text\":\"Pick\"},"
        "\"footer\":{\"text\":\"f\"},\"nativeFlowMessage\":{\"buttons\":[{\"name\":\"quick_reply\","
        "\"buttonParamsJson\":\"{\\\"display_text\\\":\\\"Yes\\\",\\\"id\\\":\\\"y\\\"}\"},{\"name\":\"cta_url\","
        "\"buttonParamsJson\":\"{\\\"display_text\\\":\\\"Go\\\",\\\"url\\\":\\\"https://a.example\\\","
        "\\\"merchant_url\\\":\\\"https://a.example\\\"}\"}],\"messageVersion\":1}}}");
    cJSON_Delete(params);

    how.kind = WAGW_BUILD_LIST;
    how.params = params =
        cJSON_Parse("{\"title\":\"T\",\"buttonText\":\"Open\",\"sections\":[{\"title\":\"S\",\"rows\":["
                    "{\"title\":\"R\",\"rowId\":\"r1\"}]}]}");
    assert_int_equal(wagw_message_build(&out, &arena, &how, &field), WAGW_OK);
    assert_string_equal(out.type, "list");
    assert_true(wagw_str_is(out.body, "T"));
    cJSON_Delete(params);
}

/* The members that no column of a row holds. */
static void test_details(void **state)
{
    static const struct {
        const char *message;
        const char *raw;
    } rows[] = {
        {"{\"extendedTextMessage\":{\"text\":\"x\",\"contextInfo\":{\"externalAdReply\":{\"title\":\"T\",\"sourceUrl\":"
         "\"u\","
         "\"ctwaClid\":\"c\"},\"groupMentions\":[{\"groupJid\":\"1@g.us\",\"groupSubject\":\"S\"}]}}}",
         "{\"ad\":{\"title\":\"T\",\"url\":\"u\",\"clickId\":\"c\"},\"groupMentions\":[{\"groupId\":\"1@g.us\","
         "\"name\":\"S\"}]}"},
        {"{\"imageMessage\":{\"contextInfo\":{\"forwardedNewsletterMessageInfo\":{\"newsletterJid\":\"1@newsletter\","
         "\"serverMessageId\":7}}}}",
         "{\"forwardedFrom\":{\"channelId\":\"1@newsletter\",\"serverId\":7}}"},
        {"{\"interactiveMessage\":{\"body\":{\"text\":\"B\"},\"nativeFlowMessage\":{\"buttons\":[{\"name\":\"cta_"
         "copy\","
         "\"buttonParamsJson\":\"{\\\"display_text\\\":\\\"C\\\",\\\"copy_code\\\":\\\"1\\\"}\"},{\"name\":\"other\","
         "\"buttonParamsJson\":\"{bad\"}]}}}",
         "{\"buttons\":{\"text\":\"B\",\"buttons\":[{\"type\":\"copy\",\"text\":\"C\",\"code\":\"1\"},{\"type\":"
         "\"other\","
         "\"params\":\"{bad\"}]}}"},
        {"{\"interactiveMessage\":{\"body\":{\"text\":\"B\"},\"nativeFlowMessage\":{\"buttons\":[{\"name\":\"single_"
         "select\","
         "\"buttonParamsJson\":\"{\\\"title\\\":\\\"Open\\\",\\\"sections\\\":[{\\\"rows\\\":[]}]}\"}]}}}",
         "{\"list\":{\"text\":\"B\",\"buttonText\":\"Open\",\"sections\":[{\"rows\":[]}]}}"},
        {"{\"contactMessage\":{\"displayName\":\"A\",\"vcard\":\"item1.TEL;waid=49170:+49 170\\nTEL:+1 (555) 01-00\\n"
         "X-TELEX:9\"}}",
         "{\"contacts\":[{\"displayName\":\"A\",\"vcard\":\"item1.TEL;waid=49170:+49 170\\nTEL:+1 (555) "
         "01-00\\nX-TELEX:9\","
         "\"phones\":[\"49170\",\"15550100\"]}]}"},
        {"{\"pollCreationMessageV5\":{\"name\":\"Q\",\"options\":[{\"optionName\":\"a\"}],\"pollType\":\"QUIZ\","
         "\"correctAnswer\":{\"optionName\":\"a\"}}}",
         "{\"poll\":{\"name\":\"Q\",\"options\":[\"a\"],\"selectableCount\":0,\"correctAnswer\":\"a\"}}"},
        {"{\"eventMessage\":{\"name\":\"E\",\"startTime\":\"9223372036854775807\",\"endTime\":\"1767225600\"}}",
         "{\"event\":{\"name\":\"E\",\"cancelled\":false,\"endTime\":\"2026-01-01T00:00:00.000Z\","
         "\"extraGuestsAllowed\":false}}"},
    };
    wagw_content_t c;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(wagw_message_read(&c, &arena, from_json(rows[i].message)), WAGW_OK);
        assert_non_null(c.raw.p);
        assert_string_equal((const char *)c.raw.p, rows[i].raw);
    }
}

static void test_object(void **state)
{
    wagw_row_message_t r;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    cJSON *o;

    (void)state;
    memset(&r, 0, sizeof(r));
    r.chat = WAGW_STR("120363000000000001@g.us");
    r.id = WAGW_STR("3EB0/1");
    r.sender = WAGW_STR("49170123456@s.whatsapp.net");
    r.sender_alt = WAGW_STR("200942970336720@lid");
    r.status = WAGW_MSG_RECEIVED;
    r.flags = WAGW_ROW_EDITED;
    r.t_ms = 1767225600000;
    r.created_ms = 1767225601000;
    r.type = WAGW_STR("image");
    r.media = WAGW_STR("{\"size\":5}");
    r.quoted = WAGW_STR("{\"id\":\"Q\"}");
    r.push_name = WAGW_STR("B\xff");

    wagw_json_open(&j, '{');
    wagw_message_members(&j, &r, WAGW_STR("inst"), WAGW_STR_NULL);
    wagw_json_close(&j);
    wagw_buf_u8(&b, 0);
    assert_false(b.failed);
    assert_true(wagw_utf8_valid(wagw_str(b.p, b.n - 1)));
    o = cJSON_Parse((char *)b.p);
    assert_non_null(o);
    assert_string_equal(vec_str(o, "messageId"), "3EB0/1");
    assert_string_equal(vec_str(o, "from"), "49170123456@s.whatsapp.net");
    assert_true(cJSON_IsNull(vec_get(o, "to")));
    assert_string_equal(vec_str(o, "participant"), "49170123456@s.whatsapp.net");
    assert_string_equal(vec_str(o, "fromLid"), "200942970336720@lid");
    assert_string_equal(vec_str(o, "fromPhone"), "49170123456");
    assert_string_equal(vec_str(o, "mediaUrl"), "/api/message/inst/3EB0%2F1/media");
    assert_int_equal(vec_int(vec_get(o, "media"), "size", 0), 5);
    assert_string_equal(vec_str(vec_get(o, "quoted"), "id"), "Q");
    assert_string_equal(vec_str(o, "timestamp"), "2026-01-01T00:00:00.000Z");
    assert_string_equal(vec_str(o, "status"), "received");
    assert_true(vec_bool(o, "isEdited") && vec_bool(o, "isGroup"));
    assert_false(vec_bool(o, "fromMe") || vec_bool(o, "isForwarded") || vec_bool(o, "isEphemeral"));
    cJSON_Delete(o);

    /* what the content alone knows; an own message with the own jid given */
    memset(&r, 0, sizeof(r));
    r.chat = WAGW_STR("49170123456@s.whatsapp.net");
    r.id = WAGW_STR("3EB0");
    r.from_me = true;
    r.type = WAGW_STR("location");
    r.content = from_json("{\"locationMessage\":{\"degreesLatitude\":-0.000001,\"degreesLongitude\":179.999999}}");
    wagw_buf_reset(&b);
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_message_members(&j, &r, WAGW_STR("inst"), WAGW_STR(SELF));
    wagw_json_close(&j);
    wagw_buf_u8(&b, 0);
    o = cJSON_Parse((char *)b.p);
    assert_non_null(o);
    assert_string_equal(vec_str(o, "from"), SELF);
    assert_string_equal(vec_str(o, "to"), "49170123456@s.whatsapp.net");
    assert_true(vec_get(vec_get(o, "location"), "latitude")->valuedouble == -0.000001);
    assert_true(vec_get(vec_get(o, "location"), "longitude")->valuedouble == 179.999999);
    cJSON_Delete(o);
    wagw_buf_free(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nesting),      TEST(test_wrappers),      TEST(test_ephemeral_view_once),
        TEST(test_wrong_bytes),  TEST(test_truncated),     TEST(test_sizes),
        TEST(test_device_sent),  TEST(test_sender_key),    TEST(test_unknown_kind),
        TEST(test_forward),      TEST(test_not_forwarded), TEST(test_edit),
        TEST(test_text),         TEST(test_quote_is_flat), TEST(test_revoke_and_reaction),
        TEST(test_json_refuses), TEST(test_build_refuses), TEST(test_choices),
        TEST(test_details),      TEST(test_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
