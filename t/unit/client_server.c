/*
 * A small WhatsApp: connections, login, and the requests that an engine makes.
 * True to the protocol pages where the engine can see it; t/sandbox is the
 * real one.
 */

#include "client_sim.h"

#include "wa.pb-c.h"

/* ---- nodes ------------------------------------------------------------------- */

static void attrs(wagw_arena_t *a, wagw_node_t *n, va_list ap)
{
    const char *k, *v;
    wagw_jid_t j;

    while ((k = va_arg(ap, const char *)) != NULL) {
        v = va_arg(ap, const char *);
        if (v == NULL || *v == '\0') {
            continue;
        }
        if (strchr(v, '@') && wagw_jid_parse(&j, wagw_cstr(v)) == WAGW_OK) {
            wagw_node_attr_jid(a, n, k, &j);
        } else {
            wagw_node_attr(a, n, k, wagw_arena_str(a, wagw_cstr(v)));
        }
    }
}

wagw_node_t *sim_node(wagw_arena_t *a, const char *tag, ...)
{
    va_list ap;
    wagw_node_t *n = wagw_node(a, tag);

    assert_non_null(n);
    va_start(ap, tag);
    attrs(a, n, ap);
    va_end(ap);
    return n;
}

wagw_node_t *sim_add(wagw_arena_t *a, wagw_node_t *parent, const char *tag, ...)
{
    va_list ap;
    wagw_node_t *n = wagw_node_child(a, parent, tag);

    assert_non_null(n);
    va_start(ap, tag);
    attrs(a, n, ap);
    va_end(ap);
    return n;
}

const char *sim_attr(const wagw_node_t *n, const char *key)
{
    static char text[8][256];
    static unsigned at;
    wagw_str_t v = n ? wagw_node_get(n, key) : WAGW_STR_NULL;

    at = (at + 1) % 8;
    snprintf(text[at], sizeof(text[at]), "%.*s", (int)v.n, v.p ? (const char *)v.p : "");
    return text[at];
}

bool sim_has(const wagw_node_t *n, ...)
{
    va_list ap;
    const char *k, *v;
    bool ok = n != NULL;

    va_start(ap, n);
    while (ok && (k = va_arg(ap, const char *)) != NULL) {
        v = va_arg(ap, const char *);
        if (v == NULL) {
            ok = !wagw_node_has(n, k);
        } else {
            ok = wagw_node_has(n, k) && strcmp(sim_attr(n, k), v) == 0;
        }
        if (!ok) {
            print_message("<%.*s>: %s is \"%s\", expected \"%s\"\n", (int)n->tag.n, (const char *)n->tag.p, k,
                          sim_attr(n, k), v ? v : "(absent)");
        }
    }
    va_end(ap);
    return ok;
}

/* ---- connections ---------------------------------------------------------------- */

sim_conn_t *sim_conn(sim_t *w, uint32_t id)
{
    for (sim_conn_t *c = w->conns; c; c = c->next) {
        if (c->id == id) {
            return c;
        }
    }
    return NULL;
}

void sim_server_opened(sim_t *w, sim_engine_t *e, uint32_t id)
{
    sim_conn_t *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    c->id = id;
    c->e = e;
    c->open = true;
    assert_int_equal(wagw_noise_server_init(&c->noise, vec_random, &w->random), WAGW_OK);
    c->next = w->conns;
    w->conns = c;
}

void sim_server_closed(sim_t *w, uint32_t id)
{
    sim_conn_t *c = sim_conn(w, id);

    if (c && c->open) {
        c->open = false;
        if (c->dev && c->dev->conn == c) {
            c->dev->conn = NULL;
        }
        wagw_buf_free(&c->rx);
    }
}

void sim_close(sim_conn_t *c)
{
    if (c->open) {
        if (c->e->conn == c->id) {
            sim_cut(c->e, 0);
        }
        sim_server_closed(c->e->w, c->id);
    }
}

void sim_send(sim_conn_t *c, const wagw_node_t *n)
{
    wagw_buf_t plain = {0}, out = {0};

    if (!c->open || c->e->conn != c->id) {
        return;
    }
    assert_int_equal(wagw_node_encode(&plain, n), WAGW_OK);
    assert_int_equal(wagw_noise_seal(&c->noise, &out, wagw_buf_view(&plain)), WAGW_OK);
    sim_push_bytes(c->e, wagw_buf_view(&out));
    wagw_buf_free(&plain);
    wagw_buf_free(&out);
}

