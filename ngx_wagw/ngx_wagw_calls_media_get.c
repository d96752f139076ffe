#include "ngx_wagw_media.h"

#include <fcntl.h>

/*
 * Getting the media of a message: the file is downloaded as it is, encrypted,
 * checked, and kept for a while; the worker is told its path and what opens
 * it, and decrypts while it sends (ngx_wagw_media_send.c).  A clear copy is
 * never on disk, and a player's ranges need no second download.
 */

#define GET_LIMIT (2ULL * 1024 * 1024 * 1024 + 65536)
#define GET_RETRY_MS 30000
#define CACHE_BYTES (512ULL * 1024 * 1024)
#define CACHE_FILES 256
#define CACHE_MS 120000 /* unused for so long */

typedef struct {
    ngx_queue_t queue; /* last used first */
    char *path;
    uint64_t bytes, size;
    int64_t used;
} cached_t;

static struct {
    ngx_queue_t list;
    ngx_uint_t n;
    uint64_t bytes;
    ngx_event_t timer;
    uint64_t serial;
} cache;

/* ---- cache ---- */

static void cache_drop(cached_t *c)
{
    unlink(c->path);
    ngx_queue_remove(&c->queue);
    cache.n--;
    cache.bytes -= c->bytes;
    free(c->path);
    free(c);
}

static void cache_timer(ngx_event_t *ev)
{
    cached_t *c;
    int64_t before = ngx_wagw_now_ms() - CACHE_MS;

    while (cache.n) {
        c = ngx_queue_data(ngx_queue_last(&cache.list), cached_t, queue);
        if (c->used > before) {
            break;
        }
        cache_drop(c);
    }
    if (cache.n) {
        ngx_add_timer(ev, CACHE_MS / 4);
    }
}

void ngx_wagw_media_cache_init(ngx_cycle_t *cycle)
{
    ngx_memzero(&cache, sizeof(cache));
    ngx_queue_init(&cache.list);
    cache.timer.handler = cache_timer;
    cache.timer.data = &ngx_wagw_no_connection;
    cache.timer.log = cycle->log;
    cache.timer.cancelable = 1;
}

void ngx_wagw_media_cache_done(void)
{
    while (cache.n) {
        cache_drop(ngx_queue_data(ngx_queue_head(&cache.list), cached_t, queue));
    }
    if (cache.timer.timer_set) {
        ngx_del_timer(&cache.timer);
    }
}

static cached_t *cache_find(const char *path)
{
    cached_t *c;
    ngx_queue_t *q;

    for (q = ngx_queue_head(&cache.list); q != ngx_queue_sentinel(&cache.list); q = ngx_queue_next(q)) {
        c = ngx_queue_data(q, cached_t, queue);
        if (strcmp(c->path, path) == 0) {
            ngx_queue_remove(q);
            ngx_queue_insert_head(&cache.list, q);
            c->used = ngx_wagw_now_ms();
            return c;
        }
    }
    return NULL;
}

/* The newest stays, whatever its size; a worker that has the file open keeps it. */
void ngx_wagw_media_cache(const char *path, uint64_t bytes, uint64_t size)
{
    cached_t *c = cache_find(path);

    if (c) {
        cache.bytes += bytes - c->bytes;
        c->bytes = bytes;
        c->size = size;
        return;
    }
    c = calloc(1, sizeof(*c));
    if (c) {
        c->path = strdup(path);
    }
    if (c == NULL || c->path == NULL) {
        free(c);
        return; /* swept by the next owner */
    }
    c->bytes = bytes;
    c->size = size;
    c->used = ngx_wagw_now_ms();
    ngx_queue_insert_head(&cache.list, &c->queue);
    cache.n++;
    cache.bytes += bytes;
    while (cache.n > 1 && (cache.bytes > CACHE_BYTES || cache.n > CACHE_FILES)) {
        cache_drop(ngx_queue_data(ngx_queue_last(&cache.list), cached_t, queue));
    }
    if (!cache.timer.timer_set) {
        ngx_add_timer(&cache.timer, CACHE_MS / 4);
    }
}

bool ngx_wagw_media_name(ngx_wagw_media_t *m, char name[65])
{
    bool ok;
    uint8_t sum[32];
    wagw_buf_t b = {0};

    wagw_buf_str(&b, m->file.key);
    wagw_buf_str(&b, m->file.enc_sha256);
    wagw_buf_str(&b, m->file.sha256);
    /* without a hash nothing says that it is the same */
    ok = m->file.sha256.n == 32 && !b.failed && wagw_sha256(sum, wagw_buf_view(&b)) == WAGW_OK;
    wagw_buf_wipe(&b);
    if (ok) {
        *ngx_hex_dump((u_char *)name, sum, 32) = '\0';
    }
    return ok;
}

