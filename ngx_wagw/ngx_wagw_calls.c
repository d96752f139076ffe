#include "ngx_wagw_calls.h"

cJSON *ngx_wagw_param(ngx_wagw_call_t *call, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(call->params, name);
}

wagw_str_t ngx_wagw_param_str(ngx_wagw_call_t *call, const char *name)
{
    return wagw_cstr(cJSON_GetStringValue(ngx_wagw_param(call, name)));
}

int64_t ngx_wagw_param_int(ngx_wagw_call_t *call, const char *name, int64_t dflt)
{
    const cJSON *i;

    i = ngx_wagw_param(call, name);

    return cJSON_IsNumber(i) ? (int64_t)i->valuedouble : dflt;
}

int ngx_wagw_param_bool(ngx_wagw_call_t *call, const char *name)
{
    const cJSON *i;

    i = ngx_wagw_param(call, name);

    return cJSON_IsBool(i) ? cJSON_IsTrue(i) : -1;
}

int64_t ngx_wagw_param_time(ngx_wagw_call_t *call, const char *name)
{
    int64_t ms;
    wagw_str_t s;

    s = ngx_wagw_param_str(call, name);

    return s.n && wagw_iso_parse(s, &ms) == WAGW_OK ? ms : 0;
}

ngx_int_t ngx_wagw_call_json(ngx_wagw_call_t *call, const cJSON *o, wagw_str_t *out)
{
    char *text;
    size_t n;
    u_char *p;

    text = cJSON_PrintUnformatted(o);
    if (text == NULL) {
        return NGX_ERROR;
    }

    n = ngx_strlen(text);
    p = ngx_pnalloc(call->pool, n + 1);

    if (p) {
        ngx_memcpy(p, text, n + 1);
        *out = wagw_str(p, n);
    }

    cJSON_free(text);

    return p ? NGX_OK : NGX_ERROR;
}

void ngx_wagw_param_set(ngx_wagw_call_t *call, const char *name, const char *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, name);
    cJSON_AddStringToObject(call->params, name, value);
}

void *ngx_wagw_call_ctx(ngx_wagw_call_t *call, size_t size)
{
    call->data = ngx_pcalloc(call->pool, size);

    if (call->data == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
    }

    return call->data;
}

void ngx_wagw_call_invalid(ngx_wagw_call_t *call, const char *field, const char *reason)
{
    wagw_buf_t b;
    wagw_json_t j;

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);

    wagw_json_field(&j, field, reason);

    ngx_wagw_call_fail(call, 400, "VALIDATION_FAILED", "Validation failed", wagw_buf_view(&b));
    wagw_buf_free(&b);
}

bool ngx_wagw_call_timer(ngx_wagw_call_t *call, const char *field, int64_t seconds)
{
    if (seconds == 0 || seconds == 86400 || seconds == 604800 || seconds == 7776000) {
        return true;
    }

    ngx_wagw_call_invalid(call, field, "must be 0, 86400, 604800 or 7776000");
    return false;
}

void ngx_wagw_call_store_failed(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail_retry(call, 503, "DB_UNAVAILABLE", "The database is not available", WAGW_STR_NULL, NULL, 1);
}

void ngx_wagw_call_data(ngx_wagw_call_t *call, ngx_uint_t status, wagw_buf_t *data, const char *message)
{
    wagw_buf_t b = *data;

    /* the call, and with it what `data` may be part of, is gone after the answer */
    ngx_memzero(data, sizeof(wagw_buf_t));

    if (b.failed) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);

    } else {
        ngx_wagw_call_ok(call, status, wagw_buf_view(&b), message, WAGW_STR_NULL);
    }

    wagw_buf_free(&b);
}

void ngx_wagw_list_page(ngx_wagw_call_t *call, ngx_wagw_list_t *list, uint32_t dflt)
{
    int64_t limit, offset;

    limit = ngx_wagw_param_int(call, "limit", dflt);
    offset = ngx_wagw_param_int(call, "offset", 0);

    list->limit = limit < 1 ? 1 : limit > 500 ? 500 : (uint32_t)limit;
    list->offset = offset < 0 ? 0 : offset > UINT32_MAX ? UINT32_MAX : (uint32_t)offset;
    list->total = UINT64_MAX;
    list->paginated = 1;
}

void ngx_wagw_list_free(ngx_wagw_list_t *list)
{
    wagw_buf_free(&list->json);
    wagw_buf_free(&list->next_cursor);
}

void ngx_wagw_call_counted(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    wagw_buf_t extra = {0};

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return;
    }

    data = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    wagw_buf_printf(&extra, "\"count\":%d", cJSON_GetArraySize(data));
    cJSON_Delete(data);

    ngx_wagw_call_ok(call, (ngx_uint_t)r->status, r->data, r->message, wagw_buf_view(&extra));
    wagw_buf_free(&extra);
}

void ngx_wagw_call_list(ngx_wagw_call_t *call, ngx_wagw_list_t *list, const char *message)
{
    wagw_buf_t extra;
    wagw_str_t view;
    wagw_json_t j;
    ngx_wagw_list_t l = *list;

    /* as in ngx_wagw_call_data() */
    ngx_memzero(list, sizeof(ngx_wagw_list_t));
    ngx_memzero(&extra, sizeof(extra));

    j = wagw_json(&extra);
    wagw_json_open(&j, '{');
    wagw_json_kint(&j, "count", l.count);

    if (l.total != UINT64_MAX) {
        wagw_json_key(&j, "total");
        wagw_json_uint(&j, l.total);
    }

    if (l.paginated) {
        wagw_json_key(&j, "pagination");
        wagw_json_open(&j, '{');
        wagw_json_kint(&j, "limit", l.limit);
        wagw_json_kint(&j, "offset", l.offset);
        wagw_json_kbool(&j, "hasMore", l.more);

        if (l.more && l.next_cursor.n) {
            wagw_json_kstr(&j, "nextCursor", wagw_buf_view(&l.next_cursor));
        }

        wagw_json_close(&j);
    }

    wagw_json_close(&j);

    if (extra.failed || l.json.failed || extra.n < 2) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);

    } else {
        /* members without the braces */
        view = wagw_str(extra.p + 1, extra.n - 2);
        ngx_wagw_call_ok(call, 200, l.json.n ? wagw_buf_view(&l.json) : WAGW_STR("[]"), message, view);
    }

    wagw_buf_free(&extra);
    ngx_wagw_list_free(&l);
}

ngx_uint_t ngx_wagw_call_sees(ngx_wagw_call_t *call, ngx_str_t *instance_id)
{
    cJSON *list;
    ngx_uint_t sees;
    const cJSON *i;

    if (call->key_instances.len == 0) {
        return 1;
    }

    sees = 0;
    list = cJSON_ParseWithLength((const char *)call->key_instances.data, call->key_instances.len);

    cJSON_ArrayForEach(i, list)
    {
        if (cJSON_IsString(i) && ngx_strlen(i->valuestring) == instance_id->len &&
            ngx_memcmp(i->valuestring, instance_id->data, instance_id->len) == 0) {
            sees = 1;
            break;
        }
    }

    cJSON_Delete(list);

    return sees;
}
