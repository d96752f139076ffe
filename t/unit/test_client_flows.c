/*
 * message-flows.json: a whole conversation recorded from Baileys, played with
 * our engine.  The account's and the peers' keys are those of the file, so
 * that recorded stanzas decrypt; where our random choices would have to be
 * Baileys' (an answer within a session), the peer says the same once more.
 * Where the protocol pages prefer another form than Baileys', that is checked.
 */

#include "client_sim.h"

/* Names and ids of the file. */
static char alice_pn[64], alice_lid[64], bob_pn[64], group_jid[64], first_id[80], second_id[80], next_id[80];

typedef struct {
    sim_t *w;
    sim_account_t *own, *alice, *bob, *carol;
    sim_engine_t *e;
    const cJSON *root, *step;
    sim_log_t *mark;
    sim_event_t *last; /* before the step */
    wagw_arena_t a;
    bool ok;
} play_t;

static void check(play_t *p, bool ok, const char *what)
{
    if (!ok) {
        print_message("%s: %s\n", vec_str(p->step, "name"), what);
        p->ok = false;
    }
}

static void own_account(play_t *p)
{
    const cJSON *own = vec_get(p->root, "own");
    const char *adv = vec_str(own, "adv_signed_device_identity");
    wagw_creds_t c = {.paired = true, .platform = "android"};
    wagw_buf_t b = {0};
    sim_device_t *d;

    p->own = sim_vector_account(p->w, vec_get(vec_get(p->root, "peers"), "phone"));
    p->e = sim_engine(p->w, "own");
    assert_int_equal(wagw_x25519_keypair(&c.noise, vec_random, &p->w->random), WAGW_OK);
    sim_keypair(vec_get(own, "identity"), &c.identity);
    c.registration_id = (uint32_t)vec_int(own, "registration_id", 0);
    c.spk_id = (uint32_t)vec_int(vec_get(own, "signed_prekey"), "id", 1);
    sim_public_key(vec_get(own, "signed_prekey"), c.spk_pub);
    assert_int_equal(vec_hex(vec_get(own, "signed_prekey"), "signature", c.spk_sig, 64), 64);
    assert_int_equal(wagw_jid_parse(&c.jid, wagw_cstr(vec_str(own, "me_pn"))), WAGW_OK);
    assert_int_equal(wagw_jid_parse(&c.lid, wagw_cstr(vec_str(own, "me_lid"))), WAGW_OK);
    assert_true(strncmp(adv, "hex:", 4) == 0);
    assert_int_equal(wagw_hex_decode(&b, wagw_cstr(adv + 4)), WAGW_OK);
    c.adv_len = (uint16_t)b.n;
    memcpy(c.adv, b.p, b.n);
    /* the recorded identity blob is filler: the phone's real key is the account's */
    memcpy(c.account_key, p->own->identity.pub, 32);
    c.spk_ms = p->w->now;
    c.next_prekey = c.first_unuploaded = (uint32_t)vec_int(own, "next_prekey_id", 1);
    wagw_buf_reset(&b);
    assert_int_equal(wagw_creds_encode(&b, &c), WAGW_OK);
    sim_mem_put(&p->e->mem, WAGW_REC_CREDS, WAGW_STR(""), wagw_buf_view(&b));
    wagw_buf_free(&b);
    assert_int_equal(sim_signal_do(&p->e->mem, &c.identity, c.registration_id, sim_put_keys, (void *)own), WAGW_OK);

    d = calloc(1, sizeof(*d));
    assert_non_null(d);
    d->acc = p->own;
    d->id = c.jid.device;
    d->key_index = 1;
    d->engine = p->e;
    sim_fill_device(d, own);
    p->own->devices->next = d;
    sim_start(p->e, false);
    sim_advance(p->w, 5);
    sim_expect_status(p->e, WAGW_STATUS_CONNECTED);
    assert_int_equal(d->uploads, 0);
}

/* The recorded stanza of that tag (and type) of the step. */
static const cJSON *recorded(const play_t *p, const char *tag)
{
    const cJSON *c;

    cJSON_ArrayForEach(c, vec_get(p->step, "client_sends"))
    {
        if (strcmp(vec_str(vec_get(c, "out"), "tag"), tag) == 0) {
            return c;
        }
    }
    return NULL;
}

static sim_event_t *new_event(play_t *p, const char *name)
{
    for (sim_event_t *ev = p->last ? p->last->next : p->e->events; ev; ev = ev->next) {
        if (strcmp(ev->name, name) == 0) {
            return ev;
        }
    }
    return NULL;
}

