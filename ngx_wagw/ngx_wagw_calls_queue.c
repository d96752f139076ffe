#include "ngx_wagw_queue.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

/* The send queue of an instance, and its jobs (contract 3.16). */

static void queue_answer(ngx_wagw_call_t *call, const char *message)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    ngx_wagw_queue_json(ngx_wagw_call_instance(call), &j);
    ngx_wagw_call_data(call, 200, &b, message);
}

NGX_WAGW_HANDLER(queue_get)
{
    queue_answer(call, NULL);
}

/* ---- ids ------------------------------------------------------------------------------ */

bool ngx_wagw_call_bytes(ngx_wagw_call_t *call, const char *what, uint32_t at, u_char *out, size_t n)
{
    bool ok;
    u_char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    wagw_buf_t b = {0};

    if (call->idempotency_key.len == 0) {
        return RAND_bytes(out, (int)n) == 1;
    }

    wagw_buf_add(&b, call->key_id.data, call->key_id.len);
    wagw_buf_u8(&b, '|');
    wagw_buf_add(&b, call->idempotency_key.data, call->idempotency_key.len);
    wagw_buf_add(&b, call->body_hash, sizeof(call->body_hash));
    wagw_buf_printf(&b, "|%s|%u", what, at);
    ok = !b.failed && EVP_Digest(b.p, b.n, hash, &len, EVP_sha256(), NULL) == 1;
    wagw_buf_free(&b);

    if (ok) {
        ngx_memcpy(out, hash, n);
    }

    return ok;
}

bool ngx_wagw_call_uuid(ngx_wagw_call_t *call, const char *what, char id[37])
{
    u_char b[16];

    if (!ngx_wagw_call_bytes(call, what, 0, b, sizeof(b))) {
        return false;
    }

    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    snprintf(id, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
             b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);

    return true;
}

/* ---- pause, resume: kept over a restart -------------------------------------------- */

typedef struct {
    wagw_queue_row_t row;
    wagw_buf_t used;
} queue_state_t;

static int queue_state_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    queue_state_t *st = call->data;

    return wagw_store_queue_put(s, &st->row);
}

static void queue_state_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    queue_state_t *st = call->data;
    bool paused = st->row.paused;
    ngx_wagw_sendq_t *q;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    wagw_buf_free(&st->used);

    if (in == NULL || job->rc == WAGW_STATE) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    q = ngx_wagw_queue_of(in);

    if (job->rc != WAGW_OK || q == NULL) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    ngx_wagw_queue_pause(q, paused);
    queue_answer(call, paused ? "Queue paused" : "Queue resumed");
}

static void queue_state(ngx_wagw_call_t *call, bool paused)
{
    queue_state_t *st = ngx_wagw_call_ctx(call, sizeof(queue_state_t));
    ngx_wagw_sendq_t *q = st ? ngx_wagw_queue_of(ngx_wagw_call_instance(call)) : NULL;

    if (st == NULL) {
        return;
    }

    if (q == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_pacing_save(&q->pacing, &st->used);
    st->row.instance = q->in->num;
    st->row.paused = paused;
    st->row.used = wagw_buf_view(&st->used);
    ngx_wagw_call_store(call, 1, queue_state_run, queue_state_done);
}

NGX_WAGW_HANDLER(queue_pause)
{
    queue_state(call, true);
}

NGX_WAGW_HANDLER(queue_resume)
{
    queue_state(call, false);
}

NGX_WAGW_HANDLER(queue_clear)
{
    ngx_queue_t *at;
    ngx_wagw_sendq_t *q = ngx_wagw_call_instance(call)->sends;

    for (at = q ? ngx_queue_head(&q->jobs) : NULL; q && at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
        ngx_wagw_queue_cancel(q, ngx_queue_data(at, ngx_wagw_sends_t, queue));
    }

    queue_answer(call, "Queue cleared");
}

/* ---- jobs ---------------------------------------------------------------------------- */

typedef struct {
    wagw_buf_t json;
    uint32_t instance;
    unsigned cancel : 1;
} queue_job_t;

static void queue_job_free(void *data)
{
    queue_job_t *q = data;

    wagw_buf_free(&q->json);
}

static int queue_job_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    queue_job_t *q = call->data;

    wagw_buf_reset(&q->json);

    return wagw_store_sends_get(s, ngx_wagw_param_str(call, "jobId"), &q->instance, &q->json);
}

