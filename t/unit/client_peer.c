/*
 * Phones: devices with a Signal state of their own that tests make speak and
 * whose mail they read.
 */

#include "client_sim.h"

typedef struct {
    sim_peer_t *p;
    wagw_signal_self_t self;
    wagw_signal_addr_t addr;
    wagw_str_t in, group;
    bool prekey, changed;
    const wagw_bundle_t *bundle;
    wagw_buf_t out;
    sim_device_t *dev;
} call_t;

static void commit(sim_peer_t *p, wagw_txn_t *t)
{
    wagw_batch_t *b;

    if (!wagw_txn_changed(t)) {
        wagw_txn_rollback(t);
        return;
    }
    b = wagw_batch_create(1, ++p->seq);
    assert_non_null(b);
    assert_int_equal(wagw_txn_commit(t, b), WAGW_OK);
    sim_mem_apply(&p->mem, b);
    wagw_batch_destroy(b);
    wagw_cache_committed(p->cache, 1, p->seq);
}

/* One call of core/signal as a turn. */
static int turn(sim_peer_t *p, int (*fn)(wagw_signal_t *s, call_t *c), call_t *c)
{
    int rc;
    wagw_txn_t t = {0};
    wagw_arena_t a = {0};

    c->p = p;
    c->self.identity = &p->identity;
    c->self.registration_id = p->dev->registration;
    for (;;) {
        wagw_txn_begin(&t, p->cache, 1);
        wagw_signal_bind(p->signal, &t, &c->self);
        wagw_buf_reset(&c->out);
        rc = fn(p->signal, c);
        if (rc != WAGW_AGAIN) {
            break;
        }
        wagw_txn_rollback(&t);
        assert_non_null(t.misses);
        assert_int_equal(wagw_cache_fill(p->cache, 1, t.misses, sim_mem_load(&p->mem, t.misses, &a)), WAGW_OK);
    }
    if (rc == WAGW_OK) {
        commit(p, &t);
    } else {
        wagw_txn_rollback(&t);
    }
    wagw_txn_free(&t);
    wagw_arena_free(&a);
    return rc;
}

int sim_signal_do(sim_mem_t *mem, const wagw_keypair_t *identity, uint32_t registration, sim_signal_pt fn, void *data)
{
    int rc;
    uint64_t seed = 4711;
    wagw_txn_t t = {0};
    wagw_cache_t *cache = wagw_cache_create(1u << 20);
    wagw_batch_t *b = wagw_batch_create(1, 1);
    wagw_signal_t *s;
    wagw_signal_self_t self = {.identity = identity, .registration_id = registration};

    assert_non_null(cache);
    assert_non_null(b);
    assert_int_equal(wagw_signal_create(&s, vec_random, &seed), WAGW_OK);
    wagw_txn_begin(&t, cache, 1);
    wagw_signal_bind(s, &t, &self);
    rc = fn(s, data);
    assert_int_equal(wagw_txn_commit(&t, b), WAGW_OK);
    sim_mem_apply(mem, b);
    wagw_batch_destroy(b);
    wagw_txn_free(&t);
    wagw_signal_destroy(s);
    wagw_cache_destroy(cache);
    return rc;
}

static wagw_signal_addr_t address(const sim_device_t *d)
{
    wagw_jid_t j;

    sim_jid_of(d, true, &j);
    return wagw_signal_addr(&j);
}

/* ---- the calls ------------------------------------------------------------------- */

static int make_keys(wagw_signal_t *s, call_t *c)
{
    int rc;
    uint8_t pub[32];
    sim_otk_t *o;
    sim_device_t *d = c->dev;

    rc = wagw_signal_make_signed_prekey(s, 1, SIM_START, d->spk, d->spk_sig);
    if (rc != WAGW_OK) {
        return rc;
    }
    for (uint32_t id = 20; id > 0; id--) {
        rc = wagw_signal_make_prekey(s, id, true, pub);
        if (rc != WAGW_OK) {
            return rc;
        }
        o = calloc(1, sizeof(*o));
        assert_non_null(o);
        o->id = id;
        memcpy(o->pub, pub, 32);
        o->next = d->otks;
        d->otks = o;
    }
    return WAGW_OK;
}

