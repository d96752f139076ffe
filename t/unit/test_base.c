#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "vectors.h"

#define assert_str(s, text)                                                                                            \
    do {                                                                                                               \
        wagw_str_t s_ = (s);                                                                                           \
        assert_int_equal(s_.n, strlen(text));                                                                          \
        assert_memory_equal(s_.p, text, s_.n);                                                                         \
    } while (0)

static void test_rc_names(void **state)
{
    int rc, other;

    (void)state;
    for (rc = WAGW_OK; rc >= WAGW_IO; rc--) {
        assert_string_not_equal(wagw_rc_name(rc), "unknown");
        for (other = WAGW_OK; other > rc; other--) {
            assert_string_not_equal(wagw_rc_name(rc), wagw_rc_name(other));
        }
    }
    assert_string_equal(wagw_rc_name(1), "unknown");
    assert_string_equal(wagw_rc_name(-1000), "unknown");
}

static void test_numbers(void **state)
{
    static const char *const bad[] = {
        "", "-", "+1", " 1", "1 ", "1a", "0x1", "18446744073709551616", "99999999999999999999999",
    };
    char text[21];
    size_t i;
    uint64_t u;
    int64_t v;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(wagw_str_u64(wagw_cstr(bad[i]), &u), WAGW_MALFORMED);
        assert_int_equal(wagw_str_i64(wagw_cstr(bad[i]), &v), WAGW_MALFORMED);
    }
    assert_int_equal(wagw_str_u64(WAGW_STR("-1"), &u), WAGW_MALFORMED);
    assert_int_equal(wagw_str_u64(WAGW_STR("18446744073709551615"), &u), WAGW_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(wagw_u64_text(UINT64_MAX, text), 20);
    assert_string_equal(text, "18446744073709551615");
    assert_int_equal(wagw_u64_text(0, text), 1);
    assert_string_equal(text, "0");
    assert_int_equal(wagw_str_u64(WAGW_STR("007"), &u), WAGW_OK);
    assert_int_equal(u, 7);

    assert_int_equal(wagw_str_i64(WAGW_STR("9223372036854775807"), &v), WAGW_OK);
    assert_true(v == INT64_MAX);
    assert_int_equal(wagw_str_i64(WAGW_STR("9223372036854775808"), &v), WAGW_MALFORMED);
    assert_int_equal(wagw_str_i64(WAGW_STR("-9223372036854775808"), &v), WAGW_OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(wagw_str_i64(WAGW_STR("-9223372036854775809"), &v), WAGW_MALFORMED);
    assert_int_equal(wagw_str_i64(WAGW_STR("-0"), &v), WAGW_OK);
    assert_int_equal(v, 0);
}

static void test_strings(void **state)
{
    char *copy;

    (void)state;
    assert_true(wagw_str_starts(WAGW_STR("abc"), WAGW_STR("ab")));
    assert_true(wagw_str_starts(WAGW_STR("abc"), WAGW_STR_NULL));
    assert_false(wagw_str_starts(WAGW_STR("ab"), WAGW_STR("abc")));
    assert_true(wagw_str_ends(WAGW_STR("abc"), WAGW_STR("bc")));
    assert_false(wagw_str_ends(WAGW_STR("abc"), WAGW_STR("ab")));
    assert_false(wagw_str_ends(WAGW_STR_NULL, WAGW_STR("a")));

    copy = wagw_str_dup(WAGW_STR("abc"));
    assert_string_equal(copy, "abc");
    free(copy);
    copy = wagw_str_dup(WAGW_STR_NULL);
    assert_string_equal(copy, "");
    free(copy);
    assert_null(wagw_str_dup(WAGW_STR("a\0b")));

    assert_true(wagw_ct_equal("abc", "abc", 3));
    assert_false(wagw_ct_equal("abc", "abd", 3));
    assert_false(wagw_ct_equal("abc", "bbc", 3));
    assert_true(wagw_ct_equal("a", "b", 0));
}

static void test_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc3\xbc",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xe0\xa0\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xc2\x80"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3\x28",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "a\xfe",
                                      "\xf0\x9f\x98"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(wagw_utf8_valid(wagw_cstr(good[i])));
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(wagw_utf8_valid(wagw_cstr(bad[i])));
    }
}

