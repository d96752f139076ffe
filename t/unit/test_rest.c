/*
 * The REST parameters: strict JSON, and field tables against what callers send.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../ngx_wagw/ngx_wagw_fields.c"
#include "../../ngx_wagw/ngx_wagw_json.c"
#include "../../ngx_wagw/ngx_wagw_routes_fields.c"

static ngx_wagw_json_rc_t check(const char *text)
{
    return ngx_wagw_json_check((const uint8_t *)text, strlen(text));
}

static void test_json_good(void **state)
{
    static const char *const good[] = {"{}",           " [ ] ",
                                       "null",         "-0",
                                       "0.5e-3",       "{\"a\":[1,2,{\"b\":\"\\u00e9\\ud83d\\ude00\\n\"}],\"c\":false}",
                                       "\"\xc3\xa9\"", "[[],{},\"\",true]"};
    size_t i;

    (void)state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(check(good[i]), NGX_WAGW_JSON_OK);
    }
}

static void test_json_bad(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "[1,]",
                                      "{\"a\":}",
                                      "{\"a\"}",
                                      "{a:1}",
                                      "01",
                                      "1.",
                                      "+1",
                                      ".5",
                                      "1e",
                                      "-",
                                      "tru",
                                      "nullx",
                                      "'a'",
                                      "\"a",
                                      "\"\t\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "{} {}",
                                      "[1 2]",
                                      "[1}",
                                      "{\"a\":1,}",
                                      "[,1]",
                                      "{,}",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\u0041\"",
                                      "]",
                                      "NaN",
                                      "Infinity"};
    size_t i;

    (void)state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (check(bad[i]) != NGX_WAGW_JSON_SYNTAX) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    assert_int_equal(check("\"\\u0000\""), NGX_WAGW_JSON_NUL);
    assert_int_equal(check("\"\xff\""), NGX_WAGW_JSON_UTF8);
    assert_int_equal(check("\"\xed\xa0\x80\""), NGX_WAGW_JSON_UTF8);
}

static void test_json_limits(void **state)
{
    char deep[2 * (NGX_WAGW_JSON_DEPTH + 1) + 1];
    size_t n;
    char *many;

    (void)state;

    for (n = NGX_WAGW_JSON_DEPTH; n <= NGX_WAGW_JSON_DEPTH + 1; n++) {
        memset(deep, '[', n);
        memset(deep + n, ']', n);
        deep[2 * n] = '\0';
        assert_int_equal(check(deep), n == NGX_WAGW_JSON_DEPTH ? NGX_WAGW_JSON_OK : NGX_WAGW_JSON_DEEP);
    }

    /* the array itself is a value too */
    many = malloc(2 * NGX_WAGW_JSON_VALUES + 2);
    assert_non_null(many);
    for (n = NGX_WAGW_JSON_VALUES - 1; n <= NGX_WAGW_JSON_VALUES; n++) {
        size_t i;

        for (i = 0; i < n; i++) {
            memcpy(many + 2 * i, i ? ",1" : "[1", 2);
        }
        many[2 * n] = ']';
        assert_int_equal(ngx_wagw_json_check((uint8_t *)many, 2 * n + 1),
                         n < NGX_WAGW_JSON_VALUES ? NGX_WAGW_JSON_OK : NGX_WAGW_JSON_MANY);
    }
    free(many);
}

/* Whatever ends early is refused, so nothing reads past an end. */
static void test_json_cut(void **state)
{
    static const char text[] = "{\"a\":[1.5e3,true,null,\"\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":\"d\"}}";
    size_t n;
    uint8_t *cut;

    (void)state;

    for (n = 0; n < sizeof(text) - 1; n++) {
        cut = malloc(n ? n : 1); /* exact, for the address sanitizer */
        assert_non_null(cut);
        memcpy(cut, text, n);
        assert_int_not_equal(ngx_wagw_json_check(cut, n), NGX_WAGW_JSON_OK);
        free(cut);
    }
}

/* ---- fields ---- */

static void fields_are(const ngx_wagw_field_t *fields, const char *in, const char *out)
{
    const char *code = NULL;
    wagw_buf_t details = {0};
    cJSON *params = cJSON_Parse(in), *want = cJSON_Parse(out);

    assert_non_null(params);
    assert_non_null(want);
    if (ngx_wagw_fields_check(fields, params, &code, &details) != WAGW_OK) {
        fail_msg("%s: %.*s", in, (int)details.n, (char *)details.p);
    }
    if (!cJSON_Compare(params, want, 1)) {
        char *got = cJSON_PrintUnformatted(params);

        fail_msg("%s became %s", in, got);
    }
    cJSON_Delete(params);
    cJSON_Delete(want);
    wagw_buf_free(&details);
}

