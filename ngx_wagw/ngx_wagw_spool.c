/*
 * Bodies of calls that carry media.  nginx has put the body into a file; what
 * is a file of the caller's stays there, the rest becomes parameters.  The
 * owner is told path, offset and length of each file in params._spool:
 *
 *     {"path":"/..","parts":{"file":{"offset":1,"length":2,"base64":false,...}}}
 *
 * A part's name is that of the parameter in whose place it stands.  Members
 * that begin with "_" never come from a caller: body.c takes them out.
 */

#include "ngx_wagw_http.h"
#include "ngx_wagw_scan.h"

#include <openssl/rand.h>

static int spool_json(ngx_wagw_scan_t *s, cJSON **params, cJSON *parts)
{
    size_t i;
    char nonce[33];
    u_char random[16];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return WAGW_CRYPTO;
    }
    for (i = 0; i < sizeof(random); i++) {
        snprintf(nonce + 2 * i, 3, "%02x", random[i]);
    }
    return ngx_wagw_scan_json(s, nonce, params, parts);
}

static ngx_int_t spool_result(ngx_wagw_ctx_t *ctx, ngx_wagw_scan_t *s, int rc)
{
    switch (rc) {
    case WAGW_OK:
        return NGX_OK;
    case WAGW_LIMIT:
        return ngx_wagw_refuse(ctx, 413, "BODY_TOO_LARGE", "Request body too large");
    case WAGW_MALFORMED:
        return s->json != NGX_WAGW_JSON_OK ? ngx_wagw_refuse_json(ctx, s->json)
                                           : ngx_wagw_refuse_field(ctx, "VALIDATION_FAILED", s->field, s->reason);
    default:
        return NGX_ERROR;
    }
}

ngx_int_t ngx_wagw_spool(ngx_http_request_t *r, ngx_wagw_ctx_t *ctx, ngx_str_t *type, cJSON **spool)
{
    int rc;
    cJSON *parts;
    ngx_int_t result;
    ngx_uint_t multipart;
    wagw_str_t t = wagw_str(type->data, type->len);
    ngx_wagw_scan_t *s;
    ngx_temp_file_t *tf = r->request_body ? r->request_body->temp_file : NULL;

    multipart = type->len > 19 && ngx_strncasecmp(type->data, (u_char *)"multipart/form-data", 19) == 0;
    if (tf == NULL || tf->file.offset == 0 ||
        (!multipart && type->len && ngx_strncasecmp(type->data, (u_char *)"application/json", 16) != 0)) {
        return NGX_DONE; /* nothing that would be better off here */
    }
    s = ngx_pcalloc(r->pool, sizeof(ngx_wagw_scan_t));
    *spool = cJSON_CreateObject();
    parts = cJSON_AddObjectToObject(*spool, "parts");
    if (s == NULL || parts == NULL || cJSON_AddStringToObject(*spool, "path", (char *)tf->file.name.data) == NULL) {
        return NGX_ERROR;
    }
    s->fd = tf->file.fd;
    s->size = tf->file.offset;

    rc = multipart ? ngx_wagw_scan_multipart(s, t, ctx->match.route->fields, &ctx->params, parts)
                   : spool_json(s, &ctx->params, parts);
    /* only who repeats a call has it compared */
    if (rc == WAGW_OK && ctx->idempotency_key.len) {
        rc = ngx_wagw_scan_hash(s, multipart ? t : WAGW_STR_NULL, ctx->body_hash);
    }
    result = spool_result(ctx, s, rc);
    wagw_arena_free(&s->arena);
    ngx_pfree(r->pool, s);
    return result;
}
