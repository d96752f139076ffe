/*
 * The requests that an engine makes of the small WhatsApp.
 */

#include "client_sim.h"

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

void sim_received_iq(sim_conn_t *c, const wagw_node_t *n)
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
    if (wagw_str_is(ns, "status")) {
        r = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", o->story ? "result" : "error", "id",
                     sim_attr(n, "id"), NULL);
        if (o->story) {
            wagw_node_append(r, wagw_node_clone(&a, o->story));
        } else {
            sim_add(&a, r, "error", "code", "404", "text", "item-not-found", NULL);
        }
        sim_send(c, r);
        wagw_arena_free(&a);
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
