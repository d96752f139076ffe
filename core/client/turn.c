/*
 * Items become turns, turns become commits, commits release output.
 *
 * Items of one instance run one after the other.  A turn that misses records
 * is rolled back, the records are loaded, and it runs again from its start;
 * items behind it wait.  A turn that succeeds hands its batch to the driver
 * and the next item runs at once: only emission waits for durability.
 */

#include "client_i.h"

#include <stdlib.h>

/* A turn that still misses something after so many loads will never end. */
#define TURN_RERUNS_MAX 64
/* Frames that arrive while a turn is parked; more means a hostile server. */
#define ITEMS_BYTES_MAX (64u << 20)
#define STORE_RETRY_MS 1000
/* Items behind a parked one that say what they will read. */
#define SCOUTS_MAX 64

typedef struct {
    wagw_item_t item;
    int (*fn)(wagw_turn_t *t, uint64_t arg);
    uint64_t arg;
} later_item_t;

static void turn_scout(wagw_client_t *c, wagw_turn_t *t);
static void turn_parked(wagw_client_t *c, wagw_turn_t *t);
static int turn_commit(wagw_client_t *c, wagw_turn_t *t);
static void out_free_list(wagw_out_t *o);

void wagw_turn_push(wagw_client_t *c, wagw_item_t *item)
{
    if (item->bytes && c->items_bytes + item->bytes > ITEMS_BYTES_MAX) {
        wagw_client_log(c, WAGW_LOG_ERROR, "too much is waiting for the store, connection dropped");
        item->done(c, item, WAGW_LIMIT);
        wagw_client_hangup(c, 428, "connection_lost");
        return;
    }
    item->next = NULL;
    c->items_bytes += item->bytes;
    *c->items_last = item;
    c->items_last = &item->next;
    wagw_turn_run(c);
}

static void item_pop(wagw_client_t *c, wagw_item_t *item, int rc)
{
    c->items = item->next;
    if (c->items == NULL) {
        c->items_last = &c->items;
    }
    c->items_bytes -= item->bytes;
    item->done(c, item, rc);
}

void wagw_turn_run(wagw_client_t *c)
{
    int rc;
    wagw_turn_t t;
    wagw_then_t *then;
    wagw_item_t *item;

    if (c->running) {
        return;
    }
    c->running = true;

    while (!c->loading && (item = c->items) != NULL) {
        if (item->epoch != 0 && item->epoch != c->epoch) {
            item_pop(c, item, WAGW_STATE);
            continue;
        }

        memset(&t, 0, sizeof(t));
        t.c = c;
        t.now = c->now;
        t.out_last = &t.out;
        t.then_last = &t.then;
        wagw_txn_begin(&t.txn, c->sh->cache, c->instance);
        if (c->found || c->asked) {
            t.txn.scans = c->found;
            t.txn.scans_asked = c->asked;
        }

        rc = item->run(&t, item);

        if (rc == WAGW_AGAIN && t.txn.misses == NULL) {
            rc = WAGW_ERROR;
        }
        if (rc == WAGW_AGAIN && ++c->reruns > TURN_RERUNS_MAX) {
            wagw_client_log(c, WAGW_LOG_ERROR, "a turn asks for records without end");
            rc = WAGW_ERROR;
        }
        if (rc == WAGW_AGAIN) {
            turn_scout(c, &t);
            wagw_txn_rollback(&t.txn);
            turn_parked(c, &t);
        } else {
            if (rc == WAGW_OK) {
                rc = turn_commit(c, &t);
            } else {
                wagw_txn_rollback(&t.txn);
            }
            c->reruns = 0;
            c->found = NULL;
            while (c->asked) {
                wagw_load_t *l = c->asked;
                c->asked = l->next;
                free(l);
            }
            if (rc == WAGW_OK) {
                for (then = t.then; then; then = then->next) {
                    then->fn(c, then->arg);
                }
            } else {
                out_free_list(t.out);
            }
            item_pop(c, item, rc);
        }

        if (t.creds) {
            wagw_wipe(t.creds, sizeof(*t.creds));
        }
        wagw_txn_free(&t.txn);
        wagw_arena_free(&t.arena);
    }

    c->running = false;
    wagw_turn_flush(c);
}

/* What the items behind the parked one will miss joins its load. */
static void turn_scout(wagw_client_t *c, wagw_turn_t *t)
{
    unsigned n = 0;
    wagw_item_t *item;

    for (item = c->items->next; item && n < SCOUTS_MAX; item = item->next) {
        if (item->scout && (item->epoch == 0 || item->epoch == c->epoch)) {
            item->scout(t, item);
            item->scout = NULL;
            n++;
        }
    }
}

/* The whole list a rerun needs: what is missing now, and the prefixes that
 * were answered before (their records are not kept by the cache). */