static int has_session(wagw_signal_t *s, call_t *c)
{
    return wagw_signal_has_session(s, &c->addr);
}

static int process(wagw_signal_t *s, call_t *c)
{
    return wagw_signal_process_bundle(s, &c->addr, c->bundle, &c->changed);
}

static int encrypt(wagw_signal_t *s, call_t *c)
{
    return wagw_signal_encrypt(s, &c->addr, c->in, &c->out, &c->prekey);
}

static int decrypt(wagw_signal_t *s, call_t *c)
{
    return wagw_signal_decrypt(s, &c->addr, c->prekey, c->in, &c->out, &c->changed);
}

static int group_key(wagw_signal_t *s, call_t *c)
{
    return wagw_signal_group_process(s, c->group, &c->addr, c->in);
}

static int group_decrypt(wagw_signal_t *s, call_t *c)
{
    return wagw_signal_group_decrypt(s, c->group, &c->addr, c->in, &c->out);
}

static int forget(wagw_signal_t *s, call_t *c)
{
    return wagw_signal_delete_session(s, &c->addr);
}

/* ---- phones ------------------------------------------------------------------------ */

sim_peer_t *sim_peer_copy(sim_t *w, sim_device_t *d, const sim_peer_t *from)
{
    sim_peer_t *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->w = w;
    p->dev = d;
    p->identity = from->identity;
    p->got_last = &p->got;
    p->cache = wagw_cache_create(4u << 20);
    assert_non_null(p->cache);
    assert_int_equal(wagw_signal_create(&p->signal, vec_random, &w->random), WAGW_OK);
    d->peer = p;
    return p;
}

sim_peer_t *sim_peer_new(sim_t *w, sim_device_t *d, const wagw_keypair_t *identity)
{
    call_t c = {.dev = d};
    sim_peer_t *p, like = {.identity = *identity};

    p = sim_peer_copy(w, d, &like);
    d->registration = 77 + (uint32_t)strlen(d->acc->pn);
    d->spk_id = 1;
    memcpy(d->identity, identity->pub, 32);
    assert_int_equal(turn(p, make_keys, &c), WAGW_OK);
    wagw_buf_free(&c.out);
    d->has_bundle = true;
    return p;
}

void sim_peer_free(sim_peer_t *p)
{
    sim_got_t *g;

    while ((g = p->got) != NULL) {
        p->got = g->next;
        cJSON_Delete(g->message);
        free(g);
    }
    wagw_signal_destroy(p->signal);
    wagw_cache_destroy(p->cache);
    sim_mem_free(&p->mem);
    free(p);
}

void sim_peer_process(sim_peer_t *p, sim_device_t *to, const wagw_bundle_t *b)
{
    call_t c = {.addr = address(to), .bundle = b};

    assert_int_equal(turn(p, process, &c), WAGW_OK);
    wagw_buf_free(&c.out);
}

static void fetch(sim_peer_t *p, sim_device_t *to)
{
    sim_otk_t *o = to->otks;
    wagw_bundle_t b = {.registration_id = to->registration, .spk_id = to->spk_id};

    assert_true(to->has_bundle);
    memcpy(b.identity, to->identity, 32);
    memcpy(b.spk, to->spk, 32);
    memcpy(b.spk_sig, to->spk_sig, 64);
    if (o) {
        to->otks = o->next;
        b.has_prekey = true;
        b.prekey_id = o->id;
        memcpy(b.prekey, o->pub, 32);
        free(o);
    }
    sim_peer_process(p, to, &b);
}

void sim_peer_forget(sim_peer_t *p, sim_device_t *to)
{
    call_t c = {.addr = address(to)};

    assert_int_equal(turn(p, forget, &c), WAGW_OK);
    wagw_buf_free(&c.out);
}

void sim_peer_encrypt(sim_peer_t *p, sim_device_t *to, wagw_str_t message, wagw_buf_t *out, bool *prekey)
{
    call_t c = {.addr = address(to)};
    wagw_buf_t padded = {0};

    if (turn(p, has_session, &c) == WAGW_NOT_FOUND) {
        fetch(p, to);
    }
    wagw_buf_str(&padded, message);
    assert_int_equal(wagw_pad(&padded, 7), WAGW_OK);
    c.in = wagw_buf_view(&padded);
    assert_int_equal(turn(p, encrypt, &c), WAGW_OK);
    *prekey = c.prekey;
    wagw_buf_str(out, wagw_buf_view(&c.out));
    wagw_buf_free(&padded);
    wagw_buf_free(&c.out);
}

