/*
 * Device lists (usync, their cache and invalidation) and prekey bundles (04
 * sections 4.2, 5, 6.4).  A list is stored once per person, under the LID when
 * it is known; device ids are the same in both namespaces.
 */

#include "client_i.h"

#define DEVICES_MAX 1024 /* per user, more is not believed */

enum { TAG_FETCHED = 1, TAG_DEVICE, TAG_HOSTED };

static int list_key(wagw_turn_t *t, const wagw_jid_t *user, wagw_str_t *key)
{
    wagw_jid_t j;

    WAGW_TRY(wagw_lid_in(t, user, true, &j));
    j = wagw_jid_user(&j);
    *key = wagw_jid_str(&t->arena, &j);
    return key->p ? WAGW_OK : WAGW_NOMEM;
}

int wagw_devices_get(wagw_turn_t *t, const wagw_jid_t *user, bool lid, wagw_devices_t *out)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_jid_t base;
    wagw_str_t key, v, s;
    wagw_tlv_t r;

    memset(out, 0, sizeof(*out));
    WAGW_TRY(list_key(t, user, &key));
    rc = wagw_txn_get(&t->txn, WAGW_REC_DEVICES, key, &v);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    WAGW_TRY(wagw_lid_in(t, user, lid, &base));
    base = wagw_jid_user(&base);
    out->jids = wagw_arena_alloc(&t->arena, (v.n / 2 + 1) * sizeof(wagw_jid_t));
    if (out->jids == NULL) {
        return WAGW_NOMEM;
    }
    r = (wagw_tlv_t){v, 0};
    while ((rc = wagw_tlv_next(&r, &tag, &u, &s)) == WAGW_OK) {
        if (tag == TAG_FETCHED) {
            out->fetched_ms = (int64_t)u;
        } else if (tag == TAG_DEVICE || tag == TAG_HOSTED) {
            /* ids are stored one higher: a zero is not written */
            out->jids[out->n] = base;
            out->jids[out->n].device = (uint16_t)(u - 1);
            if (tag == TAG_HOSTED) {
                out->jids[out->n].server = wagw_jid_is_lid(&base) ? WAGW_SRV_HOSTED_LID : WAGW_SRV_HOSTED;
            }
            out->n++;
        }
    }
    if (rc != WAGW_NOT_FOUND) {
        memset(out, 0, sizeof(*out)); /* damaged: fetched again */
    }
    return WAGW_OK;
}

int wagw_devices_put(wagw_turn_t *t, const wagw_jid_t *user, const wagw_jid_t *jids, size_t n)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_str_t key;

    WAGW_TRY(list_key(t, user, &key));
    wagw_tlv_put_u(&b, TAG_FETCHED, (uint64_t)(t->now > 0 ? t->now : 1));
    for (size_t i = 0; i < n; i++) {
        wagw_tlv_put_u(
            &b, jids[i].server == WAGW_SRV_HOSTED || jids[i].server == WAGW_SRV_HOSTED_LID ? TAG_HOSTED : TAG_DEVICE,
            (uint64_t)jids[i].device + 1);
    }
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_DEVICES, key, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

int wagw_devices_forget(wagw_turn_t *t, const wagw_jid_t *user)
{
    wagw_jid_t pn;
    wagw_str_t key;

    if (!wagw_jid_is_person(user)) {
        return WAGW_OK;
    }
    WAGW_TRY(list_key(t, user, &key));
    WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_DEVICES, key));
    WAGW_TRY(wagw_lid_in(t, user, false, &pn));
    pn = wagw_jid_user(&pn);
    return wagw_txn_del(&t->txn, WAGW_REC_DEVICES, wagw_jid_str(&t->arena, &pn));
}

int wagw_devices_query(wagw_turn_t *t, const wagw_jid_t *users, size_t n, wagw_iq_pt handler, uint64_t arg)
{
    uint32_t sid;
    wagw_jid_t j;
    wagw_node_t *iq = wagw_iq(t, "get", "usync"), *u, *q, *d, *list, *un;

    wagw_turn_random(t, &sid, sizeof(sid));
    u = wagw_node_child(&t->arena, iq, "usync");
    wagw_node_attr(&t->arena, u, "sid",
                   wagw_arena_printf(&t->arena, "%u.%u-%u", sid >> 16, sid & 0xffff, t->c->iq_num + 1));
    wagw_node_attrc(&t->arena, u, "mode", "query");
    wagw_node_attrc(&t->arena, u, "last", "true");
    wagw_node_attrc(&t->arena, u, "index", "0");
    wagw_node_attrc(&t->arena, u, "context", "message");
    q = wagw_node_child(&t->arena, u, "query");
    d = wagw_node_child(&t->arena, q, "devices");
    wagw_node_attrc(&t->arena, d, "version", "2");
    wagw_node_child(&t->arena, q, "lid");
    list = wagw_node_child(&t->arena, u, "list");
    for (size_t i = 0; i < n; i++) {
        j = wagw_jid_user(&users[i]);
        un = wagw_node_child(&t->arena, list, "user");
        if (wagw_node_attr_jid(&t->arena, un, "jid", &j) == NULL) {
            return WAGW_NOMEM;
        }
    }
    return wagw_iq_send(t, iq, handler, arg);
}

