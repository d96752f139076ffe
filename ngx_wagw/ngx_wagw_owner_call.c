/*
 * REST calls in the owner, from ngx_wagw_owner_call() to the answer: checks,
 * Idempotency-Key (contract 1.8), the time a call may take, store jobs and
 * engine commands on its behalf.
 *
 * A call ends exactly once, in call_finish().  While a store job of it runs
 * (o->jobs) it does not end: the job's memory is the call's.
 */

#include "ngx_wagw_owner.h"
#include "ngx_wagw_calls.h"
#include "ngx_wagw_queue.h"

#include <openssl/rand.h>

#define IDEMPOTENCY_KEEP_MS (24 * 3600 * 1000LL)
#define JOB_WAIT_MS 500         /* a call whose time is over while its store job runs */
#define REPLY_WAIT_MS 5000      /* for an engine that was told that the time is over */
#define OWN_SERIAL (1ULL << 61) /* calls that we made ourselves */
#define OWN_TIMEOUT_MS 120000

typedef struct {
    ngx_wagw_call_t *call;
    ngx_rbtree_node_t node; /* by serial, for replies */
    ngx_wagw_job_t job;     /* one at a time */
    void (*done)(ngx_wagw_job_t *job);

    ngx_queue_t queue; /* idempotent ones */
    wagw_idempotency_t idem;
    wagw_idempotency_t old;
    wagw_arena_t arena;
    char id[32]; /* message id for what this call sends */

    ngx_event_t next; /* ngx_wagw_call_later() */
    ngx_wagw_call_pt step;

    /* where the message is that this one quotes */
    wagw_cmd_t cmd;
    uint32_t num;
    wagw_buf_t quoted_chat;

    /* the answer while it is being stored */
    ngx_uint_t status;
    const char *content_type;
    wagw_buf_t body;

    unsigned jobs;
    unsigned idempotent : 1;
    unsigned resumed : 1; /* an earlier owner began it */
    unsigned command : 1; /* an engine has it */
    unsigned overdue : 1; /* and was told that the time is over */
    unsigned quoted : 1;  /* quoted_chat was looked up */
} open_call_t;

static struct {
    ngx_queue_t open;
    ngx_queue_t idempotent;
    ngx_rbtree_t tree;
    ngx_rbtree_node_t sentinel;
    ngx_uint_t n;
    uint64_t serial; /* of our own calls */
    unsigned ready : 1;
    unsigned draining : 1;
} calls;

static void call_begin(open_call_t *o);
static void call_run(open_call_t *o);
static void call_replay(open_call_t *o);

ngx_int_t ngx_wagw_calls_init(void)
{
    ngx_memzero(&calls, sizeof(calls));
    ngx_queue_init(&calls.open);
    ngx_queue_init(&calls.idempotent);
    ngx_rbtree_init(&calls.tree, &calls.sentinel, ngx_rbtree_insert_value);

    return NGX_OK;
}

void ngx_wagw_calls_ready(ngx_uint_t ready)
{
    calls.ready = ready ? 1 : 0;
}

ngx_uint_t ngx_wagw_calls_open(void)
{
    return calls.n;
}

/* ---- end of a call ------------------------------------------------------------ */

/* To the worker, or to whoever of us made the call. */
static void call_answer(ngx_wagw_call_t *call, ngx_uint_t status, const char *content_type, wagw_str_t body)
{
    ngx_pool_t *pool;

    if (call->taken == NULL) {
        ngx_wagw_ipc_answer(call, status, content_type, body);
        return;
    }

    pool = call->pool;
    call->taken(call->maker, status, body);
    cJSON_Delete(call->params);
    ngx_destroy_pool(pool);
}

