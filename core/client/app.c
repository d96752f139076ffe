/*
 * App state on the wire (07 sections 5 to 7): collections are fetched one at a
 * time; app_upload.c sends changes, and never both happens at once.
 */

#include "app_i.h"

#include <stdlib.h>

#define RETRY_MS 30000
#define LATER_MS 600000
#define ATTEMPTS_MAX 2 /* integrity failures of a collection until it is given up */
#define PATCHES_MAX 4096
#define BLOB_MAX (64u << 20) /* all of an answer's together */
#define KEY_ASK_MS 86400000ll

enum { META_DIRTY = 1, META_FRESH, META_BLOCKED, META_EXPIRED, META_UNARCHIVE, META_KNOWN };

/* ---- what must be done, as a record ---- */

int wagw_app_meta(wagw_turn_t *t, wagw_app_meta_t *m)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_tlv_t r = {0};
    wagw_str_t v, s;

    memset(m, 0, sizeof(*m));
    rc = wagw_txn_get(&t->txn, WAGW_REC_META, WAGW_STR("app"), &v);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    r.in = v;
    while ((rc = wagw_tlv_next(&r, &tag, &u, &s)) == WAGW_OK) {
        switch (tag) {
        case META_DIRTY:
            m->dirty = (uint32_t)u;
            break;
        case META_FRESH:
            m->fresh = (uint32_t)u;
            break;
        case META_BLOCKED:
            m->blocked = (uint32_t)u;
            break;
        case META_KNOWN:
            m->known = (uint32_t)u;
            break;
        case META_EXPIRED:
            m->expired = (int64_t)u;
            break;
        case META_UNARCHIVE:
            m->unarchive = u != 0;
            break;
        }
    }
    return WAGW_OK;
}

int wagw_app_meta_put(wagw_turn_t *t, const wagw_app_meta_t *m)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_u(&b, META_DIRTY, m->dirty);
    wagw_tlv_put_u(&b, META_FRESH, m->fresh);
    wagw_tlv_put_u(&b, META_BLOCKED, m->blocked);
    wagw_tlv_put_u(&b, META_KNOWN, m->known);
    wagw_tlv_put_u(&b, META_EXPIRED, m->expired > 0 ? (uint64_t)m->expired : 0);
    wagw_tlv_put_u(&b, META_UNARCHIVE, m->unarchive);
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, WAGW_STR("app"), wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

uint32_t wagw_app_bit(wagw_app_collection_t c)
{
    return 1u << c;
}

/* ---- memory ---- */

wagw_app_t *wagw_app_get(wagw_client_t *c)
{
    if (c->app == NULL) {
        c->app = calloc(1, sizeof(*c->app));
        if (c->app) {
            c->app->jobs_last = &c->app->jobs;
        }
    }
    return c->app;
}

static void held_free(wagw_app_t *app)
{
    if (app->held) {
        for (unsigned i = 0; i < app->held->have; i++) {
            wagw_buf_free(&app->held->blob[i]);
        }
        wagw_buf_free(&app->held->node);
        free(app->held);
        app->held = NULL;
    }
    app->fetch = 0;
}

void wagw_app_abort(wagw_client_t *c, const wagw_result_t *r)
{
    wagw_app_job_t *j;

    if (c->app == NULL) {
        return;
    }
    while ((j = c->app->jobs) != NULL) {
        c->app->jobs = j->next;
        if (j->command) {
            c->ops->reply(c->driver, j->command, r);
        }
        wagw_app_job_free(j);
    }
    held_free(c->app);
    free(c->app);
    c->app = NULL;
}

/* What was asked for will not be answered; it is asked again with the next connection. */
void wagw_app_lost(wagw_client_t *c)
{
    if (c->app) {
        held_free(c->app);
        c->app->busy = false;
        memset(c->app->later, 0, sizeof(c->app->later));
    }
}

/* ---- going on ---- */

void wagw_app_pump_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    (void)wagw_turn_later(c, wagw_app_pump, 0, true);
}

typedef struct {
    wagw_app_collection_t c;
    int64_t pause;
} idle_t;

