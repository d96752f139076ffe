#include "ngx_wagw_calls.h"

/*
 * Who is on WhatsApp.  The engine names those it found, at most 50 numbers per
 * query; the answer names everybody who was asked for, in that order.
 */

#define EXISTS_CHUNK 50
#define EXISTS_DIGITS 32

typedef struct {
    cJSON *found; /* what the engine answered so far */
    cJSON *asked; /* all numbers, as the caller wrote them */
    int at;
    unsigned many : 1;
} exists_t;

static void exists_cleanup(void *data)
{
    exists_t *e = data;

    cJSON_Delete(e->found);
    cJSON_Delete(e->asked);
}

/* "+1 (555) 123" and "1555123@s.whatsapp.net" are "1555123". */
static void exists_digits(char out[EXISTS_DIGITS], const char *s)
{
    size_t n = 0;

    for (; s && *s && *s != '@' && n < EXISTS_DIGITS - 1; s++) {
        if (*s >= '0' && *s <= '9') {
            out[n++] = *s;
        }
    }

    out[n] = '\0';
}

static void exists_one(wagw_json_t *j, exists_t *e, const char *number)
{
    char digits[EXISTS_DIGITS];
    const char *found;
    const cJSON *row, *hit;

    hit = NULL;
    exists_digits(digits, number);

    cJSON_ArrayForEach(row, e->found)
    {
        found = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "phoneNumber"));

        if (found && ngx_strcmp(found, digits) == 0) {
            hit = row;
            break;
        }
    }

    wagw_json_open(j, '{');

    if (e->many) {
        wagw_json_kcstr(j, "phoneNumber", digits);
    }

    wagw_json_kbool(j, "exists", hit != NULL);
    wagw_json_kcstr(j, "jid", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(hit, "jid")));
    wagw_json_kcstr(j, "lid", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(hit, "lid")));

    if (e->many) {
        wagw_json_kbool(j, "isBusiness", cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(hit, "isBusiness")));
    }

    wagw_json_close(j);
}

static void exists_ask(ngx_wagw_call_t *call)
{
    int i;
    cJSON *list;
    exists_t *e = call->data;

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "phoneNumbers");
    list = cJSON_AddArrayToObject(call->params, "phoneNumbers");

    for (i = 0; i < EXISTS_CHUNK && e->at < cJSON_GetArraySize(e->asked); i++, e->at++) {
        cJSON_AddItemToArray(list, cJSON_Duplicate(cJSON_GetArrayItem(e->asked, e->at), 0));
    }

    ngx_wagw_call_command(call, WAGW_CMD_CHECK_EXISTS);
}

static void exists_answer(ngx_wagw_call_t *call)
{
    exists_t *e = call->data;
    const cJSON *number;
    wagw_json_t j;
    ngx_wagw_list_t list;

    ngx_memzero(&list, sizeof(list));
    list.total = UINT64_MAX;
    j = wagw_json(&list.json);

    if (!e->many) {
        exists_one(&j, e, cJSON_GetStringValue(cJSON_GetArrayItem(e->asked, 0)));
        ngx_wagw_call_data(call, 200, &list.json, NULL);
        return;
    }

    wagw_json_open(&j, '[');

    cJSON_ArrayForEach(number, e->asked)
    {
        exists_one(&j, e, number->valuestring);
        list.count++;
    }

    wagw_json_close(&j);
    ngx_wagw_call_list(call, &list, NULL);
}

static void exists_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *rows, *row;
    exists_t *e = call->data;

    if (r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }

    rows = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);

    while ((row = cJSON_DetachItemFromArray(rows, 0)) != NULL) {
        cJSON_AddItemToArray(e->found, row);
    }

    cJSON_Delete(rows);

    if (e->at < cJSON_GetArraySize(e->asked)) {
        ngx_wagw_call_later(call, exists_ask);
        return;
    }

    exists_answer(call);
}

static void exists_begin(ngx_wagw_call_t *call, ngx_uint_t many)
{
    cJSON *one;
    exists_t *e;
    const char *number;
    const cJSON *item;
    ngx_pool_cleanup_t *cln;

    e = ngx_wagw_call_ctx(call, sizeof(exists_t));
    if (e == NULL) {
        return;
    }

    e->many = many;
    e->found = cJSON_CreateArray();
    e->asked = cJSON_CreateArray();
    cln = ngx_pool_cleanup_add(call->pool, 0);

    if (cln == NULL || e->found == NULL || e->asked == NULL) {
        exists_cleanup(e);
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    cln->handler = exists_cleanup;
    cln->data = e;
    call->reply = exists_reply;

    if (many) {
        cJSON_ArrayForEach(item, ngx_wagw_param(call, "phoneNumbers"))
        {
            if (cJSON_IsString(item)) {
                cJSON_AddItemToArray(e->asked, cJSON_CreateString(item->valuestring));
            }
        }

    } else {
        number = cJSON_GetStringValue(ngx_wagw_param(call, "phoneNumber"));
        one = cJSON_CreateString(number ? number : "");
        cJSON_AddItemToArray(e->asked, one);
    }

    exists_ask(call);
}

NGX_WAGW_HANDLER(check_exists)
{
    exists_begin(call, 0);
}

NGX_WAGW_HANDLER(check_exists_many)
{
    exists_begin(call, 1);
}
