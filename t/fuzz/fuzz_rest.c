/*
 * The body of a REST call.  The first byte chooses a field table.  What the
 * strict check accepts cJSON must read, the field check must leave something
 * that passes it again unchanged, and refusals must be JSON themselves.
 */

#include <stdlib.h>

#include "../../ngx_wagw/ngx_wagw_fields.c"
#include "../../ngx_wagw/ngx_wagw_json.c"
#include "../../ngx_wagw/ngx_wagw_routes_fields.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const ngx_wagw_field_t *const tables[] = {
    ngx_wagw_fields_send_text,
    ngx_wagw_fields_key_create,
    ngx_wagw_fields_instance_create,
    ngx_wagw_fields_webhook_put,
    ngx_wagw_fields_seen,
    ngx_wagw_fields_reaction,
    ngx_wagw_fields_message_all,
    ngx_wagw_fields_chats_list,
    ngx_wagw_fields_phones,
    ngx_wagw_fields_pairing_code,
    ngx_wagw_fields_message_presence,
    ngx_wagw_fields_webhook_test,
};

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void fuzz_object(const ngx_wagw_field_t *fields, cJSON *params)
{
    int rc;
    cJSON *told;
    char *before, *after;
    wagw_buf_t details = {0};
    const char *code = NULL;

    rc = ngx_wagw_fields_check(fields, params, &code, &details);
    if (rc == WAGW_MALFORMED) {
        need(code != NULL);
        told = cJSON_ParseWithLength((char *)details.p, details.n);
        need(cJSON_GetArraySize(cJSON_GetObjectItem(told, "fields")) > 0);
        cJSON_Delete(told);
    } else if (rc == WAGW_OK) {
        before = cJSON_PrintUnformatted(params);
        need(ngx_wagw_fields_check(fields, params, &code, &details) == WAGW_OK);
        after = cJSON_PrintUnformatted(params);
        need(before != NULL && after != NULL && strcmp(before, after) == 0);
        free(before);
        free(after);
    }
    wagw_buf_free(&details);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    char *text;
    cJSON *json, *value;
    const ngx_wagw_field_t *fields, *f;

    if (n == 0) {
        return 0;
    }
    fields = tables[*p % (sizeof(tables) / sizeof(tables[0]))];
    p++;
    n--;

    if (ngx_wagw_json_check(p, n) == NGX_WAGW_JSON_OK) {
        json = cJSON_ParseWithLength((const char *)p, n);
        need(json != NULL);
        if (cJSON_IsObject(json)) {
            fuzz_object(fields, json);
        }
        cJSON_Delete(json);
    }

    /* the same bytes as the text of a query parameter */
    text = malloc(n + 1);
    need(text != NULL);
    memcpy(text, p, n);
    text[n] = '\0';
    for (f = fields; f->name; f++) {
        value = ngx_wagw_fields_value(fields, f->name, text);
        need(value != NULL);
        cJSON_Delete(value);
    }
    free(text);
    return 0;
}
