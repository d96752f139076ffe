#include "ngx_wagw_calls.h"

/* Linking and the connection of an instance (contract 3.2). */

#define LINK_QR_WAIT 20000

typedef struct {
    ngx_uint_t format; /* LINK_* */
    ngx_uint_t size;
    uint32_t num;
    unsigned active : 1;
    unsigned restart : 1;
    unsigned get : 1;
    wagw_instance_t row; /* what is stored */
} link_ctx_t;

enum { LINK_JSON = 0, LINK_PNG, LINK_SVG, LINK_TEXT };

static void link_linked(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 409, "ALREADY_CONNECTED", "Instance is already registered", WAGW_STR_NULL);
}

/* An idle instance begins to connect; a paused or logged-out one too, because it was asked for. */
static void link_begin(ngx_wagw_instance_t *in)
{
    wagw_client_info_t info;

    wagw_client_info(in->client, &info);

    switch (info.status) {

    case WAGW_STATUS_CONNECTING:
    case WAGW_STATUS_QR:
    case WAGW_STATUS_PAIRING:
    case WAGW_STATUS_PASSKEY:
    case WAGW_STATUS_CONNECTED:
        return;

    default:
        wagw_client_start(in->client, true, ngx_wagw_now_ms());
    }
}

/* ---- QR --------------------------------------------------------------------------- */

static ngx_uint_t link_format(ngx_wagw_call_t *call)
{
    wagw_str_t f;

    f = ngx_wagw_param_str(call, "format");

    if (f.n) {
        return wagw_str_is(f, "png")    ? LINK_PNG
               : wagw_str_is(f, "svg")  ? LINK_SVG
               : wagw_str_is(f, "text") ? LINK_TEXT
                                        : LINK_JSON;
    }

    if (call->accept.len && ngx_strlcasestrn(call->accept.data, call->accept.data + call->accept.len,
                                             (u_char *)"image/png", sizeof("image/png") - 2)) {
        return LINK_PNG;
    }

    return LINK_JSON;
}

static void link_qr_answer(ngx_wagw_call_t *call, wagw_str_t raw, int64_t expires_in, int64_t attempt)
{
    int rc;
    wagw_buf_t b, url;
    link_ctx_t *ctx;
    wagw_json_t j;
    const char *type;

    ctx = call->data;
    ngx_memzero(&b, sizeof(b));
    ngx_memzero(&url, sizeof(url));
    type = NULL;

    switch (ctx->format) {

    case LINK_PNG:
        type = "image/png";
        rc = ngx_wagw_qr_png(&b, raw, ctx->size);
        break;

    case LINK_SVG:
        type = "image/svg+xml";
        rc = ngx_wagw_qr_svg(&b, raw, ctx->size);
        break;

    case LINK_TEXT:
        type = "text/plain; charset=utf-8";
        rc = ngx_wagw_qr_text(&b, raw);
        break;

    default:
        rc = ngx_wagw_qr_data_url(&url, raw, ctx->size);
    }

    if (rc != WAGW_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);

    } else if (type) {
        ngx_wagw_call_raw(call, 200, type, wagw_buf_view(&b));

    } else {
        j = wagw_json(&b);
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "qrCode", wagw_buf_view(&url));
        wagw_json_kstr(&j, "raw", raw);
        wagw_json_kint(&j, "expiresIn", expires_in);
        wagw_json_kint(&j, "attempt", attempt);
        wagw_json_kcstr(&j, "message", "Scan this QR code with WhatsApp on your phone: Linked devices, Link a device");
        wagw_json_close(&j);
        ngx_wagw_call_data(call, 200, &b, NULL);
    }

    wagw_buf_wipe(&url);
    wagw_buf_wipe(&b);
}

static void link_qr_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    const char *raw;
    const cJSON *expires, *attempt;

    if (r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }

    data = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    raw = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "raw"));
    raw = raw ? raw : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "qr"));
    expires = cJSON_GetObjectItemCaseSensitive(data, "expiresIn");
    attempt = cJSON_GetObjectItemCaseSensitive(data, "attempt");

    if (raw) {
        link_qr_answer(call, wagw_cstr(raw), cJSON_IsNumber(expires) ? (int64_t)expires->valuedouble : 0,
                       cJSON_IsNumber(attempt) ? (int64_t)attempt->valuedouble : 1);

    } else {
        ngx_wagw_call_fail(call, 404, "QR_NOT_AVAILABLE", "QR code not available yet", WAGW_STR_NULL);
    }

    cJSON_Delete(data);
}

