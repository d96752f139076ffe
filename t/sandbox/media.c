/*
 * The media host (06): uploads under their hash, downloads by direct path with
 * ranges, faults on demand, and the phone that uploads again what is gone.
 */

#include "sandbox.h"

#include "../../core/media/media.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct sbx_blob_s sbx_blob_t;
struct sbx_blob_s {
    uint32_t refs;
    bool gone; /* the host has dropped it; the phone still has it */
    uint8_t hash[32];
    size_t n;
    uint8_t data[];
};

static sbx_map_t sbx_blobs;  /* path without query -> blob */
static sbx_map_t sbx_hashes; /* token -> blob */
static uint64_t sbx_paths;
static char sbx_auth[33];

typedef struct {
    int status;
    int64_t count;
} sbx_media_fault_t;

static sbx_media_fault_t sbx_upload_fault, sbx_download_fault;

const char *sbx_media_auth(void)
{
    uint8_t random[18];
    wagw_buf_t b = {0};

    if (sbx_auth[0] == '\0') {
        sbx_random(NULL, random, sizeof(random));
        wagw_base64_encode(&b, wagw_str(random, sizeof(random)));
        /* whoever does not escape it is found out */
        snprintf(sbx_auth, sizeof(sbx_auth), "%.*s+/=", (int)b.n, (char *)b.p);
        wagw_buf_free(&b);
    }
    return sbx_auth;
}

static void sbx_blob_unref(const void *data, size_t n, void *arg)
{
    sbx_blob_t *b = arg;

    (void)data;
    (void)n;
    if (--b->refs == 0) {
        free(b);
    }
}

void sbx_media_reset(void)
{
    size_t i;

    for (i = 0; i < sbx_blobs.cap; i++) {
        if (sbx_blobs.slots[i].value != NULL) {
            sbx_blob_unref(NULL, 0, sbx_blobs.slots[i].value);
        }
    }
    sbx_map_free(&sbx_blobs);
    sbx_map_free(&sbx_hashes);
    memset(&sbx_blobs, 0, sizeof(sbx_blobs));
    memset(&sbx_hashes, 0, sizeof(sbx_hashes));
    memset(&sbx_upload_fault, 0, sizeof(sbx_upload_fault));
    memset(&sbx_download_fault, 0, sizeof(sbx_download_fault));
}

/* A new path for the blob; the query is what real ones look like. */
static char *sbx_media_path(sbx_blob_t *b)
{
    char text[160];

    snprintf(text, sizeof(text), "/v/t62.7118-24/%llu_n.enc", (unsigned long long)++sbx_paths);
    sbx_map_put(&sbx_blobs, text, b);
    b->refs++;
    snprintf(text, sizeof(text), "/v/t62.7118-24/%llu_n.enc?ccb=11-4&oh=01_Q5&oe=%llX&_nc_sid=5e03e0",
             (unsigned long long)sbx_paths, (unsigned long long)sbx_now_s() + 30 * 86400);
    return sbx_strdup(text);
}

static void sbx_media_answer(sbx_conn_t *c, int status, const char *type, const char *more, size_t n, bool keep)
{
    wagw_buf_t b = {0};

    wagw_buf_printf(&b, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: %s\r\n\r\n", status,
                    status < 300 ? "OK" : "Refused", type, n, more, keep ? "keep-alive" : "close");
    bufferevent_write(c->bev, b.p, b.n);
    wagw_buf_free(&b);
}

static void sbx_media_json(sbx_conn_t *c, int status, wagw_buf_t *b, bool keep)
{
    sbx_media_answer(c, status, "application/json", "", b->n, keep);
    bufferevent_write(c->bev, b->p, b->n);
    wagw_buf_free(b);
    if (!keep) {
        sbx_conn_finish(c);
    }
}

static void sbx_media_refuse(sbx_conn_t *c, int status, const char *why, bool keep)
{
    wagw_buf_t b = {0};

    wagw_buf_printf(&b, "{\"error\":\"%s\"}", why);
    sbx_media_json(c, status, &b, keep);
}