static void idle_then(wagw_client_t *c, void *arg)
{
    idle_t *x = arg;

    if (c->app) {
        c->app->busy = false;
        held_free(c->app);
        c->app->later[x->c] = x->pause ? c->now + x->pause : 0;
    }
    wagw_app_pump_then(c, NULL);
}

/* The request is over, others may follow; its collection after a pause. */
int wagw_app_idle(wagw_turn_t *t, wagw_app_collection_t c, int64_t pause)
{
    idle_t x = {c, pause};

    return wagw_turn_then(t, idle_then, &x, sizeof(x));
}

void wagw_app_busy_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    if (wagw_app_get(c)) {
        c->app->busy = true;
    }
}

wagw_node_t *wagw_app_iq(wagw_turn_t *t, wagw_app_collection_t c, wagw_node_t **collection)
{
    wagw_node_t *iq = wagw_iq(t, "set", "w:sync:app:state");

    *collection = wagw_node_child(&t->arena, wagw_node_child(&t->arena, iq, "sync"), "collection");
    wagw_node_attrc(&t->arena, *collection, "name", wagw_app_name(c));
    return iq;
}

/* ---- keys (07 sections 2 and 6) ---- */

/* Asks the phone, at most once a day for each key. */
int wagw_app_key_ask(wagw_turn_t *t, const wagw_app_error_t *err)
{
    int rc;
    size_t n;
    uint8_t *p, tag;
    int64_t asked = 0;
    uint64_t u;
    wagw_tlv_t r = {0};
    wagw_buf_t b = {0}, name = {0};
    wagw_str_t v, s;
    Wa__Message m = WA__MESSAGE__INIT;
    Wa__Message__ProtocolMessage pm = WA__MESSAGE__PROTOCOL_MESSAGE__INIT;
    Wa__Message__AppStateSyncKeyRequest req = WA__MESSAGE__APP_STATE_SYNC_KEY_REQUEST__INIT;
    Wa__Message__AppStateSyncKeyId id = WA__MESSAGE__APP_STATE_SYNC_KEY_ID__INIT, *ids = &id;

    if (err->key_len == 0) {
        return WAGW_OK;
    }
    wagw_buf_cstr(&name, "app.ask|");
    wagw_hex_encode(&name, wagw_str(err->key, err->key_len));
    rc = name.failed ? WAGW_NOMEM : wagw_txn_get(&t->txn, WAGW_REC_META, wagw_buf_view(&name), &v);
    if (rc == WAGW_OK) {
        r.in = v;
        while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
            asked = tag == 1 ? (int64_t)u : asked;
        }
    } else if (rc != WAGW_NOT_FOUND) {
        goto done;
    }
    if (asked && t->now - asked < KEY_ASK_MS) {
        rc = WAGW_OK;
        goto done;
    }
    id.has_keyid = 1;
    id.keyid.data = (uint8_t *)err->key;
    id.keyid.len = err->key_len;
    req.n_keyids = 1;
    req.keyids = &ids;
    pm.has_type = 1;
    pm.type = 7;
    pm.appstatesynckeyrequest = &req;
    m.protocolmessage = &pm;
    n = wa__message__get_packed_size(&m);
    p = wagw_arena_alloc(&t->arena, n + 1);
    if (p == NULL) {
        rc = WAGW_NOMEM;
        goto done;
    }
    wa__message__pack(&m, p);
    rc = wagw_peer_send(t, wagw_str(p, n), "high");
    if (rc == WAGW_OK) {
        wagw_tlv_put_u(&b, 1, (uint64_t)t->now);
        rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, wagw_buf_view(&name), wagw_buf_view(&b));
    }

done:

    wagw_buf_free(&b);
    wagw_buf_free(&name);
    return rc;
}