static void fields_refuse(const ngx_wagw_field_t *fields, const char *in, const char *code, const char *field)
{
    const char *got = NULL;
    wagw_buf_t details = {0};
    cJSON *params = cJSON_Parse(in), *told, *first;

    assert_non_null(params);
    assert_int_equal(ngx_wagw_fields_check(fields, params, &got, &details), WAGW_MALFORMED);
    assert_string_equal(got, code);
    told = cJSON_ParseWithLength((char *)details.p, details.n);
    first = cJSON_GetArrayItem(cJSON_GetObjectItem(told, "fields"), 0);
    assert_non_null(first);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(first, "field")), field);
    assert_non_null(cJSON_GetStringValue(cJSON_GetObjectItem(first, "reason")));
    cJSON_Delete(told);
    cJSON_Delete(params);
    wagw_buf_free(&details);
}

static void test_fields_send(void **state)
{
    (void)state;

    fields_are(ngx_wagw_fields_send_text,
               "{\"instanceId\":\"i\",\"chatId\":\"+62 (812) 345-678\",\"text\":\"hi\",\"mentions\":[\"62811222333\"],"
               "\"more\":1}",
               "{\"instanceId\":\"i\",\"to\":\"62812345678@s.whatsapp.net\",\"message\":\"hi\","
               "\"mentions\":[\"62811222333@s.whatsapp.net\"],\"more\":1,\"priority\":5,\"async\":false,"
               "\"linkPreview\":true}");
    fields_are(ngx_wagw_fields_send_text,
               "{\"instanceId\":\"i\",\"to\":\"62812345678:12@c.us\",\"message\":\"hi\",\"mentions\":\"all\","
               "\"simulateTyping\":500,\"ref\":null,\"priority\":0,\"async\":true,\"linkPreview\":false}",
               "{\"instanceId\":\"i\",\"to\":\"62812345678@s.whatsapp.net\",\"message\":\"hi\",\"mentions\":\"all\","
               "\"simulateTyping\":500,\"priority\":0,\"async\":true,\"linkPreview\":false}");

    fields_refuse(ngx_wagw_fields_send_text, "{}", "VALIDATION_FAILED", "instanceId");
    fields_refuse(ngx_wagw_fields_send_text, "{\"instanceId\":\"i\",\"to\":\"62812345678\",\"message\":\"\"}",
                  "VALIDATION_FAILED", "message");
    fields_refuse(ngx_wagw_fields_send_text, "{\"instanceId\":\"i\",\"to\":62812345678,\"message\":\"a\"}",
                  "VALIDATION_FAILED", "to");
    fields_refuse(ngx_wagw_fields_send_text, "{\"instanceId\":\"i\",\"to\":\"nobody\",\"message\":\"a\"}",
                  "INVALID_JID", "to");
    fields_refuse(ngx_wagw_fields_send_text,
                  "{\"instanceId\":\"i\",\"to\":\"62812345678\",\"message\":\"a\",\"mentions\":\"some\"}",
                  "VALIDATION_FAILED", "mentions");
    fields_refuse(ngx_wagw_fields_send_text,
                  "{\"instanceId\":\"i\",\"to\":\"62812345678\",\"message\":\"a\",\"priority\":10}",
                  "VALIDATION_FAILED", "priority");
    fields_refuse(ngx_wagw_fields_send_text,
                  "{\"instanceId\":\"i\",\"to\":\"62812345678\",\"message\":\"a\",\"priority\":1.5}",
                  "VALIDATION_FAILED", "priority");
    fields_refuse(ngx_wagw_fields_send_text,
                  "{\"instanceId\":\"i\",\"to\":\"62812345678\",\"message\":\"a\",\"async\":\"true\"}",
                  "VALIDATION_FAILED", "async");
}

