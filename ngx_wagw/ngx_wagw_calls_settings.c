#include "ngx_wagw_queue.h"

/* The settings of an instance (contract 3.2): one table for types, defaults and the answer. */

typedef enum { SET_BOOL = 1, SET_STR, SET_ENUM, SET_INT, SET_OBJ } set_type_t;

static const struct {
    const char *name;
    set_type_t type;
    const char *dflt; /* JSON */
    const char *choices;
} settings_table[] = {{"rejectCalls", SET_BOOL, "false", NULL},
                      {"rejectCallMessage", SET_STR, "\"\"", NULL},
                      {"ignoreGroups", SET_BOOL, "false", NULL},
                      {"ignoreStatus", SET_BOOL, "true", NULL},
                      {"ignoreChannels", SET_BOOL, "false", NULL},
                      {"alwaysOnline", SET_BOOL, "false", NULL},
                      {"markReadOnReceive", SET_BOOL, "false", NULL},
                      {"readReceipts", SET_BOOL, "true", NULL},
                      {"storeMessages", SET_BOOL, "true", NULL},
                      {"storeMedia", SET_BOOL, "false", NULL},
                      {"mediaAutoDownload", SET_ENUM, "\"none\"", "none|image|all"},
                      {"syncHistory", SET_ENUM, "\"recent\"", "none|recent|full"},
                      {"linkPreview", SET_BOOL, "true", NULL},
                      {"checkNumberBeforeSend", SET_BOOL, "false", NULL},
                      {"pacing", SET_OBJ, "{}", NULL},
                      {"retentionDays", SET_INT, "0", NULL},
                      {"browser", SET_OBJ, "{\"os\":\"Mac OS\",\"name\":\"Chrome\"}", NULL},
                      {NULL, 0, NULL, NULL}};

void ngx_wagw_settings_json(wagw_json_t *j, const char *key, const cJSON *settings)
{
    wagw_json_key(j, key);
    wagw_json_open(j, '{');
    ngx_wagw_settings_members(j, settings);
    wagw_json_close(j);
}

void ngx_wagw_settings_members(wagw_json_t *j, const cJSON *settings)
{
    char *text;
    ngx_uint_t i;
    const cJSON *v;

    for (i = 0; settings_table[i].name; i++) {
        v = cJSON_GetObjectItemCaseSensitive(settings, settings_table[i].name);
        text = v ? cJSON_PrintUnformatted(v) : NULL;
        wagw_json_kraw(j, settings_table[i].name, wagw_cstr(text ? text : settings_table[i].dflt));
        cJSON_free(text);
    }
}

static ngx_uint_t settings_choice(const char *choices, const char *value)
{
    size_t n;
    const char *p;

    n = ngx_strlen(value);

    for (p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (ngx_strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0')) {
            return n > 0;
        }
    }

    return 0;
}

static const char *settings_wrong(ngx_uint_t i, const cJSON *v)
{
    switch (settings_table[i].type) {

    case SET_BOOL:
        return cJSON_IsBool(v) ? NULL : "must be a boolean";

    case SET_STR:
        return cJSON_IsString(v) && ngx_strlen(v->valuestring) <= 4096 ? NULL : "must be a string";

    case SET_ENUM:
        return cJSON_IsString(v) && settings_choice(settings_table[i].choices, v->valuestring)
                   ? NULL
                   : "not one of the choices";

    case SET_INT:
        return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= 36500 &&
                       v->valuedouble == (double)v->valueint
                   ? NULL
                   : "must be a whole number from 0 to 36500";

    default:
        return cJSON_IsObject(v) ? NULL : "must be an object";
    }
}

static const char *settings_browser_wrong(const cJSON *b)
{
    const cJSON *i;

    cJSON_ArrayForEach(i, b)
    {
        if (!cJSON_IsString(i) || ngx_strlen(i->valuestring) > 64 || !wagw_utf8_valid(wagw_cstr(i->valuestring))) {
            return "os and name must be short texts";
        }
    }

    return NULL;
}

/* A warm-up counts from the day that it was switched on. */
static void settings_warmup(cJSON *pacing, const cJSON *old)
{
    cJSON *w = cJSON_GetObjectItemCaseSensitive(pacing, "warmup");
    const cJSON *since = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(old, "warmup"), "since");
    bool on = cJSON_IsTrue(w) || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(w, "enabled"));

    cJSON_DeleteItemFromObjectCaseSensitive(pacing, "warmup");

    if (on) {
        w = cJSON_AddObjectToObject(pacing, "warmup");
        cJSON_AddTrueToObject(w, "enabled");
        cJSON_AddNumberToObject(w, "since", cJSON_IsNumber(since) ? since->valuedouble : (double)ngx_wagw_now_ms());
    }
}

