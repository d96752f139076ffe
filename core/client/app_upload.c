/*
 * Changes of ours (07 section 8): one patch at a time, upon the state that is
 * stored; a conflict is answered with a patch upon the newer state.
 */

#include "app_i.h"

#include <stdlib.h>

#define CONFLICTS_MAX 5 /* uploads of one change */

void wagw_app_job_free(wagw_app_job_t *j)
{
    wagw_buf_free(&j->patch);
    free(j);
}

static wagw_app_job_t *job_find(wagw_client_t *c, uint64_t serial)
{
    wagw_app_job_t *j;

    for (j = c->app ? c->app->jobs : NULL; j && j->serial != serial; j = j->next) {
    }
    return j;
}

static void job_drop_then(wagw_client_t *c, void *arg)
{
    uint64_t serial = *(uint64_t *)arg;
    wagw_app_job_t **at, *j;

    if (c->app == NULL) {
        return;
    }
    for (at = &c->app->jobs; (j = *at) != NULL; at = &j->next) {
        if (j->serial == serial) {
            *at = j->next;
            if (j->next == NULL) {
                c->app->jobs_last = at;
            }
            wagw_app_job_free(j);
            return;
        }
    }
}

bool wagw_app_unwait(wagw_client_t *c, uint64_t command, bool *sent)
{
    for (wagw_app_job_t *j = c->app ? c->app->jobs : NULL; j; j = j->next) {
        if (j->command == command) {
            j->command = 0;
            *sent = j->sent;
            return true;
        }
    }
    return false;
}

wagw_str_t wagw_app_value(wagw_turn_t *t, Wa__SyncActionValue *v)
{
    size_t n;
    uint8_t *p;

    v->has_timestamp = 1;
    v->timestamp = t->now + t->c->server_offset_ms;
    n = wa__sync_action_value__get_packed_size(v);
    p = wagw_arena_alloc(&t->arena, n + 1);
    return p ? wagw_str(p, wa__sync_action_value__pack(v, p)) : WAGW_STR_NULL;
}

typedef struct {
    uint64_t command;
    wagw_app_collection_t c;
    wagw_app_do_t
        change[WAGW_APP_DO_MAX]; /* the caller's are gone when the turn is run; what they view is its arena's */
    unsigned n;
    const char *message;
    wagw_str_t data;
} queue_t;

static uint8_t *put_view(uint8_t *p, wagw_str_t *v)
{
    if (v->n) {
        memcpy(p, v->p, v->n);
    }
    v->p = p;
    return p + v->n;
}

static void queue_then(wagw_client_t *c, void *arg)
{
    queue_t *q = arg;
    size_t n = q->data.n + 1;
    uint8_t *p;
    wagw_app_job_t *j;
    wagw_result_t r = {0};

    for (unsigned i = 0; i < q->n; i++) {
        n += q->change[i].index.n + q->change[i].value.n;
    }
    j = wagw_app_get(c) ? calloc(1, sizeof(*j) + n) : NULL;
    if (j == NULL) {
        r.status = 500;
        r.code = "INTERNAL";
        r.error = "Out of memory";
        if (q->command) {
            c->ops->reply(c->driver, q->command, &r);
        }
        return;
    }
    j->serial = ++c->app->serial;
    j->command = q->command;
    j->c = q->c;
    j->n = q->n;
    j->message = q->message;
    j->data = q->data;
    p = put_view((uint8_t *)(j + 1), &j->data);
    for (unsigned i = 0; i < q->n; i++) {
        j->change[i] = q->change[i];
        p = put_view(p, &j->change[i].index);
        p = put_view(p, &j->change[i].value);
    }
    *c->app->jobs_last = j;
    c->app->jobs_last = &j->next;
    wagw_app_pump_then(c, NULL);
}

int wagw_app_queue(wagw_turn_t *t, uint64_t command, wagw_app_collection_t c, const wagw_app_do_t *change, unsigned n,
                   const char *message, wagw_str_t data)
{
    queue_t q = {.command = command, .c = c, .n = n, .message = message, .data = data};

    if (n > WAGW_APP_DO_MAX) {
        return WAGW_LIMIT;
    }
    for (unsigned i = 0; i < n; i++) {
        if (change[i].index.p == NULL || change[i].value.p == NULL) {
            return WAGW_NOMEM;
        }
        q.change[i] = change[i];
    }
    return wagw_turn_then(t, queue_then, &q, sizeof(q));
}