static int user_answer(wagw_turn_t *t, const wagw_node_t *n)
{
    size_t count = 0;
    uint64_t id, key_index;
    wagw_jid_t user, lid, *jids;
    wagw_str_t val;
    const wagw_node_t *d, *list;

    if (wagw_node_get_jid(n, "jid", &user) != WAGW_OK || !wagw_jid_is_person(&user)) {
        return WAGW_OK;
    }
    user = wagw_jid_user(&user);
    val = wagw_node_get(wagw_node_find(n, "lid"), "val");
    if (val.n && wagw_jid_parse(&lid, val) == WAGW_OK && wagw_jid_is_lid(&lid)) {
        WAGW_TRY(wagw_lid_learn(t, &user, &lid, "usync"));
    }
    list = wagw_node_find(wagw_node_find(n, "devices"), "device-list");
    if (list == NULL || wagw_node_find(wagw_node_find(n, "devices"), "error")) {
        return WAGW_OK;
    }
    if (list->nchildren > DEVICES_MAX) {
        return WAGW_OK;
    }
    jids = wagw_arena_alloc(&t->arena, (list->nchildren + 1) * sizeof(*jids));
    if (jids == NULL) {
        return WAGW_NOMEM;
    }
    for (d = wagw_node_find(list, "device"); d; d = wagw_node_find_next(d, "device")) {
        if (wagw_node_get_u64(d, "id", &id) != WAGW_OK || id > 0xffff) {
            continue;
        }
        if (id != 0 && (wagw_node_get_u64(d, "key-index", &key_index) != WAGW_OK || key_index == 0)) {
            continue; /* the server refuses a message that names it */
        }
        jids[count] = user;
        jids[count].device = (uint16_t)id;
        if (wagw_node_attr_is(d, "is_hosted", "true")) {
            jids[count].server = wagw_jid_is_lid(&user) ? WAGW_SRV_HOSTED_LID : WAGW_SRV_HOSTED;
        }
        count++;
    }
    return wagw_devices_put(t, &user, jids, count);
}

int wagw_devices_answer(wagw_turn_t *t, const wagw_node_t *iq)
{
    int rc, again = WAGW_OK;
    const wagw_node_t *u, *list = wagw_node_find(wagw_node_find(iq, "usync"), "list");

    /* on over what is missing, so that one load brings it for all users */
    for (u = wagw_node_find(list, "user"); u; u = wagw_node_find_next(u, "user")) {
        rc = user_answer(t, u);
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    return again;
}

/* ---- bundles --------------------------------------------------------------- */

int wagw_bundles_query(wagw_turn_t *t, const wagw_jid_t *devices, size_t n, wagw_iq_pt handler, uint64_t arg)
{
    wagw_jid_t j;
    wagw_node_t *iq = wagw_iq(t, "get", "encrypt"), *key, *u;

    key = wagw_node_child(&t->arena, iq, "key");
    for (size_t i = 0; i < n; i++) {
        WAGW_TRY(wagw_lid_in(t, &devices[i], true, &j));
        u = wagw_node_child(&t->arena, key, "user");
        wagw_node_attr_jid(&t->arena, u, "jid", &j);
        if (wagw_node_attrc(&t->arena, u, "reason", "identity") == NULL) {
            return WAGW_NOMEM;
        }
    }
    return wagw_iq_send(t, iq, handler, arg);
}

static bool number(wagw_str_t s, size_t n, uint32_t *out)
{
    if (s.n != n) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        *out = *out << 8 | s.p[i];
    }
    return true;
}