static void turn_parked(wagw_client_t *c, wagw_turn_t *t)
{
    wagw_load_t *l, *copy, *asked = NULL, **last = &asked;

    for (l = t->txn.misses; l; l = l->next) {
        copy = malloc(sizeof(*copy));
        if (copy) {
            *copy = *l;
            copy->next = NULL;
            *last = copy;
            last = &copy->next;
        }
    }
    while (c->asked) {
        l = c->asked;
        c->asked = l->next;
        if (l->prefix) {
            l->next = NULL;
            *last = l;
            last = &l->next;
        } else {
            free(l);
        }
    }
    out_free_list(t->out);
    c->asked = asked;
    c->found = NULL;
    c->loading = true;
    c->ops->load(c->driver, c->asked);
}

void wagw_client_loaded(wagw_client_t *c, const wagw_load_t *asked, const wagw_rec_t *recs, int rc, int64_t now)
{
    wagw_item_t *item;

    c->now = now;
    if (!c->loading) {
        return;
    }
    c->loading = false;
    if (rc == WAGW_OK) {
        rc = wagw_cache_fill(c->sh->cache, c->instance, asked, recs);
    }
    if (rc != WAGW_OK) {
        while (c->asked) {
            wagw_load_t *l = c->asked;
            c->asked = l->next;
            free(l);
        }
        c->reruns = 0;
        item = c->items;
        if (item) {
            c->running = true;
            item_pop(c, item, WAGW_IO);
            c->running = false;
        }
        /* what the server sent is not answered, so it comes again */
        wagw_client_hangup(c, 428, "connection_lost");
        if (c->wanted && c->conn == WAGW_CONN_IDLE && c->timers[WAGW_TIMER_RECONNECT] == 0) {
            wagw_client_timer(c, WAGW_TIMER_RECONNECT, now + STORE_RETRY_MS);
        }
        wagw_turn_run(c);
        wagw_client_arm(c);
        return;
    }
    c->found = recs;
    wagw_turn_run(c);
    c->found = NULL;
    wagw_client_arm(c);
}

static int turn_commit(wagw_client_t *c, wagw_turn_t *t)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_out_t *o;
    wagw_mark_t *mark;
    wagw_batch_t *batch;

    if (t->creds) {
        rc = wagw_creds_encode(&b, t->creds);
        if (rc == WAGW_OK) {
            rc = wagw_txn_put(&t->txn, WAGW_REC_CREDS, WAGW_STR(""), wagw_buf_view(&b));
        }
        wagw_buf_wipe(&b);
        if (rc != WAGW_OK) {
            goto failed;
        }
    }

    if (wagw_txn_changed(&t->txn)) {
        batch = wagw_batch_create(c->instance, c->seq_issued + 1);
        if (batch == NULL) {
            rc = WAGW_NOMEM;
            goto failed;
        }
        mark = t->nevents ? malloc(sizeof(*mark)) : NULL;
        rc = t->nevents && mark == NULL ? WAGW_NOMEM : wagw_txn_commit(&t->txn, batch);
        if (rc != WAGW_OK) {
            free(mark);
            wagw_batch_destroy(batch);
            goto failed;
        }
        c->seq_issued++;
        if (mark) {
            mark->seq = c->seq_issued;
            mark->nevents = t->nevents;
            mark->next = NULL;
            *c->marks_last = mark;
            c->marks_last = &mark->next;
            c->event_seq += t->nevents;
        }
        if (t->creds) {
            if (c->creds == NULL) {
                c->creds = malloc(sizeof(*c->creds));
            }
            if (c->creds) {
                *c->creds = *t->creds;
            }
        }
        c->ops->commit(c->driver, batch);
    } else {
        wagw_txn_rollback(&t->txn);
    }

    for (o = t->out; o; o = o->next) {
        o->after = c->seq_issued;
    }
    if (t->out) {
        *c->out_last = t->out;
        c->out_last = t->out_last;
    }
    return WAGW_OK;

failed:

    wagw_txn_rollback(&t->txn);
    return rc;
}

/* Event numbers of commits up to seq are in the store, or given back. */
void wagw_turn_marks(wagw_client_t *c, uint64_t seq, bool lost)
{
    wagw_mark_t *m;

    while ((m = c->marks) != NULL && m->seq <= seq) {
        c->marks = m->next;
        if (c->marks == NULL) {
            c->marks_last = &c->marks;
        }
        if (lost) {
            c->event_seq -= m->nevents;
        }
        free(m);
    }
}