/* The answer of a job, which ends with it. */
static int job_end(wagw_turn_t *t, const wagw_app_job_t *j, const wagw_result_t *r)
{
    uint64_t serial = j->serial;

    WAGW_TRY(wagw_turn_reply(t, j->command, r));
    return wagw_turn_then(t, job_drop_then, &serial, sizeof(serial));
}

static int job_ok(wagw_turn_t *t, const wagw_app_job_t *j)
{
    wagw_result_t r = {0};

    r.status = 200;
    r.message = j->message;
    r.data = j->data;
    return job_end(t, j, &r);
}

typedef struct {
    uint64_t serial, base;
    wagw_str_t patch;
} sent_t;

static void sent_then(wagw_client_t *c, void *arg)
{
    sent_t *s = arg;
    wagw_app_job_t *j = job_find(c, s->serial);

    if (j) {
        j->sent = true;
        j->tries++;
        j->base = s->base;
        wagw_buf_reset(&j->patch);
        (void)wagw_buf_str(&j->patch, s->patch);
    }
}

/* The server has the patch: our own state follows as if it had come from it. */
static int upload_taken(wagw_turn_t *t, wagw_app_job_t *j)
{
    int rc;
    wagw_app_meta_t m;
    wagw_app_apply_t a;
    wagw_app_error_t err = {0};

    WAGW_TRY(wagw_app_meta(t, &m));
    a = (wagw_app_apply_t){t, true, &m, WAGW_OK};
    rc = wagw_app_patch(&t->txn, &t->arena, j->c, wagw_buf_view(&j->patch), WAGW_STR_NULL, j->base + 1, wagw_app_apply,
                        &a, &err);
    if (rc == WAGW_AGAIN || rc == WAGW_NOMEM) {
        return rc;
    }
    WAGW_TRY(a.again);
    if (rc != WAGW_OK && rc != WAGW_DUPLICATE) {
        wagw_client_log(t->c, WAGW_LOG_ERROR, "app state %s: our own patch does not verify: %s", wagw_app_name(j->c),
                        err.why ? err.why : wagw_rc_name(rc));
        m.dirty |= wagw_app_bit(j->c);
        m.fresh |= wagw_app_bit(j->c);
    }
    return wagw_app_meta_put(t, &m);
}

static int mark_dirty(wagw_turn_t *t, wagw_app_collection_t c, bool fresh)
{
    wagw_app_meta_t m;

    WAGW_TRY(wagw_app_meta(t, &m));
    m.dirty |= wagw_app_bit(c);
    m.fresh |= fresh ? wagw_app_bit(c) : 0;
    return wagw_app_meta_put(t, &m);
}

static int upload_answer(wagw_turn_t *t, const wagw_node_t *iq, uint64_t serial)
{
    int code;
    wagw_str_t text = WAGW_STR_NULL;
    wagw_result_t r = {0};
    const wagw_node_t *n;
    wagw_app_job_t *j = job_find(t->c, serial);

    if (j == NULL) {
        return wagw_app_idle(t, WAGW_APP_CRITICAL_BLOCK, 0);
    }
    if (iq == NULL) {
        wagw_iq_result(&r, &t->arena, 0, text);
        WAGW_TRY(mark_dirty(t, j->c, false));
        WAGW_TRY(job_end(t, j, &r));
        return wagw_app_idle(t, j->c, 0);
    }
    n = wagw_app_answer(iq, j->c);
    code = wagw_app_answer_error(iq, n, &text);
    if (code == 0) {
        WAGW_TRY(upload_taken(t, j));
        WAGW_TRY(job_ok(t, j));
        return wagw_app_next_patch(n, NULL) ? wagw_app_take(t, j->c, n) : wagw_app_idle(t, j->c, 0);
    }
    if (code == 409 && j->tries < CONFLICTS_MAX) {
        /* somebody was faster: upon what is in the answer, or must be fetched */
        if (wagw_app_next_patch(n, NULL)) {
            return wagw_app_take(t, j->c, n);
        }
        WAGW_TRY(mark_dirty(t, j->c, false));
        return wagw_app_idle(t, j->c, 0);
    }
    wagw_client_log(t->c, WAGW_LOG_WARN, "app state %s: a change was refused with %d", wagw_app_name(j->c), code);
    wagw_iq_result(&r, &t->arena, code, text);
    WAGW_TRY(mark_dirty(t, j->c, code != 409));
    WAGW_TRY(job_end(t, j, &r));
    return wagw_app_idle(t, j->c, 0);
}

