/*
 * What the small WhatsApp does with messages and receipts: one queue per
 * device, kept until acknowledged; every ciphertext is looked at, since a
 * ratchet position may carry one content only.
 */

#include "client_sim.h"

struct sim_seen_s {
    struct sim_seen_s *next;
    const sim_device_t *from;
    wagw_str_t id;
};

typedef struct sim_ratchet_s {
    struct sim_ratchet_s *next;
    const sim_device_t *from, *to; /* to NULL: a sender key */
    uint64_t counter, key_id;
    wagw_str_t key, body;
} ratchet_t;

/* ---- ratchets --------------------------------------------------------------------- */

/* The field of a protobuf message; number fields give p NULL and *u. */
static wagw_str_t field(wagw_str_t in, unsigned want, uint64_t *u)
{
    size_t at = 0;
    uint64_t tag, v;
    unsigned shift;

    while (at < in.n) {
#define VARINT(x)                                                                                                      \
    for ((x) = 0, shift = 0; at < in.n; shift += 7) {                                                                  \
        (x) |= (uint64_t)(in.p[at] & 127) << shift;                                                                    \
        if (in.p[at++] < 128) {                                                                                        \
            break;                                                                                                     \
        }                                                                                                              \
    }
        VARINT(tag);
        VARINT(v);
#undef VARINT
        if ((tag & 7) == 0) {
            if (tag >> 3 == want) {
                *u = v;
                return WAGW_STR_NULL;
            }
            continue;
        }
        assert_int_equal(tag & 7, 2);
        assert_true(v <= in.n - at);
        if (tag >> 3 == want) {
            return wagw_str(in.p + at, v);
        }
        at += v;
    }
    return WAGW_STR_NULL;
}

static void ratchet(sim_device_t *from, sim_device_t *to, const wagw_node_t *enc)
{
    uint64_t counter = 0;
    sim_t *w = from->acc->w;
    ratchet_t *r;
    wagw_str_t key, body = wagw_node_data(enc);

    assert_true(body.n > 8 && body.p[0] == 0x33);
    if (wagw_node_attr_is(enc, "type", "pkmsg")) {
        body = field(wagw_str(body.p + 1, body.n - 1), 4, &counter);
        assert_true(body.n > 8);
    }
    key = field(wagw_str(body.p + 1, body.n - 9), 1, &counter);
    (void)field(wagw_str(body.p + 1, body.n - 9), 2, &counter);
    assert_int_equal(key.n, 33);
    for (r = w->ratchets; r; r = r->next) {
        if (r->from == from && r->to == to && r->counter == counter && wagw_str_eq(r->key, key)) {
            if (!wagw_str_eq(r->body, body)) {
                fail_msg("a ratchet key was used twice: device %u of %s, counter %llu", from->id, from->acc->pn,
                         (unsigned long long)counter);
            }
            return;
        }
    }
    r = wagw_arena_zalloc(&w->arena, sizeof(*r));
    assert_non_null(r);
    r->from = from;
    r->to = to;
    r->counter = counter;
    r->key = wagw_arena_str(&w->arena, key);
    r->body = wagw_arena_str(&w->arena, body);
    r->next = w->ratchets;
    w->ratchets = r;
}

/* The same for a sender key: one content per iteration. */
static void group_ratchet(sim_device_t *from, const wagw_node_t *enc)
{
    uint64_t id = 0, iteration = 0;
    sim_t *w = from->acc->w;
    ratchet_t *r;
    wagw_str_t body = wagw_node_data(enc);

    assert_true(wagw_node_attr_is(enc, "type", "skmsg") && body.n > 65 && body.p[0] == 0x33);
    (void)field(wagw_str(body.p + 1, body.n - 65), 1, &id);
    (void)field(wagw_str(body.p + 1, body.n - 65), 2, &iteration);
    for (r = w->ratchets; r; r = r->next) {
        if (r->from == from && r->to == NULL && r->counter == iteration && r->key_id == id) {
            if (!wagw_str_eq(r->body, body)) {
                fail_msg("iteration %llu of a sender key was used twice", (unsigned long long)iteration);
            }
            return;
        }
    }
    r = wagw_arena_zalloc(&w->arena, sizeof(*r));
    assert_non_null(r);
    r->from = from;
    r->counter = iteration;
    r->key_id = id;
    r->body = wagw_arena_str(&w->arena, body);
    r->next = w->ratchets;
    w->ratchets = r;
}

/* ---- queues ------------------------------------------------------------------------ */