NGX_WAGW_HANDLER(instance_qr)
{
    wagw_buf_t raw;
    link_ctx_t *ctx;
    wagw_client_info_t info;
    ngx_wagw_instance_t *in;

    ctx = ngx_wagw_call_ctx(call, sizeof(link_ctx_t));
    if (ctx == NULL) {
        return;
    }

    ctx->format = link_format(call);
    ctx->size = (ngx_uint_t)ngx_wagw_param_int(call, "size", 0);
    in = ngx_wagw_call_instance(call);

    if (ngx_wagw_instance_linked(in)) {
        link_linked(call);
        return;
    }

    wagw_client_info(in->client, &info);

    if (info.status == WAGW_STATUS_QR && info.qr.n && info.qr_expires_ms > ngx_wagw_now_ms()) {
        ngx_memzero(&raw, sizeof(raw));
        wagw_buf_str(&raw, info.qr);
        link_qr_answer(call, wagw_buf_view(&raw), (info.qr_expires_ms - ngx_wagw_now_ms() + 999) / 1000,
                       info.qr_attempt);
        wagw_buf_wipe(&raw);
        return;
    }

    link_begin(in);

    if (call->timer.timer_set && call->timeout > LINK_QR_WAIT) {
        ngx_del_timer(&call->timer);
        ngx_add_timer(&call->timer, LINK_QR_WAIT);
    }

    call->reply = link_qr_reply;
    ngx_wagw_call_command(call, WAGW_CMD_QR);
}

/* ---- pairing code ------------------------------------------------------------------- */

static void link_code_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    wagw_buf_t b;
    link_ctx_t *ctx;
    wagw_json_t j;
    const char *code;
    const cJSON *expires;

    ctx = call->data;

    if (r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }

    data = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "pairingCode"));
    code = code ? code : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "code"));
    expires = cJSON_GetObjectItemCaseSensitive(data, "expiresIn");

    if (code == NULL) {
        ngx_wagw_call_fail(call, 502, "WA_ERROR", "WhatsApp gave no pairing code", WAGW_STR_NULL);
        cJSON_Delete(data);
        return;
    }

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');

    if (ctx->get) {
        wagw_json_kcstr(&j, "code", code);
    }

    wagw_json_kcstr(&j, "pairingCode", code);
    wagw_json_kcstr(&j, "message",
                    "Enter this code in WhatsApp on your phone: Linked devices, Link with phone number instead");

    if (cJSON_IsNumber(expires)) {
        wagw_json_kint(&j, "expiresIn", (int64_t)expires->valuedouble);
    }

    wagw_json_close(&j);
    cJSON_Delete(data);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

static void link_code(ngx_wagw_call_t *call, ngx_uint_t get)
{
    char *p;
    cJSON *code;
    link_ctx_t *ctx;
    ngx_wagw_instance_t *in;

    ctx = ngx_wagw_call_ctx(call, sizeof(link_ctx_t));
    if (ctx == NULL) {
        return;
    }

    ctx->get = get;
    in = ngx_wagw_call_instance(call);

    if (ngx_wagw_instance_linked(in)) {
        link_linked(call);
        return;
    }

    code = ngx_wagw_param(call, "customCode");

    /* the alphabet of WhatsApp's phones has no 0, I, O, U; people may type small letters */
    for (p = cJSON_IsString(code) ? code->valuestring : NULL; p && *p; p++) {
        *p = (char)ngx_toupper(*p);

        if (ngx_strchr("123456789ABCDEFGHJKLMNPQRSTVWXYZ", *p) == NULL) {
            ngx_wagw_call_invalid(call, "customCode", "8 of 123456789ABCDEFGHJKLMNPQRSTVWXYZ");
            return;
        }
    }

    link_begin(in);
    call->reply = link_code_reply;
    ngx_wagw_call_command(call, WAGW_CMD_PAIRING_CODE);
}

NGX_WAGW_HANDLER(instance_pairing_code)
{
    link_code(call, 0);
}

