/*
 * Who calls: a key from the headers (contract 1.2), hashed and looked up in
 * the zone; compared in constant time; the clear text is not kept.
 */

#include "ngx_wagw_http.h"

#define AUTH_KEY_MAX 512
#define AUTH_ALL 0x1f

static ngx_uint_t auth_path_ends(const ngx_wagw_route_t *route, const char *end)
{
    size_t n = ngx_strlen(route->path), e = ngx_strlen(end);

    return n >= e && ngx_strcmp(route->path + n - e, end) == 0;
}

/* Overwrites the key wherever logs could find it. */
static void auth_mask(ngx_str_t *s)
{
    u_char *p = s->data, *end = s->data + s->len;

    while (end - p > 7) {
        if (ngx_memcmp(p, "apiKey=", 7) != 0) {
            p++;
            continue;
        }
        for (p += 7; p < end && *p != '&' && *p != ' ' && *p != '#'; p++) {
            *p = '*';
        }
    }
}

static ngx_int_t auth_find(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *key)
{
    ngx_str_t arg;
    ngx_table_elt_t *h;
    ngx_wagw_loc_conf_t *wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wagw_module);
    const ngx_wagw_route_t *route = ctx->match.route;

    ngx_str_null(key);
    if (r->args.len && ngx_http_arg(r, (u_char *)"apiKey", 6, &arg) == NGX_OK) {
        if (wlcf->query_key && arg.len && r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD) &&
            (auth_path_ends(route, "/qr") || auth_path_ends(route, "/media") || auth_path_ends(route, "/api/stream") ||
             auth_path_ends(route, "/api/ws"))) {
            key->data = ngx_pnalloc(r->pool, arg.len);
            if (key->data == NULL) {
                return NGX_ERROR;
            }
            ngx_memcpy(key->data, arg.data, arg.len);
            key->len = arg.len;
        }
        auth_mask(&r->args);
        auth_mask(&r->unparsed_uri);
        auth_mask(&r->request_line);
    }

    h = ngx_wagw_header(r, "X-API-Key");
    if (h == NULL) {
        h = ngx_wagw_header(r, "apikey");
    }
    if (h) {
        *key = h->value;
    } else if (r->headers_in.authorization && r->headers_in.authorization->value.len > 7 &&
               ngx_strncasecmp(r->headers_in.authorization->value.data, (u_char *)"Bearer ", 7) == 0) {
        key->data = r->headers_in.authorization->value.data + 7;
        key->len = r->headers_in.authorization->value.len - 7;
    }
    return NGX_OK;
}

ngx_uint_t ngx_wagw_from_loopback(ngx_http_request_t *r)
{
    ngx_uint_t bits = 0;
    struct sockaddr *sa = r->connection->sockaddr;

    if (sa->sa_family == AF_INET) {
        bits = (ntohl(((struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24) == 127;
    } else if (sa->sa_family == AF_INET6) {
        bits = IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)sa)->sin6_addr) ? 1 : 0;
    }
    if (ngx_wagw_header(r, "X-Forwarded-For") || ngx_wagw_header(r, "Forwarded")) {
        bits |= 2;
    }
    return bits;
}

static ngx_uint_t auth_optional(const ngx_wagw_route_t *route)
{
    return route->perm == NGX_WAGW_PERM_PUBLIC;
}

