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

/* ---- requests ---------------------------------------------------------------------------- */

static uint32_t number(wagw_str_t s)
{
    uint32_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        v = v << 8 | s.p[i];
    }
    return v;
}

static wagw_str_t be(wagw_arena_t *a, uint32_t v, unsigned n)
{
    uint8_t *p = wagw_arena_alloc(a, n);

    for (unsigned i = 0; i < n; i++) {
        p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    }
    return wagw_str(p, n);
}

static wagw_node_t *result(wagw_arena_t *a, const wagw_node_t *iq)
{
    return sim_node(a, "iq", "from", "@s.whatsapp.net", "type", "result", "id", sim_attr(iq, "id"), NULL);
}

static void signed_prekey(sim_device_t *d, const wagw_node_t *skey)
{
    assert_int_equal(wagw_node_data(wagw_node_find(skey, "value")).n, 32);
    assert_int_equal(wagw_node_data(wagw_node_find(skey, "signature")).n, 64);
    d->spk_id = number(wagw_node_data(wagw_node_find(skey, "id")));
    memcpy(d->spk, wagw_node_data(wagw_node_find(skey, "value")).p, 32);
    memcpy(d->spk_sig, wagw_node_data(wagw_node_find(skey, "signature")).p, 64);
}

static void upload(sim_device_t *d, const wagw_node_t *iq)
{
    const wagw_node_t *k;
    sim_otk_t *o, **last;

    d->registration = number(wagw_node_data(wagw_node_find(iq, "registration")));
    assert_int_equal(wagw_node_data(wagw_node_find(iq, "identity")).n, 32);
    assert_memory_equal(wagw_node_data(wagw_node_find(iq, "identity")).p, d->identity, 32);
    signed_prekey(d, wagw_node_find(iq, "skey"));
    d->has_bundle = true;
    d->uploads++;
    for (last = &d->otks; *last; last = &(*last)->next) {
    }
    for (k = wagw_node_find(wagw_node_find(iq, "list"), "key"); k; k = wagw_node_find_next(k, "key")) {
        uint32_t id = number(wagw_node_data(wagw_node_find(k, "id")));
        bool known = false;

        assert_int_equal(wagw_node_data(wagw_node_find(k, "id")).n, 3);
        assert_int_not_equal(id, 0);
        for (o = d->otks; o; o = o->next) {
            known = known || o->id == id;
        }
        if (known) {
            continue; /* the same once more */
        }
        o = calloc(1, sizeof(*o));
        assert_non_null(o);
        o->id = id;
        memcpy(o->pub, wagw_node_data(wagw_node_find(k, "value")).p, 32);
        *last = o;
        last = &o->next;
    }
}

static void bundle(wagw_arena_t *a, wagw_node_t *u, sim_device_t *d)
{
    wagw_node_t *k;
    sim_otk_t *o = d->otks;

    wagw_node_bytes(sim_add(a, u, "registration", NULL), be(a, d->registration, 4));
    wagw_node_bytes(sim_add(a, u, "type", NULL), WAGW_STR("\x05"));
    wagw_node_bytes_copy(a, sim_add(a, u, "identity", NULL), wagw_str(d->identity, 32));
    if (o && !d->acc->w->orders.no_otks) {
        d->otks = o->next;
        k = sim_add(a, u, "key", NULL);
        wagw_node_bytes(sim_add(a, k, "id", NULL), be(a, o->id, 3));
        wagw_node_bytes_copy(a, sim_add(a, k, "value", NULL), wagw_str(o->pub, 32));
        free(o);
    }
    k = sim_add(a, u, "skey", NULL);
    wagw_node_bytes(sim_add(a, k, "id", NULL), be(a, d->spk_id, 3));
    wagw_node_bytes_copy(a, sim_add(a, k, "value", NULL), wagw_str(d->spk, 32));
    wagw_node_bytes_copy(a, sim_add(a, k, "signature", NULL), wagw_str(d->spk_sig, 64));
}