static void sent_message(play_t *p, const char *id, bool edit, bool to_pn, bool known)
{
    const cJSON *c = recorded(p, "message"), *d;
    const wagw_node_t *have = NULL, *enc, *to;
    wagw_node_t *want = sim_node_of(&p->a, vec_get(c, "out"));
    unsigned receivers = 0;
    wagw_jid_t j;

    for (unsigned i = 0; (have = sim_sent(p->e, p->mark, "message", i)) != NULL && !wagw_node_attr_is(have, "id", id);
         i++) {
    }
    check(p, have != NULL, "nothing was sent");
    if (have == NULL) {
        return;
    }
    /* by LID, whatever the caller named, with the number beside it as soon as it is known (04 section 6.5) */
    check(p, sim_has(have, "to", alice_lid, NULL), "addressing");
    if (known) {
        wagw_node_attr(&p->a, want, "peer_recipient_pn", wagw_cstr(alice_pn));
    }
    if (to_pn) {
        for (wagw_attr_t *x = want->attrs; x; x = x->next) {
            if (wagw_str_is(x->key, "to")) {
                x->value = wagw_cstr(alice_lid);
            }
        }
    }
    check(p, sim_same_attrs(have, want, NULL), "attributes");
    check(p, !wagw_node_find(want, "device-identity") || wagw_node_find(have, "device-identity"), "device-identity");
    if (wagw_node_find(have, "device-identity")) {
        check(p,
              wagw_str_eq(wagw_node_data(wagw_node_find(have, "device-identity")),
                          wagw_node_data(wagw_node_find(want, "device-identity"))),
              "device-identity differs");
    }
    cJSON_ArrayForEach(d, vec_get(c, "decrypted"))
    {
        const char *jid = vec_str(d, "jid");
        sim_device_t *dev;
        sim_got_t *g;
        cJSON *x, *y, *page;

        receivers++;
        assert_int_equal(wagw_jid_parse(&j, wagw_cstr(jid)), WAGW_OK);
        dev = sim_find(p->w, &j);
        assert_non_null(dev);
        sim_jid_of(dev, true, &j);
        enc = NULL;
        for (to = wagw_node_find(wagw_node_find(have, "participants"), "to"); to; to = wagw_node_find_next(to, "to")) {
            if (wagw_str_eq(wagw_node_get(to, "jid"), wagw_jid_str(&p->a, &j))) {
                enc = wagw_node_find(to, "enc");
            }
        }
        check(p, enc != NULL, "a receiver is missing");
        if (enc == NULL) {
            continue;
        }
        /* the recorded run had no session yet under the number */
        check(p, to_pn || wagw_node_attr_is(enc, "type", vec_str(d, "enc_type")), "type of a ciphertext");
        check(p,
              wagw_node_attr_is(enc, "decrypt-fail", "hide") ==
                  (wagw_node_has(have, "edit") || wagw_node_attr_is(have, "type", "reaction")),
              "decrypt-fail");
        g = sim_peer_got(dev->peer, id);
        check(p, g && g->rc == WAGW_OK, "not decrypted");
        if (g == NULL || g->rc != WAGW_OK) {
            continue;
        }
        page = sim_wrap_edit(vec_get(d, "message"), edit);
        if (to_pn) {
            sim_replace_text(page, alice_pn, alice_lid);
        }
        x = sim_canonical(g->message);
        y = sim_canonical(page);
        if (!cJSON_Compare(x, y, true)) {
            char *xs = cJSON_PrintUnformatted(x), *ys = cJSON_PrintUnformatted(y);

            print_message("  have %s\n  want %s\n", xs, ys);
            free(xs);
            free(ys);
            check(p, false, "message");
        }
        if (!edit && vec_get(vec_get(d, "message"), "extendedTextMessage")) {
            check(p, vec_get(vec_get(g->message, "messageContextInfo"), "messageSecret") != NULL, "no messageSecret");
        }
        cJSON_Delete(x);
        cJSON_Delete(y);
        cJSON_Delete(page);
    }
    check(p, wagw_node_find(have, "participants")->nchildren == receivers, "number of receivers");
}

/* What the device got of that message: the pairwise part, or the common one. */
static sim_got_t *part_of(sim_device_t *d, const char *id, bool common)
{
    sim_got_t *found = NULL;

    for (sim_got_t *g = d->peer->got; g; g = g->next) {
        if (strcmp(g->id, id) == 0 && g->group == common && wagw_node_is(g->node, "message")) {
            found = g;
        }
    }
    return found;
}

/* These opened their session with us in the recording: only that Bob and
 * that phone can read what we answer in it. */
static bool of_recording(const play_t *p, const sim_device_t *d)
{
    return d == p->bob->devices || d == p->own->devices;
}