NGX_WAGW_HANDLER(instance_pairing_code_get)
{
    char phone[64];
    ngx_wagw_instance_t *in;

    in = ngx_wagw_call_instance(call);

    if (ngx_wagw_instance_linked(in)) {
        link_linked(call);
        return;
    }

    if (in->phone.len == 0 || in->phone.len >= sizeof(phone)) {
        ngx_wagw_call_invalid(call, "phoneNumber", "the instance was created without a phone number");
        return;
    }

    ngx_memcpy(phone, in->phone.data, in->phone.len);
    phone[in->phone.len] = '\0';
    ngx_wagw_param_set(call, "phoneNumber", phone);

    link_code(call, 1);
}

/* ---- connect, restart, disconnect, logout ------------------------------------------- */

static int link_state_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    link_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_instance_update(s, &ctx->row);
}

static void link_state_answer(ngx_wagw_call_t *call, ngx_wagw_instance_t *in, const char *message)
{
    wagw_buf_t b;
    wagw_json_t j;
    wagw_client_info_t info;

    wagw_client_info(in->client, &info);
    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "status", wagw_status_name(info.status));
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, message);
}

static void link_state_done(ngx_wagw_job_t *job)
{
    int64_t now;
    link_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;
    wagw_client_info_t info;
    ngx_wagw_instance_t *in;

    ctx = call->data;
    in = ngx_wagw_call_instance(call);

    if (in == NULL || in->num != ctx->num || job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    now = ngx_wagw_now_ms();
    in->active = ctx->active;
    wagw_client_info(in->client, &info);

    if (!ctx->active) {
        wagw_client_stop(in->client, true, now);
        link_state_answer(call, in, "Instance disconnected successfully");
        return;
    }

    if (ctx->restart) {
        wagw_client_stop(in->client, false, now);
        wagw_client_start(in->client, true, now);
        link_state_answer(call, in, "Instance restarted successfully");
        return;
    }

    link_begin(in);
    link_state_answer(call, in, "Instance is connecting");
}

/* Whether it may connect is stored before it does: a crash must not undo what was answered. */
static void link_state(ngx_wagw_call_t *call, ngx_uint_t active, ngx_uint_t restart)
{
    u_char *p;
    link_ctx_t *ctx;
    wagw_instance_t *row;
    ngx_wagw_instance_t *in;
    char *settings, *metadata;

    ctx = ngx_wagw_call_ctx(call, sizeof(link_ctx_t));
    if (ctx == NULL) {
        return;
    }

    in = ngx_wagw_call_instance(call);
    row = &ctx->row;

    settings = cJSON_PrintUnformatted(in->settings);
    metadata = cJSON_PrintUnformatted(in->metadata);
    p = settings && metadata
            ? ngx_pnalloc(call->pool, in->name.len + in->phone.len + ngx_strlen(settings) + ngx_strlen(metadata))
            : NULL;

    if (p) {
        ctx->num = in->num;
        ctx->active = active;
        ctx->restart = restart;

        row->num = in->num;
        row->active = active;
        row->auto_connect = in->auto_connect;
        row->created_ms = in->created_ms;
        row->updated_ms = in->updated_ms;

        row->name = wagw_str(p, in->name.len);
        p = ngx_cpymem(p, in->name.data, in->name.len);
        row->phone = wagw_str(p, in->phone.len);
        p = ngx_cpymem(p, in->phone.data, in->phone.len);
        row->settings = wagw_str(p, ngx_strlen(settings));
        p = ngx_cpymem(p, settings, row->settings.n);
        row->metadata = wagw_str(p, ngx_strlen(metadata));
        ngx_memcpy(p, metadata, row->metadata.n);
    }

    cJSON_free(settings);
    cJSON_free(metadata);

    if (p == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_store(call, 1, link_state_run, link_state_done);
}

NGX_WAGW_HANDLER(instance_connect)
{
    link_state(call, 1, 0);
}

NGX_WAGW_HANDLER(instance_restart)
{
    link_state(call, 1, 1);
}

NGX_WAGW_HANDLER(instance_disconnect)
{
    link_state(call, 0, 0);
}

NGX_WAGW_HANDLER(instance_logout)
{
    ngx_wagw_call_command(call, WAGW_CMD_LOGOUT);
}