void wagw_client_committed(wagw_client_t *c, uint64_t seq, int rc, int64_t now)
{
    wagw_out_t *o, *keep = NULL, **last = &keep;
    wagw_result_t r = {0};

    c->now = now;
    if (rc == WAGW_OK) {
        if (seq > c->seq_durable) {
            c->seq_durable = seq;
        }
        wagw_turn_marks(c, seq, false);
        wagw_cache_committed(c->sh->cache, c->instance, seq);
        wagw_turn_flush(c);
        wagw_client_arm(c);
        return;
    }

    if (seq <= c->seq_lost) {
        return; /* built upon one that failed before it */
    }
    c->seq_lost = c->seq_issued;
    wagw_turn_marks(c, c->seq_issued, true);

    /*
     * Nothing of it was emitted.  The memory is ahead of the database now:
     * forget it all, answer who waits, and begin again from what is stored.
     */
    r.status = 503;
    r.code = "DB_UNAVAILABLE";
    r.error = "The database did not take the change";
    while ((o = c->out) != NULL) {
        c->out = o->next;
        if (o->type == WAGW_OUT_REPLY && o->after <= c->seq_durable) {
            o->next = NULL;
            *last = o;
            last = &o->next;
            continue;
        }
        if (o->type == WAGW_OUT_REPLY) {
            c->ops->reply(c->driver, o->command, &r);
        }
        free(o);
    }
    c->out = keep;
    c->out_last = keep ? last : &c->out;
    c->seq_durable = c->seq_issued;
    wagw_cache_forget(c->sh->cache, c->instance);
    if (c->creds) {
        wagw_wipe(c->creds, sizeof(*c->creds));
        free(c->creds);
        c->creds = NULL;
    }
    c->creds_loaded = false;
    wagw_send_abort(c, &r);
    wagw_client_log(c, WAGW_LOG_ERROR, "a commit failed, the connection starts anew");
    wagw_client_hangup(c, 428, "connection_lost");
    if (c->wanted && c->conn == WAGW_CONN_IDLE && c->timers[WAGW_TIMER_RECONNECT] == 0) {
        wagw_client_timer(c, WAGW_TIMER_RECONNECT, now + STORE_RETRY_MS);
    }
    wagw_turn_flush(c);
    wagw_client_arm(c);
}

