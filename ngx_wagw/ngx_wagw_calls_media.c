#include "ngx_wagw_media.h"

#include <fcntl.h>

/*
 * Sending media: source -> encrypted file (thread) -> hosts -> upload (thread,
 * host by host) -> the engine's send, which answers.
 */

#define MEDIA_FETCH_MS 30000 /* contract 1.10 */

typedef struct {
    const char *kind;  /* of the engine */
    const char *type;  /* of the encryption */
    const char *field; /* of the caller */
    ngx_uint_t size;   /* which of the configured limits */
} media_kind_t;

static const media_kind_t media_kinds[] = {
    {"image", "image", "image", NGX_WAGW_SIZE_IMAGE},
    {"video", "video", "video", NGX_WAGW_SIZE_VIDEO},
    {"gif", "gif", "video", NGX_WAGW_SIZE_VIDEO},
    {"ptv", "ptv", "video", NGX_WAGW_SIZE_VIDEO},
    {"audio", "audio", "audio", NGX_WAGW_SIZE_AUDIO},
    {"voice", "ptt", "audio", NGX_WAGW_SIZE_AUDIO},
    {"document", "document", "file", NGX_WAGW_SIZE_DOCUMENT},
    {"sticker", "sticker", "sticker", NGX_WAGW_SIZE_STICKER},
};

static void media_ingested(ngx_wagw_media_t *m);
static void media_upload(ngx_wagw_media_t *m);
static void media_uploaded(ngx_wagw_media_t *m);
static void media_send(ngx_wagw_media_t *m);

/* ---- where it is ---- */

static ngx_int_t source_part(ngx_wagw_media_t *m, const char *name)
{
    double at, left;
    struct stat st;
    const cJSON *spool = ngx_wagw_param(m->call, "_spool");
    const cJSON *part = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(spool, "parts"), name);
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(spool, "path")), *s;

    if (part == NULL || path == NULL) {
        return NGX_DECLINED;
    }
    at = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(part, "offset"));
    left = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(part, "length"));
    m->in_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (m->in_fd == -1 || fstat(m->in_fd, &st) == -1 || !S_ISREG(st.st_mode) || !(at >= 0 && left >= 0) ||
        at + left > (double)st.st_size) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno, "wagw: the body in \"%s\" cannot be read", path);
        ngx_wagw_media_fail(m, 500, "INTERNAL", "The body cannot be read");
        return NGX_OK;
    }
    m->in_at = (off_t)at;
    m->in_left = (off_t)left;
    m->in_base64 = m->in_escaped = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(part, "base64"));
    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(part, "fileName"));
    m->source_name = s ? strdup(s) : NULL;
    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(part, "mimetype"));
    m->source_type = s ? strdup(s) : NULL;
    return NGX_OK;
}

static bool source_is_url(const char *s)
{
    return ngx_strncasecmp((u_char *)s, (u_char *)"http://", 7) == 0 ||
           ngx_strncasecmp((u_char *)s, (u_char *)"https://", 8) == 0;
}

/* A string: address, data URL or base64. */
static ngx_int_t source_string(ngx_wagw_media_t *m, const char *s)
{
    if (s == NULL || *s == '\0') {
        return NGX_DECLINED;
    }
    if (source_is_url(s)) {
        if (!ngx_wagw_fields_url_ok(s)) {
            ngx_wagw_media_fail(m, 400, "VALIDATION_FAILED", "must be an http or https address");
            return NGX_OK;
        }
        m->url = strdup(s);
        return m->url ? NGX_OK : NGX_ERROR;
    }
    if (strstr(s, "://")) {
        ngx_wagw_media_fail(m, 400, "VALIDATION_FAILED", "must be an http or https address, a data URL or base64");
        return NGX_OK;
    }
    m->text = strdup(s);
    return m->text ? NGX_OK : NGX_ERROR;
}

static ngx_int_t source_object(ngx_wagw_media_t *m, const char *field, const cJSON *o)
{
    char name[64];
    ngx_int_t rc;
    const char *s;

    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "mimetype"));
    if (s && m->mimetype == NULL) {
        m->mimetype = strdup(s);
    }
    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "filename"));
    if (s == NULL) {
        s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "fileName"));
    }
    if (s && m->file_name == NULL) {
        m->file_name = strdup(s);
    }
    snprintf(name, sizeof(name), "%s.base64", field);
    rc = source_part(m, name);
    if (rc != NGX_DECLINED) {
        return rc;
    }
    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "base64"));
    if (s && *s) {
        m->text = strdup(s);
        return m->text ? NGX_OK : NGX_ERROR;
    }
    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "url"));
    if (s && !source_is_url(s)) {
        ngx_wagw_media_fail(m, 400, "VALIDATION_FAILED", "must be an http or https address");
        return NGX_OK;
    }
    return source_string(m, s);
}