static void call_finish(open_call_t *o, ngx_uint_t status, const char *content_type, wagw_str_t body)
{
    ngx_wagw_call_t *call = o->call;

    /* body may be a view into these, and o goes with the call's pool */
    wagw_arena_t arena = o->arena;
    wagw_buf_t own = o->body, quoted = o->quoted_chat;

    ngx_rbtree_delete(&calls.tree, &o->node);
    ngx_queue_remove(&call->queue);
    calls.n--;

    if (o->idempotent) {
        ngx_queue_remove(&o->queue);
    }

    if (call->timer.timer_set) {
        ngx_del_timer(&call->timer);
    }

    if (o->next.posted) {
        ngx_delete_posted_event(&o->next);
    }

    call->owner = NULL;

    call_answer(call, status, content_type, body);

    wagw_arena_free(&arena);
    wagw_buf_free(&own);
    wagw_buf_free(&quoted);
}

/*
 * What a repeat shall get again.  Not what a later try may do better: state,
 * limits, time-outs, ourselves.
 */
static bool call_storable(ngx_uint_t status, const char *content_type)
{
    if (content_type != NULL || status == 409 || status == 429) {
        return false;
    }

    return status < 500 || status == 502;
}

static int answer_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    open_call_t *o = job->data;

    return wagw_store_idempotency_done(s, &o->idem);
}

static void answer_done(ngx_wagw_job_t *job)
{
    open_call_t *o = job->data;

    o->jobs--;

    if (job->rc != WAGW_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw: answer of an idempotent call was not stored: %s",
                      wagw_rc_name(job->rc));
    }

    call_finish(o, o->status, o->content_type, wagw_buf_view(&o->body));
}

static void call_job(open_call_t *o, ngx_uint_t write, int (*run)(wagw_store_t *s, ngx_wagw_job_t *job),
                     void (*done)(ngx_wagw_job_t *job), void *data)
{
    ngx_memzero(&o->job, sizeof(ngx_wagw_job_t));
    o->job.run = run;
    o->job.done = done;
    o->job.write = write ? 1 : 0;
    o->job.data = data;
    o->jobs++;
    ngx_wagw_store_post(&o->job);
}

void ngx_wagw_owner_answered(ngx_wagw_call_t *call, ngx_uint_t status, const char *content_type, wagw_str_t body)
{
    open_call_t *o = call->owner;

    if (o == NULL) {
        call_answer(call, status, content_type, body);
        return;
    }

    if (!o->idempotent || call->replayed || !call_storable(status, content_type)) {
        call_finish(o, status, content_type, body);
        return;
    }

    o->status = status;
    o->content_type = content_type;

    if (wagw_buf_str(&o->body, body) != WAGW_OK) {
        call_finish(o, status, content_type, body);
        return;
    }

    o->idem.done = true;
    o->idem.status = (int32_t)status;
    o->idem.body = wagw_buf_view(&o->body);

    call_job(o, 1, answer_run, answer_done, o);
}

static void call_timeout(ngx_event_t *ev)
{
    ngx_wagw_call_t *call = ev->data;
    open_call_t *o = call->owner;
    ngx_wagw_instance_t *in;

    if (o->jobs) {
        ngx_add_timer(ev, JOB_WAIT_MS);
        return;
    }

    if (call->late && !o->command) {
        call->late(call);
        return;
    }

    if (o->command) {
        in = ngx_wagw_call_instance(call);

        if (in && !o->overdue) {
            o->overdue = 1;
            ngx_add_timer(ev, REPLY_WAIT_MS);

            /* it answers the call; if not, the call is still there */
            if (wagw_client_timeout(in->client, call->serial, ngx_wagw_now_ms())) {
                return;
            }

        } else if (in) {
            wagw_client_forget(in->client, call->serial);
        }
    }

    ngx_wagw_call_fail(call, 504, "WA_TIMEOUT", "WhatsApp did not answer in time", WAGW_STR_NULL);
}

void ngx_wagw_calls_drain(ngx_uint_t final)
{
    ngx_wagw_call_t *call;
    ngx_queue_t *q, *next;
    open_call_t *o;

    calls.draining = 1;

    if (!final) {
        return;
    }

    for (q = ngx_queue_head(&calls.open); q != ngx_queue_sentinel(&calls.open); q = next) {
        next = ngx_queue_next(q);
        call = ngx_queue_data(q, ngx_wagw_call_t, queue);
        o = call->owner;

        if (o->jobs == 0) {
            ngx_wagw_call_fail_retry(call, 503, "DRAINING", "The gateway is shutting down", WAGW_STR_NULL, NULL, 5);
        }
    }
}

