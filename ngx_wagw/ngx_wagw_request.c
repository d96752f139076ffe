/*
 * A request's way through the worker (order: architecture section 4).
 *
 * preaccess may suspend twice: for the owner's word on a key, and for the
 * body.  Both resume with ngx_http_core_run_phases(), which calls the handler
 * again in a later state.
 */

#include "ngx_wagw_http.h"

#define REQUEST_SLACK 7000 /* ms: the owner times calls itself and tells the engine first */

static ngx_int_t request_start(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_loc_conf_t *wlcf);
static ngx_int_t request_ask_key(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
static void request_key_answer(ngx_wagw_waiter_t *w, ngx_int_t rc, ngx_wagw_reply_t *reply);
static ngx_int_t request_limit(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_loc_conf_t *wlcf);
static ngx_int_t request_body(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
static void request_body_read(ngx_http_request_t *r);
static ngx_int_t request_idempotency(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
static ngx_int_t request_check(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
static ngx_int_t request_ask(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx);
static void request_answer(ngx_wagw_waiter_t *w, ngx_int_t rc, ngx_wagw_reply_t *reply);
static void request_cleanup(void *data);

/* Declined: go on; noted refusals are sent in the content phase. */
ngx_int_t ngx_wagw_preaccess_handler(ngx_http_request_t *r)
{
    ngx_int_t rc;
    ngx_wagw_ctx_t *ctx;
    ngx_wagw_loc_conf_t *wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wagw_module);

    if (wlcf->serve == 0 && wlcf->place == NULL) {
        return NGX_DECLINED;
    }
    ctx = ngx_wagw_context(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (;;) {
        switch (ctx->state) {
        case NGX_WAGW_ST_NEW:
            rc = request_start(r, ctx, wlcf);
            if (rc == NGX_AGAIN) {
                ctx->state = NGX_WAGW_ST_KEY;
                rc = request_ask_key(r, ctx);
                if (rc == NGX_OK) {
                    return NGX_DONE;
                }
            }
            if (rc == NGX_ERROR) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
            ctx->state = rc == NGX_OK ? NGX_WAGW_ST_LIMIT : NGX_WAGW_ST_READY;
            break;

        case NGX_WAGW_ST_LIMIT:
            rc = request_limit(r, ctx, wlcf);
            ctx->state = rc == NGX_OK ? NGX_WAGW_ST_BODY : NGX_WAGW_ST_READY;
            if (rc != NGX_OK) {
                break;
            }
            return request_body(r, ctx);

        case NGX_WAGW_ST_KEY:
        case NGX_WAGW_ST_BODY:
            return NGX_DONE; /* suspended: a write event woke the phases */

        default:
            return NGX_DECLINED;
        }
    }
}

static ngx_uint_t request_group_served(ngx_wagw_loc_conf_t *wlcf, const ngx_wagw_route_t *route)
{
    ngx_str_t *group;
    ngx_uint_t i;

    if (wlcf->serve != 2) {
        return 1;
    }
    group = wlcf->groups->elts;
    for (i = 0; i < wlcf->groups->nelts; i++) {
        if (ngx_strcmp(group[i].data, route->group) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Route, key, 501. */
static ngx_int_t request_start(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_loc_conf_t *wlcf)
{
    ngx_int_t rc;
    ngx_uint_t i, options;
    const ngx_wagw_route_t *any;

    if (ngx_wagw_path_normalise(r->pool, &r->uri, &ctx->path) != NGX_OK) {
        return NGX_ERROR;
    }
    options = r->method == NGX_HTTP_OPTIONS;
    if (wlcf->place) {
        ctx->match.route = r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD) ? wlcf->place : NULL;
        ngx_cpystrn((u_char *)ctx->match.allow, (u_char *)"GET, HEAD", sizeof(ctx->match.allow));
        rc = ctx->match.route ? NGX_OK : NGX_DECLINED;
        any = wlcf->place;
    } else {
        rc = ngx_wagw_route_match(&ctx->path, &r->method_name, &ctx->match);
        any = ctx->match.route ? ctx->match.route : ctx->match.any;
    }
    if (rc == NGX_ERROR || !request_group_served(wlcf, any)) {
        ctx->match.route = NULL;
        return ngx_wagw_refuse(ctx, 404, "NOT_FOUND", "Endpoint not found");
    }
    if (options && rc == NGX_DECLINED) {
        ctx->preflight = 1;
        return NGX_DECLINED;
    }
    if (rc == NGX_DECLINED) {
        return ngx_wagw_refuse(ctx, 405, "METHOD_NOT_ALLOWED", "Method not allowed");
    }

    for (i = 0; i < ctx->match.nparams; i++) {
        if (ctx->match.params[i].name.len == 10 && ngx_memcmp(ctx->match.params[i].name.data, "instanceId", 10) == 0) {
            ctx->instance_id = ctx->match.params[i].value;
        }
    }
    return ngx_wagw_auth(r, ctx);
}

/* ---- a key that the zone does not know ---- */

static ngx_int_t request_hold(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    ngx_http_cleanup_t *cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL) {
        return NGX_ERROR;
    }
    cln->handler = request_cleanup;
    cln->data = ctx;
    r->read_event_handler = ngx_http_test_reading; /* notices a client that goes away */
    return NGX_OK;
}

static void request_cleanup(void *data)
{
    ngx_wagw_ctx_t *ctx = data;

    ngx_wagw_ipc_forget(&ctx->waiter);
}

static ngx_int_t request_unavailable(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_int_t rc)
{
    ngx_uint_t state;
    ngx_wagw_main_conf_t *wmcf = ngx_http_get_module_main_conf(r, ngx_http_wagw_module);

    if (rc == NGX_ABORT) {
        return ngx_wagw_refuse(ctx, 504, "WA_TIMEOUT", "WhatsApp did not answer in time");
    }
    ctx->retry_after = 1;
    state = ngx_wagw_zone_state(wmcf->zone);
    if (rc == NGX_AGAIN || (rc == NGX_DECLINED && (state & NGX_WAGW_ZONE_READY) && !(state & NGX_WAGW_ZONE_STORE))) {
        return ngx_wagw_refuse(ctx, 503, "DB_UNAVAILABLE", "The database is not available");
    }
    return ngx_wagw_refuse(ctx, 503, "OWNER_UNAVAILABLE",
                           rc == NGX_BUSY ? "The gateway is too busy" : "The gateway is starting or restarting");
}

static ngx_int_t request_ask_key(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    size_t at;
    ngx_int_t rc;
    wagw_buf_t frame = {0};

    at = ngx_wagw_frame_begin(&frame, 0, NGX_WAGW_OP_KEY, 0);
    wagw_buf_add(&frame, ctx->key_hash, 32);
    if (ngx_wagw_frame_end(&frame, at) != NGX_OK || request_hold(r, ctx) != NGX_OK) {
        wagw_buf_free(&frame);
        return NGX_ERROR;
    }
    ctx->waiter.handler = request_key_answer;
    ctx->waiter.data = ctx;
    ctx->waiter.timeout = 2000;
    rc = ngx_wagw_ipc_send(&ctx->waiter, &frame);
    return rc == NGX_BUSY ? request_unavailable(r, ctx, rc) : rc;
}

static void request_key_answer(ngx_wagw_waiter_t *w, ngx_int_t rc, ngx_wagw_reply_t *reply)
{
    uint32_t known = 2;
    ngx_wagw_ctx_t *ctx = w->data;
    ngx_wagw_key_t k;
    ngx_connection_t *c;
    ngx_wagw_reader_t rd;
    ngx_http_request_t *r = ctx->request;

    c = r->connection;
    ngx_http_set_log_request(c->log, r);
    if (rc == NGX_OK) {
        rd = ngx_wagw_reader(reply->frame);
        known = ngx_wagw_get_u32(&rd);
        if (known == 1) {
            ngx_memzero(&k, sizeof(k));
            k.perm = ngx_wagw_get_u32(&rd);
            k.active = ngx_wagw_get_u32(&rd);
            k.expires_ms = ngx_wagw_get_u64(&rd);
            if (ngx_wagw_get_copy(&rd, r->pool, &k.id) != NGX_OK ||
                ngx_wagw_get_copy(&rd, r->pool, &k.instances) != NGX_OK ||
                ngx_wagw_get_copy(&rd, r->pool, &k.ip_allow) != NGX_OK || rd.bad) {
                known = 2;
            }
        }
        rc = known == 2 ? request_unavailable(r, ctx, NGX_AGAIN) : ngx_wagw_auth_key(r, ctx, known ? &k : NULL);
    } else {
        rc = request_unavailable(r, ctx, rc == NGX_ABORT ? NGX_DECLINED : rc);
    }
    ctx->state = rc == NGX_OK ? NGX_WAGW_ST_LIMIT : NGX_WAGW_ST_READY;
    r->read_event_handler = ngx_http_block_reading;
    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}

/* ---- 501, rate limit, body ---- */

static ngx_int_t request_limit(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_loc_conf_t *wlcf)
{
    ngx_wagw_main_conf_t *wmcf = ngx_http_get_module_main_conf(r, ngx_http_wagw_module);
    const ngx_wagw_route_t *route = ctx->match.route;

    if (route->handler == NULL && !(route->flags & NGX_WAGW_R_LOCAL)) {
        return ngx_wagw_refuse(ctx, 501, "NOT_SUPPORTED", "Not supported");
    }
    if (wlcf->rate && ctx->have_rate && ctx->key.id.len && ngx_strncmp(ctx->key.id.data, "master", 6) != 0) {
        ngx_wagw_rate_count(wmcf->zone, &ctx->key.id, wlcf->rate, wlcf->window, ngx_time(), &ctx->rate);
        if (ctx->rate.refused) {
            ctx->retry_after = ctx->rate.reset ? ctx->rate.reset : 1;
            return ngx_wagw_refuse(ctx, 429, "RATE_LIMITED", "Too many requests, please try again later");
        }
    }
    return NGX_OK;
}

static ngx_int_t request_body(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    ngx_int_t rc;

    if (ctx->match.route->flags & NGX_WAGW_R_MEDIA) {
        /* with a name, so that the owner can open it, until the request ends */
        r->request_body_in_file_only = 1;
        r->request_body_in_persistent_file = 1;
        r->request_body_in_clean_file = 1;
    } else {
        r->request_body_in_single_buf = 1;
    }
    rc = ngx_http_read_client_request_body(r, request_body_read);
    if (rc == NGX_ERROR || rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }
    if (ctx->state == NGX_WAGW_ST_READY) {
        return NGX_DECLINED; /* it was all there */
    }
    ctx->suspended = 1;
    return NGX_DONE;
}

static void request_body_read(ngx_http_request_t *r)
{
    cJSON *id;
    ngx_int_t rc;
    ngx_wagw_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_wagw_module);

    r->main->count--;
    rc = request_idempotency(r, ctx);
    if (rc == NGX_OK) {
        rc = ngx_wagw_params(r, ctx);
    }
    if (rc == NGX_ERROR) {
        ngx_wagw_refuse(ctx, 500, "INTERNAL", "Out of memory");
    }
    id = rc == NGX_OK ? cJSON_GetObjectItemCaseSensitive(ctx->params, "instanceId") : NULL;
    if (cJSON_IsString(id)) {
        ctx->instance_id.data = (u_char *)id->valuestring; /* lives as long as params */
        ctx->instance_id.len = ngx_strlen(id->valuestring);
    }
    ctx->state = NGX_WAGW_ST_READY;
    if (ctx->suspended) {
        ctx->suspended = 0;
        ngx_http_core_run_phases(r);
    }
}

static ngx_int_t request_idempotency(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    size_t i;
    ngx_table_elt_t *h = ngx_wagw_header(r, "Idempotency-Key");

    if (h == NULL || !(ctx->match.route->flags & NGX_WAGW_R_IDEMPOTENT)) {
        return NGX_OK;
    }
    for (i = 0; i < h->value.len && h->value.data[i] >= 0x20 && h->value.data[i] < 0x7f; i++) {
    }
    if (h->value.len == 0 || h->value.len > 128 || i < h->value.len) {
        return ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", "Idempotency-Key",
                                     "must have 1 to 128 printable characters");
    }
    ctx->idempotency_key = h->value;
    return NGX_OK;
}

/* ---- content ---- */

ngx_int_t ngx_wagw_content_handler(ngx_http_request_t *r)
{
    ngx_int_t rc;
    ngx_str_t none = ngx_null_string;
    ngx_wagw_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_wagw_module);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (r->request_body == NULL) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }
    if (ctx->preflight) {
        return ngx_wagw_send(r, ctx, NGX_HTTP_NO_CONTENT, &none, &none);
    }
    if (ctx->status == 0) {
        rc = request_check(r, ctx);
        if (rc == NGX_OK) {
            return ctx->match.route->flags & NGX_WAGW_R_LOCAL ? ngx_wagw_local(r, ctx) : request_ask(r, ctx);
        }
        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return ngx_wagw_send_refusal(r, ctx);
}

/* Instance (404), fields (400), state (409). */
static ngx_int_t request_check(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    int checked;
    ngx_int_t found = NGX_AGAIN;
    wagw_buf_t details = {0};
    const char *code = NULL;
    ngx_wagw_slot_view_t slot;
    ngx_wagw_main_conf_t *wmcf = ngx_http_get_module_main_conf(r, ngx_http_wagw_module);
    const ngx_wagw_route_t *route = ctx->match.route;

    if (ctx->instance_id.len) {
        if (route->flags & NGX_WAGW_R_INSTANCE) {
            found = ngx_wagw_registry_find(wmcf->zone, &ctx->instance_id, &slot);
        }
        if (found == NGX_DECLINED || !ngx_wagw_auth_sees(ctx, &ctx->instance_id)) {
            return ngx_wagw_refuse(ctx, 404, "INSTANCE_NOT_FOUND", "Instance not found");
        }
    }

    checked = ngx_wagw_fields_check(route->fields, ctx->params, &code, &details);
    if (checked == WAGW_MALFORMED) {
        ctx->details.len = details.n;
        ctx->details.data = ngx_pnalloc(r->pool, details.n);
        if (ctx->details.data) {
            ngx_memcpy(ctx->details.data, details.p, details.n);
        }
        wagw_buf_free(&details);
        return ctx->details.data ? ngx_wagw_refuse(ctx, 400, code, "Validation failed") : NGX_ERROR;
    }
    wagw_buf_free(&details);
    if (checked != WAGW_OK) {
        return NGX_ERROR;
    }

    if ((route->flags & NGX_WAGW_R_CONNECTED) && found == NGX_OK && slot.status != WAGW_STATUS_CONNECTED) {
        return ngx_wagw_refuse(ctx, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
    }
    return NGX_OK;
}

static ngx_int_t request_ask(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    char *text;
    size_t at;
    ngx_int_t rc;
    ngx_str_t accept = ngx_null_string;
    wagw_buf_t frame = {0};
    ngx_table_elt_t *h;
    ngx_wagw_loc_conf_t *wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wagw_module);
    const ngx_wagw_route_t *route = ctx->match.route;

    text = cJSON_PrintUnformatted(ctx->params);
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    h = ngx_wagw_header(r, "Accept");
    if (h) {
        accept = h->value;
    }
    at = ngx_wagw_frame_begin(&frame, 0, NGX_WAGW_OP_CALL, 0);
    ngx_wagw_put_u32(&frame, route - ngx_wagw_routes);
    ngx_wagw_put_u32(&frame, ctx->key.perm);
    ngx_wagw_put_u32(&frame, wlcf->timeout);
    ngx_wagw_put_u32(&frame, ngx_wagw_from_loopback(r));
    ngx_wagw_put_str(&frame, ctx->body_hash, 32);
    ngx_wagw_put_str(&frame, ctx->request_id.data, ctx->request_id.len);
    ngx_wagw_put_str(&frame, ctx->key.id.data, ctx->key.id.len);
    ngx_wagw_put_str(&frame, ctx->key.instances.data, ctx->key.instances.len);
    ngx_wagw_put_str(&frame, ctx->instance_id.data, ctx->instance_id.len);
    ngx_wagw_put_str(&frame, ctx->idempotency_key.data, ctx->idempotency_key.len);
    ngx_wagw_put_str(&frame, ctx->path.data, ctx->path.len);
    ngx_wagw_put_str(&frame, accept.data, ngx_min(accept.len, 1024));
    ngx_wagw_put_str(&frame, text, ngx_strlen(text));
    cJSON_free(text);

    if (ngx_wagw_frame_end(&frame, at) != NGX_OK) {
        rc = frame.failed ? NGX_ERROR : NGX_DECLINED;
        wagw_buf_free(&frame);
        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        ngx_wagw_refuse(ctx, 413, "BODY_TOO_LARGE", "Request body too large");
        return ngx_wagw_send_refusal(r, ctx);
    }
    if (request_hold(r, ctx) != NGX_OK) {
        wagw_buf_free(&frame);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->waiter.handler = request_answer;
    ctx->waiter.data = ctx;
    ctx->waiter.timeout = wlcf->timeout + REQUEST_SLACK;
    rc = ngx_wagw_ipc_send(&ctx->waiter, &frame);
    if (rc == NGX_BUSY) {
        request_unavailable(r, ctx, rc);
        return ngx_wagw_send_refusal(r, ctx);
    }
    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    ctx->asked = ngx_current_msec;
    ctx->state = NGX_WAGW_ST_ASKED;
    r->main->count++;
    return NGX_DONE;
}

static void request_free(void *data)
{
    free(data);
}

static ngx_int_t request_reply(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_reply_t *reply)
{
    ngx_str_t type, body;
    ngx_pool_cleanup_t *cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    cln->handler = request_free;
    cln->data = reply->body.p;
    ctx->message_id = reply->message_id;
    type = reply->content_type;
    body.data = type.data + type.len;
    body.len = reply->body.n - reply->message_id.len - type.len;
    ngx_memzero(&reply->body, sizeof(reply->body)); /* the request's now */

    ctx->retry_after = reply->retry_after;
    ctx->replayed = reply->flags & NGX_WAGW_FLAG_REPLAYED ? 1 : 0;
    if (type.len == sizeof(NGX_WAGW_FILE_TYPE) - 1 && ngx_strncmp(type.data, NGX_WAGW_FILE_TYPE, type.len) == 0) {
        return ngx_wagw_media_send(r, ctx, &body);
    }
    return ngx_wagw_send(r, ctx, reply->status, &type, &body);
}

static void request_answer(ngx_wagw_waiter_t *w, ngx_int_t rc, ngx_wagw_reply_t *reply)
{
    ngx_wagw_ctx_t *ctx = w->data;
    ngx_connection_t *c;
    ngx_http_request_t *r = ctx->request;

    c = r->connection;
    ngx_http_set_log_request(c->log, r);
    ctx->owner_ms = (ngx_msec_int_t)(ngx_current_msec - ctx->asked);
    r->read_event_handler = ngx_http_block_reading;

    if (rc == NGX_OK) {
        rc = request_reply(r, ctx, reply);
    } else if (rc == NGX_ERROR) {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    } else {
        request_unavailable(r, ctx, rc);
        rc = ngx_wagw_send_refusal(r, ctx);
    }
    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