/* An earlier upload (3.11) of the same instance. */
static ngx_int_t source_kept(ngx_wagw_media_t *m)
{
    ngx_fd_t fd;
    ngx_int_t rc = NGX_ERROR;
    wagw_str_t id = ngx_wagw_param_str(m->call, "mediaId");
    ngx_wagw_kept_t *k;

    if (id.n == 0) {
        return NGX_DECLINED;
    }
    k = malloc(sizeof(*k));
    fd = k && ngx_wagw_kept_id(k, &m->call->instance_id, id) ? ngx_wagw_kept_open(k) : -1;
    if (fd == -1) {
        ngx_wagw_media_fail(m, k ? 404 : 500, k ? "NOT_FOUND" : "INTERNAL",
                            k ? "There is no such uploaded media" : "Out of memory");
        rc = NGX_OK;
        goto done;
    }
    m->kept = malloc(sizeof(*m->kept));
    if (m->kept == NULL || ngx_wagw_media_reader(m->kept, fd, &k->keys, 0, k->size) != NGX_OK) {
        free(m->kept);
        m->kept = NULL;
        close(fd);
        goto done;
    }
    m->source_type = strdup(k->mimetype);
    m->source_name = k->file_name[0] ? strdup(k->file_name) : NULL;
    rc = NGX_OK;

done:
    if (k) {
        wagw_wipe(k, sizeof(*k));
    }
    free(k);
    return rc;
}

/* Contract 1.10, in its order of precedence. */
static ngx_int_t source_find(ngx_wagw_media_t *m, const char *field)
{
    char base64[40], url[40];
    ngx_int_t rc;
    const char *s;
    const cJSON *v;

    snprintf(base64, sizeof(base64), "%sBase64", field);
    snprintf(url, sizeof(url), "%sUrl", field);

    rc = source_part(m, "file");
    if (rc == NGX_DECLINED) {
        rc = source_part(m, base64);
    }
    s = cJSON_GetStringValue(ngx_wagw_param(m->call, base64));
    if (rc == NGX_DECLINED && s && *s) {
        m->text = strdup(s);
        rc = m->text ? NGX_OK : NGX_ERROR;
    }
    if (rc == NGX_DECLINED) {
        rc = source_string(m, cJSON_GetStringValue(ngx_wagw_param(m->call, url)));
    }
    if (rc == NGX_DECLINED) {
        rc = source_part(m, field);
    }
    v = ngx_wagw_param(m->call, field);
    if (rc == NGX_DECLINED && v == NULL && strcmp(field, "base64") == 0) {
        rc = source_string(m, cJSON_GetStringValue(ngx_wagw_param(m->call, "url")));
        if (rc == NGX_DECLINED) {
            rc = source_string(m, cJSON_GetStringValue(ngx_wagw_param(m->call, "file")));
        }
    }
    if (rc == NGX_DECLINED) {
        rc = cJSON_IsObject(v) ? source_object(m, field, v) : source_string(m, cJSON_GetStringValue(v));
    }
    if (rc == NGX_DECLINED) {
        rc = source_kept(m);
    }
    return rc;
}

bool ngx_wagw_media_given(ngx_wagw_call_t *call, const char *field)
{
    char name[5][48];
    const cJSON *v, *parts = cJSON_GetObjectItemCaseSensitive(ngx_wagw_param(call, "_spool"), "parts");

    snprintf(name[0], sizeof(name[0]), "%s", field);
    snprintf(name[1], sizeof(name[1]), "%sBase64", field);
    snprintf(name[2], sizeof(name[2]), "%sUrl", field);
    snprintf(name[3], sizeof(name[3]), "mediaId");
    snprintf(name[4], sizeof(name[4]), "%s.base64", field);

    for (size_t i = 0; i < 5; i++) {
        v = ngx_wagw_param(call, name[i]);

        if (cJSON_IsObject(v) || (cJSON_IsString(v) && *v->valuestring) || cJSON_HasObjectItem(parts, name[i])) {
            return true;
        }
    }

    return cJSON_HasObjectItem(parts, "file");
}

/* ---- the steps ---- */