/* ---- begin of a call ---------------------------------------------------------- */

ngx_wagw_instance_t *ngx_wagw_call_instance(ngx_wagw_call_t *call)
{
    return ngx_wagw_instance_find(call->instance_id.data, call->instance_id.len);
}

void ngx_wagw_owner_call_gone(ngx_wagw_call_t *call)
{
    /* A send goes on, and a stored answer may be asked for again; everything
     * else ends by itself within its time.  ipc knows that nobody listens. */
    call->peer = NULL;
}

static ngx_uint_t call_needs_store(ngx_wagw_call_t *call)
{
    return call->route->perm != NGX_WAGW_PERM_PUBLIC && ngx_strcmp(call->route->group, "observability") != 0;
}

void ngx_wagw_owner_call(ngx_wagw_call_t *call)
{
    open_call_t *o;

    o = ngx_pcalloc(call->pool, sizeof(*o));
    if (o == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    o->call = call;
    call->owner = o;

    o->node.key = (ngx_rbtree_key_t)call->serial;
    ngx_rbtree_insert(&calls.tree, &o->node);
    ngx_queue_insert_tail(&calls.open, &call->queue);
    calls.n++;

    call->timer.handler = call_timeout;
    call->timer.data = call;
    call->timer.log = ngx_cycle->log;
    ngx_add_timer(&call->timer, call->timeout ? call->timeout : 60000);

    if (calls.ready) {
        ngx_wagw_key_used(&call->key_id);
    }

    if (calls.draining) {
        ngx_wagw_call_fail_retry(call, 503, "DRAINING", "The gateway is shutting down", WAGW_STR_NULL, NULL, 5);
        return;
    }

    if (!calls.ready && call_needs_store(call)) {
        ngx_wagw_call_fail_retry(call, 503, "DB_UNAVAILABLE", "The database is not available", WAGW_STR_NULL, NULL, 1);
        return;
    }

    if (call->route->flags & NGX_WAGW_R_INSTANCE) {
        if (ngx_wagw_call_instance(call) == NULL || !ngx_wagw_call_sees(call, &call->instance_id)) {
            ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
            return;
        }
    }

    if ((call->route->flags & NGX_WAGW_R_IDEMPOTENT) && call->idempotency_key.len) {
        call_begin(o);
        return;
    }

    call_run(o);
}

static void call_run(open_call_t *o)
{
    ngx_wagw_call_t *call = o->call;
    wagw_client_info_t info;
    ngx_wagw_instance_t *in;

    if (call->route->flags & NGX_WAGW_R_INSTANCE) {
        in = ngx_wagw_call_instance(call);

        if (in == NULL) {
            ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
            return;
        }

        if (call->route->flags & NGX_WAGW_R_CONNECTED) {
            wagw_client_info(in->client, &info);

            if (info.status != WAGW_STATUS_CONNECTED) {
                ngx_wagw_call_fail(call, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected",
                                   WAGW_STR_NULL);
                return;
            }
        }
    }

    if (call->route->handler == NULL) {
        ngx_wagw_call_fail(call, 501, "NOT_SUPPORTED", "Not supported", WAGW_STR_NULL);
        return;
    }

    call->route->handler(call);
}

/* ---- idempotency ----------------------------------------------------------------- */

static void idempotency_key(ngx_wagw_call_t *call, uint8_t key[32])
{
    wagw_buf_t b = {0};

    wagw_buf_add(&b, call->key_id.data, call->key_id.len);
    wagw_buf_u8(&b, 0);
    wagw_buf_cstr(&b, call->route->method);
    wagw_buf_u8(&b, 0);
    wagw_buf_add(&b, call->path.data, call->path.len);
    wagw_buf_u8(&b, 0);
    wagw_buf_add(&b, call->idempotency_key.data, call->idempotency_key.len);
    wagw_sha256(key, wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static int begin_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    open_call_t *o = job->data;
    int rc;

    rc = wagw_store_idempotency_begin(s, &o->idem, &o->arena, &o->old);

    if (rc == WAGW_DUPLICATE && o->old.created_ms + IDEMPOTENCY_KEEP_MS < o->idem.created_ms) {
        rc = wagw_store_idempotency_prune(s, o->idem.created_ms - IDEMPOTENCY_KEEP_MS);

        if (rc == WAGW_OK) {
            rc = wagw_store_idempotency_begin(s, &o->idem, &o->arena, &o->old);
        }
    }

    return rc;
}

static void begin_done(ngx_wagw_job_t *job)
{
    open_call_t *o = job->data;
    ngx_wagw_call_t *call = o->call;

    o->jobs--;

    if (job->rc == WAGW_OK) {
        call_run(o);
        return;
    }

    if (job->rc != WAGW_DUPLICATE) {
        ngx_wagw_call_fail_retry(call, 503, "DB_UNAVAILABLE", "The database is not available", WAGW_STR_NULL, NULL, 1);
        return;
    }

    if (!wagw_ct_equal(o->old.body_hash, o->idem.body_hash, 32)) {
        ngx_wagw_call_fail(call, 409, "IDEMPOTENCY_CONFLICT", "This Idempotency-Key was used with another body",
                           WAGW_STR_NULL);
        return;
    }

    if (o->old.done) {
        call_replay(o);
        return;
    }

    /* Not running in this owner, else call_begin() had seen it: a crash cut it
     * off.  It goes on under the message id that it began with. */
    o->resumed = 1;

    if (o->old.message_id.n && o->old.message_id.n < sizeof(o->id)) {
        ngx_memcpy(o->id, o->old.message_id.p, o->old.message_id.n);
        o->id[o->old.message_id.n] = '\0';
        o->idem.message_id = wagw_cstr(o->id);
    }

    call_run(o);
}

static void call_replay(open_call_t *o)
{
    o->call->replayed = 1;
    call_finish(o, (ngx_uint_t)o->old.status, NULL, o->old.body);
}

static void call_begin(open_call_t *o)
{
    ngx_wagw_call_t *call = o->call;
    open_call_t *other;
    ngx_queue_t *q;
    u_char random[9];

    idempotency_key(call, o->idem.key);
    ngx_memcpy(o->idem.body_hash, call->body_hash, 32);

    for (q = ngx_queue_head(&calls.idempotent); q != ngx_queue_sentinel(&calls.idempotent); q = ngx_queue_next(q)) {
        other = ngx_queue_data(q, open_call_t, queue);

        if (ngx_memcmp(other->idem.key, o->idem.key, 32) != 0) {
            continue;
        }

        if (!wagw_ct_equal(other->idem.body_hash, o->idem.body_hash, 32)) {
            ngx_wagw_call_fail(call, 409, "IDEMPOTENCY_CONFLICT", "This Idempotency-Key was used with another body",
                               WAGW_STR_NULL);
            return;
        }

        ngx_wagw_call_fail_retry(call, 409, "IDEMPOTENCY_IN_PROGRESS", "The first request is still running",
                                 WAGW_STR_NULL, NULL, 1);
        return;
    }

    if (RAND_bytes(random, sizeof(random)) != 1) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "No randomness", WAGW_STR_NULL);
        return;
    }

    ngx_memcpy(o->id, "3EB0", 4);

    for (size_t i = 0; i < sizeof(random); i++) {
        ngx_sprintf((u_char *)o->id + 4 + 2 * i, "%02Xd", (ngx_int_t)random[i]);
    }

    o->idem.message_id = wagw_cstr(o->id);
    o->idem.created_ms = ngx_wagw_now_ms();

    o->idempotent = 1;
    ngx_queue_insert_tail(&calls.idempotent, &o->queue);

    call_job(o, 1, begin_run, begin_done, o);
}

