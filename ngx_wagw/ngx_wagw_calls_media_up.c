#include "ngx_wagw_media.h"

/*
 * Media of its own (contract 3.11): kept for later sends, and fetched by the
 * keys that a message names.
 */

/* ---- keeping ---- */

bool ngx_wagw_media_upload_kept(ngx_wagw_media_t *m)
{
    ngx_wagw_kept_t *k = m->upload;

    if (m->status == 0 && !ngx_wagw_kept_add(k->path, k->enc_size, k->expires_ms, false)) {
        ngx_wagw_media_fail(m, 503, "CAPACITY", "There is no room for further uploads");
    }
    if (m->status) {
        ngx_wagw_media_answer(m);
        return false;
    }
    return true;
}

static void upload_stored(ngx_wagw_media_t *m)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    ngx_wagw_kept_t *k = m->upload;

    if (!ngx_wagw_media_upload_kept(m)) {
        return;
    }
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "mediaId", k->id);
    wagw_json_kcstr(&j, "mimetype", k->mimetype);
    wagw_json_kint(&j, "size", (int64_t)k->size);
    wagw_json_key(&j, "sha256");
    wagw_json_base64(&j, wagw_str(k->sha256, 32));
    wagw_json_kiso(&j, "expiresAt", k->expires_ms);
    wagw_json_close(&j);
    ngx_wagw_call_data(m->call, 201, &b, "Media uploaded successfully");
}

static void upload_ready(ngx_wagw_media_t *m)
{
    if (m->status == 0) {
        ngx_wagw_media_judge_end(m);
    }
    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }
    ngx_wagw_media_run(m, ngx_wagw_kept_store, upload_stored);
}

/* The id is a key: it does not outlive the call in our memory. */
static void upload_wipe(void *data)
{
    wagw_wipe(data, sizeof(ngx_wagw_kept_t));
}

static ngx_wagw_kept_t *upload_kept(ngx_wagw_call_t *call)
{
    ngx_pool_cleanup_t *cln = ngx_pool_cleanup_add(call->pool, sizeof(ngx_wagw_kept_t));

    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return NULL;
    }
    ngx_memzero(cln->data, sizeof(ngx_wagw_kept_t));
    cln->handler = upload_wipe;
    return cln->data;
}

NGX_WAGW_HANDLER(media_upload)
{
    char kind[16];
    wagw_str_t type = ngx_wagw_param_str(call, "type");
    ngx_wagw_kept_t *k = upload_kept(call);

    if (k == NULL) {
        return;
    }
    if (!ngx_wagw_kept_new(k, &call->instance_id)) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }
    snprintf(kind, sizeof(kind), "%.*s", (int)type.n, (const char *)type.p);
    ngx_wagw_media_begin(call, kind, "base64", NGX_WAGW_MEDIA_KEEP, k, upload_ready);
}

/* ---- what is kept ---- */

static void upload_none(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 404, "NOT_FOUND", "There is no such uploaded media", WAGW_STR_NULL);
}

NGX_WAGW_HANDLER(media_uploaded_get)
{
    ngx_fd_t fd;
    ngx_wagw_media_t *m;
    ngx_wagw_kept_t *k = upload_kept(call);

    if (k == NULL) {
        return;
    }
    fd = ngx_wagw_kept_id(k, &call->instance_id, ngx_wagw_param_str(call, "mediaId")) ? ngx_wagw_kept_open(k) : -1;
    if (fd == -1) {
        upload_none(call);
        return;
    }
    close(fd);
    m = ngx_wagw_media_new(call);
    if (m == NULL) {
        return;
    }
    m->keys = k->keys;
    m->file.key = wagw_str(k->key, 32);
    m->file.sha256 = wagw_str(k->sha256, 32);
    m->file.mimetype = wagw_cstr(k->mimetype);
    m->file.file_name = wagw_cstr(k->file_name);
    ngx_wagw_media_give(m, k->path, k->size);
}