int wagw_app_keys_came(wagw_turn_t *t)
{
    int again = WAGW_OK, rc;
    wagw_app_meta_t m;
    wagw_app_state_t s;

    rc = wagw_app_meta(t, &m);
    again = rc == WAGW_AGAIN ? rc : again;
    for (unsigned i = 0; i < WAGW_APP_COLLECTIONS; i++) {
        rc = wagw_app_state(&t->txn, i, &s);
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        } else if (s.version == 0) {
            m.dirty |= wagw_app_bit(i);
        }
    }
    WAGW_TRY(again);
    m.dirty |= m.blocked;
    m.blocked = 0;
    WAGW_TRY(wagw_app_meta_put(t, &m));
    return wagw_turn_then(t, wagw_app_pump_then, NULL, 0);
}

int wagw_app_server_sync(wagw_turn_t *t, const wagw_node_t *n)
{
    uint64_t version;
    wagw_app_meta_t m;
    wagw_app_state_t s;
    const wagw_node_t *k;
    wagw_app_collection_t c;

    if (wagw_turn_me(t) == NULL || !wagw_turn_me(t)->paired) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_app_meta(t, &m));
    for (k = wagw_node_find(n, "collection"); k; k = wagw_node_find_next(k, "collection")) {
        if (wagw_app_find(wagw_node_get(k, "name"), &c) != WAGW_OK) {
            continue;
        }
        WAGW_TRY(wagw_app_state(&t->txn, c, &s));
        if (wagw_node_get_u64(k, "version", &version) != WAGW_OK || version > s.version) {
            m.dirty |= wagw_app_bit(c);
        }
    }
    WAGW_TRY(wagw_app_meta_put(t, &m));
    return wagw_turn_then(t, wagw_app_pump_then, NULL, 0);
}

/* ---- applying an answer ---- */

typedef struct {
    wagw_app_collection_t c;
    bool failed;
} tried_t;

static void tried_then(wagw_client_t *c, void *arg)
{
    tried_t *x = arg;

    if (wagw_app_get(c)) {
        c->app->tries[x->c] = x->failed ? c->app->tries[x->c] + 1 : 0;
    }
}

/* What did not verify is as if it had not come: fetched again as a whole,
 * or, after some attempts, left alone. */
static int refuse(wagw_turn_t *t, wagw_app_collection_t c, wagw_app_meta_t *m, int rc, const wagw_app_error_t *err)
{
    tried_t x = {c, true};
    wagw_app_t *app = t->c->app;

    if (rc == WAGW_NOT_FOUND) {
        wagw_client_log(t->c, WAGW_LOG_NOTICE, "app state %s waits for a key of the phone", wagw_app_name(c));
        m->blocked |= wagw_app_bit(c);
        m->dirty &= ~wagw_app_bit(c);
        return wagw_app_key_ask(t, err);
    }
    if (app && app->tries[c] + 1 >= ATTEMPTS_MAX) {
        WAGW_TRY(wagw_app_copy_ask(t, c)); /* may have to wait for a record: nothing is told twice */
    }
    wagw_client_log(t->c, WAGW_LOG_WARN, "app state %s refused: %s", wagw_app_name(c),
                    err->why ? err->why : wagw_rc_name(rc));
    if (app && app->tries[c] + 1 >= ATTEMPTS_MAX) {
        wagw_client_log(t->c, WAGW_LOG_ERROR, "app state %s is given up until it changes again", wagw_app_name(c));
        m->dirty &= ~wagw_app_bit(c);
        x.failed = false;
    } else {
        m->dirty |= wagw_app_bit(c);
    }
    m->fresh |= wagw_app_bit(c);
    return wagw_turn_then(t, tried_then, &x, sizeof(x));
}

const wagw_node_t *wagw_app_next_patch(const wagw_node_t *collection, const wagw_node_t *patch)
{
    const wagw_node_t *list = wagw_node_find(collection, "patches");

    if (patch) {
        return wagw_node_find_next(patch, "patch");
    }
    return wagw_node_find(list ? list : collection, "patch");
}

static void need_fetch(wagw_app_meta_t *m, wagw_app_collection_t c, bool more)
{
    m->dirty = more ? m->dirty | wagw_app_bit(c) : m->dirty & ~wagw_app_bit(c);
}

