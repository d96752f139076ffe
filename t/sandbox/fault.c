/*
 * Refusals that a test orders (login, acks, iqs) and mistakes that the server
 * notices at its clients.
 */

#include "sandbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum { SBX_REFUSE_LOGIN = 0, SBX_REFUSE_MESSAGE, SBX_REFUSE_IQ } sbx_refuse_kind_t;

typedef struct sbx_refuse_s sbx_refuse_t;
struct sbx_refuse_s {
    sbx_refuse_t *next;
    sbx_refuse_kind_t kind;
    const sbx_device_t *device; /* NULL: every */
    int code;
    int64_t left; /* -1: no end */
    bool silent;
    char *xmlns;
    char *child;
    char *type;
    char *text;
};

static sbx_refuse_t *sbx_refusals;
static cJSON *sbx_faults;

void sbx_fault(sbx_device_t *d, const char *fmt, ...)
{
    char text[512], jid[WAGW_JID_TEXT_MAX];
    cJSON *item;
    va_list ap;
    wagw_jid_t j;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    if (sbx_faults == NULL) {
        sbx_faults = cJSON_CreateArray();
    }
    if (cJSON_GetArraySize(sbx_faults) >= 1000) {
        return;
    }
    item = cJSON_CreateObject();
    if (d != NULL) {
        j = sbx_device_jid(d, false);
        wagw_jid_text(&j, jid);
        cJSON_AddStringToObject(item, "device", jid);
    } else {
        cJSON_AddNullToObject(item, "device");
    }
    cJSON_AddNumberToObject(item, "t", (double)sbx_now_ms());
    cJSON_AddStringToObject(item, "fault", text);
    cJSON_AddItemToArray(sbx_faults, item);
}

int sbx_admin_faults(sbx_req_t *r)
{
    char buf[64], jid[WAGW_JID_TEXT_MAX], *text;
    cJSON *item;
    wagw_jid_t j;
    const char *s;
    const cJSON *of;
    sbx_device_t *d;

    jid[0] = '\0';
    s = sbx_arg(r, "device", buf);
    if (s != NULL) {
        d = sbx_device_find(s);
        if (d == NULL) {
            return sbx_error(r, 404, "device unknown");
        }
        j = sbx_device_jid(d, false);
        wagw_jid_text(&j, jid);
    }

    wagw_json_open(&r->j, '[');
    cJSON_ArrayForEach(item, sbx_faults)
    {
        of = cJSON_GetObjectItemCaseSensitive(item, "device");
        if (jid[0] == '\0' || (cJSON_IsString(of) && strcmp(of->valuestring, jid) == 0)) {
            text = cJSON_PrintUnformatted(item);
            wagw_json_raw(&r->j, wagw_cstr(text));
            free(text);
        }
    }
    wagw_json_close(&r->j);
    return 200;
}

static void sbx_refuse_free(sbx_refuse_t **p)
{
    sbx_refuse_t *r;

    r = *p;
    *p = r->next;
    free(r->xmlns);
    free(r->child);
    free(r->type);
    free(r->text);
    free(r);
}

static bool sbx_refuse_iq(const sbx_refuse_t *r, const wagw_node_t *iq)
{
    return (r->xmlns == NULL || wagw_node_attr_is(iq, "xmlns", r->xmlns)) &&
           (r->type == NULL || wagw_node_attr_is(iq, "type", r->type)) &&
           (r->child == NULL || wagw_node_find(iq, r->child) != NULL);
}

/* The code of the first rule that fits, or 0. */
static int sbx_refused(sbx_refuse_kind_t kind, const sbx_device_t *d, const wagw_node_t *iq, bool *silent,
                       char text[64])
{
    int code;
    sbx_refuse_t **p, *r;

    for (p = &sbx_refusals; (r = *p) != NULL; p = &r->next) {
        if (r->kind != kind || (r->device != NULL && r->device != d) || (iq != NULL && !sbx_refuse_iq(r, iq))) {
            continue;
        }
        code = r->code;
        if (silent != NULL) {
            *silent = r->silent;
        }
        if (text != NULL) {
            snprintf(text, 64, "%s", r->text ? r->text : "injected");
        }
        if (r->left > 0 && --r->left == 0) {
            sbx_refuse_free(p);
        }
        return code;
    }
    return 0;
}

