/* The request's context and the variables that read it. */

#include "ngx_wagw_http.h"

#include <openssl/rand.h>

ngx_table_elt_t *ngx_wagw_header(ngx_http_request_t *r, const char *name)
{
    size_t n = ngx_strlen(name);
    ngx_uint_t i;
    ngx_list_part_t *part = &r->headers_in.headers.part;
    ngx_table_elt_t *h = part->elts;

    for (i = 0;; i++) {
        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }
            part = part->next;
            h = part->elts;
            i = 0;
        }
        if (h[i].key.len == n && ngx_strncasecmp(h[i].key.data, (u_char *)name, n) == 0) {
            return &h[i];
        }
    }
}

/* The client's id when it is harmless in logs and headers, else one of ours. */
static ngx_int_t context_request_id(ngx_http_request_t *r, ngx_str_t *id)
{
    u_char random[16];
    size_t i;
    ngx_table_elt_t *h = ngx_wagw_header(r, "X-Request-Id");

    if (h && h->value.len >= 1 && h->value.len <= 64) {
        for (i = 0; i < h->value.len; i++) {
            if (!isalnum(h->value.data[i]) && ngx_strchr("._-", h->value.data[i]) == NULL) {
                break;
            }
        }
        if (i == h->value.len) {
            *id = h->value;
            return NGX_OK;
        }
    }
    id->data = ngx_pnalloc(r->pool, 32);
    if (id->data == NULL || RAND_bytes(random, sizeof(random)) != 1) {
        return NGX_ERROR;
    }
    ngx_hex_dump(id->data, random, sizeof(random));
    id->len = 32;
    return NGX_OK;
}

ngx_wagw_ctx_t *ngx_wagw_context(ngx_http_request_t *r)
{
    ngx_wagw_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_wagw_module);
    ngx_wagw_loc_conf_t *wlcf;

    if (ctx) {
        return ctx;
    }
    ctx = ngx_pcalloc(r->pool, sizeof(ngx_wagw_ctx_t));
    if (ctx == NULL || context_request_id(r, &ctx->request_id) != NGX_OK) {
        return NULL;
    }
    ctx->request = r;
    ctx->owner_ms = -1;

    /* until a stored key is counted, the whole window is left */
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wagw_module);
    if (wlcf->rate && r->uri.len >= 4 && ngx_memcmp(r->uri.data, "/api", 4) == 0 &&
        (r->uri.len == 4 || r->uri.data[4] == '/')) {
        ctx->have_rate = 1;
        ctx->rate.limit = ctx->rate.remaining = wlcf->rate;
        ctx->rate.window = ctx->rate.reset = wlcf->window;
    }
    ngx_http_set_ctx(r, ctx, ngx_http_wagw_module);
    return ctx;
}

enum { V_INSTANCE, V_KEY, V_ROUTE, V_MESSAGE_ID, V_OWNER_TIME };

static ngx_int_t variable_get(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t which)
{
    u_char *p;
    ngx_str_t s = ngx_null_string;
    ngx_uint_t i;
    ngx_wagw_ctx_t *ctx = ngx_http_get_module_ctx(r->main, ngx_http_wagw_module);
    ngx_wagw_match_t *m, early;
    ngx_str_t path;

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 1;
    if (ctx == NULL) {
        /* before our phase: what the path says by itself */
        if ((which != V_INSTANCE && which != V_ROUTE) || ngx_wagw_path_normalise(r->pool, &r->uri, &path) != NGX_OK ||
            ngx_wagw_route_match(&path, &r->method_name, &early) != NGX_OK) {
            return NGX_OK;
        }
        m = &early;
    } else {
        m = &ctx->match;
    }

    switch (which) {
    case V_INSTANCE:
        if (ctx) {
            s = ctx->instance_id;
        }
        for (i = 0; s.len == 0 && i < m->nparams; i++) {
            if (m->params[i].name.len == 10 && ngx_memcmp(m->params[i].name.data, "instanceId", 10) == 0) {
                s = m->params[i].value;
            }
        }
        break;
    case V_KEY:
        s = ctx->key.id;
        break;
    case V_ROUTE:
        if (m->route) {
            s.data = (u_char *)m->route->path;
            s.len = ngx_strlen(m->route->path);
        }
        break;
    case V_MESSAGE_ID:
        s = ctx->message_id;
        break;
    case V_OWNER_TIME:
        if (ctx->owner_ms >= 0) {
            p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
            if (p == NULL) {
                return NGX_ERROR;
            }
            s.data = p;
            s.len = ngx_sprintf(p, "%T.%03M", (time_t)ctx->owner_ms / 1000, (ngx_msec_t)ctx->owner_ms % 1000) - p;
        }
        break;
    }
    if (s.len) {
        v->not_found = 0;
        v->data = s.data;
        v->len = s.len;
    }
    return NGX_OK;
}

ngx_int_t ngx_wagw_variables_add(ngx_conf_t *cf)
{
    static struct {
        ngx_str_t name;
        uintptr_t which;
    } all[] = {{ngx_string("wagw_instance"), V_INSTANCE},
               {ngx_string("wagw_key"), V_KEY},
               {ngx_string("wagw_route"), V_ROUTE},
               {ngx_string("wagw_message_id"), V_MESSAGE_ID},
               {ngx_string("wagw_owner_time"), V_OWNER_TIME}};
    ngx_uint_t i;
    ngx_http_variable_t *v;

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        v = ngx_http_add_variable(cf, &all[i].name, NGX_HTTP_VAR_NOCACHEABLE);
        if (v == NULL) {
            return NGX_ERROR;
        }
        v->get_handler = variable_get;
        v->data = all[i].which;
    }
    return NGX_OK;
}