void sim_push(sim_engine_t *e, const wagw_node_t *n)
{
    sim_conn_t *c = sim_conn(e->w, e->conn);

    assert_non_null(c);
    sim_send(c, n);
}

void sim_push_raw(sim_engine_t *e, wagw_str_t plaintext)
{
    wagw_buf_t out = {0};
    sim_conn_t *c = sim_conn(e->w, e->conn);

    assert_non_null(c);
    assert_int_equal(wagw_noise_seal(&c->noise, &out, plaintext), WAGW_OK);
    sim_push_bytes(e, wagw_buf_view(&out));
    wagw_buf_free(&out);
}

/* ---- the log ---------------------------------------------------------------------- */

sim_log_t *sim_mark(sim_t *w)
{
    sim_log_t *l = w->log;

    while (l && l->next) {
        l = l->next;
    }
    return l;
}

const wagw_node_t *sim_sent(sim_engine_t *e, sim_log_t *mark, const char *tag, unsigned n)
{
    for (sim_log_t *l = mark ? mark->next : e->w->log; l; l = l->next) {
        if (l->e == e && (tag == NULL || wagw_node_is(l->n, tag)) && n-- == 0) {
            return l->n;
        }
    }
    return NULL;
}

unsigned sim_sent_count(sim_engine_t *e, sim_log_t *mark, const char *tag)
{
    unsigned n = 0;

    while (sim_sent(e, mark, tag, n)) {
        n++;
    }
    return n;
}

const wagw_node_t *sim_sent_iq(sim_engine_t *e, sim_log_t *mark, const char *xmlns, const char *child)
{
    const wagw_node_t *n;

    for (unsigned i = 0; (n = sim_sent(e, mark, "iq", i)) != NULL; i++) {
        if (wagw_node_attr_is(n, "xmlns", xmlns) && (child == NULL || wagw_node_find(n, child))) {
            return n;
        }
    }
    return NULL;
}

/* ---- accounts ----------------------------------------------------------------------- */

sim_account_t *sim_account(sim_t *w, const char *pn, const char *lid)
{
    sim_account_t *a = calloc(1, sizeof(*a)), **last;

    assert_non_null(a);
    a->w = w;
    snprintf(a->pn, sizeof(a->pn), "%s", pn);
    snprintf(a->lid, sizeof(a->lid), "%s", lid);
    a->listed = true;
    a->next_device = 5;
    assert_int_equal(wagw_x25519_keypair(&a->identity, vec_random, &w->random), WAGW_OK);
    a->devices = calloc(1, sizeof(*a->devices));
    assert_non_null(a->devices);
    a->devices->acc = a;
    a->phone = sim_peer_new(w, a->devices, &a->identity);
    for (last = &w->accounts; *last; last = &(*last)->next) {
    }
    *last = a;
    return a;
}

sim_device_t *sim_device(sim_account_t *a, uint16_t id)
{
    for (sim_device_t *d = a->devices; d; d = d->next) {
        if (d->id == id) {
            return d;
        }
    }
    return NULL;
}

sim_device_t *sim_device_of(sim_engine_t *e)
{
    for (sim_account_t *a = e->w->accounts; a; a = a->next) {
        for (sim_device_t *d = a->devices; d; d = d->next) {
            if (d->engine == e) {
                return d;
            }
        }
    }
    return NULL;
}

sim_account_t *sim_find_account(sim_t *w, const wagw_jid_t *j)
{
    for (sim_account_t *a = w->accounts; a; a = a->next) {
        if (wagw_jid_is_person(j) && strcmp(wagw_jid_is_lid(j) ? a->lid : a->pn, j->user) == 0) {
            return a;
        }
    }
    return NULL;
}

sim_device_t *sim_find(sim_t *w, const wagw_jid_t *j)
{
    sim_account_t *a = sim_find_account(w, j);

    return a ? sim_device(a, j->device) : NULL;
}

void sim_jid_of(const sim_device_t *d, bool lid, wagw_jid_t *j)
{
    *j = wagw_jid_make(lid ? d->acc->lid : d->acc->pn, lid ? WAGW_SRV_LID : WAGW_SRV_USER, d->id);
}

