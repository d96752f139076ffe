#include "ngx_wagw_media.h"

/*
 * What an engine wants from the media hosts: chunks of history, external parts
 * of app state.  Small enough to be handed over in memory (the engine says how
 * large they may be); on their way they are a file like all media.
 */

static struct {
    ngx_queue_t asked; /* those that wait for the list of hosts */
    uint64_t serial;
} blobs;

static void blob_download(ngx_wagw_media_t *m);

void ngx_wagw_media_leave(ngx_wagw_media_t *m)
{
    ngx_wagw_instance_t *in = m->in;

    in->works--;
    if (in->deleting && in->works == 0) {
        wagw_client_destroy(in->client);
        in->client = NULL;
        ngx_wagw_instance_free(in);
    }
    ngx_wagw_media_free(m);
}

static void blob_end(ngx_wagw_media_t *m, int rc)
{
    if (!m->in->deleting) {
        wagw_client_fetched(m->in->client, m->fetch_id, rc, rc == WAGW_OK ? wagw_buf_view(&m->answer) : WAGW_STR_NULL,
                            ngx_wagw_now_ms());
    }
    ngx_wagw_media_leave(m);
}

/* Thread: the file, then its plaintext into memory. */
static void blob_run(ngx_wagw_task_t *task)
{
    wagw_str_t piece;
    ngx_wagw_media_t *m = task->data;
    ngx_wagw_media_reader_t *r;

    ngx_wagw_media_download(task);
    if (m->status || m->http != 200) {
        return;
    }
    r = malloc(sizeof(*r));
    wagw_buf_reset(&m->answer);
    if (r == NULL || wagw_buf_reserve(&m->answer, (size_t)m->size) != WAGW_OK ||
        ngx_wagw_media_reader(r, m->out, &m->keys, 0, m->size) != NGX_OK) {
        free(r);
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return;
    }
    while (ngx_wagw_media_reader_next(r, &piece) && piece.n) {
        wagw_buf_str(&m->answer, piece);
    }
    ngx_wagw_media_reader_end(r);
    free(r);
    if (m->answer.failed || m->answer.n != m->size) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "The file cannot be read");
    }
}

static void blob_done(ngx_wagw_media_t *m)
{
    switch (ngx_wagw_media_got(m)) {
    case NGX_WAGW_GET_DONE:
        blob_end(m, WAGW_OK);
        return;
    case NGX_WAGW_GET_AGAIN:
        ngx_wagw_media_wait(m, m->wait, blob_download);
        return;
    case NGX_WAGW_GET_GONE:
        blob_end(m, WAGW_NOT_FOUND);
        return;
    default:
        /* damaged, too large, or something that may pass */
        blob_end(m, m->http == 200 && m->status == 502 ? WAGW_CRYPTO : m->status == 413 ? WAGW_LIMIT : WAGW_IO);
    }
}

static void blob_download(ngx_wagw_media_t *m)
{
    if (m->in->deleting || ngx_wagw_media_host(m, m->walk.at) == NULL) {
        blob_end(m, WAGW_IO);
        return;
    }
    ngx_wagw_media_run(m, blob_run, blob_done);
}

static void blob_hosts(ngx_wagw_media_t *m)
{
    if (m->in->deleting) {
        blob_end(m, WAGW_IO);
        return;
    }
    ngx_wagw_media_hosts(m, 0, blob_download);
}

void ngx_wagw_media_blob_ask(ngx_wagw_media_t *m)
{
    cJSON *none = cJSON_CreateObject();

    if (none == NULL) {
        ngx_wagw_media_later(m, m->next); /* which sees that there are no hosts */
        return;
    }
    if (blobs.asked.next == NULL) {
        ngx_queue_init(&blobs.asked);
    }
    m->serial = NGX_WAGW_BLOB_SERIAL | ++blobs.serial;
    ngx_queue_insert_tail(&blobs.asked, &m->queue);
    wagw_client_command(m->in->client, m->serial, WAGW_CMD_MEDIA_CONN, none, ngx_wagw_now_ms());
    cJSON_Delete(none);
}

void ngx_wagw_media_blob_reply(uint64_t serial, const wagw_result_t *r)
{
    ngx_queue_t *q;
    ngx_wagw_media_t *m;

    for (q = ngx_queue_head(&blobs.asked); q != ngx_queue_sentinel(&blobs.asked); q = ngx_queue_next(q)) {
        m = ngx_queue_data(q, ngx_wagw_media_t, queue);
        if (m->serial == serial) {
            ngx_queue_remove(q);
            ngx_wagw_media_hosts_told(m, r);
            return;
        }
    }
}

void ngx_wagw_media_blob_drop(ngx_wagw_instance_t *in)
{
    ngx_queue_t *q, *next;
    ngx_wagw_media_t *m;

    if (blobs.asked.next == NULL) {
        return;
    }
    for (q = ngx_queue_head(&blobs.asked); q != ngx_queue_sentinel(&blobs.asked); q = next) {
        next = ngx_queue_next(q);
        m = ngx_queue_data(q, ngx_wagw_media_t, queue);
        if (m->in == in) {
            ngx_queue_remove(q);
            in->works--;
            if (m->gone) {
                m->gone(m);
            }
            ngx_wagw_media_free(m);
        }
    }
}

/* Called inside an op: nothing may call the engine before it returns. */
void ngx_wagw_media_blob(ngx_wagw_instance_t *in, const wagw_fetch_t *f)
{
    ngx_wagw_media_t *m = ngx_wagw_media_make();

    if (m == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0, "wagw: no memory for a transfer");
        return;
    }
    in->works++;
    m->in = in;
    m->fetch_id = f->id;
    m->type = wagw_media_type(f->type);
    m->limit = f->max + 64;
    m->file.direct_path = wagw_arena_str(&m->arena, f->direct_path);
    m->file.key = wagw_arena_str(&m->arena, f->key);
    m->file.sha256 = wagw_arena_str(&m->arena, f->sha256);
    m->file.enc_sha256 = wagw_arena_str(&m->arena, f->enc_sha256);
    m->out = ngx_wagw_media_file(m);
    if (m->type == NULL || f->key.n != 32 || m->out == -1 || m->file.key.p == NULL || m->file.direct_path.p == NULL ||
        wagw_media_keys(&m->keys, m->type, m->file.key.p) != WAGW_OK) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        ngx_wagw_media_later(m, blob_done);
        return;
    }
    ngx_wagw_media_later(m, blob_hosts);
}