int sbx_ack_rule(sbx_device_t *d, bool *silent)
{
    return sbx_refused(SBX_REFUSE_MESSAGE, d, NULL, silent, NULL);
}

int sbx_iq_rule(sbx_device_t *d, const wagw_node_t *iq, bool *silent, char text[64])
{
    return sbx_refused(SBX_REFUSE_IQ, d, iq, silent, text);
}

int sbx_login_rule(const sbx_device_t *d)
{
    return sbx_refused(SBX_REFUSE_LOGIN, d, NULL, NULL, NULL);
}

static void sbx_refuse_clear(sbx_refuse_kind_t kind, const sbx_device_t *d, bool all)
{
    sbx_refuse_t **p;

    for (p = &sbx_refusals; *p != NULL;) {
        if ((*p)->kind == kind && (all || (*p)->device == d)) {
            sbx_refuse_free(p);
        } else {
            p = &(*p)->next;
        }
    }
}

void sbx_fault_forget(const sbx_device_t *d)
{
    sbx_refuse_clear(SBX_REFUSE_LOGIN, d, false);
    sbx_refuse_clear(SBX_REFUSE_MESSAGE, d, false);
    sbx_refuse_clear(SBX_REFUSE_IQ, d, false);
}

void sbx_fault_reset(void)
{
    while (sbx_refusals != NULL) {
        sbx_refuse_free(&sbx_refusals);
    }
    cJSON_Delete(sbx_faults);
    sbx_faults = NULL;
}

static int sbx_ok(sbx_req_t *r)
{
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}

/* The device that the request names; false after a 4xx. */
static bool sbx_req_device(sbx_req_t *r, bool optional, sbx_device_t **d, int *status)
{
    char buf[64];
    const char *s;

    *d = NULL;
    s = sbx_arg(r, "device", buf);
    if (s == NULL && optional) {
        return true;
    }
    *d = s ? sbx_device_find(s) : NULL;
    if (*d == NULL) {
        *status = sbx_error(r, s ? 404 : 400, s ? "device unknown: %.100s" : "device is missing%s", s ? s : "");
        return false;
    }
    return true;
}

static sbx_refuse_t *sbx_refuse_add(sbx_req_t *r, sbx_refuse_kind_t kind, const sbx_device_t *d, int64_t count)
{
    sbx_refuse_t *x, **p;

    x = sbx_alloc(sizeof(sbx_refuse_t));
    x->kind = kind;
    x->device = d;
    x->left = count > 0 ? count : -1;
    x->silent = sbx_arg_bool(r, "silent", false);
    x->code = (int)sbx_arg_int(r, "code", 500);
    for (p = &sbx_refusals; *p != NULL; p = &(*p)->next) {
    }
    *p = x;
    return x;
}

int sbx_admin_reject_login(sbx_req_t *r)
{
    int status;
    sbx_device_t *d;

    if (!sbx_req_device(r, true, &d, &status)) {
        return status;
    }
    if (sbx_arg_int(r, "code", -1) < 0) {
        return sbx_error(r, 400, "code is missing");
    }
    sbx_refuse_clear(SBX_REFUSE_LOGIN, d, d == NULL);
    if (sbx_arg_int(r, "code", 0) != 0) {
        sbx_refuse_add(r, SBX_REFUSE_LOGIN, d, sbx_arg_int(r, "count", 1));
    }
    return sbx_ok(r);
}

int sbx_admin_ack_error(sbx_req_t *r)
{
    int status;
    sbx_device_t *d;

    if (!sbx_req_device(r, false, &d, &status)) {
        return status;
    }
    sbx_refuse_add(r, SBX_REFUSE_MESSAGE, d, sbx_arg_int(r, "count", 1));
    return sbx_ok(r);
}