static int prune_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    return wagw_store_idempotency_prune(s, *(int64_t *)job->data);
}

static void prune_done(ngx_wagw_job_t *job)
{
    free(job->data);
    free(job);
}

void ngx_wagw_calls_prune(void)
{
    ngx_wagw_job_t *job = calloc(1, sizeof(*job));
    int64_t *before = malloc(sizeof(*before));

    if (job == NULL || before == NULL) {
        free(job);
        free(before);
        return;
    }

    *before = ngx_wagw_now_ms() - IDEMPOTENCY_KEEP_MS;
    job->data = before;
    job->write = 1;
    job->run = prune_run;
    job->done = prune_done;
    ngx_wagw_store_post(job);
}

/* ---- for handlers ------------------------------------------------------------------- */

static void store_job_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    open_call_t *o = call->owner;

    o->jobs--;
    o->done(job);
}

void ngx_wagw_call_store(ngx_wagw_call_t *call, ngx_uint_t write, int (*run)(wagw_store_t *s, ngx_wagw_job_t *job),
                         void (*done)(ngx_wagw_job_t *job))
{
    open_call_t *o = call->owner;

    o->done = done;
    call_job(o, write, run, store_job_done, call);
}

/*
 * The id that what this call sends will have, in every try of it; a caller's
 * own messageId serves as well.  `_resume`: found under this id, it is the
 * work of an earlier try and no duplicate.
 */