static void iq_encrypt(sim_conn_t *c, const wagw_node_t *iq)
{
    unsigned n = 0;
    char text[16];
    wagw_arena_t a = {0};
    wagw_jid_t j;
    sim_t *w = c->e->w;
    wagw_node_t *r = result(&a, iq), *list, *u;
    sim_device_t *d;
    const wagw_node_t *k;

    if (wagw_node_find(iq, "count")) {
        for (sim_otk_t *o = c->dev->otks; o; o = o->next) {
            n++;
        }
        snprintf(text, sizeof(text), "%u", n);
        sim_add(&a, r, "count", "value", text, NULL);
    } else if (wagw_node_find(iq, "rotate")) {
        signed_prekey(c->dev, wagw_node_find(wagw_node_find(iq, "rotate"), "skey"));
    } else if (wagw_node_find(iq, "digest")) {
        if (c->dev->has_bundle) {
            sim_add(&a, r, "digest", NULL);
        } else {
            r = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "error", "id", sim_attr(iq, "id"), NULL);
            sim_add(&a, r, "error", "code", "404", "text", "item-not-found", NULL);
        }
    } else if (wagw_node_find(iq, "key")) {
        list = sim_add(&a, r, "list", NULL);
        for (k = wagw_node_find(wagw_node_find(iq, "key"), "user"); k; k = wagw_node_find_next(k, "user")) {
            assert_true(wagw_node_attr_is(k, "reason", "identity"));
            u = sim_add(&a, list, "user", "jid", sim_attr(k, "jid"), NULL);
            assert_int_equal(wagw_node_get_jid(k, "jid", &j), WAGW_OK);
            d = sim_find(w, &j);
            assert_true(d != c->dev); /* nobody needs keys of itself */
            if (d == NULL || !d->has_bundle || w->orders.no_bundles) {
                sim_add(&a, u, "error", "code", "404", "text", "item-not-found", NULL);
            } else {
                bundle(&a, u, d);
            }
        }
    } else {
        upload(c->dev, iq);
    }
    sim_send(c, r);
    wagw_arena_free(&a);
}

static void iq_usync(sim_conn_t *c, const wagw_node_t *iq)
{
    char text[WAGW_JID_TEXT_MAX], id[16], ki[16];
    bool devices, lids, contacts;
    wagw_arena_t a = {0};
    wagw_jid_t j;
    sim_t *w = c->e->w;
    wagw_node_t *r = result(&a, iq), *list, *u, *dl;
    sim_account_t *acc;
    const wagw_node_t *k, *us = wagw_node_find(iq, "usync"), *q = wagw_node_find(us, "query");

    assert_true(wagw_node_has(us, "sid"));
    devices = wagw_node_find(q, "devices") != NULL;
    lids = wagw_node_find(q, "lid") != NULL;
    contacts = wagw_node_find(q, "contact") != NULL;
    list = sim_add(&a, sim_add(&a, r, "usync", "sid", sim_attr(us, "sid"), "mode", "query", NULL), "list", NULL);
    for (k = wagw_node_find(wagw_node_find(us, "list"), "user"); k; k = wagw_node_find_next(k, "user")) {
        acc = NULL;
        if (wagw_node_get_jid(k, "jid", &j) == WAGW_OK) {
            acc = sim_find_account(w, &j);
        } else if (contacts) {
            wagw_str_t phone = wagw_node_data(wagw_node_find(k, "contact"));

            for (acc = w->accounts; acc; acc = acc->next) {
                if (phone.n > 1 && wagw_str_eq(wagw_str(phone.p + 1, phone.n - 1), wagw_cstr(acc->pn))) {
                    break;
                }
            }
            memset(&j, 0, sizeof(j));
            if (acc) {
                j = wagw_jid_make(acc->pn, WAGW_SRV_USER, 0);
            }
        }
        text[0] = '\0';
        if (!wagw_jid_empty(&j)) {
            wagw_jid_text(&j, text);
        }
        u = sim_add(&a, list, "user", "jid", text, NULL);
        if (contacts) {
            wagw_node_bytes(sim_add(&a, u, "contact", "type", acc ? "in" : "out", NULL),
                            wagw_node_data(wagw_node_find(k, "contact")));
        }
        if (acc == NULL) {
            continue;
        }
        if (devices) {
            dl = sim_add(&a, sim_add(&a, u, "devices", NULL), "device-list", NULL);
            for (sim_device_t *d = acc->devices; d && !w->orders.empty_lists; d = d->next) {
                if (d->id == 0 && !acc->listed) {
                    continue;
                }
                snprintf(id, sizeof(id), "%u", d->id);
                snprintf(ki, sizeof(ki), "%u", d->key_index);
                sim_add(&a, dl, "device", "id", id, "key-index", d->key_index ? ki : "", NULL);
            }
        }
        if (lids && !acc->no_lid) {
            sim_add(&a, u, "lid", "val", (const char *)wagw_arena_printf(&a, "%s@lid", acc->lid).p, NULL);
        }
    }
    sim_send(c, r);
    wagw_arena_free(&a);
}