void wagw_turn_flush(wagw_client_t *c)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_out_t *o;

    while ((o = c->out) != NULL && o->after <= c->seq_durable) {
        c->out = o->next;
        if (c->out == NULL) {
            c->out_last = &c->out;
        }
        switch (o->type) {

        case WAGW_OUT_STANZA:
            if (o->epoch != c->epoch || c->noise == NULL || c->noise->state != WAGW_NOISE_TRANSPORT) {
                break;
            }
            rc = wagw_noise_seal(c->noise, &b, wagw_str(o->p, o->n));
            if (rc != WAGW_OK || b.failed) {
                wagw_client_hangup(c, 428, "connection_lost");
            }
            break;

        case WAGW_OUT_REPLY:
            c->ops->reply(c->driver, o->command, &o->result);
            break;

        case WAGW_OUT_CLOSE:
            if (o->epoch == c->epoch) {
                if (b.n) {
                    c->ops->send(c->driver, wagw_buf_view(&b));
                    wagw_buf_reset(&b);
                }
                wagw_client_hangup(c, c->disconnect_code ? c->disconnect_code : 428, NULL);
            }
            break;
        }
        wagw_wipe(o->p, o->n);
        free(o);
    }
    if (b.n && c->noise) {
        c->ops->send(c->driver, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
}

static void out_free_list(wagw_out_t *o)
{
    wagw_out_t *next;

    for (; o; o = next) {
        next = o->next;
        wagw_wipe(o->p, o->n);
        free(o);
    }
}

static int out_add(wagw_turn_t *t, wagw_out_t *o)
{
    o->next = NULL;
    o->epoch = t->c->epoch;
    *t->out_last = o;
    t->out_last = &o->next;
    return WAGW_OK;
}

int wagw_turn_send_bytes(wagw_turn_t *t, wagw_str_t plaintext)
{
    wagw_out_t *o = calloc(1, sizeof(*o) + plaintext.n);

    if (o == NULL) {
        return WAGW_NOMEM;
    }
    o->type = WAGW_OUT_STANZA;
    o->n = plaintext.n;
    memcpy(o->p, plaintext.p, plaintext.n);
    return out_add(t, o);
}

int wagw_turn_send(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc;
    wagw_buf_t b = {0};

    if (n == NULL) {
        return WAGW_NOMEM;
    }
    rc = wagw_node_encode(&b, n);
    if (rc == WAGW_OK) {
        rc = wagw_turn_send_bytes(t, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

/* Texts of a result are static but for the views, which are copied. */
static size_t reply_room(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static void reply_str(uint8_t **p, wagw_str_t *s)
{
    if (s->n) {
        memcpy(*p, s->p, s->n);
        s->p = *p;
        *p += s->n;
    }
}

static void reply_text(uint8_t **p, const char **s)
{
    size_t n = reply_room(*s);

    if (n) {
        memcpy(*p, *s, n);
        *s = (const char *)*p;
        *p += n;
    }
}

/* The answer is given after the commit, when the turn and its arena are gone: all of it is copied. */
int wagw_turn_reply(wagw_turn_t *t, uint64_t command, const wagw_result_t *r)
{
    uint8_t *p;
    size_t n;
    wagw_out_t *o;

    if (command == 0) {
        return WAGW_OK;
    }
    n = r->data.n + r->details.n + r->message_id.n + reply_room(r->code) + reply_room(r->error) +
        reply_room(r->message) + reply_room(r->hint);
    o = calloc(1, sizeof(*o) + n);
    if (o == NULL) {
        return WAGW_NOMEM;
    }
    o->type = WAGW_OUT_REPLY;
    o->command = command;
    o->result = *r;
    o->n = n;
    p = o->p;
    reply_str(&p, &o->result.data);
    reply_str(&p, &o->result.details);
    reply_str(&p, &o->result.message_id);
    reply_text(&p, &o->result.code);
    reply_text(&p, &o->result.error);
    reply_text(&p, &o->result.message);
    reply_text(&p, &o->result.hint);
    return out_add(t, o);
}

int wagw_turn_fail(wagw_turn_t *t, uint64_t command, int status, const char *code, const char *error)
{
    wagw_result_t r = {0};

    r.status = status;
    r.code = code;
    r.error = error;
    return wagw_turn_reply(t, command, &r);
}

int wagw_turn_close(wagw_turn_t *t)
{
    wagw_out_t *o = calloc(1, sizeof(*o));

    if (o == NULL) {
        return WAGW_NOMEM;
    }
    o->type = WAGW_OUT_CLOSE;
    return out_add(t, o);
}

int wagw_turn_then(wagw_turn_t *t, void (*fn)(wagw_client_t *c, void *arg), const void *arg, size_t n)
{
    wagw_then_t *then = wagw_arena_alloc(&t->arena, sizeof(*then));

    if (then == NULL) {
        return WAGW_NOMEM;
    }
    then->fn = fn;
    then->next = NULL;
    then->arg = NULL;
    if (n) {
        then->arg = wagw_arena_alloc(&t->arena, n);
        if (then->arg == NULL) {
            return WAGW_NOMEM;
        }
        memcpy(then->arg, arg, n);
    }
    *t->then_last = then;
    t->then_last = &then->next;
    return WAGW_OK;
}

wagw_creds_t *wagw_turn_creds(wagw_turn_t *t)
{
    if (t->creds == NULL) {
        t->creds = wagw_arena_zalloc(&t->arena, sizeof(*t->creds));
        if (t->creds && t->c->creds) {
            *t->creds = *t->c->creds;
        }
    }
    return t->creds;
}

const wagw_creds_t *wagw_turn_me(const wagw_turn_t *t)
{
    return t->creds ? t->creds : t->c->creds;
}

wagw_signal_t *wagw_turn_signal(wagw_turn_t *t)
{
    const wagw_creds_t *me = wagw_turn_me(t);
    wagw_signal_self_t *self = wagw_arena_zalloc(&t->arena, sizeof(*self));
    wagw_jid_t phone;

    if (self == NULL || me == NULL) {
        return NULL;
    }
    self->identity = &me->identity;
    self->registration_id = me->registration_id;
    if (me->paired && !wagw_jid_empty(&me->lid)) {
        self->account_key = me->account_key;
        phone = wagw_jid_user(&me->lid);
        self->account_addr = wagw_signal_addr(&phone);
    }
    wagw_signal_bind(t->c->sh->signal, &t->txn, self);
    return t->c->sh->signal;
}

void wagw_turn_random(wagw_turn_t *t, void *p, size_t n)
{
    t->c->sh->random(t->c->sh->random_data, p, n);
}

static int later_run(wagw_turn_t *t, wagw_item_t *item)
{
    later_item_t *l = (later_item_t *)item;

    return l->fn(t, l->arg);
}

static void later_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    if (rc != WAGW_OK && rc != WAGW_STATE) {
        wagw_client_log(c, WAGW_LOG_ERROR, "a turn failed: %s", wagw_rc_name(rc));
        if (rc == WAGW_NOMEM || rc == WAGW_ERROR) {
            wagw_client_hangup(c, 428, "connection_lost");
        }
    }
    free(item);
}

int wagw_turn_later(wagw_client_t *c, int (*fn)(wagw_turn_t *t, uint64_t arg), uint64_t arg, bool this_connection)
{
    later_item_t *l = calloc(1, sizeof(*l));

    if (l == NULL) {
        return WAGW_NOMEM;
    }
    l->item.run = later_run;
    l->item.done = later_done;
    l->item.epoch = this_connection ? c->epoch : 0;
    l->fn = fn;
    l->arg = arg;
    wagw_turn_push(c, &l->item);
    return WAGW_OK;
}
