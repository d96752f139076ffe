#include "ngx_wagw_calls.h"

#include <openssl/rand.h>

/*
 * POST /api/auth/generate-key.  The very first key may be made without one
 * (contract 1.2); whether it is the first is decided on the store thread,
 * where nothing can come in between.
 */

typedef struct {
    wagw_api_key_t k;
    char id[37];
    char key[64];
    unsigned bootstrap : 1;
    unsigned refused : 1;
} key_ctx_t;

static const struct {
    const char *name;
    ngx_uint_t bit;
} key_permissions[] = {{"read", NGX_WAGW_PERM_READ},   {"send", NGX_WAGW_PERM_SEND},
                       {"write", NGX_WAGW_PERM_WRITE}, {"control", NGX_WAGW_PERM_CONTROL},
                       {"admin", NGX_WAGW_PERM_ADMIN}, {NULL, 0}};

static int key_any(void *data, const wagw_api_key_t *k)
{
    *(unsigned *)data = 1;

    return 1;
}

static int key_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    unsigned any;
    key_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    if (ctx->bootstrap) {
        any = 0;
        (void)wagw_store_key_each(s, key_any, &any);

        if (any) {
            ctx->refused = 1;
            return WAGW_OK;
        }
    }

    return wagw_store_key_create(s, &ctx->k);
}

void ngx_wagw_key_permissions_json(wagw_json_t *j, uint32_t bits)
{
    ngx_uint_t i;

    wagw_json_open(j, '[');

    for (i = 0; key_permissions[i].name; i++) {
        if (bits & key_permissions[i].bit) {
            wagw_json_cstr(j, key_permissions[i].name);
        }
    }

    wagw_json_close(j);
}

static void key_done(ngx_wagw_job_t *job)
{
    key_ctx_t *ctx;
    wagw_buf_t b;
    wagw_json_t j;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    if (job->rc == WAGW_DUPLICATE) {
        ngx_wagw_call_fail(call, 409, "DUPLICATE", "Duplicate entry found", WAGW_STR_NULL);
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    if (ctx->refused) {
        ngx_wagw_call_fail(call, 401, "AUTH_MISSING", "API key is required", WAGW_STR_NULL);
        return;
    }

    /* a full table is no failure: workers ask the owner for what is not in the zone */
    (void)ngx_wagw_registry_key_set(&ctx->k);

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "id", ctx->k.id);
    wagw_json_kstr(&j, "name", ctx->k.name);
    wagw_json_kcstr(&j, "apiKey", ctx->key);
    wagw_json_key(&j, "permissions");
    ngx_wagw_key_permissions_json(&j, ctx->k.permissions);

    if (ctx->k.instances.n) {
        wagw_json_kraw(&j, "instanceIds", ctx->k.instances);
    }

    if (ctx->k.expires_ms) {
        wagw_json_kiso(&j, "expiresAt", ctx->k.expires_ms);
    }

    wagw_json_kiso(&j, "createdAt", ctx->k.created_ms);
    wagw_json_close(&j);

    wagw_wipe(ctx->key, sizeof(ctx->key));

    if (b.failed) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);

    } else {
        ngx_wagw_call_ok(call, 201, wagw_buf_view(&b), "API key generated successfully. Please save it securely.",
                         WAGW_STR_NULL);
    }

    wagw_buf_wipe(&b);
}

ngx_int_t ngx_wagw_key_permissions(ngx_wagw_call_t *call, uint32_t *bits)
{
    ngx_uint_t i;
    const cJSON *list, *p;

    *bits = 0;
    list = ngx_wagw_param(call, "permissions");

    cJSON_ArrayForEach(p, list)
    {
        for (i = 0; key_permissions[i].name; i++) {
            if (cJSON_IsString(p) && ngx_strcmp(p->valuestring, key_permissions[i].name) == 0) {
                *bits |= (uint32_t)key_permissions[i].bit;
                break;
            }
        }

        if (key_permissions[i].name == NULL) {
            ngx_wagw_call_invalid(call, "permissions", "must be of read, send, write, control, admin");
            return NGX_DECLINED;
        }
    }

    if (*bits == 0) {
        *bits = NGX_WAGW_PERM_READ | NGX_WAGW_PERM_WRITE;
    }

    return NGX_OK;
}

/* A JSON list into the call's pool; empty when the parameter is absent or has no items. */
static ngx_int_t key_list(ngx_wagw_call_t *call, const char *name, wagw_str_t *out)
{
    cJSON *list;

    *out = WAGW_STR_NULL;
    list = ngx_wagw_param(call, name);

    return cJSON_GetArraySize(list) ? ngx_wagw_call_json(call, list, out) : NGX_OK;
}