void ngx_wagw_media_begin(ngx_wagw_call_t *call, const char *kind, const char *field, ngx_wagw_media_aim_t aim,
                          ngx_wagw_kept_t *upload, void (*next)(ngx_wagw_media_t *m))
{
    size_t i;
    ngx_int_t rc;
    const char *s;
    ngx_wagw_media_t *m = ngx_wagw_media_new(call);

    if (m == NULL) {
        return;
    }
    for (i = 0; strcmp(media_kinds[i].kind, kind) != 0; i++) {
    }
    m->kind = media_kinds[i].kind;
    m->type = wagw_media_type(media_kinds[i].type);
    m->field = field ? field : media_kinds[i].field;

    s = cJSON_GetStringValue(ngx_wagw_param(call, "mimetype"));
    m->mimetype = s && *s ? strdup(s) : NULL;
    s = cJSON_GetStringValue(ngx_wagw_param(call, "fileName"));
    m->file_name = s && *s ? strdup(s) : NULL;

    rc = source_find(m, m->field);
    if (rc == NGX_DECLINED) {
        ngx_wagw_call_invalid(call, m->field, "required");
        return;
    }
    if (rc == NGX_ERROR) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
    }
    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }
    /* a slow address is to be told of before the call's time is over */
    m->fetch_ms = (long)ngx_min(MEDIA_FETCH_MS, call->timeout * 3 / 4);
    m->limit = ngx_wagw_media_size(media_kinds[i].size, m->url != NULL);
    m->force_convert = aim == NGX_WAGW_MEDIA_CONVERT;
    if (aim == NGX_WAGW_MEDIA_KEEP) {
        m->keep = 1;
        m->upload = upload;
        memcpy(m->key, upload->key, sizeof(m->key));
    }
    ngx_wagw_media_run(m, ngx_wagw_media_ingest, next);
}

static void media_begin(ngx_wagw_call_t *call, const char *kind, const char *field)
{
    ngx_wagw_media_begin(call, kind, field, NGX_WAGW_MEDIA_SEND, NULL, media_ingested);
}

void ngx_wagw_media_judge_end(ngx_wagw_media_t *m)
{
    bool video = strcmp(m->type->mms, "video") == 0;

    if (video && m->facts.audio_only) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The file has no picture, or is cut off");
    }
    if (strcmp(m->kind, "audio") == 0 && strncmp(m->facts.mimetype, "video/", 6) == 0 && !m->facts.audio_only) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "The file is a video");
    }
}

static void media_ingested(ngx_wagw_media_t *m)
{
    if (m->status == 0) {
        ngx_wagw_media_judge_end(m);
    }
    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }
    ngx_wagw_media_hosts(m, 0, media_upload);
}

static void media_upload(ngx_wagw_media_t *m)
{
    if (ngx_wagw_media_host(m, m->walk.at) == NULL) {
        ngx_wagw_call_fail(m->call, 502, "WA_ERROR", "WhatsApp named no host for media", WAGW_STR_NULL);
        return;
    }
    ngx_wagw_media_run(m, ngx_wagw_media_upload, media_uploaded);
}

static void media_uploaded(ngx_wagw_media_t *m)
{
    cJSON *answer = m->answer.n ? cJSON_ParseWithLength((char *)m->answer.p, m->answer.n) : NULL;
    wagw_walk_rc_t rc = wagw_media_walk(&m->walk, ngx_wagw_media_nhosts(m), (int)m->http, answer);

    if (rc == WAGW_WALK_DONE) {
        m->url = (free(m->url), m->walk.url ? strdup(m->walk.url) : NULL);
        m->path = (free(m->path), strdup(m->walk.direct_path));
    }
    cJSON_Delete(answer);

    switch (rc) {
    case WAGW_WALK_DONE:
        media_send(m);
        return;
    case WAGW_WALK_NEXT:
        ngx_wagw_media_hosts(m, 1, media_upload);
        return;
    default:
        break;
    }
    if (m->http == 413) {
        ngx_wagw_call_fail(m->call, 413, "MEDIA_TOO_LARGE", "WhatsApp does not take a file of this size",
                           WAGW_STR_NULL);
        return;
    }
    snprintf(m->details, sizeof(m->details), "{\"code\":%ld,\"text\":\"upload failed on all hosts\"}", m->http);
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "wagw: media was not uploaded: status %l %s", m->http, m->error);
    ngx_wagw_call_fail(m->call, 502, "WA_ERROR", "The media could not be uploaded", wagw_cstr(m->details));
}

/* ---- what the engine is told ---- */

static void media_base64(cJSON *to, const char *name, const void *p, size_t n)
{
    wagw_buf_t b = {0};

    if (n && wagw_base64_encode(&b, wagw_str(p, n)) == WAGW_OK && wagw_buf_u8(&b, 0) == WAGW_OK) {
        cJSON_AddStringToObject(to, name, (char *)b.p);
    }
    wagw_buf_free(&b);
}

const char *ngx_wagw_media_mimetype(ngx_wagw_media_t *m)
{
    const char *named = m->file_name ? wagw_media_mime_of_name(wagw_cstr(m->file_name)) : NULL;

    if (named == NULL && m->source_name) {
        named = wagw_media_mime_of_name(wagw_cstr(m->source_name));
    }
    if (strcmp(m->kind, "document") == 0) {
        return m->mimetype         ? m->mimetype
               : named             ? named
               : m->facts.mimetype ? m->facts.mimetype
               : m->source_type    ? m->source_type
                                   : "application/octet-stream";
    }
    if (m->facts.audio_only && strcmp(m->kind, "audio") == 0) {
        return "audio/mp4";
    }
    return m->facts.mimetype ? m->facts.mimetype : "application/octet-stream";
}