static void test_buf(void **state)
{
    wagw_buf_t b = {0};
    size_t i;

    (void)state;
    assert_int_equal(wagw_buf_add(&b, NULL, 0), WAGW_OK);
    for (i = 0; i < 1000; i++) {
        assert_int_equal(wagw_buf_u8(&b, (uint8_t)i), WAGW_OK);
    }
    assert_int_equal(b.n, 1000);
    assert_int_equal(b.p[999], 999 & 255);
    wagw_buf_consume(&b, 990);
    assert_int_equal(b.n, 10);
    assert_int_equal(b.p[0], 990 & 255);
    wagw_buf_consume(&b, 11);
    assert_int_equal(b.n, 0);

    assert_int_equal(wagw_buf_be(&b, 0x010203, 3), WAGW_OK);
    assert_memory_equal(b.p, "\1\2\3", 3);
    assert_int_equal(wagw_buf_be(&b, UINT64_MAX, 8), WAGW_OK);
    assert_int_equal(b.n, 11);
    wagw_buf_reset(&b);
    assert_int_equal(wagw_buf_printf(&b, "%s-%d", "x", 7), WAGW_OK);
    assert_str(wagw_buf_view(&b), "x-7");
    assert_int_equal(wagw_buf_str(&b, WAGW_STR("y")), WAGW_OK);
    assert_int_equal(wagw_buf_cstr(&b, NULL), WAGW_OK);
    assert_str(wagw_buf_view(&b), "x-7y");
    wagw_buf_wipe(&b);
    assert_null(b.p);

    /* what cannot be had leaves the content alone and is remembered */
    wagw_buf_cstr(&b, "abc");
    assert_int_equal(wagw_buf_reserve(&b, SIZE_MAX - 1), WAGW_NOMEM);
    assert_true(b.failed);
    assert_int_equal(wagw_buf_cstr(&b, "d"), WAGW_NOMEM);
    assert_str(wagw_buf_view(&b), "abc");
    wagw_buf_free(&b);
    assert_int_equal(wagw_buf_be(&b, 1, 9), WAGW_ERROR);
    assert_true(b.failed);
    wagw_buf_free(&b);
}