static void received_iq(sim_conn_t *c, const wagw_node_t *n)
{
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;
    sim_orders_t *o = &w->orders;
    wagw_str_t ns = wagw_node_get(n, "xmlns");
    wagw_node_t *r;

    if (wagw_node_attr_is(n, "type", "result") || wagw_node_attr_is(n, "type", "error")) {
        if (c->registering) {
            sim_link_result(c, n);
        }
        return;
    }
    assert_true(wagw_node_has(n, "id"));
    if (wagw_str_is(ns, "w:g2") && !wagw_node_attr_is(n, "to", "@s.whatsapp.net")) {
        r = sim_node(&a, "iq", "from", sim_attr(n, "to"), "type", o->group ? "result" : "error", "id",
                     sim_attr(n, "id"), NULL);
        if (o->group) {
            wagw_node_append(r, wagw_node_clone(&a, o->group));
        } else {
            sim_add(&a, r, "error", "code", "404", "text", "item-not-found", NULL);
        }
        sim_send(c, r);
        wagw_arena_free(&a);
        return;
    }
    assert_true(wagw_node_attr_is(n, "to", "@s.whatsapp.net"));
    if (o->no_answer && o->no_answer_ns && wagw_str_eq(ns, wagw_cstr(o->no_answer_ns))) {
        o->no_answer -= o->no_answer != ~0u;
        return;
    }
    if (o->iq_error && o->iq_error_ns && wagw_str_eq(ns, wagw_cstr(o->iq_error_ns))) {
        char code[16];

        snprintf(code, sizeof(code), "%u", o->iq_error);
        r = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "error", "id", sim_attr(n, "id"), NULL);
        sim_add(&a, r, "error", "code", code, "text", "as-ordered", NULL);
        sim_send(c, r);
        wagw_arena_free(&a);
        return;
    }
    if (wagw_str_is(ns, "md")) {
        sim_link_iq(c, n, n->child);
        return;
    }
    if (wagw_str_is(ns, "encrypt") && c->dev) {
        iq_encrypt(c, n);
        return;
    }
    if (wagw_str_is(ns, "usync") && c->dev) {
        iq_usync(c, n);
        return;
    }
    sim_send(c, result(&a, n));
    if (wagw_str_is(ns, "passive") && c->dev && wagw_node_find(n, "active")) {
        if (o->preview) {
            r = sim_node(&a, "ib", "from", "@s.whatsapp.net", NULL);
            sim_add(&a, r, "offline_preview", "count", "1", "message", "1", NULL);
            sim_send(c, r);
        }
        if (o->dirty) {
            r = sim_node(&a, "ib", "from", "@s.whatsapp.net", NULL);
            sim_add(&a, r, "dirty", "type", "account_sync", "timestamp",
                    (const char *)wagw_arena_printf(&a, "%lld", (long long)w->now / 1000).p, NULL);
            sim_send(c, r);
        }
        c->active = true;
        sim_flush(c->dev);
        r = sim_node(&a, "ib", "from", "@s.whatsapp.net", NULL);
        sim_add(&a, r, "offline", "count", "0", NULL);
        sim_send(c, r);
    }
    wagw_arena_free(&a);
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
        received_iq(c, n);
    } else if (wagw_node_is(n, "message") && c->dev) {
        assert_true(c->active);
        sim_relay_message(c, n);
    } else if (wagw_node_is(n, "receipt") && c->dev) {
        if (!w->orders.eat_receipts) {
            sim_relay_receipt(c, n);
        }
    } else if (wagw_node_is(n, "ack")) {
        if (c->dev)
            sim_acknowledged(c->dev, sim_attr(n, "class"), wagw_node_get(n, "id"));
    } else if (!wagw_node_is(n, "ib") && !wagw_node_is(n, "presence") && !wagw_node_is(n, "chatstate")) {
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
