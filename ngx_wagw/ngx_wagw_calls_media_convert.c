#include "ngx_wagw_media.h"

#include <fcntl.h>
#include <openssl/rand.h>

/*
 * Conversion alone (contract 3.11), and media as an address of ours.  A
 * converted file is too large for a frame, so the whole envelope is written
 * into a file, encrypted like all of them, and the worker sends that.
 */

typedef struct {
    wagw_buf_t head, tail; /* around the base64 */
    ngx_wagw_kept_t kept;  /* of a link */
} answer_t;

static void answer_free(void *data)
{
    answer_t *a = data;

    wagw_buf_free(&a->head);
    wagw_buf_free(&a->tail);
    wagw_wipe(&a->kept, sizeof(a->kept));
}

static answer_t *answer_make(ngx_wagw_media_t *m)
{
    ngx_pool_cleanup_t *cln = ngx_pool_cleanup_add(m->call->pool, sizeof(answer_t));

    if (cln == NULL) {
        ngx_wagw_call_fail(m->call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return NULL;
    }
    ngx_memzero(cln->data, sizeof(answer_t));
    cln->handler = answer_free;
    m->wish = cln->data;
    return cln->data;
}

/* ---- the envelope ---- */

static void convert_envelope(ngx_wagw_media_t *m, answer_t *a)
{
    bool video = strcmp(m->type->mms, "video") == 0;
    wagw_json_t j = wagw_json(&a->head), t = wagw_json(&a->tail);
    ngx_str_t *id = &m->call->request_id;

    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "success", true);
    wagw_json_key(&j, "data");
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "format", video ? "mp4" : "opus");
    wagw_json_kcstr(&j, "extension", video ? ".mp4" : ".ogg");
    wagw_json_kint(&j, "size", (int64_t)m->sums.size);
    wagw_json_kcstr(&j, "mimeType", video ? "video/mp4" : "audio/ogg; codecs=opus");
    wagw_json_kint(&j, "seconds", m->facts.seconds);
    if (video) {
        wagw_json_kint(&j, "width", m->facts.width);
        wagw_json_kint(&j, "height", m->facts.height);
        wagw_json_key(&j, "codec");
        wagw_json_open(&j, '{');
        wagw_json_kcstr(&j, "video", "H.264");
        wagw_json_kcstr(&j, "audio", "AAC");
        wagw_json_close(&j);
    } else if (m->has_waveform) {
        wagw_json_key(&j, "waveform");
        wagw_json_base64(&j, wagw_str(m->waveform, sizeof(m->waveform)));
    }
    wagw_buf_cstr(&a->head, ",\"base64\":\"");

    wagw_json_open(&t, '{');
    wagw_json_kstr(&t, "requestId", wagw_str(id->data, id->len));
    wagw_json_close(&t);
}

/* Thread: base64 of `from`, in pieces that need no padding but the last. */
static bool convert_base64(ngx_wagw_media_t *m, ngx_wagw_media_reader_t *from)
{
    bool ok = false;
    size_t n;
    wagw_buf_t held = {0}, text = {0};
    wagw_str_t piece;

    do {
        if (!ngx_wagw_media_reader_next(from, &piece)) {
            goto done;
        }
        wagw_buf_str(&held, piece);
        n = piece.n ? held.n - held.n % 3 : held.n;
        wagw_buf_reset(&text);
        if (held.failed || wagw_base64_encode(&text, wagw_str(held.p, n)) != WAGW_OK ||
            !ngx_wagw_media_take(m, wagw_buf_view(&text))) {
            goto done;
        }
        memmove(held.p, held.p + n, held.n - n);
        held.n -= n;
    } while (piece.n);
    ok = true;

done:
    wagw_buf_wipe(&held);
    wagw_buf_wipe(&text);
    return ok;
}

/* Thread: out is read once more, and gives way to something with a name. */
static bool answer_begin(ngx_wagw_media_t *m, ngx_wagw_media_reader_t **from)
{
    uint64_t size = m->sums.size;
    ngx_fd_t fd = m->out;

    *from = malloc(sizeof(**from));
    if (*from == NULL || ngx_wagw_media_reader(*from, fd, &m->keys, 0, size) != NGX_OK) {
        free(*from);
        *from = NULL;
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return false;
    }
    m->out = -1;
    m->kind = "document";
    m->type = wagw_media_type("document");
    m->limit = INT64_MAX;
    m->keep = 1;
    return ngx_wagw_media_seal_begin(m);
}

static void answer_end(ngx_wagw_media_reader_t *from)
{
    if (from) {
        close(from->fd);
        ngx_wagw_media_reader_end(from);
        free(from);
    }
}