/*
 * Snapshot and patches of one <collection>.  blobs: in the order of the node.
 * A patch that fails leaves what was applied before it.
 */
static int apply_collection(wagw_turn_t *t, wagw_app_collection_t c, const wagw_node_t *n, const wagw_buf_t *blobs)
{
    int rc;
    bool ok = true;
    tried_t x = {c, false};
    uint64_t version;
    unsigned count = 0;
    wagw_str_t external, data;
    wagw_app_meta_t m;
    wagw_app_blob_t ref;
    wagw_app_state_t s;
    wagw_app_apply_t a;
    wagw_app_error_t err = {0};
    const wagw_node_t *p;

    WAGW_TRY(wagw_app_meta(t, &m));
    WAGW_TRY(wagw_app_state(&t->txn, c, &s));
    a = (wagw_app_apply_t){t, (s.version != 0 || (m.known & wagw_app_bit(c))) && !(m.fresh & wagw_app_bit(c)), &m,
                           WAGW_OK};

    if (wagw_node_data(wagw_node_find(n, "snapshot")).n) {
        a.emit = false;
        rc = wagw_app_snapshot(&t->txn, &t->arena, c, wagw_buf_view(blobs++), wagw_app_apply, &a, &err);
        if (rc == WAGW_AGAIN || rc == WAGW_NOMEM) {
            return rc;
        }
        ok = rc == WAGW_OK;
        if (!ok) {
            WAGW_TRY(refuse(t, c, &m, rc, &err));
        }
    } else if (m.fresh & wagw_app_bit(c)) {
        /* everything was asked for: what is here is all there is */
        WAGW_TRY(wagw_app_forget(&t->txn, c));
    }
    if (wagw_node_get_u64(n, "version", &version) != WAGW_OK) {
        version = 0;
    }
    for (p = wagw_app_next_patch(n, NULL); ok && p && count < PATCHES_MAX; p = wagw_app_next_patch(n, p), count++) {
        memset(&err, 0, sizeof(err));
        data = wagw_node_data(p);
        external = WAGW_STR_NULL;
        if (blobs && wagw_app_patch_blob(data, &ref) == WAGW_OK) {
            external = wagw_buf_view(blobs++);
        }
        rc = wagw_app_patch(&t->txn, &t->arena, c, data, external, version + 1 + count, wagw_app_apply, &a, &err);
        if (rc == WAGW_AGAIN || a.again) {
            a.again = WAGW_AGAIN; /* the others only say what they will read */
        } else if (rc == WAGW_NOMEM) {
            return rc;
        } else if (rc != WAGW_OK && rc != WAGW_DUPLICATE) {
            ok = false;
            WAGW_TRY(refuse(t, c, &m, rc, &err));
        }
    }
    WAGW_TRY(a.again);
    if (ok) {
        m.fresh &= ~wagw_app_bit(c);
        m.known |= wagw_app_bit(c);
        need_fetch(&m, c, wagw_node_attr_is(n, "has_more_patches", "true") || p != NULL);
        WAGW_TRY(wagw_turn_then(t, tried_then, &x, sizeof(x)));
    }
    return wagw_app_meta_put(t, &m);
}

/* ---- blobs ---- */

/* The reference number `want` of an answer's blobs; WAGW_NOT_FOUND behind the last. */
static int blob_at(const wagw_node_t *n, unsigned want, wagw_app_blob_t *ref)
{
    unsigned at = 0;
    wagw_str_t s = wagw_node_data(wagw_node_find(n, "snapshot"));
    const wagw_node_t *p;

    if (s.n && at++ == want) {
        return wagw_app_blob(s, ref);
    }
    for (p = wagw_app_next_patch(n, NULL); p; p = wagw_app_next_patch(n, p)) {
        int rc = wagw_app_patch_blob(wagw_node_data(p), ref);

        if (rc != WAGW_NOT_FOUND && at++ == want) {
            return rc;
        }
    }
    return WAGW_NOT_FOUND;
}