int wagw_bundle_parse(const wagw_node_t *n, wagw_bundle_t *b)
{
    wagw_str_t identity, value, sig;
    const wagw_node_t *in = wagw_node_find(n, "keys"), *skey, *key;

    memset(b, 0, sizeof(*b));
    if (wagw_node_find(n, "error")) {
        return WAGW_NOT_FOUND;
    }
    if (in == NULL) {
        in = n;
    }
    if (!number(wagw_node_data(wagw_node_find(n, "registration")), 4, &b->registration_id)) {
        return WAGW_MALFORMED;
    }
    identity = wagw_node_data(wagw_node_find(in, "identity"));
    skey = wagw_node_find(in, "skey");
    value = wagw_node_data(wagw_node_find(skey, "value"));
    sig = wagw_node_data(wagw_node_find(skey, "signature"));
    if (identity.n != 32 || value.n != 32 || sig.n != 64 ||
        !number(wagw_node_data(wagw_node_find(skey, "id")), 3, &b->spk_id)) {
        return WAGW_MALFORMED;
    }
    memcpy(b->identity, identity.p, 32);
    memcpy(b->spk, value.p, 32);
    memcpy(b->spk_sig, sig.p, 64);

    key = wagw_node_find(in, "key");
    if (key) {
        value = wagw_node_data(wagw_node_find(key, "value"));
        if (value.n != 32 || !number(wagw_node_data(wagw_node_find(key, "id")), 3, &b->prekey_id)) {
            return WAGW_MALFORMED;
        }
        memcpy(b->prekey, value.p, 32);
        b->has_prekey = true;
    }
    return WAGW_OK;
}

/* What all the bundles need of the store comes with one load. */
static int bundles_prefetch(wagw_turn_t *t, const wagw_node_t *list)
{
    int rc, again = WAGW_OK;
    char key[WAGW_KEY_MAX];
    wagw_str_t v, at;
    wagw_jid_t jid;
    wagw_signal_addr_t addr;
    const wagw_node_t *u;

    for (u = wagw_node_find(list, "user"); u; u = wagw_node_find_next(u, "user")) {
        if (wagw_node_get_jid(u, "jid", &jid) != WAGW_OK) {
            continue;
        }
        rc = wagw_lid_signal(t, &jid, &addr);
        if (rc == WAGW_OK) {
            at = wagw_str(key, wagw_signal_key(key, &addr));
            rc = wagw_txn_get(&t->txn, WAGW_REC_SESSION, at, &v);
            again = rc == WAGW_AGAIN ? rc : again;
            rc = wagw_txn_get(&t->txn, WAGW_REC_IDENTITY, at, &v);
        }
        if (rc != WAGW_OK && rc != WAGW_NOT_FOUND && rc != WAGW_AGAIN) {
            return rc;
        }
        again = rc == WAGW_AGAIN ? rc : again;
    }
    return again;
}

int wagw_bundles_answer(wagw_turn_t *t, const wagw_node_t *iq, wagw_jid_t **dead, size_t *ndead)
{
    int rc;
    bool changed;
    char text[WAGW_JID_TEXT_MAX];
    size_t n = 0;
    wagw_jid_t jid;
    wagw_bundle_t b;
    wagw_signal_t *s = wagw_turn_signal(t);
    wagw_signal_addr_t addr;
    const wagw_node_t *u, *list = wagw_node_find(iq, "list");

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    *ndead = 0;
    *dead = wagw_arena_alloc(&t->arena, (list ? list->nchildren + 1 : 1) * sizeof(**dead));
    if (*dead == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(bundles_prefetch(t, list));
    for (u = wagw_node_find(list, "user"); u; u = wagw_node_find_next(u, "user")) {
        if (wagw_node_get_jid(u, "jid", &jid) != WAGW_OK) {
            continue;
        }
        rc = wagw_bundle_parse(u, &b);
        if (rc == WAGW_OK) {
            WAGW_TRY(wagw_lid_signal(t, &jid, &addr));
            rc = wagw_signal_process_bundle(s, &addr, &b, &changed);
        }
        if (rc == WAGW_AGAIN || rc == WAGW_NOMEM) {
            return rc;
        }
        if (rc != WAGW_OK) {
            wagw_jid_text(&jid, text);
            wagw_client_log(t->c, WAGW_LOG_WARN, "no usable keys of %s: %s", text, wagw_rc_name(rc));
            (*dead)[n++] = jid;
        }
    }
    *ndead = n;
    return WAGW_OK;
}

/* The account of `user` was set up anew: all its devices, in both forms. */
int wagw_identity_changed(wagw_turn_t *t, const wagw_jid_t *user)
{
    int rc;
    wagw_jid_t twin;
    wagw_signal_t *s = wagw_turn_signal(t);

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_signal_delete_user(s, wagw_signal_addr(user).name));
    rc = wagw_lid_twin(t, user, &twin);
    if (rc == WAGW_OK) {
        WAGW_TRY(wagw_signal_delete_user(s, wagw_signal_addr(&twin).name));
    } else if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    WAGW_TRY(wagw_group_user_changed(t, user));
    return wagw_devices_forget(t, user);
}
