/*
 * Checks parameters against a row's field table and brings them to the form
 * that ngx_wagw.h promises to handlers.  Pure: cJSON in, cJSON out.
 */

#include "ngx_wagw_fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define FIELDS_URL_MAX 2048

typedef struct {
    wagw_buf_t *out; /* {"fields":[...  */
    wagw_json_t json;
    unsigned bad, bad_jids;
    const char *first; /* field of the first bad JID */
} fields_errors_t;

static void fields_wrong(fields_errors_t *e, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void fields_wrong(fields_errors_t *e, const char *field, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    if (e->bad++ == 0) {
        wagw_json_open(&e->json, '{');
        wagw_json_key(&e->json, "fields");
        wagw_json_open(&e->json, '[');
    }
    wagw_json_open(&e->json, '{');
    wagw_json_kcstr(&e->json, "field", field);
    wagw_json_kcstr(&e->json, "reason", text);
    wagw_json_close(&e->json);
}

static void fields_bad_jid(fields_errors_t *e, const char *field, const char *what)
{
    if (e->bad_jids++ == 0) {
        e->first = field;
    }
    fields_wrong(e, field, "must be %s", what);
}

/* One of "a|b|c"; the table's spelling goes to *found. */
static bool fields_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    const char *p = choices, *q;

    while (p) {
        q = strchr(p, '|');
        if ((q ? (size_t)(q - p) : strlen(p)) == n && memcmp(p, value, n) == 0) {
            return true;
        }
        p = q ? q + 1 : NULL;
    }
    return false;
}

static size_t fields_chars(const char *s)
{
    size_t n = 0;

    for (; *s; s++) {
        n += (*s & 0xc0) != 0x80;
    }
    return n;
}

static void fields_set(cJSON *item, const char *text)
{
    char *copy = cJSON_malloc(strlen(text) + 1);

    if (copy) {
        strcpy(copy, text);
        cJSON_free(item->valuestring);
        item->valuestring = copy;
    }
}

/* A recipient in any of the contract's forms becomes canonical text. */
static bool fields_jid(cJSON *item)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid, user;

    if (!cJSON_IsString(item) || wagw_jid_from_caller(&jid, wagw_cstr(item->valuestring)) != WAGW_OK) {
        return false;
    }
    user = wagw_jid_user(&jid);
    wagw_jid_text(&user, text);
    fields_set(item, text);
    return true;
}

/* Digits of a person's number; a LID stays one. */
static bool fields_phone(cJSON *item)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid, user;

    if (!cJSON_IsString(item) || wagw_jid_from_caller(&jid, wagw_cstr(item->valuestring)) != WAGW_OK ||
        !wagw_jid_is_person(&jid)) {
        return false;
    }
    user = wagw_jid_user(&jid);
    if (wagw_jid_is_lid(&user)) {
        wagw_jid_text(&user, text);
        fields_set(item, text);
    } else {
        fields_set(item, user.user);
    }
    return true;
}

bool ngx_wagw_fields_url_ok(const char *s)
{
    const char *p;
    size_t n = strlen(s), skip = 0;

    if (n > FIELDS_URL_MAX) {
        return false;
    }
    if (strncasecmp(s, "http://", 7) == 0) {
        skip = 7;
    } else if (strncasecmp(s, "https://", 8) == 0) {
        skip = 8;
    }
    if (skip == 0 || n == skip || strchr("/?#:@", s[skip]) != NULL) {
        return false;
    }
    for (p = s; *p; p++) {
        if ((uint8_t)*p <= 0x20 || *p == 0x7f) {
            return false;
        }
    }
    return true;
}

static void fields_range(fields_errors_t *e, const ngx_wagw_field_t *f, double v, const char *unit)
{
    if (f->min == 0 && f->max == 0) {
        return;
    }
    if (v < f->min || v > f->max) {
        if (unit[0] && f->min == f->max) {
            fields_wrong(e, f->name, "must have %.0f %s", f->min, unit);
        } else if (unit[0]) {
            fields_wrong(e, f->name, "must have %.0f to %.0f %s", f->min, f->max, unit);
        } else {
            fields_wrong(e, f->name, "must be between %.15g and %.15g", f->min, f->max);
        }
    }
}

static void fields_list(fields_errors_t *e, const ngx_wagw_field_t *f, cJSON *v, bool jids)
{
    cJSON *i;

    if (!cJSON_IsArray(v)) {
        fields_wrong(e, f->name, "must be an array of strings");
        return;
    }
    fields_range(e, f, cJSON_GetArraySize(v), "items");
    cJSON_ArrayForEach(i, v)
    {
        if (!cJSON_IsString(i)) {
            fields_wrong(e, f->name, "must be an array of strings");
            return;
        }
        if (jids ? !fields_jid(i) : 0) {
            fields_bad_jid(e, f->name, "phone numbers or JIDs");
            return;
        }
        if (!jids && f->choices && strcmp(f->choices, "phone") == 0) {
            if (!fields_phone(i)) {
                fields_bad_jid(e, f->name, "phone numbers");
                return;
            }
        } else if (!jids && f->choices && !fields_choice(f->choices, i->valuestring)) {
            fields_wrong(e, f->name, "must be of %s", f->choices);
            return;
        }
    }
}