static void test_arena(void **state)
{
    wagw_arena_t a = {0};
    size_t i;
    uint8_t *p, *last = NULL;

    (void)state;
    for (i = 0; i < 3000; i++) {
        p = wagw_arena_zalloc(&a, i % 97);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_ptr_not_equal(p, last);
        memset(p, 0xff, i % 97);
        last = p;
    }
    p = wagw_arena_zalloc(&a, 1u << 20);
    assert_int_equal(p[(1u << 20) - 1], 0);
    assert_true(a.used > 1u << 20);
    assert_str(wagw_arena_str(&a, WAGW_STR("abc")), "abc");
    assert_int_equal(wagw_arena_str(&a, WAGW_STR("abc")).p[3], 0);
    assert_str(wagw_arena_printf(&a, "%05d", 42), "00042");
    assert_null(wagw_arena_alloc(&a, SIZE_MAX));
    assert_null(wagw_arena_str(&a, wagw_str("x", SIZE_MAX)).p);

    wagw_arena_reset(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(a.head);
    assert_str(wagw_arena_str(&a, WAGW_STR("again")), "again");
    wagw_arena_free(&a);
    assert_null(a.head);

    /* a giant first piece is not kept */
    assert_non_null(wagw_arena_alloc(&a, 1u << 20));
    wagw_arena_reset(&a);
    assert_null(a.head);
}

static void test_hex(void **state)
{
    wagw_buf_t b = {0};
    uint8_t two[2];

    (void)state;
    assert_int_equal(wagw_hex_encode(&b, WAGW_STR("\x00\xff\x10\xab")), WAGW_OK);
    assert_str(wagw_buf_view(&b), "00ff10ab");
    wagw_buf_reset(&b);
    assert_int_equal(wagw_hex_decode(&b, WAGW_STR("00FF10aB")), WAGW_OK);
    assert_int_equal(b.n, 4);
    assert_memory_equal(b.p, "\x00\xff\x10\xab", 4);
    assert_int_equal(wagw_hex_decode(&b, WAGW_STR("abc")), WAGW_MALFORMED);
    assert_int_equal(wagw_hex_decode(&b, WAGW_STR("ag")), WAGW_MALFORMED);
    assert_int_equal(wagw_hex_decode(&b, WAGW_STR("0:")), WAGW_MALFORMED);
    assert_int_equal(b.n, 4);
    assert_int_equal(wagw_hex_decode(&b, WAGW_STR_NULL), WAGW_OK);
    assert_int_equal(wagw_hex_fixed(two, 2, WAGW_STR("0102")), WAGW_OK);
    assert_int_equal(two[1], 2);
    assert_int_equal(wagw_hex_fixed(two, 2, WAGW_STR("010203")), WAGW_MALFORMED);
    assert_int_equal(wagw_hex_fixed(two, 2, WAGW_STR("010")), WAGW_MALFORMED);
    assert_int_equal(wagw_hex_fixed(two, 2, WAGW_STR("01")), WAGW_MALFORMED);
    wagw_buf_free(&b);
}

static void test_base64(void **state)
{
    /* RFC 4648 section 10 */
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {
        "Z", "Zg=", "Zm9v=", "Zm9vY", "=", "==", "====", "Zg==Zg==", "Zm 9v", "Zm9v\n", "Z===", "Zm9*"};
    wagw_buf_t b = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        wagw_str_t unpadded = wagw_cstr(rows[i][1]);

        wagw_buf_reset(&b);
        assert_int_equal(wagw_base64_encode(&b, wagw_cstr(rows[i][0])), WAGW_OK);
        assert_str(wagw_buf_view(&b), rows[i][1]);
        wagw_buf_reset(&b);
        assert_int_equal(wagw_base64_decode(&b, wagw_cstr(rows[i][1])), WAGW_OK);
        assert_str(wagw_buf_view(&b), rows[i][0]);
        while (unpadded.n > 0 && unpadded.p[unpadded.n - 1] == '=') {
            unpadded.n--;
        }
        wagw_buf_reset(&b);
        assert_int_equal(wagw_base64_decode(&b, unpadded), WAGW_OK);
        assert_str(wagw_buf_view(&b), rows[i][0]);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wagw_buf_reset(&b);
        wagw_buf_u8(&b, 'x');
        assert_int_equal(wagw_base64_decode(&b, wagw_cstr(bad[i])), WAGW_MALFORMED);
        assert_str(wagw_buf_view(&b), "x");
    }
    wagw_buf_reset(&b);
    assert_int_equal(wagw_base64url_encode(&b, WAGW_STR("\xfb\xff\xfe\xff")), WAGW_OK);
    assert_str(wagw_buf_view(&b), "-__-_w");
    wagw_buf_reset(&b);
    assert_int_equal(wagw_base64_decode(&b, WAGW_STR("-__-_w")), WAGW_OK);
    assert_int_equal(wagw_base64_decode(&b, WAGW_STR("+//+/w==")), WAGW_OK);
    assert_int_equal(b.n, 8);
    assert_memory_equal(b.p, "\xfb\xff\xfe\xff\xfb\xff\xfe\xff", 8);
    wagw_buf_free(&b);
}