uint64_t wagw_client_fetch(wagw_client_t *c, wagw_fetch_t *f)
{
    if (c->ops->fetch == NULL) {
        return 0;
    }
    f->id = ++c->fetch_id;
    c->ops->fetch(c->driver, f);
    return f->id;
}

/* Wants the next blob, or, when all are there, the turn that applies them. */
static int held_run(wagw_turn_t *t, uint64_t unused);

static void held_next(wagw_client_t *c)
{
    int rc;
    wagw_app_t *app = c->app;
    wagw_arena_t a = {0};
    wagw_fetch_t f = {0};
    wagw_node_t *n;
    wagw_app_blob_t ref;

    rc = wagw_node_decode(&n, &a, wagw_buf_view(&app->held->node));
    if (rc == WAGW_OK) {
        rc = blob_at(n, app->held->have, &ref);
    }
    if (rc == WAGW_NOT_FOUND) {
        (void)wagw_turn_later(c, held_run, 0, true);
    } else {
        if (rc == WAGW_OK && app->held->have < sizeof(app->held->blob) / sizeof(app->held->blob[0])) {
            f.type = "md-app-state";
            f.direct_path = ref.direct_path;
            f.key = ref.media_key;
            f.sha256 = ref.sha256;
            f.enc_sha256 = ref.enc_sha256;
            f.max = BLOB_MAX;
            for (unsigned i = 0; i < app->held->have; i++) {
                f.max -= app->held->blob[i].n < f.max ? app->held->blob[i].n : f.max;
            }
            app->fetch = wagw_client_fetch(c, &f);
        }
        if (app->fetch == 0) {
            idle_t x = {app->held->c, LATER_MS};

            wagw_client_log(c, WAGW_LOG_WARN, "app state %s: a blob cannot be fetched", wagw_app_name(x.c));
            idle_then(c, &x);
        }
    }
    wagw_arena_free(&a);
}

bool wagw_app_fetched(wagw_client_t *c, uint64_t id, int rc, wagw_str_t bytes)
{
    idle_t x;
    wagw_buf_t *b;
    wagw_app_t *app = c->app;

    if (app == NULL || app->held == NULL || app->fetch != id) {
        return false;
    }
    app->fetch = 0;
    if (rc == WAGW_OK) {
        b = &app->held->blob[app->held->have];
        rc = wagw_buf_str(b, bytes);
    }
    if (rc == WAGW_OK) {
        app->held->have++;
        held_next(c);
        return true;
    }
    wagw_client_log(c, WAGW_LOG_WARN, "app state %s: a blob was not to be had (%s)", wagw_app_name(app->held->c),
                    wagw_rc_name(rc));
    /* a new answer brings a new reference: once at once, then with patience */
    x.c = app->held->c;
    x.pause = rc == WAGW_NOT_FOUND && app->tries[x.c]++ == 0 ? 0 : RETRY_MS;
    idle_then(c, &x);
    return true;
}

static int held_run(wagw_turn_t *t, uint64_t unused)
{
    wagw_app_t *app = t->c->app;
    wagw_node_t *n;

    (void)unused;
    if (app == NULL || app->held == NULL) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_node_decode(&n, &t->arena, wagw_buf_view(&app->held->node)));
    WAGW_TRY(apply_collection(t, app->held->c, n, app->held->blob));
    return wagw_app_idle(t, app->held->c, 0);
}

typedef struct {
    wagw_app_collection_t c;
    wagw_str_t node;
} hold_t;

static void hold_then(wagw_client_t *c, void *arg)
{
    hold_t *h = arg;
    idle_t x = {h->c, RETRY_MS};

    if (wagw_app_get(c) == NULL) {
        return;
    }
    held_free(c->app);
    c->app->held = calloc(1, sizeof(*c->app->held));
    if (c->app->held == NULL || wagw_buf_str(&c->app->held->node, h->node) != WAGW_OK) {
        idle_then(c, &x);
        return;
    }
    c->app->held->c = h->c;
    held_next(c);
}