static const char *sbx_media_arg(const cJSON *query, const char *name)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(query, name));

    return s ? s : "";
}

static void sbx_media_upload(sbx_conn_t *c, const char *path, const cJSON *query, wagw_str_t body, bool keep)
{
    char *direct;
    uint8_t sum[32];
    sbx_blob_t *blob;
    wagw_buf_t hash = {0}, b = {0};
    wagw_json_t j = wagw_json(&b);
    const char *token = strrchr(path, '/') + 1;

    if (strcmp(sbx_media_arg(query, "auth"), sbx_media_auth()) != 0) {
        sbx_media_refuse(c, 401, "auth", keep);
        return;
    }
    if (strcmp(sbx_media_arg(query, "token"), token) != 0 || wagw_base64_decode(&hash, wagw_cstr(token)) != WAGW_OK ||
        hash.n != 32) {
        wagw_buf_free(&hash);
        sbx_fault(NULL, "media upload: tokens of path and query");
        sbx_media_refuse(c, 400, "token", keep);
        return;
    }
    wagw_sha256(sum, body);
    if (memcmp(sum, hash.p, 32) != 0) {
        wagw_buf_free(&hash);
        sbx_fault(NULL, "media upload: the body is not what the token says");
        sbx_media_refuse(c, 415, "hash mismatch", keep);
        return;
    }
    wagw_buf_free(&hash);

    blob = sbx_map_get(&sbx_hashes, token);
    if (blob == NULL) {
        blob = sbx_alloc(sizeof(sbx_blob_t) + body.n);
        memcpy(blob->hash, sum, 32);
        blob->n = body.n;
        memcpy(blob->data, body.p, body.n);
        sbx_map_put(&sbx_hashes, token, blob);
    }
    blob->gone = false;
    direct = sbx_media_path(blob);
    wagw_json_open(&j, '{');
    wagw_json_key(&j, "url");
    wagw_buf_printf(&b, "\"https://%s:%u%s&mms3=true\"", sbx.host, sbx.media_port, direct);
    j.comma = true;
    wagw_json_kcstr(&j, "direct_path", direct);
    wagw_json_kcstr(&j, "handle", direct + 3);
    wagw_json_close(&j);
    free(direct);
    sbx_media_json(c, 200, &b, keep);
}

char *sbx_media_put(wagw_str_t enc)
{
    sbx_blob_t *b = sbx_alloc(sizeof(sbx_blob_t) + enc.n);

    wagw_sha256(b->hash, enc);
    b->n = enc.n;
    memcpy(b->data, enc.p, enc.n);
    return sbx_media_path(b);
}

char *sbx_media_again(wagw_str_t enc_sha256)
{
    wagw_buf_t token = {0};
    sbx_blob_t *b;

    wagw_base64url_encode(&token, enc_sha256);
    wagw_buf_u8(&token, 0);
    b = sbx_map_get(&sbx_hashes, (char *)token.p);
    wagw_buf_free(&token);
    if (b == NULL) {
        return NULL;
    }
    b->gone = false;
    return sbx_media_path(b);
}

/* "bytes=a-b" or "bytes=a-" within n bytes. */
static bool sbx_media_range(wagw_str_t range, size_t n, size_t *from, size_t *to)
{
    uint64_t a, b = n - 1;
    size_t dash;

    if (!wagw_str_starts(range, WAGW_STR("bytes=")) || n == 0) {
        return false;
    }
    range.p += 6;
    range.n -= 6;
    for (dash = 0; dash < range.n && range.p[dash] != '-'; dash++) {
    }
    if (dash == range.n || wagw_str_u64(wagw_str(range.p, dash), &a) != WAGW_OK ||
        (dash + 1 < range.n && wagw_str_u64(wagw_str(range.p + dash + 1, range.n - dash - 1), &b) != WAGW_OK) ||
        a >= n || b < a) {
        return false;
    }
    *from = (size_t)a;
    *to = b < n ? (size_t)b + 1 : n;
    return true;
}

