/*
 * A decrypted payload from a hostile peer: read, shown as JSON, quoted,
 * forwarded, edited, reported.  What is read must be readable again in the
 * form in which it is stored.
 */

#include <stdlib.h>

#include "../../core/message/message.h"

static const uint8_t fuzz_secret[32] = {1};

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void fuzz_json(wagw_str_t bytes)
{
    wagw_buf_t text = {0}, back = {0};
    const char *field;
    cJSON *json;

    if (wagw_message_json(&text, bytes) == WAGW_OK) {
        need(wagw_utf8_valid(wagw_buf_view(&text)));
        json = cJSON_ParseWithLength((char *)text.p, text.n);
        need(json != NULL);
        /* strings that were no UTF-8 have changed, so only the calls count */
        wagw_message_from_json(&back, json, &field);
        cJSON_Delete(json);
    }
    wagw_buf_free(&text);
    wagw_buf_free(&back);
}

static void fuzz_build(wagw_arena_t *a, wagw_build_kind_t kind, const cJSON *params, const wagw_row_message_t *row)
{
    wagw_build_t b;
    wagw_built_t out;
    wagw_content_t c;
    const char *field;

    memset(&b, 0, sizeof(b));
    b.kind = kind;
    b.params = params;
    b.chat = wagw_jid_make("120363000000000001", WAGW_SRV_GROUP, 0);
    b.self = wagw_jid_make("111", WAGW_SRV_LID, 0);
    b.target_author = b.quoted_author = wagw_jid_make("222", WAGW_SRV_LID, 0);
    b.secret = fuzz_secret;
    b.target = b.quoted = row;

    if (wagw_message_build(&out, a, &b, &field) == WAGW_OK) {
        need(out.type && out.stanza_type && out.bytes.p);
        need(wagw_message_read(&c, a, out.bytes) == WAGW_OK || out.bytes.n > 100000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static cJSON *params;
    wagw_arena_t a = {0};
    wagw_content_t c, again;
    wagw_row_message_t row;
    wagw_buf_t b = {0};
    wagw_json_t j;
    uint8_t token[16];
    size_t ntoken;

    if (params == NULL) {
        params = cJSON_Parse("{\"message\":\"m\",\"newText\":\"n\",\"emoji\":\"e\",\"selectedOptions\":[]}");
        need(params != NULL);
    }

    if (wagw_message_read(&c, &a, wagw_str(p, n)) == WAGW_OK) {
        need(c.type && c.proto_name && c.content.p);
        need(wagw_message_read(&again, &a, c.content) == WAGW_OK);
        need(again.is == c.is || c.dsm_to.n);

        memset(&row, 0, sizeof(row));
        row.id = WAGW_STR("3EB0");
        row.chat = WAGW_STR("120363000000000001@g.us");
        row.type = wagw_cstr(c.type);
        row.body = c.body;
        row.quoted = c.quoted;
        row.mentions = c.mentions;
        row.media = c.media;
        row.content = c.content;
        row.secret = c.secret;

        j = wagw_json(&b);
        wagw_json_open(&j, '{');
        wagw_message_members(&j, &row, WAGW_STR("i"), WAGW_STR_NULL);
        wagw_json_close(&j);
        need(!b.failed && wagw_utf8_valid(wagw_buf_view(&b)));
        cJSON *o = cJSON_ParseWithLength((char *)b.p, b.n);
        need(o != NULL);
        cJSON_Delete(o);

        fuzz_build(&a, WAGW_BUILD_FORWARD, params, &row);
        fuzz_build(&a, WAGW_BUILD_TEXT, params, &row);
        fuzz_build(&a, WAGW_BUILD_POLL_VOTE, params, &row);
        row.from_me = true;
        fuzz_build(&a, WAGW_BUILD_EDIT, params, &row);
        fuzz_json(c.content);
    }

    wagw_reporting_token(token, &ntoken, wagw_str(p, n), wagw_str(fuzz_secret, 32), WAGW_STR("i"), WAGW_STR("s"),
                         WAGW_STR("c"));
    wagw_buf_free(&b);
    wagw_arena_free(&a);
    return 0;
}