static void convert_write(ngx_wagw_task_t *task)
{
    ngx_wagw_media_t *m = task->data;
    answer_t *a = m->wish;
    ngx_wagw_media_reader_t *from = NULL;

    if (RAND_bytes(m->key, sizeof(m->key)) != 1) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return;
    }
    /* the tail was written as an object of its own: its brace becomes a comma */
    if (answer_begin(m, &from) && ngx_wagw_media_take(m, wagw_buf_view(&a->head)) && convert_base64(m, from) &&
        ngx_wagw_media_take(m, WAGW_STR("\"},")) && ngx_wagw_media_take(m, wagw_str(a->tail.p + 1, a->tail.n - 1))) {
        (void)ngx_wagw_media_seal_end(m);
    } else if (!ngx_wagw_media_cancelled(m)) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "The converted file cannot be read");
    }
    answer_end(from);
}

static void convert_written(ngx_wagw_media_t *m)
{
    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }
    m->envelope = 1;
    m->file.key = wagw_str(m->key, sizeof(m->key));
    m->file.mimetype = WAGW_STR("application/json; charset=utf-8");
    ngx_wagw_media_cache(m->path, m->sums.enc_size, m->sums.size);
    m->named = 0;
    ngx_wagw_media_give(m, m->path, m->sums.size);
}

static void convert_answer(ngx_wagw_media_t *m)
{
    answer_t *a;

    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }
    a = answer_make(m);
    if (a == NULL) {
        return;
    }
    convert_envelope(m, a);
    if (a->head.failed || a->tail.failed) {
        ngx_wagw_call_fail(m->call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }
    ngx_wagw_media_run(m, convert_write, convert_written);
}

static void convert_begin(ngx_wagw_call_t *call, const char *kind)
{
    if (ngx_wagw_param_str(call, "filePath").n) {
        ngx_wagw_call_invalid(call, "filePath", "files of the server are not read");
        return;
    }
    if (!ngx_wagw_media_converter()) {
        ngx_wagw_call_fail(call, 501, "NOT_SUPPORTED", "FFmpeg is not installed on this server", WAGW_STR_NULL);
        return;
    }
    ngx_wagw_media_begin(call, kind, "base64", NGX_WAGW_MEDIA_CONVERT, NULL, convert_answer);
}

NGX_WAGW_HANDLER(media_convert_voice)
{
    convert_begin(call, "voice");
}

NGX_WAGW_HANDLER(media_convert_video)
{
    convert_begin(call, "video");
}

/* ---- media of a message as an address (3.4, download=url) ---- */

static void link_write(ngx_wagw_task_t *task)
{
    wagw_str_t piece;
    ngx_wagw_media_t *m = task->data;
    ngx_wagw_media_reader_t *from = NULL;

    if (answer_begin(m, &from)) {
        do {
            if (!ngx_wagw_media_reader_next(from, &piece)) {
                ngx_wagw_media_fail(m, 500, "INTERNAL", "The file cannot be read");
            }
        } while (m->status == 0 && piece.n && ngx_wagw_media_take(m, piece));
        if (ngx_wagw_media_seal_end(m)) {
            ngx_wagw_kept_store(task);
        }
    }
    answer_end(from);
}

static void link_written(ngx_wagw_media_t *m)
{
    char url[160];
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    ngx_wagw_kept_t *k = m->upload;

    if (!ngx_wagw_media_upload_kept(m)) {
        return;
    }
    snprintf(url, sizeof(url), "/api/media/%.*s/%s", (int)m->call->instance_id.len, m->call->instance_id.data, k->id);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "url", url);
    wagw_json_kiso(&j, "expiresAt", k->expires_ms);
    wagw_json_close(&j);
    ngx_wagw_call_data(m->call, 200, &b, NULL);
}

void ngx_wagw_media_link(ngx_wagw_media_t *m, const char *path, uint64_t size)
{
    answer_t *a = answer_make(m);
    ngx_fd_t fd;

    if (a == NULL) {
        return;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (m->file.key.n == 0 || fd == -1 || !ngx_wagw_kept_new(&a->kept, &m->call->instance_id)) {
        if (fd != -1) {
            close(fd);
        }
        ngx_wagw_call_fail(m->call, 503, "CAPACITY", "The file cannot be kept", WAGW_STR_NULL);
        return;
    }
    if (m->out != -1) {
        close(m->out);
    }
    m->out = fd;
    m->sums.size = size;
    m->upload = &a->kept;
    memcpy(m->key, a->kept.key, sizeof(m->key));
    m->mimetype = m->file.mimetype.n ? wagw_str_dup(m->file.mimetype) : NULL;
    m->file_name = m->file.file_name.n ? wagw_str_dup(m->file.file_name) : NULL;
    ngx_wagw_media_run(m, link_write, link_written);
}