static void call_command_id(open_call_t *o, wagw_cmd_t cmd, cJSON *params)
{
    char id[32];
    u_char hash[32];
    size_t i;
    const cJSON *part;

    part = cJSON_GetObjectItemCaseSensitive(params, "_part");

    if (cJSON_IsNumber(part) && part->valueint > 0) {
        /* one of several messages: an id of its own, the same in every try */
        i = (size_t)snprintf(id, sizeof(id), "%.22s|%d", o->id, part->valueint);
        wagw_sha256(hash, wagw_str(id, i));
        ngx_memcpy(id, "3EB0", 4);

        for (i = 0; i < 9; i++) {
            snprintf(id + 4 + 2 * i, 3, "%02X", hash[i]);
        }

        cJSON_AddStringToObject(params, "_id", id);

    } else if ((cmd != WAGW_CMD_SEND && cmd != WAGW_CMD_PRODUCT) ||
               !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(params, "messageId"))) {
        cJSON_AddStringToObject(params, "_id", o->id);
    }

    if (o->resumed) {
        cJSON_AddTrueToObject(params, "_resume");
    }
}

static int quoted_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    wagw_buf_t last = {0};
    wagw_str_t none = WAGW_STR_NULL;
    ngx_wagw_call_t *call = job->data;
    open_call_t *o = call->owner;

    wagw_buf_reset(&o->quoted_chat);
    rc = wagw_store_message_place(s, o->num, none, ngx_wagw_param_str(call, "quotedMessageId"), &o->quoted_chat, &last);
    wagw_buf_wipe(&last);

    return rc;
}

static void quoted_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    open_call_t *o = call->owner;

    /* what is not found, the engine says so */
    if (job->rc != WAGW_OK && job->rc != WAGW_NOT_FOUND) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    if (job->rc == WAGW_OK && wagw_buf_u8(&o->quoted_chat, 0) == WAGW_OK) {
        ngx_wagw_param_set(call, "_quotedChat", (const char *)o->quoted_chat.p);
    }

    ngx_wagw_call_command(call, o->cmd);
}

/* The engine knows messages by chat and id, and a message may quote one of another chat. */
static bool call_quotes(ngx_wagw_call_t *call, ngx_wagw_instance_t *in, wagw_cmd_t cmd)
{
    open_call_t *o = call->owner;

    if (o->quoted || (cmd != WAGW_CMD_SEND && cmd != WAGW_CMD_PRODUCT) ||
        ngx_wagw_param_str(call, "quotedMessageId").n == 0) {
        return false;
    }

    o->quoted = 1;
    o->cmd = cmd;
    o->num = in->num;
    ngx_wagw_call_store(call, 0, quoted_run, quoted_done);

    return true;
}

