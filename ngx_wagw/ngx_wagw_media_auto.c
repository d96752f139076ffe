/*
 * The settings storeMedia and mediaAutoDownload (contract 3.2): media of
 * received messages are fetched once their rows are durable, a few at a time,
 * and kept (ngx_wagw_media_keep.c).  What is not fetched, because the queue is
 * full, the owner died or WhatsApp did not give it, can still be asked for.
 */

#include "ngx_wagw_media.h"

#define AUTO_RUNNING 2
#define AUTO_WAITING 1000
#define AUTO_LIMIT (100ULL * 1024 * 1024) /* of one file */

typedef struct {
    ngx_queue_t queue;
    ngx_wagw_job_t job;
    char instance[65], message[65];
    uint32_t num;
    wagw_buf_t content;
} auto_t;

static struct {
    ngx_queue_t waiting;
    ngx_uint_t nwaiting, running;
    unsigned full : 1; /* said already */
} queue;

static void auto_next(void);

/* ---- what is wanted ---- */

bool ngx_wagw_media_wanted(ngx_wagw_instance_t *in, const char *type)
{
    const char *mode = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(in->settings, "mediaAutoDownload"));
    bool store = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(in->settings, "storeMedia"));

    /* storing without saying what stores everything */
    if (mode == NULL || strcmp(mode, "none") == 0) {
        return store;
    }
    return strcmp(mode, "all") == 0 || strcmp(type, "image") == 0;
}

static void auto_add(ngx_wagw_instance_t *in, const char *message)
{
    auto_t *t;

    if (queue.waiting.next == NULL) {
        ngx_queue_init(&queue.waiting);
    }
    if (queue.nwaiting == AUTO_WAITING) {
        if (!queue.full) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "wagw: media come faster than they are fetched: some are left");
        }
        queue.full = 1;
        return;
    }
    queue.full = 0;
    t = calloc(1, sizeof(*t));
    if (t == NULL || in->id.len >= sizeof(t->instance) || strlen(message) >= sizeof(t->message)) {
        free(t);
        return;
    }
    ngx_cpystrn((u_char *)t->instance, in->id.data, in->id.len + 1);
    ngx_cpystrn((u_char *)t->message, (u_char *)message, sizeof(t->message));
    t->num = in->num;
    ngx_queue_insert_tail(&queue.waiting, &t->queue);
    queue.nwaiting++;
    auto_next();
}

void ngx_wagw_media_auto(ngx_wagw_instance_t *in, const wagw_batch_t *batch)
{
    cJSON *d;
    const char *type, *id;

    if (!ngx_wagw_media_wanted(in, "image")) {
        return; /* then nothing is */
    }
    for (const wagw_op_t *op = batch->ops; op; op = op->next) {
        if (op->op != WAGW_OP_EVENT || op->event == NULL ||
            (strcmp(op->event->name, "message.received") != 0 && strcmp(op->event->name, "status.received") != 0)) {
            continue;
        }
        d = cJSON_ParseWithLength((const char *)op->event->data.p, op->event->data.n);
        type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "type"));
        id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "messageId"));
        if (type && id && cJSON_IsString(cJSON_GetObjectItemCaseSensitive(d, "mediaUrl")) &&
            ngx_wagw_media_wanted(in, type)) {
            auto_add(in, id);
        }
        cJSON_Delete(d);
    }
}

/* ---- the steps ---- */

static void auto_free(auto_t *t)
{
    wagw_buf_wipe(&t->content);
    free(t);
    queue.running--;
    auto_next();
}

/* The instance is being dropped, or the transfer has come to its end. */
static void auto_gone(ngx_wagw_media_t *m)
{
    auto_free(m->wish);
    m->wish = NULL;
}

static void auto_end(ngx_wagw_media_t *m)
{
    auto_gone(m);
    ngx_wagw_media_leave(m);
}

static void auto_download(ngx_wagw_media_t *m);