/* The instance of the job, when the caller may see it; else the call is answered. */
static ngx_wagw_instance_t *queue_job_instance(ngx_wagw_call_t *call, ngx_wagw_job_t *job)
{
    ngx_queue_t *at, *all = ngx_wagw_instances();
    queue_job_t *q = call->data;
    ngx_wagw_instance_t *in;

    for (at = ngx_queue_head(all); job->rc == WAGW_OK && at != ngx_queue_sentinel(all); at = ngx_queue_next(at)) {
        in = ngx_queue_data(at, ngx_wagw_instance_t, queue);

        if (in->num == q->instance && ngx_wagw_call_sees(call, &in->id)) {
            return in;
        }
    }

    if (job->rc == WAGW_OK || job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "JOB_NOT_FOUND", "Job not found", WAGW_STR_NULL);
    } else {
        ngx_wagw_call_store_failed(call);
    }

    return NULL;
}

static void queue_job_ended(ngx_wagw_call_t *call, ngx_wagw_sends_t *j);

static void queue_job_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    queue_job_t *q = call->data;
    ngx_wagw_sends_t *j;
    ngx_wagw_instance_t *in = queue_job_instance(call, job);

    if (in == NULL) {
        return;
    }

    j = q->cancel ? ngx_wagw_queue_find(in, ngx_wagw_param_str(call, "jobId")) : NULL;

    /* what has ended cannot be cancelled, and is answered as it is */
    if (j && j->cancel_wait.serial == 0) {
        j->cancel_wait.serial = call->serial;
        j->cancel_wait.handler = queue_job_ended;
        ngx_wagw_queue_cancel(in->sends, j);
        return;
    }

    ngx_wagw_call_data(call, 200, &q->json, q->cancel ? "Job cancelled" : NULL);
}

static void queue_job_ended(ngx_wagw_call_t *call, ngx_wagw_sends_t *j)
{
    (void)j;
    ngx_wagw_call_store(call, 0, queue_job_run, queue_job_done);
}

static void queue_job(ngx_wagw_call_t *call, bool cancel)
{
    queue_job_t *q = ngx_wagw_call_ctx(call, sizeof(queue_job_t));
    ngx_pool_cleanup_t *cln = q ? ngx_pool_cleanup_add(call->pool, 0) : NULL;

    if (q == NULL) {
        return;
    }

    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    cln->handler = queue_job_free;
    cln->data = q;
    q->cancel = cancel;
    ngx_wagw_call_store(call, 0, queue_job_run, queue_job_done);
}

NGX_WAGW_HANDLER(queue_job_get)
{
    queue_job(call, false);
}

NGX_WAGW_HANDLER(queue_job_cancel)
{
    queue_job(call, true);
}

/* ---- figures of an instance (contract 3.2) --------------------------------------------- */

/* Of the owner's process: instances share it. */
static int64_t stats_memory(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f) {
        if (fscanf(f, "%*s %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(f);
    }

    return (int64_t)pages * (int64_t)ngx_pagesize;
}

NGX_WAGW_HANDLER(instance_stats)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_client_info_t info;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);
    int64_t up;

    wagw_client_info(in->client, &info);
    up = info.status == WAGW_STATUS_CONNECTED && info.connected_ms ? ngx_wagw_now_ms() - info.connected_ms : 0;

    wagw_json_open(&j, '{');
    wagw_json_kint(&j, "sent", (int64_t)info.sent);
    wagw_json_kint(&j, "received", (int64_t)info.received);
    wagw_json_kint(&j, "failed", (int64_t)info.failed);
    wagw_json_kint(&j, "queueDepth", (int64_t)ngx_wagw_queue_depth(in) + info.queue);
    wagw_json_kint(&j, "reconnects", (int64_t)info.reconnects);
    wagw_json_kint(&j, "uptime", up > 0 ? up / 1000 : 0);
    wagw_json_kint(&j, "memoryBytes", stats_memory());
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, NULL);
}