static void deliver(sim_device_t *d, sim_stanza_t *s)
{
    wagw_arena_t a = {0};
    wagw_node_t *n;

    s->sent_on = d->conn->id;
    assert_int_equal(wagw_node_decode(&n, &a, wagw_buf_view(&s->bytes)), WAGW_OK);
    sim_send(d->conn, n);
    wagw_arena_free(&a);
}

void sim_queue(sim_device_t *d, const wagw_node_t *n)
{
    sim_stanza_t *s, **last;

    if (d->peer) {
        sim_peer_receive(d->peer, n);
        return;
    }
    s = calloc(1, sizeof(*s));
    assert_non_null(s);
    snprintf(s->tag, sizeof(s->tag), "%.*s", (int)n->tag.n, (const char *)n->tag.p);
    snprintf(s->id, sizeof(s->id), "%s", sim_attr(n, "id"));
    assert_int_equal(wagw_node_encode(&s->bytes, n), WAGW_OK);
    for (last = &d->queue; *last; last = &(*last)->next) {
    }
    *last = s;
    if (d->conn && d->conn->active) {
        deliver(d, s);
    }
}

void sim_flush(sim_device_t *d)
{
    for (sim_stanza_t *s = d->queue; s; s = s->next) {
        if (s->sent_on != d->conn->id) {
            deliver(d, s);
        }
    }
}

void sim_acknowledged(sim_device_t *d, const char *tag, wagw_str_t id)
{
    sim_stanza_t **at, *s;

    for (at = &d->queue; (s = *at) != NULL; at = &s->next) {
        if (s->sent_on && strcmp(s->tag, tag) == 0 && wagw_str_eq(wagw_cstr(s->id), id)) {
            *at = s->next;
            wagw_buf_free(&s->bytes);
            free(s);
            return;
        }
    }
}

unsigned sim_queued(const sim_device_t *d)
{
    unsigned n = 0;

    for (sim_stanza_t *s = d->queue; s; s = s->next) {
        n++;
    }
    return n;
}

/* ---- messages ------------------------------------------------------------------------ */

static const char *text(wagw_arena_t *a, const wagw_jid_t *j)
{
    return (const char *)wagw_jid_str(a, j).p;
}

static const char *stamp(wagw_arena_t *a, sim_t *w)
{
    return (const char *)wagw_arena_printf(a, "%lld", (long long)(w->now / 1000)).p;
}

static void copy_enc(wagw_arena_t *a, wagw_node_t *m, const wagw_node_t *enc, bool damage)
{
    uint8_t *p;
    wagw_node_t *e = wagw_node_append(m, wagw_node_clone(a, enc));

    e->next = NULL;
    if (damage) {
        wagw_str_t v = wagw_arena_str(a, wagw_node_data(enc));

        p = (uint8_t *)v.p;
        p[v.n - 1] ^= 1; /* inside the MAC */
        wagw_node_bytes(e, v);
    }
}

static void relay_one(sim_conn_t *c, const wagw_node_t *n, const wagw_jid_t *chat, const wagw_jid_t *device,
                      const wagw_node_t *enc)
{
    bool damage, lid = wagw_jid_is_lid(device);
    wagw_jid_t j, twin;
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;
    sim_device_t *from = c->dev, *to = sim_find(w, device);
    sim_account_t *acc;
    wagw_node_t *m;
    const wagw_node_t *di = wagw_node_find(n, "device-identity");

    assert_true(to != from);
    if (to == NULL) {
        return; /* unlinked meanwhile */
    }
    ratchet(from, to, enc);
    if (wagw_node_attr_is(enc, "type", "pkmsg")) {
        assert_non_null(di);
    }
    sim_jid_of(from, lid, &j);
    m = sim_node(&a, "message", "id", sim_attr(n, "id"), "from", text(&a, &j), "type", sim_attr(n, "type"), "t",
                 stamp(&a, w), "notify", from->acc->name ? from->acc->name : "", "edit", sim_attr(n, "edit"),
                 "category", sim_attr(n, "category"), NULL);
    if (to->acc == from->acc) {
        if (!wagw_node_attr_is(n, "category", "peer")) {
            wagw_node_attr_jid(&a, m, "recipient", chat);
            acc = sim_find_account(w, chat);
            if (acc && !acc->no_lid) {
                twin = wagw_jid_make(lid ? acc->pn : acc->lid, lid ? WAGW_SRV_USER : WAGW_SRV_LID, 0);
                wagw_node_attr_jid(&a, m, lid ? "peer_recipient_pn" : "peer_recipient_lid", &twin);
            }
        }
    } else if (!from->acc->no_lid) {
        twin = wagw_jid_make(lid ? from->acc->pn : from->acc->lid, lid ? WAGW_SRV_USER : WAGW_SRV_LID, 0);
        wagw_node_attr_jid(&a, m, lid ? "sender_pn" : "sender_lid", &twin);
    }
    damage =
        w->orders.damage > 0 && (w->orders.damage_to == NULL || strcmp(text(&a, device), w->orders.damage_to) == 0);
    w->orders.damage -= damage;
    copy_enc(&a, m, enc, damage);
    if (di) {
        wagw_node_append(m, wagw_node_clone(&a, di));
    }
    sim_queue(to, m);
    wagw_arena_free(&a);
}