ngx_int_t ngx_wagw_auth(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx)
{
    ngx_int_t rc;
    ngx_str_t key;
    ngx_wagw_key_t k;
    ngx_wagw_loc_conf_t *wlcf = ngx_http_get_module_loc_conf(r, ngx_http_wagw_module);
    ngx_wagw_main_conf_t *wmcf = ngx_http_get_module_main_conf(r, ngx_http_wagw_module);
    const ngx_wagw_route_t *route = ctx->match.route;

    if (auth_find(r, ctx, &key) != NGX_OK) {
        return NGX_ERROR;
    }
    if (!wlcf->auth) {
        ctx->key.perm = AUTH_ALL;
        return NGX_OK;
    }
    if (auth_optional(route) && (key.len == 0 || !(route->flags & NGX_WAGW_R_OPTIONAL_KEY))) {
        return NGX_OK;
    }
    if (key.len == 0) {
        /* the first key (contract 1.2): the owner knows for certain whether it is one */
        if (ngx_strcmp(route->path, "/api/auth/generate-key") == 0 && !wmcf->master_key &&
            ngx_wagw_from_loopback(r) == 1 &&
            (ngx_wagw_registry_no_keys(wmcf->zone) || !(ngx_wagw_zone_state(wmcf->zone) & NGX_WAGW_ZONE_COMPLETE))) {
            return NGX_OK;
        }
        return ngx_wagw_refuse(ctx, 401, "AUTH_MISSING", "API key is required");
    }
    if (key.len > AUTH_KEY_MAX) {
        return ngx_wagw_auth_key(r, ctx, NULL);
    }
    wagw_sha256(ctx->key_hash, wagw_str(key.data, key.len));

    if (wmcf->master_key && wagw_ct_equal(ctx->key_hash, wmcf->master_key_hash, 32)) {
        ngx_str_set(&ctx->key.id, "master");
        ctx->key.perm = AUTH_ALL;
        return NGX_OK;
    }
    ngx_memzero(&k, sizeof(k));
    rc = ngx_wagw_registry_key_find(wmcf->zone, ctx->key_hash, r->pool, &k);
    if (rc == NGX_AGAIN || rc == NGX_ERROR) {
        return rc;
    }
    return ngx_wagw_auth_key(r, ctx, rc == NGX_OK ? &k : NULL);
}

/* The address is in one of the key's networks. */
static ngx_uint_t auth_address(ngx_http_request_t *r, ngx_str_t *allow)
{
    cJSON *list, *item;
    ngx_str_t text;
    ngx_cidr_t cidr;
    ngx_uint_t yes = 0;
    ngx_array_t one;

    list = cJSON_ParseWithLength((char *)allow->data, allow->len);
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item)) {
            continue;
        }
        text.data = (u_char *)item->valuestring;
        text.len = ngx_strlen(item->valuestring);
        ngx_memzero(&cidr, sizeof(cidr));
        if (ngx_ptocidr(&text, &cidr) == NGX_ERROR) {
            continue;
        }
        ngx_memzero(&one, sizeof(one));
        one.elts = &cidr;
        one.nelts = 1;
        if (ngx_cidr_match(r->connection->sockaddr, &one) == NGX_OK) {
            yes = 1;
            break;
        }
    }
    cJSON_Delete(list);
    return yes;
}

ngx_int_t ngx_wagw_auth_key(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_wagw_key_t *k)
{
    int64_t now;
    ngx_time_t *tp = ngx_timeofday();
    const ngx_wagw_route_t *route = ctx->match.route;

    now = (int64_t)tp->sec * 1000 + tp->msec;
    if (k == NULL || !k->active || (k->expires_ms && k->expires_ms <= now)) {
        return auth_optional(route) ? NGX_OK : ngx_wagw_refuse(ctx, 401, "AUTH_INVALID", "Invalid API key");
    }
    if (k->ip_allow.len && !auth_address(r, &k->ip_allow)) {
        return auth_optional(route) ? NGX_OK
                                    : ngx_wagw_refuse(ctx, 403, "AUTH_FORBIDDEN", "API key is not allowed from here");
    }
    ctx->key = *k;
    if (ctx->key.perm & NGX_WAGW_PERM_ADMIN) {
        ctx->key.perm = AUTH_ALL;
    } else if (ctx->key.perm & NGX_WAGW_PERM_WRITE) {
        ctx->key.perm |= NGX_WAGW_PERM_SEND;
    }
    if (route->perm != NGX_WAGW_PERM_PUBLIC && !(ctx->key.perm & route->perm)) {
        return ngx_wagw_refuse(ctx, 403, "AUTH_FORBIDDEN", "API key lacks the permission");
    }
    return NGX_OK;
}

ngx_uint_t ngx_wagw_auth_sees(ngx_wagw_ctx_t *ctx, ngx_str_t *instance)
{
    cJSON *list, *item;
    ngx_uint_t yes = 0;

    if (ctx->key.instances.len == 0) {
        return 1;
    }
    list = cJSON_ParseWithLength((char *)ctx->key.instances.data, ctx->key.instances.len);
    if (cJSON_IsArray(list) && cJSON_GetArraySize(list) == 0) {
        yes = 1; /* an empty list binds to nothing in particular */
    }
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item) && ngx_strlen(item->valuestring) == instance->len &&
            ngx_memcmp(item->valuestring, instance->data, instance->len) == 0) {
            yes = 1;
            break;
        }
    }
    cJSON_Delete(list);
    return yes;
}