/* A bare id names a group here, whatever it would mean elsewhere. */
static bool fields_group(cJSON *v)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid;

    if (strchr(v->valuestring, '@') == NULL && strlen(v->valuestring) < sizeof(text) - sizeof("@g.us")) {
        snprintf(text, sizeof(text), "%s@g.us", v->valuestring);
        cJSON_SetValuestring(v, text);
    }
    return fields_jid(v) && wagw_jid_parse(&jid, wagw_cstr(v->valuestring)) == WAGW_OK && wagw_jid_is_group(&jid) &&
           jid.user_len > 0;
}

static void fields_any(fields_errors_t *e, const ngx_wagw_field_t *f, cJSON *v)
{
    cJSON *i;
    const char *c = f->choices;

    if (c == NULL || (cJSON_IsBool(v) && fields_choice(c, "bool")) ||
        (cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= 1e9 && floor(v->valuedouble) == v->valuedouble &&
         fields_choice(c, "int")) ||
        (cJSON_IsObject(v) && fields_choice(c, "obj")) || (cJSON_IsString(v) && fields_choice(c, "str")) ||
        (cJSON_IsString(v) && fields_choice(c, "all") && strcmp(v->valuestring, "all") == 0)) {
        return;
    }
    if (cJSON_IsString(v) && fields_choice(c, "jid")) {
        if (!fields_jid(v)) {
            fields_bad_jid(e, f->name, "a phone number or JID");
        }
        return;
    }
    if (cJSON_IsArray(v) && fields_choice(c, "jids")) {
        cJSON_ArrayForEach(i, v)
        {
            if (!fields_jid(i)) {
                fields_bad_jid(e, f->name, "phone numbers or JIDs");
                return;
            }
        }
        if (cJSON_GetArraySize(v) > 1024) {
            fields_wrong(e, f->name, "must have 0 to 1024 items");
        }
        return;
    }
    fields_wrong(e, f->name, "must be one of the types %s", c);
}

static void fields_value(fields_errors_t *e, const ngx_wagw_field_t *f, cJSON *v)
{
    int64_t ms;

    switch (f->type) {
    case NGX_WAGW_T_STR:
        if (!cJSON_IsString(v)) {
            fields_wrong(e, f->name, "must be a string");
        } else {
            fields_range(e, f, fields_chars(v->valuestring), "characters");
        }
        break;

    case NGX_WAGW_T_INT:
        if (!cJSON_IsNumber(v) || floor(v->valuedouble) != v->valuedouble ||
            fabs(v->valuedouble) > 9007199254740991.0) {
            fields_wrong(e, f->name, "must be an integer");
        } else {
            fields_range(e, f, v->valuedouble, "");
        }
        break;

    case NGX_WAGW_T_NUM:
        if (!cJSON_IsNumber(v) || !isfinite(v->valuedouble)) {
            fields_wrong(e, f->name, "must be a number");
        } else {
            fields_range(e, f, v->valuedouble, "");
        }
        break;

    case NGX_WAGW_T_BOOL:
        if (!cJSON_IsBool(v)) {
            fields_wrong(e, f->name, "must be true or false");
        }
        break;

    case NGX_WAGW_T_JID:
        if (!cJSON_IsString(v)) {
            fields_wrong(e, f->name, "must be a string");
        } else if (!fields_jid(v)) {
            fields_bad_jid(e, f->name, "a phone number or JID");
        }
        break;

    case NGX_WAGW_T_GROUP:
        if (!cJSON_IsString(v)) {
            fields_wrong(e, f->name, "must be a string");
        } else if (!fields_group(v)) {
            fields_bad_jid(e, f->name, "the id of a group");
        }
        break;

    case NGX_WAGW_T_PHONE:
        if (!cJSON_IsString(v)) {
            fields_wrong(e, f->name, "must be a string");
        } else if (!fields_phone(v)) {
            fields_bad_jid(e, f->name, "a phone number");
        }
        break;

    case NGX_WAGW_T_URL:
        if (!cJSON_IsString(v) || !ngx_wagw_fields_url_ok(v->valuestring)) {
            fields_wrong(e, f->name, "must be an http or https URL");
        }
        break;

    case NGX_WAGW_T_ISO:
        if (!cJSON_IsString(v) || wagw_iso_parse(wagw_cstr(v->valuestring), &ms) != WAGW_OK) {
            fields_wrong(e, f->name, "must be an ISO-8601 UTC time");
        }
        break;

    case NGX_WAGW_T_OBJ:
        if (!cJSON_IsObject(v)) {
            fields_wrong(e, f->name, "must be an object");
        }
        break;

    case NGX_WAGW_T_ARR:
        if (!cJSON_IsArray(v)) {
            fields_wrong(e, f->name, "must be an array");
        } else {
            fields_range(e, f, cJSON_GetArraySize(v), "items");
        }
        break;

    case NGX_WAGW_T_STRS:
    case NGX_WAGW_T_JIDS:
        fields_list(e, f, v, f->type == NGX_WAGW_T_JIDS);
        break;

    case NGX_WAGW_T_ENUM:
        if (!cJSON_IsString(v) || !fields_choice(f->choices, v->valuestring)) {
            fields_wrong(e, f->name, "must be one of %s", f->choices);
        }
        break;

    case NGX_WAGW_T_ANY:
        fields_any(e, f, v);
        break;
    }
}