static char *cache_path(ngx_wagw_media_t *m)
{
    char name[65];
    wagw_buf_t b = {0};

    if (!ngx_wagw_media_name(m, name)) {
        snprintf(name, sizeof(name), "once-%llu", (unsigned long long)++cache.serial);
    }
    wagw_buf_printf(&b, "%s/%s", m->dir, name);
    wagw_buf_u8(&b, 0);
    if (b.failed) {
        wagw_buf_free(&b);
        return NULL;
    }
    return (char *)b.p;
}

/* ---- the answer ---- */

void ngx_wagw_media_give(ngx_wagw_media_t *m, const char *path, uint64_t size)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    ngx_wagw_call_t *call = m->call;
    wagw_str_t download = ngx_wagw_param_str(call, "download");

    if (wagw_str_is(download, "url")) {
        ngx_wagw_media_link(m, path, size);
        return;
    }
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "path", path);
    wagw_json_key(&j, "size");
    wagw_json_uint(&j, size);
    if (m->file.key.n) {
        wagw_json_key(&j, "key");
        wagw_json_base64(&j, wagw_str(m->keys.cipher, 32));
        wagw_json_key(&j, "iv");
        wagw_json_base64(&j, wagw_str(m->keys.iv, 16));
    }
    wagw_json_kstr(&j, "mimetype", m->file.mimetype);
    if (m->file.file_name.n) {
        wagw_json_kstr(&j, "fileName", m->file.file_name);
    }
    if (m->file.sha256.n == 32) {
        wagw_json_key(&j, "sha256");
        wagw_json_base64(&j, m->file.sha256);
    }
    wagw_json_kbool(&j, "envelope", m->envelope);
    wagw_json_kbool(&j, "attachment", wagw_str_is(download, "true") || wagw_str_is(download, "1"));
    wagw_json_close(&j);
    if (b.failed) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
    } else {
        ngx_wagw_call_raw(call, 200, "wagw/file", wagw_buf_view(&b));
    }
    wagw_buf_wipe(&b);
}

/* ---- the steps ---- */

static void get_download(ngx_wagw_media_t *m);
static void get_retry(ngx_wagw_media_t *m);

/* ---- the phone is asked to upload it again ---- */

static void get_retried(ngx_wagw_media_t *m)
{
    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }
    m->walk.at = 0;
    m->tries = 0;
    get_download(m);
}

static void get_retry_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *d;
    ngx_wagw_media_t *m = call->data;
    const char *path;

    call->reply = NULL;
    d = r->status == 200 ? cJSON_ParseWithLength((const char *)r->data.p, r->data.n) : NULL;
    path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "directPath"));
    if (path) {
        m->file.direct_path = wagw_arena_str(&m->arena, wagw_cstr(path));
    } else {
        ngx_wagw_media_fail(m, 410, "MEDIA_EXPIRED", "The media is gone, and the phone cannot send it again");
    }
    cJSON_Delete(d);
    ngx_wagw_media_later(m, get_retried);
}

/* The phone is off, or does not care. */
static void get_retry_over(ngx_wagw_media_t *m)
{
    ngx_wagw_call_t *call = m->call;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    if (in) {
        wagw_client_forget(in->client, call->serial);
    }
    ngx_wagw_media_fail(m, 410, "MEDIA_EXPIRED", "The media is gone, and the phone did not answer");
    ngx_wagw_media_answer(m);
}

static void get_retry(ngx_wagw_media_t *m)
{
    m->retried = 1;
    ngx_wagw_param_set(m->call, "chatId", m->chat);
    ngx_wagw_param_set(m->call, "_path", (const char *)m->file.direct_path.p);
    m->call->reply = get_retry_reply;
    ngx_wagw_media_wait(m, ngx_min(GET_RETRY_MS, m->call->timeout / 2), get_retry_over);
    ngx_wagw_call_command(m->call, WAGW_CMD_MEDIA_RETRY);
}