static void test_jid_parse(void **state)
{
    static const struct {
        const char *text, *user;
        int server, device;
        const char *out;
    } good[] = {
        {"491701234567@s.whatsapp.net", "491701234567", WAGW_SRV_USER, 0, "491701234567@s.whatsapp.net"},
        {"491701234567:12@s.whatsapp.net", "491701234567", WAGW_SRV_USER, 12, "491701234567:12@s.whatsapp.net"},
        {"491701234567:0@s.whatsapp.net", "491701234567", WAGW_SRV_USER, 0, "491701234567@s.whatsapp.net"},
        {"491701234567@c.us", "491701234567", WAGW_SRV_USER, 0, "491701234567@s.whatsapp.net"},
        {"491701234567_3:4@s.whatsapp.net", "491701234567", WAGW_SRV_USER, 4, "491701234567:4@s.whatsapp.net"},
        {"491701234567.0:4@s.whatsapp.net", "491701234567", WAGW_SRV_USER, 4, "491701234567:4@s.whatsapp.net"},
        {"user.name@s.whatsapp.net", "user.name", WAGW_SRV_USER, 0, "user.name@s.whatsapp.net"},
        {"98765432101234:65535@lid", "98765432101234", WAGW_SRV_LID, 65535, "98765432101234:65535@lid"},
        {"1:99@hosted", "1", WAGW_SRV_HOSTED, 99, "1:99@hosted"},
        {"1:99@hosted.lid", "1", WAGW_SRV_HOSTED_LID, 99, "1:99@hosted.lid"},
        {"491701234567-1612345678@g.us", "491701234567-1612345678", WAGW_SRV_GROUP, 0, "491701234567-1612345678@g.us"},
        {"status@broadcast", "status", WAGW_SRV_BROADCAST, 0, "status@broadcast"},
        {"120363111111111111@newsletter", "120363111111111111", WAGW_SRV_NEWSLETTER, 0,
         "120363111111111111@newsletter"},
        {"867051314767696@bot", "867051314767696", WAGW_SRV_BOT, 0, "867051314767696@bot"},
        {"ABCDEF@call", "ABCDEF", WAGW_SRV_CALL, 0, "ABCDEF@call"},
        {"10001234:258@msgr", "10001234", WAGW_SRV_MSGR, 258, "10001234:258@msgr"},
        {"7-10001234:3@interop", "7-10001234", WAGW_SRV_INTEROP, 3, "7-10001234:3@interop"},
        {"@s.whatsapp.net", "", WAGW_SRV_USER, 0, "@s.whatsapp.net"},
        {"s.whatsapp.net", "", WAGW_SRV_USER, 0, "@s.whatsapp.net"},
        {"g.us", "", WAGW_SRV_GROUP, 0, "@g.us"},
    };
    static const char *const bad[] = {"",        "@",         "abc",       "a@b",      "1@s.whatsapp.net.evil",
                                      "1:@lid",  "1:x@lid",   "1:-1@lid",  ":1@lid",   "1 2@lid",
                                      "a\n@lid", "1:2:3@lid", "1@lid@lid", "1:2@g.us", "\xc3\xbc@lid"};
    char text[WAGW_JID_TEXT_MAX], longest[WAGW_JID_USER_MAX + 32];
    wagw_arena_t a = {0};
    wagw_jid_t j;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(wagw_jid_parse(&j, wagw_cstr(good[i].text)), WAGW_OK);
        assert_string_equal(j.user, good[i].user);
        assert_int_equal(j.user_len, strlen(good[i].user));
        assert_int_equal(j.server, good[i].server);
        assert_int_equal(j.device, good[i].device);
        assert_int_equal(wagw_jid_text(&j, text), strlen(good[i].out));
        assert_string_equal(text, good[i].out);
        assert_str(wagw_jid_str(&a, &j), good[i].out);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(wagw_jid_parse(&j, wagw_cstr(bad[i])), WAGW_MALFORMED);
    }
    assert_int_equal(wagw_jid_parse(&j, WAGW_STR("1\0"
                                                 "2@lid")),
                     WAGW_MALFORMED);
    assert_int_equal(wagw_jid_parse(&j, WAGW_STR("1:65536@lid")), WAGW_LIMIT);

    /* the longest user with the longest server and device fits its text */
    memset(longest, '7', WAGW_JID_USER_MAX + 1);
    strcpy(longest + WAGW_JID_USER_MAX, ":65535@s.whatsapp.net");
    assert_int_equal(wagw_jid_parse(&j, wagw_cstr(longest)), WAGW_OK);
    assert_int_equal(wagw_jid_text(&j, text), strlen(longest));
    assert_string_equal(text, longest);
    strcpy(longest + WAGW_JID_USER_MAX, "7@lid");
    assert_int_equal(wagw_jid_parse(&j, wagw_cstr(longest)), WAGW_LIMIT);
    longest[WAGW_JID_USER_MAX + 1] = '\0';
    j = wagw_jid_make(longest, WAGW_SRV_LID, 0);
    assert_true(wagw_jid_empty(&j));

    memset(&j, 0, sizeof(j));
    assert_int_equal(wagw_jid_text(&j, text), 0);
    assert_string_equal(text, "");
    wagw_arena_free(&a);
}