static ngx_int_t settings_put(ngx_wagw_call_t *call, cJSON *settings, const char *where, ngx_uint_t i, const cJSON *v)
{
    char field[96];
    cJSON *copy;
    const char *wrong, *part = NULL;

    /* null takes a setting back to its default */
    if (cJSON_IsNull(v)) {
        cJSON_DeleteItemFromObjectCaseSensitive(settings, settings_table[i].name);
        return NGX_OK;
    }

    wrong = settings_wrong(i, v);

    if (wrong == NULL && ngx_strcmp(settings_table[i].name, "browser") == 0) {
        wrong = settings_browser_wrong(v);
    }

    if (wrong == NULL && ngx_strcmp(settings_table[i].name, "pacing") == 0) {
        wrong = ngx_wagw_pacing_wrong(v, &part);
    }

    if (wrong) {
        snprintf(field, sizeof(field), "%s%s%s%s", where, settings_table[i].name, part ? "." : "", part ? part : "");
        ngx_wagw_call_invalid(call, field, wrong);
        return NGX_DECLINED;
    }

    copy = cJSON_Duplicate(v, 1);
    if (copy && ngx_strcmp(settings_table[i].name, "pacing") == 0) {
        settings_warmup(copy, cJSON_GetObjectItemCaseSensitive(settings, "pacing"));
    }
    cJSON_DeleteItemFromObjectCaseSensitive(settings, settings_table[i].name);

    if (copy == NULL || !cJSON_AddItemToObject(settings, settings_table[i].name, copy)) {
        cJSON_Delete(copy);
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return NGX_DECLINED;
    }

    return NGX_OK;
}

ngx_int_t ngx_wagw_settings_apply(ngx_wagw_call_t *call, cJSON *settings)
{
    ngx_uint_t i;
    const cJSON *v, *given;
    const char *where = call->settings_only ? "" : "settings.";

    /* traffic that was meant for a proxy must not go out without it */
    if (ngx_wagw_param_str(call, "proxy").n) {
        ngx_wagw_call_fail(call, 501, "NOT_SUPPORTED", "Proxies are not built yet", WAGW_STR_NULL);
        return NGX_DECLINED;
    }

    given = ngx_wagw_param(call, "settings");

    for (i = 0; settings_table[i].name; i++) {
        v = cJSON_GetObjectItemCaseSensitive(given, settings_table[i].name);

        if (v && settings_put(call, settings, where, i, v) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (ngx_strcmp(settings_table[i].name, "browser") != 0 &&
            ngx_strcmp(settings_table[i].name, "syncHistory") != 0) {
            continue;
        }

        /* these two are also fields of their own */
        v = ngx_wagw_param(call, settings_table[i].name);

        if (v && settings_put(call, settings, "", i, v) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}

NGX_WAGW_HANDLER(settings_get)
{
    ngx_wagw_settings_answer(call, NULL);
}

void ngx_wagw_settings_answer(ngx_wagw_call_t *call, const char *message)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    ngx_wagw_settings_members(&j, ngx_wagw_call_instance(call)->settings);
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, message);
}

/* ---- rate limits (contract 3.17): the setting `pacing`, and what it has counted ---------- */

void ngx_wagw_rate_limit_answer(ngx_wagw_call_t *call, const char *message)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    ngx_wagw_sendq_t *q = ngx_wagw_queue_of(ngx_wagw_call_instance(call));

    if (q == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_pacing_json(&q->pacing, ngx_wagw_now_ms(), &j);
    ngx_wagw_call_data(call, 200, &b, message);
}

NGX_WAGW_HANDLER(rate_limit_get)
{
    ngx_wagw_rate_limit_answer(call, NULL);
}

NGX_WAGW_HANDLER(rate_limit_reset)
{
    ngx_wagw_sendq_t *q = ngx_wagw_queue_of(ngx_wagw_call_instance(call));

    if (q) {
        ngx_wagw_pacing_reset(&q->pacing);
        ngx_wagw_queue_save(q);
        ngx_wagw_queue_wake(q->in);
    }

    ngx_wagw_rate_limit_answer(call, "Rate limits reset");
}