static void sent_to_group(play_t *p, const char *id)
{
    const cJSON *c = recorded(p, "message"), *d;
    const wagw_node_t *have = sim_sent(p->e, p->mark, "message", 0), *want = sim_node_of(&p->a, vec_get(c, "out")), *to;
    unsigned receivers = 0, pairwise = 0;
    wagw_jid_t j;

    check(p, have && wagw_node_attr_is(have, "id", id), "nothing was sent");
    if (have == NULL) {
        return;
    }
    /* Baileys sends no phash (04 section 5.3) */
    check(p, wagw_node_has(have, "phash") && sim_same_attrs(have, want, "phash"), "attributes");
    check(p, !wagw_node_find(want, "device-identity") || wagw_node_find(have, "device-identity"), "device-identity");
    check(p, sim_has(wagw_node_find(have, "enc"), "v", "2", "type", "skmsg", NULL), "skmsg");
    cJSON_ArrayForEach(d, vec_get(c, "decrypted"))
    {
        bool common = strcmp(vec_str(d, "enc_type"), "skmsg") == 0;
        sim_got_t *g;

        assert_int_equal(wagw_jid_parse(&j, wagw_cstr(vec_str(d, "jid"))), WAGW_OK);
        g = part_of(sim_find(p->w, &j), id, common);
        if (g && g->rc != WAGW_OK && of_recording(p, sim_find(p->w, &j))) {
            receivers += !common;
            pairwise += !common;
            continue;
        }
        check(p, g && g->rc == WAGW_OK, "not decrypted");
        if (g == NULL || g->rc != WAGW_OK) {
            print_message("  by %s %s: %s\n", vec_str(d, "jid"), vec_str(d, "enc_type"),
                          g ? wagw_rc_name(g->rc) : "nothing came");
        }
        if (g == NULL || g->rc != WAGW_OK) {
            continue;
        }
        if (common) {
            cJSON *x = sim_canonical(g->message), *y = sim_canonical(vec_get(d, "message"));

            check(p, cJSON_Compare(x, y, true), "message");
            check(p, vec_get(vec_get(g->message, "messageContextInfo"), "messageSecret") != NULL, "no messageSecret");
            cJSON_Delete(x);
            cJSON_Delete(y);
        } else {
            pairwise++;
            check(p, strcmp(sim_str(vec_get(g->message, "senderKeyDistributionMessage"), "groupId"), group_jid) == 0,
                  "key");
            for (to = wagw_node_find(wagw_node_find(have, "participants"), "to"); to;
                 to = wagw_node_find_next(to, "to")) {
                receivers += wagw_node_attr_is(to, "jid", vec_str(d, "jid"));
            }
        }
    }
    check(p, receivers == pairwise, "receivers of the key");
    check(p,
          pairwise ? wagw_node_find(have, "participants")->nchildren == pairwise
                   : wagw_node_find(have, "participants") == NULL,
          "number of receivers");
}