static void auto_downloaded(ngx_wagw_media_t *m)
{
    char path[NGX_MAX_PATH];

    if (m->in->deleting) {
        auto_end(m);
        return;
    }
    switch (ngx_wagw_media_got(m)) {
    case NGX_WAGW_GET_DONE:
        (void)ngx_wagw_kept_receive(m, &m->in->id, path);
        break;
    case NGX_WAGW_GET_AGAIN:
        ngx_wagw_media_wait(m, m->wait, auto_download);
        return;
    default:
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0, "wagw instance %V: media of a message was not fetched: %ui",
                      &m->in->id, (ngx_uint_t)m->http);
    }
    auto_end(m);
}

static void auto_download(ngx_wagw_media_t *m)
{
    if (m->in->deleting || ngx_wagw_media_host(m, m->walk.at) == NULL) {
        auto_end(m);
        return;
    }
    ngx_wagw_media_run(m, ngx_wagw_media_download, auto_downloaded);
}

static bool auto_prepare(ngx_wagw_media_t *m, auto_t *t)
{
    char path[NGX_MAX_PATH];

    if (wagw_message_file(&m->file, &m->arena, wagw_buf_view(&t->content)) != WAGW_OK) {
        return false;
    }
    m->type = wagw_media_type(m->file.type);
    m->limit = AUTO_LIMIT;
    /* without a hash a file has no name, and without a key it is not media of a chat */
    if (m->type == NULL || m->file.key.n != 32 || m->file.enc_sha256.n != 32 || m->file.sha256.n != 32 ||
        m->file.direct_path.n == 0 || m->file.size > AUTO_LIMIT ||
        wagw_media_keys(&m->keys, m->type, m->file.key.p) != WAGW_OK || ngx_wagw_kept_find(m, &m->in->id, path) != 0) {
        return false;
    }
    m->out = ngx_wagw_media_named(m);
    return m->out != -1;
}

static void auto_loaded(ngx_wagw_job_t *job)
{
    auto_t *t = job->data;
    ngx_wagw_media_t *m;
    ngx_wagw_instance_t *in = ngx_wagw_instance_find((u_char *)t->instance, strlen(t->instance));

    if (ngx_wagw_media_stopping() || job->rc != WAGW_OK || t->content.failed || in == NULL || in->num != t->num ||
        in->deleting || (m = ngx_wagw_media_make()) == NULL) {
        auto_free(t);
        return;
    }
    m->in = in;
    in->works++;
    m->wish = t;
    m->gone = auto_gone;
    if (!auto_prepare(m, t)) {
        auto_end(m);
        return;
    }
    wagw_buf_wipe(&t->content);
    ngx_memzero(&t->content, sizeof(t->content));
    ngx_wagw_media_hosts(m, 0, auto_download);
}

static int auto_load(wagw_store_t *s, ngx_wagw_job_t *job)
{
    auto_t *t = job->data;

    return wagw_store_message_content(s, t->num, WAGW_STR_NULL, wagw_cstr(t->message), &t->content, NULL);
}

static void auto_next(void)
{
    auto_t *t;

    while (queue.running < AUTO_RUNNING && queue.nwaiting && !ngx_wagw_media_stopping()) {
        t = ngx_queue_data(ngx_queue_head(&queue.waiting), auto_t, queue);
        ngx_queue_remove(&t->queue);
        queue.nwaiting--;
        queue.running++;
        t->job.run = auto_load;
        t->job.done = auto_loaded;
        t->job.data = t;
        ngx_wagw_store_post(&t->job);
    }
}

void ngx_wagw_media_auto_done(void)
{
    auto_t *t;

    while (queue.nwaiting) {
        t = ngx_queue_data(ngx_queue_head(&queue.waiting), auto_t, queue);
        ngx_queue_remove(&t->queue);
        queue.nwaiting--;
        free(t);
    }
}