int sbx_admin_iq_error(sbx_req_t *r)
{
    int status;
    char buf[64];
    const char *s;
    sbx_refuse_t *x;
    sbx_device_t *d;

    if (!sbx_req_device(r, true, &d, &status)) {
        return status;
    }
    x = sbx_refuse_add(r, SBX_REFUSE_IQ, d, sbx_arg_int(r, "count", 1));
    if ((s = sbx_arg(r, "xmlns", buf)) != NULL) {
        x->xmlns = sbx_strdup(s);
    }
    if ((s = sbx_arg(r, "child", buf)) != NULL) {
        x->child = sbx_strdup(s);
    }
    if ((s = sbx_arg(r, "type", buf)) != NULL) {
        x->type = sbx_strdup(s);
    }
    if ((s = sbx_arg(r, "text", buf)) != NULL) {
        x->text = sbx_strdup(s);
    }
    return sbx_ok(r);
}

int sbx_admin_iq_error_clear(sbx_req_t *r)
{
    sbx_refuse_clear(SBX_REFUSE_IQ, NULL, true);
    return sbx_ok(r);
}

int sbx_admin_corrupt(sbx_req_t *r)
{
    int status;
    char buf[64];
    wagw_node_t *n;
    wagw_arena_t a = {0};
    const char *mode;
    sbx_device_t *d;

    if (!sbx_req_device(r, false, &d, &status)) {
        return status;
    }
    mode = sbx_arg(r, "mode", buf);
    if (d->conn == NULL) {
        return sbx_error(r, 409, "device is not connected");
    }
    if (mode == NULL || strcmp(mode, "cipher") == 0) {
        d->conn->corrupt = SBX_CORRUPT_CIPHER;
    } else if (strcmp(mode, "node") == 0) {
        d->conn->corrupt = SBX_CORRUPT_NODE;
    } else if (strcmp(mode, "truncate") == 0) {
        d->conn->corrupt = SBX_CORRUPT_TRUNCATE;
    } else {
        return sbx_error(r, 400, "mode: cipher, node or truncate");
    }

    n = wagw_node(&a, "ib");
    wagw_node_attr_server(&a, n, "from");
    wagw_node_attr_int(&a, wagw_node_child(&a, n, "offline"), "count", 0);
    sbx_send(d->conn, n);
    wagw_arena_free(&a);
    return sbx_ok(r);
}

int sbx_admin_drop(sbx_req_t *r)
{
    int status;
    int64_t id;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_conn_t *c;
    sbx_device_t *d;

    id = sbx_arg_int(r, "conn", 0);
    if (id > 0) {
        c = sbx_conn_find((uint64_t)id);
    } else {
        if (!sbx_req_device(r, false, &d, &status)) {
            return status;
        }
        c = d->conn;
    }
    if (c == NULL || c->state == SBX_HTTP) {
        return sbx_error(r, 409, "not connected");
    }

    if (sbx_arg_bool(r, "end", false)) {
        n = wagw_node(&a, "xmlstreamend");
        sbx_send(c, n);
        wagw_arena_free(&a);
    }
    if (sbx_arg_bool(r, "hard", false)) {
        if (sbx_arg_bool(r, "end", false)) {
            sbx_conn_finish(c);
        } else {
            sbx_conn_close(c);
        }
    } else {
        sbx_conn_ws_close(c);
    }
    return sbx_ok(r);
}

int sbx_admin_stream_error(sbx_req_t *r)
{
    int status;
    char buf[64], other[64];
    sbx_device_t *d;

    if (!sbx_req_device(r, false, &d, &status)) {
        return status;
    }
    if (d->conn == NULL) {
        return sbx_error(r, 409, "device is not connected");
    }
    sbx_stream_error(d->conn, sbx_arg(r, "code", buf), sbx_arg(r, "conflict", other));
    return sbx_ok(r);
}