NGX_WAGW_HANDLER(media_uploaded_delete)
{
    ngx_fd_t fd;
    wagw_buf_t b = {0};
    ngx_wagw_kept_t *k = upload_kept(call);

    if (k == NULL) {
        return;
    }
    fd = ngx_wagw_kept_id(k, &call->instance_id, ngx_wagw_param_str(call, "mediaId")) ? ngx_wagw_kept_open(k) : -1;
    if (fd != -1) {
        close(fd);
    }
    if (fd == -1 || ngx_wagw_kept_remove(k->path) != NGX_OK) {
        upload_none(call);
        return;
    }
    wagw_buf_cstr(&b, "{}");
    ngx_wagw_call_data(call, 200, &b, "Media deleted successfully");
}

/* ---- by its keys ---- */

static ngx_int_t download_bytes(ngx_wagw_media_t *m, const char *name, wagw_str_t *out, bool required)
{
    wagw_buf_t b = {0};
    wagw_str_t text = ngx_wagw_param_str(m->call, name);

    if (text.n == 0 && !required) {
        return NGX_OK;
    }
    if (wagw_base64_decode(&b, text) == WAGW_OK && b.n == 32) {
        *out = wagw_arena_str(&m->arena, wagw_buf_view(&b));
    }
    wagw_buf_wipe(&b);
    if (out->n != 32) {
        ngx_wagw_call_invalid(m->call, name, "must be base64 of 32 bytes");
        return NGX_DECLINED;
    }
    return NGX_OK;
}

/* The path of the message's address: WhatsApp's hosts are asked, no other. */
static wagw_str_t download_path(wagw_str_t url)
{
    size_t at = 0;
    wagw_str_t none = WAGW_STR_NULL;

    if (url.n < 9 || ngx_strncasecmp((u_char *)url.p, (u_char *)"https://", 8) != 0) {
        return none;
    }
    for (at = 8; at < url.n && url.p[at] != '/'; at++) {
    }
    return at < url.n ? wagw_str(url.p + at, url.n - at) : none;
}

NGX_WAGW_HANDLER(media_download)
{
    char name[16];
    wagw_buf_t b = {0};
    wagw_str_t path, type = ngx_wagw_param_str(call, "type");
    ngx_wagw_media_t *m = ngx_wagw_media_new(call);

    if (m == NULL) {
        return;
    }
    call->data = m;
    snprintf(name, sizeof(name), "%.*s", (int)type.n, (const char *)type.p);
    m->type = wagw_media_type(strcmp(name, "voice") == 0 ? "ptt" : name);

    path = ngx_wagw_param_str(call, "directPath");
    if (path.n == 0) {
        path = ngx_wagw_param_str(call, "url");
        if (path.n == 0) {
            ngx_wagw_call_invalid(call, "directPath", "required");
            return;
        }
        path = download_path(path);
    }
    if (m->type == NULL || wagw_media_download_path(&b, m->type, path, WAGW_STR_NULL) != WAGW_OK) {
        wagw_buf_free(&b);
        ngx_wagw_call_invalid(call, ngx_wagw_param_str(call, "directPath").n ? "directPath" : "url",
                              "is not an address of media");
        return;
    }
    wagw_buf_free(&b);
    if (download_bytes(m, "mediaKey", &m->file.key, true) != NGX_OK ||
        download_bytes(m, "fileSha256", &m->file.sha256, false) != NGX_OK ||
        download_bytes(m, "fileEncSha256", &m->file.enc_sha256, false) != NGX_OK) {
        return;
    }
    m->file.direct_path = wagw_arena_str(&m->arena, path);
    m->file.mimetype = wagw_arena_str(&m->arena, ngx_wagw_param_str(call, "mimetype"));
    m->file.file_name = wagw_arena_str(&m->arena, ngx_wagw_param_str(call, "fileName"));
    m->bare = 1;
    if (wagw_media_keys(&m->keys, m->type, m->file.key.p) != WAGW_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }
    ngx_wagw_media_get(m);
}