static void media_send(ngx_wagw_media_t *m)
{
    static const char *const mine[] = {
        "file",    "image",      "audio",       "video",       "sticker",     "media",         "_spool",
        "mediaId", "fileName",   "mimetype",    "viewOnce",    "gifPlayback", "ptt",           "isAnimated",
        "type",    "fileBase64", "imageBase64", "audioBase64", "videoBase64", "stickerBase64", "mediaBase64",
        "fileUrl", "imageUrl",   "audioUrl",    "videoUrl",    "stickerUrl",  "mediaUrl"};
    bool document = strcmp(m->kind, "document") == 0;
    cJSON *d;
    ngx_wagw_call_t *call = m->call;

    d = cJSON_CreateObject();
    cJSON_AddStringToObject(d, "type", m->kind);
    cJSON_AddStringToObject(d, "directPath", m->path);
    if (m->url) {
        cJSON_AddStringToObject(d, "url", m->url);
    }
    media_base64(d, "mediaKey", m->key, 32);
    media_base64(d, "fileSha256", m->sums.sha256, 32);
    media_base64(d, "fileEncSha256", m->sums.enc_sha256, 32);
    media_base64(d, "sidecar", m->sums.sidecar.p, m->sums.sidecar.n);
    media_base64(d, "thumbnail", m->thumbnail.p, m->thumbnail.n);
    cJSON_AddNumberToObject(d, "size", (double)m->sums.size);
    cJSON_AddNumberToObject(d, "keyTime", (double)(ngx_wagw_now_ms() / 1000));
    cJSON_AddStringToObject(d, "mimetype", ngx_wagw_media_mimetype(m));
    if (document) {
        cJSON_AddStringToObject(d, "fileName",
                                m->file_name     ? m->file_name
                                : m->source_name ? m->source_name
                                                 : "document");
    }
    if (m->facts.width && m->facts.height && !document) {
        cJSON_AddNumberToObject(d, "width", m->facts.width);
        cJSON_AddNumberToObject(d, "height", m->facts.height);
    }
    if (m->pages) {
        cJSON_AddNumberToObject(d, "pages", m->pages);
    }
    if (m->facts.seconds && !document) {
        cJSON_AddNumberToObject(d, "seconds", m->facts.seconds);
    }
    if (m->has_waveform) {
        media_base64(d, "waveform", m->waveform, sizeof(m->waveform));
    }
    if (strcmp(m->kind, "sticker") == 0 && (m->facts.animated || ngx_wagw_param_bool(call, "isAnimated") == 1)) {
        cJSON_AddTrueToObject(d, "animated");
    }
    if (ngx_wagw_param_bool(call, "viewOnce") == 1) {
        cJSON_AddTrueToObject(d, "viewOnce");
    }
    for (size_t i = 0; i < sizeof(mine) / sizeof(mine[0]); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(call->params, mine[i]);
    }
    cJSON_AddItemToObject(call->params, "_media", d);
    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

/* ---- the calls ---- */

void ngx_wagw_media_send_as(ngx_wagw_call_t *call, const char *kind)
{
    media_begin(call, kind, NULL);
}

NGX_WAGW_HANDLER(send_image)
{
    media_begin(call, "image", NULL);
}

NGX_WAGW_HANDLER(send_file)
{
    media_begin(call, "document", NULL);
}

NGX_WAGW_HANDLER(send_voice)
{
    media_begin(call, ngx_wagw_param_bool(call, "ptt") == 0 ? "audio" : "voice", NULL);
}

NGX_WAGW_HANDLER(send_audio)
{
    media_begin(call, ngx_wagw_param_bool(call, "ptt") == 1 ? "voice" : "audio", NULL);
}

NGX_WAGW_HANDLER(send_video)
{
    media_begin(call, ngx_wagw_param_bool(call, "gifPlayback") == 1 ? "gif" : "video", NULL);
}

NGX_WAGW_HANDLER(send_video_note)
{
    media_begin(call, "ptv", NULL);
}

NGX_WAGW_HANDLER(send_sticker)
{
    media_begin(call, "sticker", NULL);
}

NGX_WAGW_HANDLER(send_media)
{
    wagw_str_t type = ngx_wagw_param_str(call, "type");

    if (wagw_str_is(type, "audio")) {
        media_begin(call, ngx_wagw_param_bool(call, "ptt") == 1 ? "voice" : "audio", "media");
    } else {
        media_begin(call,
                    wagw_str_is(type, "image")   ? "image"
                    : wagw_str_is(type, "video") ? "video"
                                                 : "document",
                    "media");
    }
}