static void call_step(ngx_event_t *ev)
{
    open_call_t *o = ev->data;

    o->step(o->call);
}

void ngx_wagw_call_later(ngx_wagw_call_t *call, ngx_wagw_call_pt fn)
{
    open_call_t *o = call->owner;

    o->step = fn;
    o->next.handler = call_step;
    o->next.data = o;
    o->next.log = ngx_cycle->log;
    ngx_post_event(&o->next, &ngx_posted_events);
}

void ngx_wagw_call_command(ngx_wagw_call_t *call, wagw_cmd_t cmd)
{
    open_call_t *o = call->owner;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);
    cJSON *params;

    if (in == NULL) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    if (call_quotes(call, in, cmd)) {
        return;
    }

    /* a reply from within the command frees the call and its params */
    params = call->params ? cJSON_Duplicate(call->params, 1) : cJSON_CreateObject();

    if (params == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    /* these are between us and the engine */
    cJSON_DeleteItemFromObjectCaseSensitive(params, "_id");
    cJSON_DeleteItemFromObjectCaseSensitive(params, "_resume");

    if (o->idempotent) {
        call_command_id(o, cmd, params);

    } else if (call->send_id) {
        cJSON_AddStringToObject(params, "_id", call->send_id);
        cJSON_AddTrueToObject(params, "_resume");
    }

    if (ngx_wagw_queue_gate(call, in, cmd, params)) {
        cJSON_Delete(params);
        return;
    }

    o->command = 1;
    wagw_client_command(in->client, call->serial, cmd, params, ngx_wagw_now_ms());

    cJSON_Delete(params);
}

ngx_wagw_call_t *ngx_wagw_call_open(uint64_t serial)
{
    ngx_rbtree_node_t *node = calls.tree.root;

    while (node != &calls.sentinel) {
        if (serial == node->key) {
            return ((open_call_t *)((u_char *)node - offsetof(open_call_t, node)))->call;
        }

        node = serial < node->key ? node->left : node->right;
    }

    return NULL;
}

void ngx_wagw_calls_reply(uint64_t serial, const wagw_result_t *r)
{
    ngx_wagw_call_t *call = ngx_wagw_call_open(serial);
    open_call_t *o = call ? call->owner : NULL;

    /* late: the handler did not leave it to the engine, or it is being answered */
    if (o == NULL || !o->command || o->jobs) {
        return;
    }

    o->command = 0;

    if (call->reply) {
        call->reply(call, r);

    } else {
        ngx_wagw_call_result(call, r);
    }
}

ngx_wagw_call_t *ngx_wagw_call_make(const ngx_wagw_route_t *route, ngx_str_t *instance_id, cJSON *params,
                                    const char *send_id, void (*taken)(void *maker, ngx_uint_t status, wagw_str_t body),
                                    void *maker)
{
    ngx_pool_t *pool;
    ngx_wagw_call_t *call;
    ngx_str_t id;

    pool = ngx_create_pool(2048, ngx_cycle->log);
    if (pool == NULL) {
        goto failed;
    }

    call = ngx_pcalloc(pool, sizeof(*call));
    if (call == NULL) {
        goto failed;
    }

    call->pool = pool;
    call->route = route;
    call->serial = OWN_SERIAL | ++calls.serial;
    call->timeout = OWN_TIMEOUT_MS;
    call->perm = NGX_WAGW_PERM_SEND;
    call->instance_id.len = instance_id->len;
    call->instance_id.data = ngx_pstrdup(pool, instance_id);

    if (send_id) {
        id.data = (u_char *)send_id;
        id.len = ngx_strlen(send_id) + 1;
        call->send_id = (const char *)ngx_pstrdup(pool, &id);
    }

    if (call->instance_id.data == NULL || (send_id && call->send_id == NULL)) {
        goto failed;
    }

    call->params = params;
    call->taken = taken;
    call->maker = maker;

    return call;

failed:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    cJSON_Delete(params);

    return NULL;
}