static void test_fields_kinds(void **state)
{
    (void)state;

    fields_are(ngx_wagw_fields_key_create, "{\"name\":\"k\"}", "{\"name\":\"k\",\"permissions\":[\"read\",\"write\"]}");
    fields_refuse(ngx_wagw_fields_key_create, "{\"name\":\"k\",\"permissions\":[\"root\"]}", "VALIDATION_FAILED",
                  "permissions");
    fields_refuse(ngx_wagw_fields_key_create, "{\"name\":\"k\",\"expiresAt\":\"tomorrow\"}", "VALIDATION_FAILED",
                  "expiresAt");
    fields_are(ngx_wagw_fields_instance_update, "{\"webhookUrl\":null,\"name\":null}", "{\"webhookUrl\":null}");
    fields_refuse(ngx_wagw_fields_instance_update, "{\"webhookUrl\":\"ftp://a.example\"}", "VALIDATION_FAILED",
                  "webhookUrl");
    fields_refuse(ngx_wagw_fields_webhook_put, "{\"url\":\"https://\"}", "VALIDATION_FAILED", "url");
    fields_refuse(ngx_wagw_fields_webhook_put, "{\"url\":\"https://a.example/a b\"}", "VALIDATION_FAILED", "url");
    fields_are(ngx_wagw_fields_phone, "{\"phoneNumber\":\"+62 812-345-678\"}", "{\"phoneNumber\":\"62812345678\"}");
    fields_are(ngx_wagw_fields_phone, "{\"phoneNumber\":\"12345678901234@lid\"}",
               "{\"phoneNumber\":\"12345678901234@lid\"}");
    fields_refuse(ngx_wagw_fields_phone, "{\"phoneNumber\":\"120363025246125016@g.us\"}", "INVALID_JID", "phoneNumber");
    fields_refuse(ngx_wagw_fields_phones, "{\"phoneNumbers\":[]}", "VALIDATION_FAILED", "phoneNumbers");
    fields_refuse(ngx_wagw_fields_phones, "{\"phoneNumbers\":[\"62812345678\",\"x\"]}", "INVALID_JID", "phoneNumbers");
    fields_refuse(ngx_wagw_fields_chats_list, "{\"sortBy\":\"size\"}", "VALIDATION_FAILED", "sortBy");
    fields_refuse(ngx_wagw_fields_pairing_code, "{\"phoneNumber\":\"62812345678\",\"customCode\":\"1234567\"}",
                  "VALIDATION_FAILED", "customCode");
}

static void value_is(const ngx_wagw_field_t *fields, const char *name, const char *text, const char *json)
{
    cJSON *got = ngx_wagw_fields_value(fields, name, text), *want = cJSON_Parse(json);

    assert_non_null(got);
    assert_non_null(want);
    if (!cJSON_Compare(got, want, 1)) {
        fail_msg("%s=%s is not %s", name, text, json);
    }
    cJSON_Delete(got);
    cJSON_Delete(want);
}

/* What comes as text takes its field's type, or stays text and is refused then. */
static void test_fields_text(void **state)
{
    (void)state;

    value_is(ngx_wagw_fields_chats_list, "limit", "20", "20");
    value_is(ngx_wagw_fields_chats_list, "limit", "0x20", "\"0x20\"");
    value_is(ngx_wagw_fields_chats_list, "limit", " 20", "\" 20\"");
    value_is(ngx_wagw_fields_chats_list, "archived", "true", "true");
    value_is(ngx_wagw_fields_chats_list, "archived", "0", "false");
    value_is(ngx_wagw_fields_chats_list, "archived", "maybe", "\"maybe\"");
    value_is(ngx_wagw_fields_chats_list, "q", "20", "\"20\"");
    value_is(ngx_wagw_fields_seen, "messageIds", "A,B,,C", "[\"A\",\"B\",\"\",\"C\"]");
    value_is(ngx_wagw_fields_seen, "messageIds", "[\"A\",\"B\"]", "[\"A\",\"B\"]");
    value_is(ngx_wagw_fields_seen, "messageIds", "[\"A\"", "\"[\\\"A\\\"\"");
    value_is(ngx_wagw_fields_send_text, "quoted", "{\"id\":\"x\"}", "{\"id\":\"x\"}");
    value_is(ngx_wagw_fields_send_text, "text", "5", "\"5\"");
    value_is(ngx_wagw_fields_send_text, "unknown", "5", "\"5\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_good),   cmocka_unit_test(test_json_bad),    cmocka_unit_test(test_json_limits),
        cmocka_unit_test(test_json_cut),    cmocka_unit_test(test_fields_send), cmocka_unit_test(test_fields_kinds),
        cmocka_unit_test(test_fields_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