static void test_jid_compare(void **state)
{
    wagw_jid_t pn = wagw_jid_make("123", WAGW_SRV_USER, 0), pn4 = wagw_jid_make("123", WAGW_SRV_USER, 4),
               lid = wagw_jid_make("123", WAGW_SRV_LID, 0), hosted = wagw_jid_make("123", WAGW_SRV_HOSTED, 99),
               hosted_lid = wagw_jid_make("123", WAGW_SRV_HOSTED_LID, 99), none = {0}, u;

    (void)state;
    assert_true(wagw_jid_eq(&pn, &pn));
    assert_false(wagw_jid_eq(&pn, &pn4));
    assert_true(wagw_jid_same_user(&pn, &pn4));
    assert_true(wagw_jid_same_user(&pn, &hosted));
    assert_true(wagw_jid_same_user(&lid, &hosted_lid));
    assert_false(wagw_jid_same_user(&pn, &lid));
    assert_false(wagw_jid_same_user(&none, &none));
    u = wagw_jid_user(&hosted_lid);
    assert_true(wagw_jid_eq(&u, &lid));
    assert_true(wagw_jid_is_pn(&hosted) && wagw_jid_is_person(&hosted) && !wagw_jid_is_lid(&hosted));
    assert_true(wagw_jid_is_lid(&hosted_lid) && !wagw_jid_is_pn(&hosted_lid));

    u = wagw_jid_make("status", WAGW_SRV_BROADCAST, 0);
    assert_true(wagw_jid_is_status(&u));
    u = wagw_jid_make("statu", WAGW_SRV_BROADCAST, 0);
    assert_false(wagw_jid_is_status(&u));
    u = wagw_jid_make("status", WAGW_SRV_USER, 0);
    assert_false(wagw_jid_is_status(&u));
}