void sim_unlink(sim_device_t *d)
{
    sim_device_t **at;
    sim_stanza_t *s;
    sim_otk_t *k;

    for (at = &d->acc->devices; *at && *at != d; at = &(*at)->next) {
    }
    assert_non_null(*at);
    *at = d->next;
    if (d->conn) {
        d->conn->dev = NULL;
    }
    while ((s = d->queue) != NULL) {
        d->queue = s->next;
        wagw_buf_free(&s->bytes);
        free(s);
    }
    while ((k = d->otks) != NULL) {
        d->otks = k->next;
        free(k);
    }
    if (d->peer) {
        sim_peer_free(d->peer);
    }
    free(d);
}

/* ---- login ----------------------------------------------------------------------------- */

static void pair_device(sim_conn_t *c)
{
    wagw_arena_t a = {0};
    wagw_node_t *iq, *pd;
    sim_t *w = c->e->w;

    iq = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "set", "id", "776655", "xmlns", "md", NULL);
    pd = sim_add(&a, iq, "pair-device", NULL);
    for (unsigned i = 0; i < w->orders.refs; i++) {
        wagw_node_bytes(sim_add(&a, pd, "ref", NULL), wagw_arena_printf(&a, "2@ref%u-%u,==", c->id, i));
    }
    sim_send(c, iq);
    wagw_arena_free(&a);
}

static void refuse(sim_conn_t *c, unsigned reason)
{
    char text[16];
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;

    snprintf(text, sizeof(text), "%u", reason);
    sim_send(c, sim_node(&a, "failure", "reason", text, "location", "frc",
                         w->orders.failure_attrs[0] ? w->orders.failure_attrs[0] : "x",
                         w->orders.failure_attrs[1] ? w->orders.failure_attrs[1] : "", NULL));
    wagw_arena_free(&a);
    sim_close(c);
}

static void logged_in(sim_conn_t *c, const Wa__ClientPayload *p)
{
    char user[32], t[24], lid[WAGW_JID_TEXT_MAX];
    wagw_jid_t j;
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;
    sim_device_t *d;

    snprintf(user, sizeof(user), "%llu", (unsigned long long)p->username);
    j = wagw_jid_make(user, WAGW_SRV_USER, (uint16_t)p->device);
    d = sim_find(w, &j);
    assert_true(p->has_passive && p->passive);
    if (w->orders.failure) {
        refuse(c, w->orders.failure);
        return;
    }
    if (d == NULL) {
        refuse(c, 401);
        return;
    }
    if (d->conn && d->conn != c) {
        sim_conn_t *old = d->conn;
        wagw_node_t *e = sim_node(&a, "stream:error", NULL);

        sim_add(&a, e, "conflict", "type", "replaced", NULL);
        sim_send(old, e);
        sim_close(old);
    }
    d->conn = c;
    c->dev = d;
    if (w->orders.no_success) {
        wagw_arena_free(&a);
        return;
    }
    sim_jid_of(d, true, &j);
    wagw_jid_text(&j, lid);
    snprintf(t, sizeof(t), "%lld", (long long)(w->now / 1000));
    sim_send(c, sim_node(&a, "success", "t", t, "lid", lid, "location", "frc", NULL));
    if (w->orders.routing) {
        wagw_node_t *ib = sim_node(&a, "ib", "from", "@s.whatsapp.net", NULL);

        wagw_node_bytes(sim_add(&a, sim_add(&a, ib, "edge_routing", NULL), "routing_info", NULL),
                        wagw_cstr(w->orders.routing));
        sim_send(c, ib);
    }
    wagw_arena_free(&a);
}

static void be_bytes(uint32_t *v, ProtobufCBinaryData d)
{
    *v = 0;
    for (size_t i = 0; i < d.len; i++) {
        *v = *v << 8 | d.data[i];
    }
}

static void finish(sim_conn_t *c, wagw_str_t body)
{
    wagw_buf_t payload = {0};
    Wa__ClientPayload *p;
    Wa__ClientPayload__DevicePairingRegistrationData *r;

    assert_int_equal(wagw_noise_server_finish(&c->noise, body, c->noise_pub, &payload), WAGW_OK);
    p = wa__client_payload__unpack(NULL, payload.n, payload.p);
    assert_non_null(p);
    wagw_buf_free(&payload);
    if (p->devicepairingdata) {
        r = p->devicepairingdata;
        c->registering = true;
        assert_int_equal(r->eident.len, 32);
        assert_int_equal(r->eskeyval.len, 32);
        assert_int_equal(r->eskeysig.len, 64);
        memcpy(c->reg_identity, r->eident.data, 32);
        memcpy(c->spk, r->eskeyval.data, 32);
        memcpy(c->spk_sig, r->eskeysig.data, 64);
        be_bytes(&c->reg_id, r->eregid);
        be_bytes(&c->spk_id, r->eskeyid);
        if (c->e->w->orders.failure) {
            refuse(c, c->e->w->orders.failure);
        } else if (!c->e->w->orders.no_success) {
            pair_device(c);
        }
    } else {
        logged_in(c, p);
    }
    wa__client_payload__free_unpacked(p, NULL);
}