/* Applies an answer, now or once its blobs are here. */
int wagw_app_take(wagw_turn_t *t, wagw_app_collection_t c, const wagw_node_t *n)
{
    hold_t h = {c, WAGW_STR_NULL};
    wagw_buf_t b = {0};
    wagw_app_blob_t ref;

    if (blob_at(n, 0, &ref) == WAGW_NOT_FOUND) {
        WAGW_TRY(apply_collection(t, c, n, NULL));
        return wagw_app_idle(t, c, 0);
    }
    if (wagw_node_encode(&b, n) == WAGW_OK) {
        h.node = wagw_arena_str(&t->arena, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return h.node.p ? wagw_turn_then(t, hold_then, &h, sizeof(h)) : WAGW_NOMEM;
}

/* ---- fetching ---- */

const wagw_node_t *wagw_app_answer(const wagw_node_t *iq, wagw_app_collection_t c)
{
    const wagw_node_t *k;

    for (k = wagw_node_find(wagw_node_find(iq, "sync"), "collection"); k; k = wagw_node_find_next(k, "collection")) {
        if (wagw_node_attr_is(k, "name", wagw_app_name(c))) {
            return k;
        }
    }
    return NULL;
}

/* The error of an answer or of its collection, 0 none. */
int wagw_app_answer_error(const wagw_node_t *iq, const wagw_node_t *collection, wagw_str_t *text)
{
    int code = wagw_iq_error(iq, text);

    if (code) {
        return code;
    }
    return collection == NULL ? 500 : wagw_iq_error(collection, text);
}

static int fetch_answer(wagw_turn_t *t, const wagw_node_t *iq, uint64_t c)
{
    int code;
    wagw_str_t text;
    const wagw_node_t *n;

    if (iq == NULL) {
        return wagw_app_idle(t, (wagw_app_collection_t)c, RETRY_MS);
    }
    n = wagw_app_answer(iq, (wagw_app_collection_t)c);
    code = wagw_app_answer_error(iq, n, &text);
    if (code) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "app state %s: the server answers %d %.*s", wagw_app_name(c), code,
                        (int)text.n, (const char *)text.p);
        return wagw_app_idle(t, (wagw_app_collection_t)c, LATER_MS);
    }
    return wagw_app_take(t, (wagw_app_collection_t)c, n);
}

static int fetch(wagw_turn_t *t, wagw_app_collection_t c, const wagw_app_meta_t *m)
{
    bool whole;
    wagw_node_t *iq, *n;
    wagw_app_state_t s;

    WAGW_TRY(wagw_app_state(&t->txn, c, &s));
    whole = s.version == 0 || (m->fresh & wagw_app_bit(c));
    iq = wagw_app_iq(t, c, &n);
    wagw_node_attr_int(&t->arena, n, "version", whole ? 0 : (int64_t)s.version);
    wagw_node_attrc(&t->arena, n, "return_snapshot", whole ? "true" : "false");
    WAGW_TRY(wagw_turn_then(t, wagw_app_busy_then, NULL, 0));
    return wagw_iq_send(t, iq, fetch_answer, c);
}

static void alarm_then(wagw_client_t *c, void *arg)
{
    wagw_client_timer(c, WAGW_TIMER_APP, *(int64_t *)arg);
}

int wagw_app_pump(wagw_turn_t *t, uint64_t unused)
{
    int64_t next = 0;
    wagw_app_t *app = t->c->app;
    wagw_app_meta_t m;

    (void)unused;
    if (t->c->conn != WAGW_CONN_OPEN || (app && app->busy)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_app_meta(t, &m));
    for (unsigned i = 0; i < WAGW_APP_COLLECTIONS; i++) {
        if ((m.dirty & wagw_app_bit(i)) == 0) {
            continue;
        }
        if (app == NULL || app->later[i] <= t->now) {
            return fetch(t, i, &m);
        }
        next = next == 0 || app->later[i] < next ? app->later[i] : next;
    }
    if (next) {
        WAGW_TRY(wagw_turn_then(t, alarm_then, &next, sizeof(next)));
    }
    return app && app->jobs ? wagw_app_upload(t, app->jobs, &m) : WAGW_OK;
}