static void test_jid_from_caller(void **state)
{
    static const char *const good[][2] = {
        {"491701234567", "491701234567@s.whatsapp.net"},
        {"+49 (170) 123-45.67", "491701234567@s.whatsapp.net"},
        {" +49-170-1234567 ", "491701234567@s.whatsapp.net"},
        {"491701234567@c.us", "491701234567@s.whatsapp.net"},
        {"491701234567@s.whatsapp.net", "491701234567@s.whatsapp.net"},
        {"491701234567:12@s.whatsapp.net", "491701234567@s.whatsapp.net"},
        {"98765432101234@lid", "98765432101234@lid"},
        {"98765432101234:7@lid", "98765432101234@lid"},
        {"120363012345678901@g.us", "120363012345678901@g.us"},
        {"120363012345678901", "120363012345678901@g.us"},
        {"491701234567-1612345678", "491701234567-1612345678@g.us"},
        {"491701234567-1612345678@g.us", "491701234567-1612345678@g.us"},
        {"120363111111111111@newsletter", "120363111111111111@newsletter"},
        {"status@broadcast", "status@broadcast"},
        {"1612345678@broadcast", "1612345678@broadcast"},
        {"0@s.whatsapp.net", "0@s.whatsapp.net"},
    };
    static const char *const bad[] = {"",
                                      " ",
                                      "1234",
                                      "1234567890123456",
                                      "120364012345678901",
                                      "12036301234567890",
                                      "49170a1234567",
                                      "49+1701234567",
                                      "49/1701234567",
                                      "491701234567\n",
                                      "abc@s.whatsapp.net",
                                      "@s.whatsapp.net",
                                      "s.whatsapp.net",
                                      "4917012345678901@s.whatsapp.net",
                                      "abc@g.us",
                                      "1-@g.us",
                                      "-1@g.us",
                                      "1-2-3@g.us",
                                      "@g.us",
                                      "x@newsletter",
                                      "other@broadcast",
                                      "1@bot",
                                      "1@hosted",
                                      "1@call",
                                      "1@unknown.server",
                                      "1@s.whatsapp.net@lid",
                                      "111111111111111111111@lid"};
    char text[WAGW_JID_TEXT_MAX], big[4096];
    wagw_jid_t j;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(wagw_jid_from_caller(&j, wagw_cstr(good[i][0])), WAGW_OK);
        wagw_jid_text(&j, text);
        assert_string_equal(text, good[i][1]);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (wagw_jid_from_caller(&j, wagw_cstr(bad[i])) != WAGW_MALFORMED) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(wagw_jid_empty(&j));
    }
    assert_int_equal(wagw_jid_from_caller(&j, WAGW_STR("12345\0"
                                                       "6789")),
                     WAGW_MALFORMED);
    memset(big, '1', sizeof(big));
    assert_int_equal(wagw_jid_from_caller(&j, wagw_str(big, sizeof(big))), WAGW_MALFORMED);
}

static void test_json(void **state)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    int i;

    (void)state;
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "s", WAGW_STR("a\"\\\n\r\t\x01\x7f\xc3\xbc\xff\xed\xa0\x80z"));
    wagw_json_kcstr(&j, "n", NULL);
    wagw_json_kint(&j, "i", INT64_MIN);
    wagw_json_key(&j, "u");
    wagw_json_uint(&j, UINT64_MAX);
    wagw_json_kbool(&j, "t", true);
    wagw_json_kbool(&j, "f", false);
    wagw_json_knull(&j, "z");
    wagw_json_kiso(&j, "iso", 1767323045678);
    wagw_json_kiso(&j, "iso0", 0);
    wagw_json_kraw(&j, "raw", WAGW_STR("{\"a\":[]}"));
    wagw_json_key_str(&j, WAGW_STR("arr"));
    wagw_json_open(&j, '[');
    wagw_json_open(&j, '{');
    wagw_json_close(&j);
    wagw_json_open(&j, '[');
    wagw_json_num(&j, 0.1);
    wagw_json_num(&j, 3);
    wagw_json_num(&j, 1.0 / 3);
    wagw_json_num(&j, (double)1e308 * 10);
    wagw_json_close(&j);
    wagw_json_base64(&j, WAGW_STR("foobar"));
    wagw_json_close(&j);
    wagw_json_kstr(&j, "empty", WAGW_STR_NULL);
    wagw_json_close(&j);
    assert_false(b.failed);
    assert_str(wagw_buf_view(&b),
               "{\"s\":\"a\\\"\\\\\\n\\r\\t\\u0001\\u007f\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\","
               "\"n\":null,\"i\":-9223372036854775808,\"u\":18446744073709551615,\"t\":true,\"f\":false,\"z\":null,"
               "\"iso\":\"2026-01-02T03:04:05.678Z\",\"iso0\":null,\"raw\":{\"a\":[]},"
               "\"arr\":[{},[0.1,3,0.3333333333333333,null],\"Zm9vYmFy\"],\"empty\":\"\"}");

    /* a truncated sequence at the end of the text is not read past it */
    wagw_buf_reset(&b);
    j = wagw_json(&b);
    wagw_json_str(&j, wagw_str("ab\xf0\x9f\x98\x80", 5));
    assert_str(wagw_buf_view(&b), "\"ab\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");

    wagw_buf_reset(&b);
    j = wagw_json(&b);
    for (i = 0; i < 64; i++) {
        wagw_json_open(&j, i % 3 ? '[' : '{');
        if (i % 3 == 0) {
            wagw_json_key(&j, "k");
        }
    }
    assert_false(b.failed);
    wagw_json_open(&j, '[');
    assert_true(b.failed);

    wagw_buf_reset(&b);
    j = wagw_json(&b);
    wagw_json_close(&j);
    assert_true(b.failed);
    wagw_buf_free(&b);
}