static void received_node(sim_conn_t *c, wagw_str_t plain)
{
    wagw_node_t *n;
    sim_t *w = c->e->w;
    sim_log_t *l;

    assert_int_equal(wagw_node_decode(&n, &w->arena, wagw_arena_str(&w->arena, plain)), WAGW_OK);
    l = wagw_arena_zalloc(&w->arena, sizeof(*l));
    assert_non_null(l);
    l->e = c->e;
    l->conn = c->id;
    l->n = n;
    *w->log_last = l;
    w->log_last = &l->next;
    if (getenv("SIM_WIRE")) {
        wagw_buf_t b = {0};

        wagw_node_dump(&b, n);
        print_message("  %s > %.*s\n", c->e->name, (int)(b.n < 1500 ? b.n : 1500), (char *)b.p);
        wagw_buf_free(&b);
    }
    if (w->orders.silent) {
        return;
    }
    if (wagw_node_is(n, "iq")) {
        sim_received_iq(c, n);
    } else if (wagw_node_is(n, "message") && c->dev) {
        assert_true(c->active);
        sim_relay_message(c, n);
    } else if (wagw_node_is(n, "receipt") && c->dev) {
        if (!w->orders.eat_receipts) {
            sim_relay_receipt(c, n);
        }
    } else if (wagw_node_is(n, "ack")) {
        if (c->dev && !w->orders.eat_receipts) {
            sim_acknowledged(c->dev, sim_attr(n, "class"), wagw_node_get(n, "id"));
        }
    } else if (!wagw_node_is(n, "ib") && !wagw_node_is(n, "presence") && !wagw_node_is(n, "chatstate") &&
               !wagw_node_is(n, "call")) {
        fail_msg("%s sends <%.*s>", c->e->name, (int)n->tag.n, (const char *)n->tag.p);
    }
}

void sim_server_received(sim_t *w, uint32_t id, wagw_str_t bytes)
{
    int rc;
    size_t used;
    sim_conn_t *c = sim_conn(w, id);
    wagw_str_t body, routing;
    wagw_buf_t out = {0};

    if (c == NULL || !c->open) {
        return;
    }
    wagw_buf_str(&c->rx, bytes);
    if (!c->intro) {
        rc = wagw_frame_intro(wagw_buf_view(&c->rx), &used, &routing);
        if (rc == WAGW_AGAIN) {
            return;
        }
        assert_int_equal(rc, WAGW_OK);
        c->routing = wagw_arena_str(&w->arena, routing);
        c->intro = true;
        wagw_buf_consume(&c->rx, used);
    }
    while (c->open && wagw_frame_next(wagw_buf_view(&c->rx), WAGW_FRAME_MAX, &body, &used) == WAGW_OK) {
        wagw_buf_reset(&out);
        if (!c->greeted) {
            c->greeted = true;
            assert_int_equal(wagw_noise_server_hello(&c->noise, &out, body, &w->static_key, wagw_buf_view(&w->chain)),
                             WAGW_OK);
            if (!w->orders.silent) {
                sim_push_bytes(c->e, wagw_buf_view(&out));
            }
        } else if (c->noise.state != WAGW_NOISE_TRANSPORT) {
            finish(c, body);
        } else {
            assert_int_equal(wagw_noise_open(&c->noise, &out, body), WAGW_OK);
            received_node(c, wagw_buf_view(&out));
        }
        if (c->open) {
            wagw_buf_consume(&c->rx, used);
        }
    }
    wagw_buf_free(&out);
}

void sim_server_free(sim_t *w)
{
    sim_account_t *a;
    sim_conn_t *c;

    while ((c = w->conns) != NULL) {
        w->conns = c->next;
        if (c->dev) {
            c->dev->conn = NULL;
        }
        wagw_buf_free(&c->rx);
        free(c);
    }
    while ((a = w->accounts) != NULL) {
        w->accounts = a->next;
        while (a->devices) {
            a->devices->conn = NULL;
            sim_unlink(a->devices);
        }
        free(a);
    }
    wagw_arena_free(&w->arena);
}