wagw_str_t sim_message_bytes(wagw_arena_t *a, const char *json)
{
    wagw_buf_t b = {0};
    wagw_str_t s;
    const char *field = NULL;
    cJSON *j = cJSON_Parse(json);

    if (j == NULL || wagw_message_from_json(&b, j, &field) != WAGW_OK) {
        fail_msg("no message: %s (%s)", json, field ? field : "JSON");
    }
    s = wagw_arena_str(a, wagw_buf_view(&b));
    wagw_buf_free(&b);
    cJSON_Delete(j);
    return s;
}

/* Default: from the LID, as a migrated account sends. */
void sim_peer_send_bytes(sim_peer_t *p, sim_account_t *to, const char *id, wagw_str_t message, const char *const *attrs)
{
    bool prekey, lid = true;
    wagw_jid_t j, twin;
    wagw_buf_t out = {0};
    wagw_arena_t a = {0};
    wagw_node_t *m;

    for (const char *const *k = attrs; k && *k; k += 2) {
        lid = lid && strcmp(*k, "pn") != 0;
    }
    for (sim_device_t *d = to->devices; d; d = d->next) {
        if (d->id == 0 || !d->has_bundle) {
            continue;
        }
        wagw_buf_reset(&out);
        sim_peer_encrypt(p, d, message, &out, &prekey);
        sim_jid_of(p->dev, lid, &j);
        m = sim_node(&a, "message", "id", id, "from", (const char *)wagw_jid_str(&a, &j).p, "type", "text", "t",
                     (const char *)wagw_arena_printf(&a, "%lld", (long long)(p->w->now / 1000)).p, "notify",
                     p->dev->acc->name ? p->dev->acc->name : "", NULL);
        if (to != p->dev->acc && !p->dev->acc->no_lid) {
            twin = wagw_jid_make(lid ? p->dev->acc->pn : p->dev->acc->lid, lid ? WAGW_SRV_USER : WAGW_SRV_LID, 0);
            wagw_node_attr_jid(&a, m, lid ? "sender_pn" : "sender_lid", &twin);
        }
        for (const char *const *k = attrs; k && *k; k += 2) {
            if (strcmp(*k, "pn") == 0) {
                continue;
            }
            if (strchr(k[1], '@') && wagw_jid_parse(&j, wagw_cstr(k[1])) == WAGW_OK) {
                wagw_node_attr_jid(&a, m, *k, &j);
            } else {
                wagw_node_attrc(&a, m, *k, k[1]);
            }
        }
        wagw_node_bytes_copy(&a, sim_add(&a, m, "enc", "v", "2", "type", prekey ? "pkmsg" : "msg", NULL),
                             wagw_buf_view(&out));
        sim_queue(d, m);
    }
    wagw_buf_free(&out);
    wagw_arena_free(&a);
}

void sim_peer_send(sim_peer_t *p, sim_account_t *to, const char *id, const char *json, ...)
{
    unsigned n = 0;
    va_list ap;
    const char *attrs[17] = {NULL};
    wagw_arena_t a = {0};

    va_start(ap, json);
    while (n < 16 && (attrs[n] = va_arg(ap, const char *)) != NULL) {
        n++;
    }
    va_end(ap);
    sim_peer_send_bytes(p, to, id, sim_message_bytes(&a, json), attrs);
    wagw_arena_free(&a);
}

static sim_got_t *got(sim_peer_t *p, const wagw_node_t *n)
{
    sim_got_t *g = calloc(1, sizeof(*g));

    assert_non_null(g);
    snprintf(g->id, sizeof(g->id), "%s", sim_attr(n, "id"));
    g->node = wagw_node_clone(&p->w->arena, n);
    *p->got_last = g;
    p->got_last = &g->next;
    return g;
}