ngx_int_t ngx_wagw_key_instances(ngx_wagw_call_t *call, wagw_str_t *out)
{
    ngx_str_t id;
    const cJSON *i, *list;

    list = ngx_wagw_param(call, "instanceIds");

    cJSON_ArrayForEach(i, list)
    {
        id.data = (u_char *)(cJSON_IsString(i) ? i->valuestring : "");
        id.len = ngx_strlen(id.data);

        /* a bound key hands on no more than it has */
        if (!ngx_wagw_call_sees(call, &id)) {
            ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
            return NGX_DECLINED;
        }
    }

    if (key_list(call, "instanceIds", out) != NGX_OK) {
        return NGX_ERROR;
    }

    if (out->n == 0 && call->key_instances.len) {
        *out = wagw_str(call->key_instances.data, call->key_instances.len);
    }

    return NGX_OK;
}

static ngx_int_t key_addresses(ngx_wagw_call_t *call, wagw_str_t *out)
{
    ngx_str_t text;
    ngx_cidr_t cidr;
    const cJSON *i, *list;

    list = ngx_wagw_param(call, "ipAllow");

    cJSON_ArrayForEach(i, list)
    {
        text.data = (u_char *)(cJSON_IsString(i) ? i->valuestring : "");
        text.len = ngx_strlen(text.data);

        if (text.len == 0 || ngx_ptocidr(&text, &cidr) == NGX_ERROR) {
            ngx_wagw_call_invalid(call, "ipAllow", "must be addresses or networks like 192.0.2.0/24");
            return NGX_DECLINED;
        }
    }

    return key_list(call, "ipAllow", out);
}

static ngx_int_t key_secret(key_ctx_t *ctx)
{
    uint8_t random[24];
    ngx_int_t rc;
    wagw_buf_t b;

    rc = NGX_ERROR;
    ngx_memzero(&b, sizeof(b));

    if (RAND_bytes(random, sizeof(random)) != 1) {
        goto done;
    }

    wagw_buf_cstr(&b, "wagw_");
    wagw_base64url_encode(&b, wagw_str(random, sizeof(random)));

    if (b.failed || b.n >= sizeof(ctx->key)) {
        goto done;
    }

    ngx_memcpy(ctx->key, b.p, b.n);
    ctx->key[b.n] = '\0';

    if (wagw_sha256(ctx->k.hash, wagw_str(ctx->key, b.n)) != WAGW_OK) {
        goto done;
    }

    ctx->k.prefix = wagw_str(ctx->key, 6);
    rc = NGX_OK;

done:

    wagw_wipe(random, sizeof(random));
    wagw_buf_wipe(&b);

    return rc;
}

NGX_WAGW_HANDLER(key_create)
{
    int64_t now;
    ngx_int_t rc;
    key_ctx_t *ctx;
    wagw_str_t expires;

    ctx = ngx_wagw_call_ctx(call, sizeof(key_ctx_t));
    if (ctx == NULL) {
        return;
    }

    if (!(call->perm & NGX_WAGW_PERM_ADMIN)) {

        if (ngx_wagw_calls_master_key() || call->from_loopback != 1) {
            ngx_wagw_call_fail(call, 401, "AUTH_MISSING", "API key is required", WAGW_STR_NULL);
            return;
        }

        ctx->bootstrap = 1;
    }

    if (ngx_wagw_key_permissions(call, &ctx->k.permissions) != NGX_OK) {
        return;
    }

    if (ctx->bootstrap) {
        ctx->k.permissions |= NGX_WAGW_PERM_ADMIN;
    }

    now = ngx_wagw_now_ms();
    expires = ngx_wagw_param_str(call, "expiresAt");

    if (expires.n && (wagw_iso_parse(expires, &ctx->k.expires_ms) != WAGW_OK || ctx->k.expires_ms <= now)) {
        ngx_wagw_call_invalid(call, "expiresAt", "must be a time in the future");
        return;
    }

    rc = ngx_wagw_key_instances(call, &ctx->k.instances);

    if (rc == NGX_OK) {
        rc = key_addresses(call, &ctx->k.ip_allow);
    }

    if (rc == NGX_DECLINED) {
        return;
    }

    ngx_wagw_uuid(ctx->id);
    ctx->k.id = wagw_cstr(ctx->id);
    ctx->k.name = ngx_wagw_param_str(call, "name");
    ctx->k.active = true;
    ctx->k.created_ms = now;

    if (rc != NGX_OK || key_secret(ctx) != NGX_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_store(call, 1, key_run, key_done);
}