static bool seen(sim_conn_t *c, wagw_str_t id)
{
    sim_t *w = c->e->w;
    struct sim_seen_s *s;

    for (s = w->seen; s; s = s->next) {
        if (s->from == c->dev && wagw_str_eq(s->id, id)) {
            return true;
        }
    }
    s = wagw_arena_zalloc(&w->arena, sizeof(*s));
    assert_non_null(s);
    s->from = c->dev;
    s->id = id;
    s->next = w->seen;
    w->seen = s;
    w->nmessages++;
    return false;
}

/* One stanza for every device of the members (orders.group): its own
 * ciphertext, when there is one, and the common one. */
void sim_relay_group(sim_conn_t *c, const wagw_node_t *n, const wagw_jid_t *group)
{
    bool lid = true, listed, damage;
    wagw_jid_t member, device, j;
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;
    sim_account_t *acc;
    wagw_node_t *m;
    const wagw_node_t *p, *k, *enc, *common = wagw_node_find(n, "enc");

    assert_non_null(w->orders.group);
    assert_non_null(common);
    group_ratchet(c->dev, common);
    for (p = wagw_node_find(w->orders.group, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        assert_int_equal(wagw_node_get_jid(p, "jid", &member), WAGW_OK);
        lid = wagw_jid_is_lid(&member);
        acc = sim_find_account(w, &member);
        for (sim_device_t *d = acc ? acc->devices : NULL; d; d = d->next) {
            if (d == c->dev || (d->id == 0 && !acc->listed)) {
                continue;
            }
            sim_jid_of(d, lid, &device);
            enc = NULL;
            for (k = wagw_node_find(wagw_node_find(n, "participants"), "to"); k; k = wagw_node_find_next(k, "to")) {
                if (wagw_node_get_jid(k, "jid", &j) == WAGW_OK && wagw_jid_eq(&j, &device)) {
                    enc = wagw_node_find(k, "enc");
                    ratchet(c->dev, d, enc);
                }
            }
            sim_jid_of(c->dev, lid, &j);
            m = sim_node(&a, "message", "id", sim_attr(n, "id"), "from", text(&a, group), "participant", text(&a, &j),
                         "type", sim_attr(n, "type"), "t", stamp(&a, w), "edit", sim_attr(n, "edit"), "addressing_mode",
                         lid ? "lid" : "pn", "notify", c->dev->acc->name ? c->dev->acc->name : "", NULL);
            j = wagw_jid_make(lid ? c->dev->acc->pn : c->dev->acc->lid, lid ? WAGW_SRV_USER : WAGW_SRV_LID, c->dev->id);
            wagw_node_attr_jid(&a, m, lid ? "participant_pn" : "participant_lid", &j);
            if (enc) {
                copy_enc(&a, m, enc, false);
            }
            damage = w->orders.damage > 0 && w->orders.damage_to && strcmp(text(&a, &device), w->orders.damage_to) == 0;
            w->orders.damage -= damage;
            copy_enc(&a, m, common, damage);
            if (enc && wagw_node_attr_is(enc, "type", "pkmsg")) {
                assert_non_null(wagw_node_find(n, "device-identity"));
            }
            sim_queue(d, m);
        }
    }
    /* nobody is named who is no member */
    for (k = wagw_node_find(wagw_node_find(n, "participants"), "to"); k; k = wagw_node_find_next(k, "to")) {
        assert_int_equal(wagw_node_get_jid(k, "jid", &j), WAGW_OK);
        assert_int_equal(wagw_jid_is_lid(&j), lid);
        listed = false;
        for (p = wagw_node_find(w->orders.group, "participant"); p; p = wagw_node_find_next(p, "participant")) {
            listed = listed || (wagw_node_get_jid(p, "jid", &member) == WAGW_OK && wagw_jid_same_user(&member, &j));
        }
        assert_true(listed);
    }
    wagw_arena_free(&a);
}

/* To whom its author names, all in one namespace: the key and the post. */
static void relay_status(sim_conn_t *c, const wagw_node_t *n, const wagw_jid_t *chat)
{
    bool damage, lid = false;
    wagw_jid_t device, j;
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;
    sim_device_t *d;
    wagw_node_t *m;
    const wagw_node_t *k, *common = wagw_node_find(n, "enc"), *parts = wagw_node_find(n, "participants");

    assert_non_null(common);
    assert_true(wagw_node_attr_is(common, "type", "skmsg"));
    assert_false(wagw_node_has(n, "addressing_mode"));
    group_ratchet(c->dev, common);
    for (k = wagw_node_find(parts, "to"); k; k = wagw_node_find_next(k, "to")) {
        assert_int_equal(wagw_node_get_jid(k, "jid", &device), WAGW_OK);
        if (k == wagw_node_find(parts, "to")) {
            lid = wagw_jid_is_lid(&device);
        }
        assert_int_equal(wagw_jid_is_lid(&device), lid);
        d = sim_find(w, &device);
        assert_true(d != c->dev);
        if (d == NULL) {
            continue;
        }
        ratchet(c->dev, d, wagw_node_find(k, "enc"));
        sim_jid_of(c->dev, lid, &j);
        m = sim_node(&a, "message", "id", sim_attr(n, "id"), "from", text(&a, chat), "participant", text(&a, &j),
                     "type", sim_attr(n, "type"), "t", stamp(&a, w), "edit", sim_attr(n, "edit"), "notify",
                     c->dev->acc->name ? c->dev->acc->name : "", NULL);
        j = wagw_jid_make(lid ? c->dev->acc->pn : c->dev->acc->lid, lid ? WAGW_SRV_USER : WAGW_SRV_LID, c->dev->id);
        wagw_node_attr_jid(&a, m, lid ? "participant_pn" : "participant_lid", &j);
        copy_enc(&a, m, wagw_node_find(k, "enc"), false);
        damage = w->orders.damage > 0 && w->orders.damage_to && strcmp(text(&a, &device), w->orders.damage_to) == 0;
        w->orders.damage -= damage;
        copy_enc(&a, m, common, damage);
        sim_queue(d, m);
    }
    wagw_arena_free(&a);
}

static void resent_in_group(sim_conn_t *c, const wagw_node_t *n, const wagw_jid_t *group, const wagw_jid_t *device,
                            const wagw_node_t *enc)
{
    bool damage;
    wagw_jid_t j;
    wagw_arena_t a = {0};
    sim_device_t *d = sim_find(c->e->w, device);
    wagw_node_t *m;

    assert_non_null(d);
    ratchet(c->dev, d, enc);
    sim_jid_of(c->dev, wagw_jid_is_lid(device), &j);
    m = sim_node(&a, "message", "id", sim_attr(n, "id"), "from", text(&a, group), "participant", text(&a, &j), "type",
                 sim_attr(n, "type"), "t", stamp(&a, c->e->w), "edit", sim_attr(n, "edit"), NULL);
    damage = c->e->w->orders.damage > 0 && c->e->w->orders.damage_to &&
             strcmp(text(&a, device), c->e->w->orders.damage_to) == 0;
    c->e->w->orders.damage -= damage;
    copy_enc(&a, m, enc, damage);
    sim_queue(d, m);
    wagw_arena_free(&a);
}

void sim_relay_message(sim_conn_t *c, const wagw_node_t *n)
{
    bool shared, whole; /* whole: not a resend for one device */
    wagw_jid_t to, device, chat;
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;
    wagw_node_t *ack;
    const wagw_node_t *k, *enc, *parts = wagw_node_find(n, "participants");

    assert_int_equal(wagw_node_get_jid(n, "to", &to), WAGW_OK);
    shared = wagw_jid_is_group(&to) || wagw_jid_is_status(&to);
    whole = parts || (shared && !wagw_node_has(n, "participant"));
    if (w->orders.lose_messages && whole) {
        w->orders.lose_messages--;
        return;
    }
    ack = sim_node(&a, "ack", "class", "message", "id", sim_attr(n, "id"), "from", sim_attr(n, "to"), "t", stamp(&a, w),
                   NULL);
    if (w->orders.ack_errors && whole) {
        w->orders.ack_errors--;
        wagw_node_attr_int(&a, ack, "error", w->orders.ack_error);
        sim_send(c, ack);
        wagw_arena_free(&a);
        return;
    }
    if (wagw_jid_is_group(&to) && !wagw_node_has(n, "participant")) {
        if (!seen(c, wagw_node_get(n, "id"))) {
            assert_true(wagw_node_has(n, "phash"));
            sim_relay_group(c, n, &to);
        }
    } else if (wagw_jid_is_status(&to) && !wagw_node_has(n, "participant")) {
        if (!seen(c, wagw_node_get(n, "id"))) {
            relay_status(c, n, &to);
        }
    } else if (shared) {
        /* a resend for one member */
        enc = wagw_node_find(n, "enc");
        assert_int_equal(wagw_node_get_jid(n, "participant", &device), WAGW_OK);
        assert_true(wagw_node_has(enc, "count") && parts == NULL);
        resent_in_group(c, n, &to, &device, enc);
    } else if (parts == NULL) {
        /* a resend for one device, or for our own phone */
        enc = wagw_node_find(n, "enc");
        assert_non_null(enc);
        if (wagw_node_get_jid(n, "recipient", &chat) != WAGW_OK) {
            chat = to;
        }
        if (!wagw_node_attr_is(n, "category", "peer")) {
            assert_true(wagw_node_has(enc, "count"));
        }
        relay_one(c, n, &chat, &to, enc);
    } else if (!seen(c, wagw_node_get(n, "id"))) {
        assert_int_equal(to.device, 0);
        for (k = wagw_node_find(parts, "to"); k; k = wagw_node_find_next(k, "to")) {
            assert_int_equal(wagw_node_get_jid(k, "jid", &device), WAGW_OK);
            assert_int_equal(wagw_jid_is_lid(&device), wagw_jid_is_lid(&to)); /* one namespace */
            enc = wagw_node_find(k, "enc");
            assert_non_null(enc);
            if (wagw_node_has(n, "edit")) {
                assert_true(wagw_node_attr_is(enc, "decrypt-fail", "hide"));
            }
            relay_one(c, n, &to, &device, enc);
        }
    }
    if (w->orders.drop_acks) {
        w->orders.drop_acks--;
    } else {
        if (w->orders.ack_phash && whole) {
            wagw_node_attrc(&a, ack, "phash", w->orders.ack_phash);
        }
        sim_send(c, ack);
    }
    wagw_arena_free(&a);
}

/* ---- receipts -------------------------------------------------------------------------- */

void sim_relay_receipt(sim_conn_t *c, const wagw_node_t *n)
{
    bool group, retry = wagw_node_attr_is(n, "type", "retry");
    wagw_jid_t to, from;
    wagw_arena_t a = {0};
    sim_t *w = c->e->w;
    sim_account_t *acc;
    wagw_node_t *m, *ack;
    const wagw_node_t *k;

    assert_int_equal(wagw_node_get_jid(n, "to", &to), WAGW_OK);
    ack = sim_node(&a, "ack", "class", "receipt", "id", sim_attr(n, "id"), "from", sim_attr(n, "to"), "type",
                   sim_attr(n, "type"), NULL);
    sim_send(c, ack);
    if (!retry) {
        sim_acknowledged(c->dev, "message", wagw_node_get(n, "id"));
    }
    group = wagw_jid_is_group(&to) || wagw_jid_is_status(&to);
    if (group && wagw_node_get_jid(n, "participant", &to) != WAGW_OK) {
        wagw_arena_free(&a);
        return;
    }
    acc = sim_find_account(w, &to);
    if (acc == NULL || wagw_node_attr_is(n, "type", "peer_msg") || wagw_node_attr_is(n, "type", "hist_sync")) {
        wagw_arena_free(&a);
        return;
    }
    sim_jid_of(c->dev, wagw_jid_is_lid(&to), &from);
    m = sim_node(&a, "receipt", "id", sim_attr(n, "id"), "from", text(&a, &from), "type", sim_attr(n, "type"), "t",
                 stamp(&a, w), "recipient", sim_attr(n, "recipient"), NULL);
    if (group) {
        m = sim_node(&a, "receipt", "id", sim_attr(n, "id"), "from", sim_attr(n, "to"), "participant", text(&a, &from),
                     "type", sim_attr(n, "type"), "t", stamp(&a, w), NULL);
    }
    for (k = n->content == WAGW_CONTENT_NODES ? n->child : NULL; k; k = k->next) {
        wagw_node_append(m, wagw_node_clone(&a, k));
    }
    for (sim_device_t *d = acc->devices; d; d = d->next) {
        if (d != c->dev && (d->id == to.device || (!retry && acc != c->dev->acc))) {
            sim_queue(d, m);
        }
    }
    if (acc != c->dev->acc && !group && wagw_node_attr_is(n, "type", "read")) {
        wagw_node_attr_jid(&a, m, "recipient", &to);
        for (sim_device_t *d = c->dev->acc->devices; d; d = d->next) {
            if (d != c->dev) {
                sim_queue(d, m);
            }
        }
    }
    wagw_arena_free(&a);
}