static void get_downloaded(ngx_wagw_media_t *m)
{
    char *path, place[NGX_MAX_PATH];
    ngx_wagw_instance_t *in;

    switch (ngx_wagw_media_got(m)) {
    case NGX_WAGW_GET_DONE:
        in = m->bare ? NULL : ngx_wagw_call_instance(m->call);
        if (in && ngx_wagw_media_wanted(in, m->file.type) && ngx_wagw_kept_receive(m, &in->id, place)) {
            ngx_wagw_media_give(m, place, m->size);
            return;
        }
        path = cache_path(m);
        if (path && rename(m->path, path) == 0) {
            m->named = 0;
            ngx_wagw_media_cache(path, (uint64_t)m->sent, m->size);
            ngx_wagw_media_give(m, path, m->size);
            free(path);
            return;
        }
        free(path);
        ngx_wagw_media_fail(m, 503, "CAPACITY", "The file cannot be kept");
        break;

    case NGX_WAGW_GET_AGAIN:
        ngx_wagw_media_wait(m, m->wait, get_download);
        return;

    case NGX_WAGW_GET_GONE:
        if (!m->retried && m->file.key.n && m->chat) {
            get_retry(m);
            return;
        }
        ngx_wagw_media_fail(m, 410, "MEDIA_EXPIRED", "The media is no longer on WhatsApp's servers");
        break;

    default:
        if (m->bare && m->status == 502) {
            m->status = 422; /* the caller named it: wrong keys, or a place that does not answer */
            m->code = "MEDIA_FETCH_FAILED";
            snprintf(m->details, sizeof(m->details), "{\"status\":%ld}", m->http);
        }
        break;
    }
    ngx_wagw_media_answer(m);
}

static void get_download(ngx_wagw_media_t *m)
{
    if (ngx_wagw_media_host(m, m->walk.at) == NULL) {
        ngx_wagw_call_fail(m->call, 502, "WA_ERROR", "WhatsApp named no host for media", WAGW_STR_NULL);
        return;
    }
    ngx_wagw_media_run(m, ngx_wagw_media_download, get_downloaded);
}

void ngx_wagw_media_get(ngx_wagw_media_t *m)
{
    char *path, place[NGX_MAX_PATH];
    cached_t *c;
    uint64_t size;

    m->limit = GET_LIMIT;
    path = cache_path(m);
    c = path ? cache_find(path) : NULL;
    if (c) {
        ngx_wagw_media_give(m, path, c->size);
        free(path);
        return;
    }
    free(path);
    size = ngx_wagw_kept_find(m, &m->call->instance_id, place);
    if (size) {
        ngx_wagw_media_give(m, place, size);
        return;
    }
    m->out = ngx_wagw_media_named(m);
    if (m->out == -1) {
        ngx_wagw_call_fail(m->call, 503, "CAPACITY", "The file cannot be kept", WAGW_STR_NULL);
        return;
    }
    ngx_wagw_media_hosts(m, 0, get_download);
}

/* ---- the call ---- */

typedef struct {
    uint32_t num;
    wagw_str_t id;
    wagw_buf_t content, chat;
} get_row_t;

static int get_row_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    get_row_t *g = call->data;

    return wagw_store_message_content(s, g->num, WAGW_STR_NULL, g->id, &g->content, &g->chat);
}

static void get_row_done(ngx_wagw_job_t *job)
{
    int rc;
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_media_t *m;
    get_row_t *g = call->data;
    wagw_buf_t content = g->content, chat = g->chat;

    if (job->rc != WAGW_OK || content.failed || chat.failed) {
        wagw_buf_free(&content);
        wagw_buf_free(&chat);
        if (job->rc == WAGW_NOT_FOUND) {
            ngx_wagw_call_fail(call, 404, "MESSAGE_NOT_FOUND", "Message not found", WAGW_STR_NULL);
        } else {
            ngx_wagw_call_store_failed(call);
        }
        return;
    }
    m = ngx_wagw_media_new(call);
    if (m == NULL) {
        wagw_buf_wipe(&content);
        wagw_buf_free(&chat);
        return;
    }
    call->data = m;
    m->chat = wagw_str_dup(wagw_buf_view(&chat));
    wagw_buf_free(&chat);
    rc = wagw_message_file(&m->file, &m->arena, wagw_buf_view(&content));
    wagw_buf_wipe(&content);
    m->type = rc == WAGW_OK ? wagw_media_type(m->file.type) : NULL;
    if (m->type == NULL) {
        ngx_wagw_call_fail(call, 404, "MESSAGE_NOT_FOUND", "The message holds no media", WAGW_STR_NULL);
        return;
    }
    /* a key without a hash of the encrypted file is none (06 section 7) */
    if (m->file.key.n != 32 || m->file.enc_sha256.n != 32) {
        m->file.key.n = 0;
    } else if (wagw_media_keys(&m->keys, m->type, m->file.key.p) != WAGW_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }
    if (m->file.direct_path.n == 0) {
        ngx_wagw_call_fail(call, 410, "MEDIA_EXPIRED", "The message does not say where its media is", WAGW_STR_NULL);
        return;
    }
    ngx_wagw_media_get(m);
}

NGX_WAGW_HANDLER(message_media)
{
    get_row_t *g = ngx_wagw_call_ctx(call, sizeof(get_row_t));

    if (g == NULL) {
        return;
    }
    g->num = ngx_wagw_call_instance(call)->num;
    g->id = ngx_wagw_param_str(call, "messageId");
    ngx_wagw_call_store(call, 0, get_row_run, get_row_done);
}