static void test_iso(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00.000Z", 0},
        {"2026-01-02T03:04:05.678Z", 1767323045678},
        {"2000-02-29T23:59:59.999Z", 951868799999},
        {"1969-12-31T23:59:59.999Z", -1},
        {"0000-01-01T00:00:00.000Z", -62167219200000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"1900-03-01T00:00:00.000Z", -2203891200000},
    };
    static const char *const same[] = {"2026-01-02T03:04:05.678Z", "2026-01-02T04:04:05.678+01:00",
                                       "2026-01-01T21:34:05.678-05:30", "2026-01-02t03:04:05.6789999z"};
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-1-2",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-02-29",
                                      "1900-02-29",
                                      "2026-04-31",
                                      "2026-01-00",
                                      "2026-01-02T",
                                      "2026-01-02T03:04",
                                      "2026-01-02T03:04:05",
                                      "2026-01-02T24:00:00Z",
                                      "2026-01-02T03:60:00Z",
                                      "2026-01-02T03:04:60Z",
                                      "2026-01-02T03:04:05.Z",
                                      "2026-01-02T03:04:05Zx",
                                      "2026-01-02T03:04:05+1:00",
                                      "2026-01-02T03:04:05+24:00",
                                      "2026-01-02 03:04:05Z",
                                      "-026-01-02T03:04:05Z"};
    char text[32];
    size_t i;
    int64_t ms, day;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(wagw_iso_text(good[i].ms, text), 24);
        assert_string_equal(text, good[i].text);
        assert_int_equal(wagw_iso_parse(wagw_cstr(good[i].text), &ms), WAGW_OK);
        assert_true(ms == good[i].ms);
    }
    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_int_equal(wagw_iso_parse(wagw_cstr(same[i]), &ms), WAGW_OK);
        assert_true(ms == 1767323045678);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (wagw_iso_parse(wagw_cstr(bad[i]), &ms) != WAGW_MALFORMED) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    assert_int_equal(wagw_iso_parse(WAGW_STR("2026-01-02"), &ms), WAGW_OK);
    assert_true(ms == 1767312000000);
    for (day = -200000; day < 200000; day += 13) {
        assert_int_equal(wagw_iso_parse(wagw_str(text, wagw_iso_text(day * 86400000, text)), &ms), WAGW_OK);
        assert_true(ms == day * 86400000);
    }
    /* beyond four digits of years the text stays a text of its length */
    assert_int_equal(wagw_iso_text(INT64_MAX, text), 24);
    assert_int_equal(wagw_iso_text(INT64_MIN, text), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rc_names),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_jid_parse),
        cmocka_unit_test(test_jid_compare),
        cmocka_unit_test(test_jid_from_caller),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_iso),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