int ngx_wagw_fields_check(const ngx_wagw_field_t *fields, cJSON *params, const char **code, wagw_buf_t *details)
{
    cJSON *v;
    fields_errors_t e = {details, wagw_json(details), 0, 0, NULL};
    const ngx_wagw_field_t *f;

    for (f = fields; f && f->name; f++) {
        v = cJSON_GetObjectItemCaseSensitive(params, f->name);
        if (v == NULL && f->alias) {
            v = cJSON_DetachItemFromObjectCaseSensitive(params, f->alias);
            if (v && !cJSON_AddItemToObject(params, f->name, v)) {
                cJSON_Delete(v);
                return WAGW_NOMEM;
            }
        }
        if (v && cJSON_IsNull(v) && !f->nullable) {
            cJSON_DeleteItemFromObjectCaseSensitive(params, f->name);
            v = NULL;
        }
        if (v == NULL) {
            if (f->required) {
                fields_wrong(&e, f->name, "required");
            } else if (f->dflt) {
                v = ngx_wagw_fields_value(fields, f->name, f->dflt);
                if (v == NULL || !cJSON_AddItemToObject(params, f->name, v)) {
                    cJSON_Delete(v);
                    return WAGW_NOMEM;
                }
            }
            continue;
        }
        if (!cJSON_IsNull(v)) {
            fields_value(&e, f, v);
        }
    }
    if (e.bad == 0) {
        return WAGW_OK;
    }
    wagw_json_close(&e.json);
    *code = "VALIDATION_FAILED";
    if (e.bad == e.bad_jids) {
        *code = "INVALID_JID";
        wagw_json_kcstr(&e.json, "field", e.first);
    }
    wagw_json_close(&e.json);
    return details->failed ? WAGW_NOMEM : WAGW_MALFORMED;
}

static cJSON *fields_split(const char *value)
{
    cJSON *list, *item;
    const char *p = value, *q;

    if (*p == '[') {
        if (ngx_wagw_json_check((const uint8_t *)p, strlen(p)) != NGX_WAGW_JSON_OK) {
            return cJSON_CreateString(value);
        }
        return cJSON_Parse(p);
    }
    list = cJSON_CreateArray();
    while (list && *p) {
        q = strchr(p, ',');
        item = cJSON_CreateString("");
        if (item == NULL) {
            break;
        }
        cJSON_free(item->valuestring);
        item->valuestring = strndup(p, q ? (size_t)(q - p) : strlen(p));
        cJSON_AddItemToArray(list, item);
        p = q ? q + 1 : "";
    }
    return list;
}

cJSON *ngx_wagw_fields_value(const ngx_wagw_field_t *fields, const char *name, const char *value)
{
    char *end;
    double d;
    const ngx_wagw_field_t *f;

    for (f = fields; f && f->name; f++) {
        if (strcmp(f->name, name) == 0 || (f->alias && strcmp(f->alias, name) == 0)) {
            break;
        }
    }
    if (f == NULL || f->name == NULL) {
        return cJSON_CreateString(value);
    }

    switch (f->type) {
    case NGX_WAGW_T_INT:
    case NGX_WAGW_T_NUM:
        if (*value == '-' || (*value >= '0' && *value <= '9')) {
            d = strtod(value, &end);
            if (*end == '\0' && strspn(value, "-+.0123456789eE") == strlen(value)) {
                return cJSON_CreateNumber(d);
            }
        }
        break;

    case NGX_WAGW_T_BOOL:
        if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0 || *value == '\0') {
            return cJSON_CreateTrue();
        }
        if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0) {
            return cJSON_CreateFalse();
        }
        break;

    case NGX_WAGW_T_STRS:
    case NGX_WAGW_T_JIDS:
        return fields_split(value);

    case NGX_WAGW_T_ANY:
        /* a number of a person is no number */
        if (f->choices && fields_choice(f->choices, "jid") && *value != '[') {
            break;
        }
        /* fall through */
    case NGX_WAGW_T_OBJ:
    case NGX_WAGW_T_ARR:
        if (ngx_wagw_json_check((const uint8_t *)value, strlen(value)) == NGX_WAGW_JSON_OK) {
            return cJSON_Parse(value);
        }
        break;

    default:
        break;
    }
    return cJSON_CreateString(value);
}