/* A key for a group that came in a message. */
static void take_key(sim_peer_t *p, call_t *c, const cJSON *message)
{
    const cJSON *k = vec_get(message, "senderKeyDistributionMessage");
    wagw_buf_t b = {0};
    call_t key = {.addr = c->addr};

    if (k == NULL) {
        return;
    }
    key.group = wagw_cstr(vec_str(k, "groupId"));
    assert_int_equal(wagw_base64_decode(&b, wagw_cstr(vec_str(k, "axolotlSenderKeyDistributionMessage"))), WAGW_OK);
    key.in = wagw_buf_view(&b);
    assert_int_equal(turn(p, group_key, &key), WAGW_OK);
    wagw_buf_free(&b);
}

/* A chat of several. */
static bool shared(const wagw_jid_t *chat)
{
    return wagw_jid_is_group(chat) || wagw_jid_is_status(chat);
}

/* A phone takes what comes: messages are read (one sim_got_t for each
 * ciphertext) and receipted, the rest is kept as it is. */
void sim_peer_receive(sim_peer_t *p, const wagw_node_t *n)
{
    bool ok = false;
    call_t c = {0};
    wagw_jid_t from, author, user;
    wagw_str_t plain;
    wagw_buf_t json = {0};
    wagw_arena_t a = {0};
    wagw_node_t *r;
    sim_got_t *g;
    sim_device_t *sender;
    const wagw_node_t *enc = wagw_node_find(n, "enc");

    if (!wagw_node_is(n, "message") || enc == NULL) {
        (void)got(p, n);
        return;
    }
    assert_int_equal(wagw_node_get_jid(n, "from", &from), WAGW_OK);
    author = from;
    if (shared(&from)) {
        assert_int_equal(wagw_node_get_jid(n, "participant", &author), WAGW_OK);
    }
    sender = sim_find(p->w, &author);
    assert_non_null(sender);
    for (; enc; enc = wagw_node_find_next(enc, "enc")) {
        g = got(p, n);
        c.addr = address(sender);
        c.in = wagw_node_data(enc);
        c.prekey = g->prekey = wagw_node_attr_is(enc, "type", "pkmsg");
        c.group = wagw_node_get(n, "from");
        g->group = wagw_node_attr_is(enc, "type", "skmsg");
        g->rc = turn(p, g->group ? group_decrypt : decrypt, &c);
        if (g->rc == WAGW_OK) {
            ok = true;
            plain = wagw_buf_view(&c.out);
            assert_int_equal(wagw_unpad(&plain), WAGW_OK);
            wagw_buf_reset(&json);
            assert_int_equal(wagw_message_json(&json, plain), WAGW_OK);
            g->message = cJSON_ParseWithLength((const char *)json.p, json.n);
            assert_non_null(g->message);
            take_key(p, &c, g->message);
        }
    }
    wagw_buf_free(&json);
    wagw_buf_free(&c.out);
    if (!p->silent && ok && !wagw_node_attr_is(n, "category", "peer")) {
        sim_jid_of(p->dev, wagw_jid_is_lid(&author), &user);
        r = sim_node(&a, "receipt", "id", sim_attr(n, "id"), "t",
                     (const char *)wagw_arena_printf(&a, "%lld", (long long)(p->w->now / 1000)).p, NULL);
        if (shared(&from)) {
            wagw_node_attr_jid(&a, r, "from", &from);
            wagw_node_attr_jid(&a, r, "participant", &user);
        } else {
            wagw_node_attr_jid(&a, r, "from", &user);
        }
        if (sender->acc == p->dev->acc && !shared(&from)) {
            wagw_node_attrc(&a, r, "type", "sender");
            wagw_node_attr(&a, r, "recipient", wagw_node_get(n, "recipient"));
        }
        sim_queue(sender, r);
    }
    wagw_arena_free(&a);
}

sim_got_t *sim_peer_got(sim_peer_t *p, const char *id)
{
    sim_got_t *found = NULL;

    for (sim_got_t *g = p->got; g; g = g->next) {
        if (strcmp(g->id, id) == 0 && wagw_node_is(g->node, "message")) {
            found = g;
        }
    }
    return found;
}

unsigned sim_peer_count(sim_peer_t *p)
{
    unsigned n = 0;

    for (sim_got_t *g = p->got; g; g = g->next) {
        n += wagw_node_is(g->node, "message") && g->rc == WAGW_OK;
    }
    return n;
}