/* Rows that the recording had and we have not: stored as if they had come. */
static void stored(play_t *p, const char *chat, const char *id, const char *sender, const char *to)
{
    char key[WAGW_KEY_MAX];
    size_t n = wagw_msgkey(key, wagw_cstr(chat), wagw_cstr(id), wagw_cstr(sender));
    wagw_buf_t b = {0};
    wagw_row_message_t m = {.chat = wagw_cstr(chat),
                            .id = wagw_cstr(id),
                            .sender = wagw_cstr(sender),
                            .to = wagw_cstr(to),
                            .status = WAGW_MSG_RECEIVED,
                            .t_ms = p->w->now,
                            .created_ms = p->w->now,
                            .type = WAGW_STR("text")};

    assert_int_equal(wagw_row_message_encode(&b, &m), WAGW_OK);
    sim_mem_put(&p->e->mem, WAGW_REC_MESSAGE, wagw_str(key, n), wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static void read_messages(play_t *p)
{
    char json[256];
    const cJSON *c;
    const wagw_node_t *have;
    unsigned n = 0;

    stored(p, group_jid, "GM1", bob_pn, group_jid);
    stored(p, group_jid, "GM2", bob_pn, group_jid);
    stored(p, group_jid, "GM3", bob_pn, group_jid);
    stored(p, alice_pn, "DM1", alice_pn, alice_lid);
    snprintf(json, sizeof(json), "{\"chatId\":\"%s\",\"messageIds\":[\"GM1\",\"GM2\",\"GM3\"]}", group_jid);
    sim_do(p->e, WAGW_CMD_SEEN, json, 200);
    snprintf(json, sizeof(json), "{\"chatId\":\"%s\",\"messageId\":\"DM1\"}", alice_pn);
    sim_do(p->e, WAGW_CMD_SEEN, json, 200);
    cJSON_ArrayForEach(c, vec_get(p->step, "client_sends"))
    {
        wagw_node_t *want;
        const wagw_node_t *x, *y;

        if (strcmp(vec_str(vec_get(c, "out"), "tag"), "receipt") != 0) {
            continue;
        }
        want = sim_node_of(&p->a, vec_get(c, "out"));
        have = sim_sent(p->e, p->mark, "receipt", n++);
        check(p, have && sim_same_attrs(have, want, NULL), "receipt");
        x = wagw_node_find(wagw_node_find(have, "list"), "item");
        for (y = wagw_node_find(wagw_node_find(want, "list"), "item"); y; y = wagw_node_find_next(y, "item")) {
            check(p, x && wagw_str_eq(wagw_node_get(x, "id"), wagw_node_get(y, "id")), "list");
            x = x ? wagw_node_find_next(x, "item") : NULL;
        }
        check(p, x == NULL, "list is longer");
    }
    check(p, n == 2 && sim_sent_count(p->e, p->mark, "receipt") == 2, "two receipts");
}

static void op(play_t *p)
{
    const cJSON *o = vec_get(p->step, "op"), *content = vec_get(o, "content"), *key;
    const char *id = vec_str(o, "message_id"), *to = vec_str(o, "send_to");
    char json[512];
    bool edit = false, known = sim_mem_get(&p->e->mem, WAGW_REC_PN_OF, wagw_cstr(p->alice->lid)).p != NULL;

    if (vec_get(o, "mark_read")) {
        read_messages(p);
        return;
    }
    if (strcmp(to, group_jid) == 0) {
        snprintf(json, sizeof(json), "{\"to\":\"%s\",\"message\":\"%s\",\"messageId\":\"%s\"}", to,
                 vec_str(content, "text"), id);
        sim_do(p->e, WAGW_CMD_SEND, json, 200);
        sent_to_group(p, id);
        return;
    }
    if (vec_get(content, "react")) {
        key = vec_get(vec_get(content, "react"), "key");
        snprintf(json, sizeof(json), "{\"chatId\":\"%s\",\"messageId\":\"%s\",\"emoji\":\"%s\",\"_id\":\"%s\"}", to,
                 vec_str(key, "id"), vec_str(vec_get(content, "react"), "text"), id);
        sim_do(p->e, WAGW_CMD_REACTION, json, 200);
    } else if (vec_get(content, "edit")) {
        edit = true;
        snprintf(json, sizeof(json), "{\"chatId\":\"%s\",\"messageId\":\"%s\",\"newText\":\"%s\",\"_id\":\"%s\"}", to,
                 vec_str(vec_get(content, "edit"), "id"), vec_str(content, "text"), id);
        sim_do(p->e, WAGW_CMD_EDIT, json, 200);
    } else if (vec_get(content, "delete")) {
        snprintf(json, sizeof(json), "{\"chatId\":\"%s\",\"messageId\":\"%s\",\"_id\":\"%s\"}", to,
                 vec_str(vec_get(content, "delete"), "id"), id);
        sim_do(p->e, WAGW_CMD_REVOKE, json, 200);
    } else if (vec_get(content, "poll")) {
        char *options = cJSON_PrintUnformatted(vec_get(vec_get(content, "poll"), "values"));

        snprintf(json, sizeof(json),
                 "{\"to\":\"%s\",\"_kind\":%d,\"question\":\"%s\",\"options\":%s,\"selectableCount\":%d,"
                 "\"messageId\":\"%s\"}",
                 to, WAGW_BUILD_POLL, vec_str(vec_get(content, "poll"), "name"), options,
                 (int)vec_int(vec_get(content, "poll"), "selectableCount", 0), id);
        free(options);
        sim_do(p->e, WAGW_CMD_SEND, json, 200);
        check(p, sim_has(wagw_node_find(sim_sent(p->e, p->mark, "message", 0), "meta"), "polltype", "creation", NULL),
              "meta");
    } else {
        assert_non_null(vec_str(content, "text"));
        snprintf(json, sizeof(json), "{\"to\":\"%s\",\"message\":\"%s\",\"messageId\":\"%s\"}", to,
                 vec_str(content, "text"), id);
        sim_do(p->e, WAGW_CMD_SEND, json, 200);
    }
    sent_message(p, id, edit, strstr(to, "@s.whatsapp.net") != NULL, known);
}

/* ---- what we receive ------------------------------------------------------------------------ */

static void feed(play_t *p)
{
    sim_push(p->e, sim_node_of(&p->a, vec_get(p->step, "in")));
    sim_run(p->w);
}

/* The peer says it once more in its session with us. */
static void say_again(play_t *p, sim_device_t *from, const char *json)
{
    bool prekey = false;
    wagw_buf_t out = {0};
    wagw_node_t *n = sim_node_of(&p->a, vec_get(p->step, "in")), *enc = (wagw_node_t *)wagw_node_find(n, "enc");
    sim_device_t *to = sim_device_of(p->e);

    sim_peer_encrypt(from->peer, to, sim_message_bytes(&p->a, json), &out, &prekey);
    check(p, wagw_node_attr_is(enc, "type", prekey ? "pkmsg" : "msg"), "the session is not the one of the recording");
    wagw_node_bytes(enc, wagw_arena_str(&p->a, wagw_buf_view(&out)));
    wagw_buf_free(&out);
    sim_push(p->e, n);
    sim_run(p->w);
}

static void receipt_as_recorded(play_t *p)
{
    wagw_node_t *want = sim_node_of(&p->a, vec_get(recorded(p, "receipt"), "out"));
    const wagw_node_t *have = sim_sent(p->e, p->mark, "receipt", 0);

    check(p, have && sim_same_attrs(have, want, NULL), "receipt");
    check(p, sim_sent_count(p->e, p->mark, "receipt") == 1 && sim_sent_count(p->e, p->mark, "ack") == 0,
          "one receipt, no ack");
}

static void received(play_t *p, const char *chat, const char *body)
{
    sim_event_t *ev = new_event(p, "message.received");
    const cJSON *in = vec_get(vec_get(p->step, "in"), "attrs");

    receipt_as_recorded(p);
    check(p, ev != NULL, "no event");
    if (ev) {
        check(p, strcmp(sim_str(ev->data, "messageId"), vec_str(in, "id")) == 0, "messageId");
        check(p, strcmp(sim_str(ev->data, "chatId"), chat) == 0, "chatId");
        check(p, strcmp(sim_str(ev->data, "body"), body) == 0, "body");
        check(p, strcmp(sim_str(ev->data, "pushName"), vec_str(in, "notify") ? vec_str(in, "notify") : "") == 0,
              "pushName");
    }
}

/* Retry receipt, then a plain ack (the pages; Baileys: error 500, error 0). */
static void retried(play_t *p, bool keys, unsigned event)
{
    wagw_node_t *want = sim_node_of(&p->a, vec_get(recorded(p, "receipt"), "out"));
    const wagw_node_t *have = sim_sent(p->e, p->mark, "receipt", 0), *ack = sim_sent(p->e, p->mark, "ack", 0);
    wagw_node_t *want_ack = sim_node_of(&p->a, vec_get(recorded(p, "ack"), "out"));

    check(p, have && sim_same_attrs(have, want, NULL), "retry receipt");
    if (have == NULL || ack == NULL) {
        check(p, false, "no answer");
        return;
    }
    check(p, sim_same_attrs(wagw_node_find(have, "retry"), wagw_node_find(want, "retry"), "error"), "retry");
    check(p,
          wagw_str_eq(wagw_node_data(wagw_node_find(have, "registration")),
                      wagw_node_data(wagw_node_find(want, "registration"))),
          "registration");
    check(p, (wagw_node_find(have, "keys") != NULL) == keys, "keys");
    check(p,
          sim_has(ack, "class", "message", "id", sim_attr(want_ack, "id"), "to", sim_attr(want_ack, "to"), "error",
                  NULL, "type", NULL, NULL),
          "ack");
    check(p, wagw_str_eq(wagw_node_get(ack, "participant"), wagw_node_get(want_ack, "participant")), "participant");
    check(p, (new_event(p, "message.undecryptable") != NULL) == (event > 0), "event");
}

static void acked_as_recorded(play_t *p)
{
    wagw_node_t *want = sim_node_of(&p->a, vec_get(recorded(p, "ack"), "out"));
    const wagw_node_t *have = sim_sent(p->e, p->mark, "ack", 0);

    check(p, have && sim_same_attrs(have, want, NULL), "ack");
}

static void keys_of_retry(play_t *p)
{
    wagw_node_t *want = sim_node_of(&p->a, vec_get(recorded(p, "receipt"), "out"));
    const wagw_node_t *a = wagw_node_find(sim_sent(p->e, p->mark, "receipt", 0), "keys"),
                      *b = wagw_node_find(want, "keys");
    static const char *const parts[] = {"type", "identity", "device-identity"};

    for (unsigned i = 0; i < 3; i++) {
        check(p, wagw_str_eq(wagw_node_data(wagw_node_find(a, parts[i])), wagw_node_data(wagw_node_find(b, parts[i]))),
              parts[i]);
    }
    check(p,
          wagw_str_eq(wagw_node_data(wagw_node_find(wagw_node_find(a, "key"), "id")),
                      wagw_node_data(wagw_node_find(wagw_node_find(b, "key"), "id"))),
          "id of the prekey");
    check(p,
          wagw_str_eq(wagw_node_data(wagw_node_find(wagw_node_find(a, "key"), "value")),
                      wagw_node_data(wagw_node_find(wagw_node_find(b, "key"), "value"))),
          "prekey");
    check(p,
          wagw_str_eq(wagw_node_data(wagw_node_find(wagw_node_find(a, "skey"), "value")),
                      wagw_node_data(wagw_node_find(wagw_node_find(b, "skey"), "value"))),
          "signed prekey");
}

static void ack_event(play_t *p, const char *id, const char *name)
{
    bool found = false;

    for (sim_event_t *ev = p->last ? p->last->next : p->e->events; ev; ev = ev->next) {
        found = found || (strcmp(ev->name, "message.ack") == 0 && strcmp(sim_str(ev->data, "messageId"), id) == 0 &&
                          strcmp(sim_str(ev->data, "ackName"), name) == 0);
    }
    check(p, found, name);
}

/* The recorded request, of Alice's phone. */
static wagw_node_t *retry_of_alice(play_t *p)
{
    uint32_t reg = p->alice->devices->registration;
    uint8_t b[4] = {(uint8_t)(reg >> 24), (uint8_t)(reg >> 16), (uint8_t)(reg >> 8), (uint8_t)reg};
    wagw_node_t *n = sim_node_of(&p->a, vec_get(p->step, "in"));

    for (wagw_attr_t *x = n->attrs; x; x = x->next) {
        if (wagw_str_is(x->key, "participant")) {
            x->value = wagw_cstr(alice_lid);
        }
    }
    wagw_node_bytes_copy(&p->a, (wagw_node_t *)wagw_node_find(n, "registration"), wagw_str(b, 4));
    return n;
}

/* Attribute of the step's incoming stanza. */
static const char *in_attr(const play_t *p, const char *key)
{
    const char *v = vec_str(vec_get(vec_get(p->step, "in"), "attrs"), key);

    return v ? v : "";
}

/* The text that the step's plaintext holds. */
static const char *said(const play_t *p)
{
    const cJSON *m = vec_get(p->step, "plaintext");
    const char *text;

    if (vec_get(m, "deviceSentMessage")) {
        m = vec_get(vec_get(m, "deviceSentMessage"), "message");
    }
    text = vec_str(m, "conversation");
    text = text ? text : vec_str(vec_get(m, "extendedTextMessage"), "text");
    return text ? text : "";
}

static const cJSON *step_named(const play_t *p, const char *name)
{
    const cJSON *s;

    cJSON_ArrayForEach(s, vec_get(p->root, "steps"))
    {
        if (strcmp(vec_str(s, "name"), name) == 0) {
            return s;
        }
    }
    return NULL;
}

static const char *op_text(const play_t *p, const char *name)
{
    const char *text = vec_str(vec_get(vec_get(step_named(p, name), "op"), "content"), "text");

    return text ? text : "";
}

static void step(play_t *p, const char *name)
{
    char json[512];
    uint8_t priv[32];
    wagw_row_message_t m;
    const wagw_node_t *n;
    sim_event_t *ev;

#define IS(s) (strcmp(name, s) == 0)
    if (vec_get(p->step, "op")) {
        op(p);
    } else if (IS("dm-reply")) {
        snprintf(json, sizeof(json), "{\"conversation\":\"%s\"}", said(p));
        say_again(p, p->alice->devices, json);
        received(p, alice_pn, said(p));
    } else if (IS("dm-incoming-reaction")) {
        snprintf(json, sizeof(json),
                 "{\"reactionMessage\":{\"key\":{\"remoteJid\":\"%s@lid\",\"fromMe\":false,\"id\":\"%s\"},"
                 "\"text\":\"%s\",\"senderTimestampMs\":\"1767225600000\"}}",
                 p->own->lid, second_id, vec_str(vec_get(vec_get(p->step, "plaintext"), "reactionMessage"), "text"));
        say_again(p, p->alice->devices, json);
        receipt_as_recorded(p);
        ev = new_event(p, "message.reaction");
        check(p,
              ev && strcmp(sim_str(ev->data, "messageId"), second_id) == 0 &&
                  strcmp(sim_str(ev->data, "from"), alice_pn) == 0 &&
                  strcmp(sim_str(ev->data, "emoji"),
                         vec_str(vec_get(vec_get(p->step, "plaintext"), "reactionMessage"), "text")) == 0,
              "event");
    } else if (IS("dm-incoming-pkmsg")) {
        feed(p);
        received(p, bob_pn, said(p));
        check(p, sim_message(p->e, bob_pn, in_attr(p, "id"), bob_pn, &m) && m.secret.n == 32, "secret");
    } else if (IS("dm-incoming-duplicate")) {
        feed(p);
        n = sim_sent(p->e, p->mark, "receipt", 0); /* the page, not Baileys' ack with 487 */
        check(p, n && sim_has(n, "id", in_attr(p, "id"), "to", in_attr(p, "from"), "type", "inactive", NULL),
              "receipt");
        check(p, new_event(p, "message.received") == NULL, "a second event");
    } else if (IS("dm-undecryptable")) {
        feed(p);
        retried(p, false, 1);
    } else if (IS("dm-undecryptable-again")) {
        assert_int_equal(
            vec_hex(cJSON_GetArrayItem(vec_get(vec_get(p->root, "own"), "retry_prekeys"), 0), "private", priv, 32), 32);
        sim_feed(p->e, priv, 32);
        feed(p);
        retried(p, true, 0);
        keys_of_retry(p);
    } else if (IS("dm-resend-ok")) {
        feed(p);
        received(p, bob_pn, said(p));
    } else if (IS("own-device-message")) {
        feed(p);
        receipt_as_recorded(p);
        ev = new_event(p, "message.sent");
        check(p,
              ev && strcmp(sim_str(ev->data, "source"), "app") == 0 &&
                  strcmp(sim_str(ev->data, "chatId"), alice_pn) == 0 && strcmp(sim_str(ev->data, "body"), said(p)) == 0,
              "event");
    } else if (IS("peer-key-share")) {
        feed(p);
        receipt_as_recorded(p);
        check(p, sim_mem_count(&p->e->mem, WAGW_REC_APP_KEY, "") == 1, "key");
    } else if (IS("spoofed-key-share")) {
        say_again(
            p, p->alice->devices,
            "{\"protocolMessage\":{\"type\":6,\"appStateSyncKeyShare\":{\"keys\":[{\"keyId\":{\"keyId\":\"AAAAAAAA\"},"
            "\"keyData\":{\"keyData\":\"AAAA\"}}]}}}");
        receipt_as_recorded(p);
        check(p, sim_mem_count(&p->e->mem, WAGW_REC_APP_KEY, "") == 1, "key of a stranger");
    } else if (IS("unavailable-view-once")) {
        feed(p);
        n = sim_sent(p->e, p->mark, "ack", 0); /* plain, as the page says */
        check(p,
              n && sim_has(n, "class", "message", "id", in_attr(p, "id"), "to", alice_lid, "type", NULL, "error", NULL,
                           NULL),
              "ack");
    } else if (IS("group-incoming-first") || IS("group-incoming-next")) {
        feed(p);
        received(p, group_jid, said(p));
        ev = new_event(p, "message.received");
        check(p, ev && strcmp(sim_str(ev->data, "participant"), bob_pn) == 0, "participant");
    } else if (IS("group-no-sender-key")) {
        feed(p);
        retried(p, true, 1); /* no direct ciphertext: with keys at once (04 section 14.1) */
    } else if (IS("retry-for-dm")) {
        feed(p);
        acked_as_recorded(p);
        n = sim_sent(p->e, p->mark, "message", 0);
        check(p,
              n && sim_same_attrs(n, sim_node_of(&p->a, vec_get(recorded(p, "message"), "out")), "t") &&
                  sim_has(n, "t", sim_attr(wagw_node_find(sim_node_of(&p->a, vec_get(p->step, "in")), "retry"), "t"),
                          NULL),
              "attributes");
        check(p,
              n && wagw_node_find(n, "participants") == NULL && wagw_node_find(n, "device-identity") &&
                  sim_has(wagw_node_find(n, "enc"), "v", "2", "type", "pkmsg", "count", "2", NULL),
              "shape");
        check(p,
              sim_peer_got(p->alice->devices->next->peer, first_id)->rc == WAGW_OK &&
                  strcmp(sim_str(vec_get(sim_peer_got(p->alice->devices->next->peer, first_id)->message,
                                         "extendedTextMessage"),
                                 "text"),
                         op_text(p, "dm-first")) == 0,
              "content");
    } else if (IS("retry-for-group")) {
        feed(p);
        acked_as_recorded(p);
        n = sim_sent(p->e, p->mark, "message", 0);
        check(p, n && sim_same_attrs(n, sim_node_of(&p->a, vec_get(recorded(p, "message"), "out")), "t"), "attributes");
        check(p,
              n && wagw_node_find(n, "participants") == NULL &&
                  sim_has(wagw_node_find(n, "enc"), "v", "2", "count", "1", NULL),
              "shape");
        /* it goes into the session that the recorded device opened meanwhile, so only that one can read it;
         * a device that we know from its bundle gets content and key */
        {
            sim_got_t *g;

            sim_push(p->e, retry_of_alice(p));
            sim_run(p->w);
            g = part_of(p->alice->devices, next_id, false);
            check(p,
                  g && g->rc == WAGW_OK &&
                      strcmp(sim_str(vec_get(g->message, "extendedTextMessage"), "text"), op_text(p, "group-next")) ==
                          0 &&
                      vec_get(g->message, "senderKeyDistributionMessage"),
                  "content and key");
        }
    } else if (IS("receipt-delivered")) {
        feed(p);
        acked_as_recorded(p);
        ack_event(p, first_id, "delivered");
    } else if (IS("receipt-read-list")) {
        feed(p);
        acked_as_recorded(p);
        ack_event(p, first_id, "read");
        ack_event(p, second_id, "read");
    } else if (IS("receipt-own-device")) {
        feed(p);
        acked_as_recorded(p);
        check(p, new_event(p, "message.ack") == NULL, "our own phone is nobody's reader");
    } else if (IS("server-error-463")) {
        /* the recorded ack is for a message that is long since sent: it is sent anew first */
        wagw_cache_forget(p->e->sh.cache, p->e->num);
        snprintf(json, sizeof(json), "%s|%s|", alice_pn, second_id);
        sim_mem_del(&p->e->mem, WAGW_REC_MESSAGE, wagw_cstr(json));
        p->w->orders.drop_acks = 1;
        snprintf(json, sizeof(json), "{\"to\":\"%s\",\"message\":\"again\",\"messageId\":\"%s\"}", alice_pn, second_id);
        {
            uint64_t id = sim_command(p->e, WAGW_CMD_SEND, json);

            sim_run(p->w);
            feed(p);
            sim_expect(p->e, id, 429, "WA_ACCOUNT_RESTRICTED");
        }
        ev = new_event(p, "message.failed");
        check(p, ev && vec_int(ev->data, "code", 0) == 463, "event");
        check(p, sim_message(p->e, alice_pn, second_id, "", &m) && m.status == WAGW_MSG_FAILED, "status");
    } else {
        check(p, false, "a step of unknown name");
    }
#undef IS
}

static void flows(void **state)
{
    unsigned passed = 0, failed = 0;
    cJSON *root = vec_load("message-flows");
    const cJSON *s;
    play_t p = {0};

    (void)state;
    if (root == NULL) {
        return;
    }
    p.root = root;
    p.w = sim_new(700);
    p.w->now = vec_int(root, "now", 0) * 1000;
    own_account(&p);
    p.alice = sim_vector_account(p.w, vec_get(vec_get(root, "peers"), "alice"));
    p.bob = sim_vector_account(p.w, vec_get(vec_get(root, "peers"), "bob"));
    p.carol = sim_vector_account(p.w, vec_get(vec_get(root, "peers"), "carol"));
    snprintf(alice_pn, sizeof(alice_pn), "%s@s.whatsapp.net", p.alice->pn);
    snprintf(alice_lid, sizeof(alice_lid), "%s@lid", p.alice->lid);
    snprintf(bob_pn, sizeof(bob_pn), "%s@s.whatsapp.net", p.bob->pn);
    snprintf(group_jid, sizeof(group_jid), "%s", vec_str(root, "group"));
    snprintf(first_id, sizeof(first_id), "%s", vec_str(vec_get(step_named(&p, "dm-first"), "op"), "message_id"));
    snprintf(second_id, sizeof(second_id), "%s", vec_str(vec_get(step_named(&p, "dm-second"), "op"), "message_id"));
    snprintf(next_id, sizeof(next_id), "%s", vec_str(vec_get(step_named(&p, "group-next"), "op"), "message_id"));
    cJSON_ArrayForEach(s, vec_get(root, "steps"))
    {
        const cJSON *c;

        cJSON_ArrayForEach(c, vec_get(s, "client_sends"))
        {
            if (strcmp(vec_str(vec_get(c, "out"), "tag"), "iq") == 0 && vec_get(vec_get(c, "reply"), "content") &&
                strcmp(vec_str(vec_get(vec_get(c, "out"), "attrs"), "xmlns"), "w:g2") == 0) {
                p.w->orders.group = sim_node_of(&p.a, vec_get(c, "reply"))->child;
            }
        }
    }

    cJSON_ArrayForEach(s, vec_get(root, "steps"))
    {
        const char *name = vec_str(s, "name");
        p.step = s;
        p.ok = true;
        p.mark = sim_mark(p.w);
        for (p.last = p.e->events; p.last && p.last->next; p.last = p.last->next) {
        }
        step(&p, name);
        passed += p.ok;
        failed += !p.ok;
    }
    assert_int_equal(p.e->errors, 0);
    wagw_arena_free(&p.a);
    sim_free(p.w);
    cJSON_Delete(root);
    vec_count("message-flows", passed, failed, 0);
    assert_int_equal(failed, 0);
    assert_true(passed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