static int not_ready(wagw_turn_t *t, wagw_result_t *r)
{
    (void)t;
    memset(r, 0, sizeof(*r));
    r->status = 503;
    r->code = "APP_STATE_NOT_READY";
    r->error = "The phone has not shared its app-state keys yet";
    r->hint = "Keep the phone online and try again";
    r->retry_after = 10;
    return WAGW_OK;
}

/* A record stays under the key it was set with: what is set again moves to
 * the newest key, what is removed is removed under its own. */
static int upload_changes(wagw_turn_t *t, const wagw_app_job_t *j, wagw_str_t key, wagw_app_change_t *out, size_t *n)
{
    int rc;
    wagw_str_t old;

    *n = 0;
    for (unsigned i = 0; i < j->n; i++) {
        wagw_app_change_t ch = {.remove = j->change[i].remove,
                                .index = j->change[i].index,
                                .value = j->change[i].value,
                                .version = j->change[i].version};

        rc = wagw_app_key_of(&t->txn, &t->arena, j->c, ch.index, &old);
        if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
        if (rc == WAGW_OK && (ch.remove || !wagw_str_eq(old, key))) {
            wagw_app_change_t gone = ch;

            gone.remove = true;
            gone.key = old;
            wagw_turn_random(t, gone.iv, sizeof(gone.iv));
            out[(*n)++] = gone;
        }
        if (!ch.remove) {
            wagw_turn_random(t, ch.iv, sizeof(ch.iv));
            out[(*n)++] = ch;
        }
    }
    return WAGW_OK;
}

int wagw_app_upload(wagw_turn_t *t, wagw_app_job_t *j, const wagw_app_meta_t *m)
{
    int rc;
    size_t n;
    sent_t s = {.serial = j->serial};
    wagw_str_t key;
    wagw_buf_t b = {0};
    wagw_node_t *iq, *node;
    wagw_result_t r;
    wagw_app_error_t err = {0};
    wagw_app_state_t state;
    wagw_app_change_t ch[2 * WAGW_APP_DO_MAX];

    rc = wagw_app_key_best(&t->txn, &t->arena, m->expired, &key);
    if (rc == WAGW_NOT_FOUND || (m->blocked & wagw_app_bit(j->c))) {
        WAGW_TRY(not_ready(t, &r));
        WAGW_TRY(job_end(t, j, &r));
        return wagw_turn_then(t, wagw_app_pump_then, NULL, 0);
    }
    WAGW_TRY(rc);
    WAGW_TRY(wagw_app_state(&t->txn, j->c, &state));
    WAGW_TRY(upload_changes(t, j, key, ch, &n));
    if (n == 0) {
        WAGW_TRY(job_ok(t, j)); /* what is to be removed is not there */
        return wagw_turn_then(t, wagw_app_pump_then, NULL, 0);
    }
    rc = wagw_app_encode(&t->txn, &t->arena, j->c, key, ch, n, &b, &err);
    if (rc == WAGW_OK) {
        s.base = state.version;
        s.patch = wagw_arena_str(&t->arena, wagw_buf_view(&b));
        rc = s.patch.p ? WAGW_OK : WAGW_NOMEM;
    }
    wagw_buf_free(&b);
    WAGW_TRY(rc);

    iq = wagw_app_iq(t, j->c, &node);
    wagw_node_attr_int(&t->arena, node, "version", (int64_t)state.version);
    wagw_node_attrc(&t->arena, node, "return_snapshot", "false");
    wagw_node_bytes(wagw_node_child(&t->arena, node, "patch"), s.patch);
    WAGW_TRY(wagw_turn_then(t, wagw_app_busy_then, NULL, 0));
    WAGW_TRY(wagw_turn_then(t, sent_then, &s, sizeof(s)));
    return wagw_iq_send(t, iq, upload_answer, j->serial);
}