static void sbx_media_download(sbx_conn_t *c, const char *path, const cJSON *query, wagw_str_t range, bool keep)
{
    char more[128];
    size_t from, to;
    uint8_t hash[32];
    wagw_buf_t b = {0};
    sbx_blob_t *blob = sbx_map_get(&sbx_blobs, path);
    const char *want = sbx_media_arg(query, "hash");

    if (blob == NULL || blob->gone) {
        sbx_media_refuse(c, blob ? 410 : 404, "gone", keep);
        return;
    }
    if (*want) {
        memset(hash, 0, sizeof(hash));
        if (wagw_base64_decode(&b, wagw_cstr(want)) == WAGW_OK && b.n == 32) {
            memcpy(hash, b.p, 32);
        }
        wagw_buf_free(&b);
        if (memcmp(hash, blob->hash, 32) != 0) {
            sbx_fault(NULL, "media download: hash of another object");
            sbx_media_refuse(c, 404, "hash", keep);
            return;
        }
    }
    from = 0;
    to = blob->n;
    more[0] = '\0';
    if (range.n) {
        if (!sbx_media_range(range, blob->n, &from, &to)) {
            sbx_media_refuse(c, 416, "range", keep);
            return;
        }
        snprintf(more, sizeof(more), "Content-Range: bytes %zu-%zu/%zu\r\n", from, to - 1, blob->n);
    }
    sbx_media_answer(c, range.n ? 206 : 200, "application/octet-stream", more, to - from, keep);
    blob->refs++;
    evbuffer_add_reference(bufferevent_get_output(c->bev), blob->data + from, to - from, sbx_blob_unref, blob);
    if (!keep) {
        sbx_conn_finish(c);
    }
}

static bool sbx_media_faulty(sbx_conn_t *c, sbx_media_fault_t *f, bool keep)
{
    if (f->count == 0) {
        return false;
    }
    if (f->count > 0) {
        f->count--;
    }
    sbx_media_refuse(c, f->status, "injected", keep);
    return true;
}

bool sbx_media(sbx_conn_t *c, wagw_str_t method, const char *path, const cJSON *query, wagw_str_t range,
               wagw_str_t body, bool keep)
{
    bool post = wagw_str_is(method, "POST");

    if (strncmp(path, "/mms/", 5) != 0 && strncmp(path, "/v/", 3) != 0 && strncmp(path, "/newsletter/", 12) != 0) {
        return false;
    }
    if (!post && !wagw_str_is(method, "GET")) {
        sbx_media_refuse(c, 405, "method", keep);
    } else if (sbx_media_faulty(c, post ? &sbx_upload_fault : &sbx_download_fault, keep)) {
        return true;
    } else if (post) {
        sbx_media_upload(c, path, query, body, keep);
    } else {
        sbx_media_download(c, path, query, range, keep);
    }
    return true;
}

/* count 0 takes it back; without a count it is one request. */
int sbx_admin_media_fault(sbx_req_t *r)
{
    char buf[64];
    int64_t status = sbx_arg_int(r, "status", 500), count = sbx_arg_int(r, "count", 1);
    const char *op = sbx_arg(r, "op", buf);
    sbx_media_fault_t *f;

    if (op == NULL || (strcmp(op, "upload") != 0 && strcmp(op, "download") != 0)) {
        return sbx_error(r, 400, "op: upload or download");
    }
    if (status < 100 || status > 599 || count < 0) {
        return sbx_error(r, 400, "status: 100 to 599; count: 0 and more");
    }
    f = op[0] == 'u' ? &sbx_upload_fault : &sbx_download_fault;
    f->status = (int)status;
    f->count = count;
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}

/* Everything uploaded so far is no longer on the host. */
int sbx_admin_media_expire(sbx_req_t *r)
{
    size_t i;

    for (i = 0; i < sbx_hashes.cap; i++) {
        if (sbx_hashes.slots[i].value != NULL) {
            ((sbx_blob_t *)sbx_hashes.slots[i].value)->gone = true;
        }
    }
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}
