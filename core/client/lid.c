/*
 * One person, two addresses: LID and phone number (04 section 6).  Signal
 * records live under the LID as soon as it is known; chats and callers see the
 * phone form as soon as that is known.
 */

#include "account_i.h"

static wagw_str_t user(const wagw_jid_t *j)
{
    return wagw_str(j->user, j->user_len);
}

static bool hosted(const wagw_jid_t *j)
{
    return j->server == WAGW_SRV_HOSTED || j->server == WAGW_SRV_HOSTED_LID;
}

bool wagw_is_me(const wagw_client_t *c, const wagw_jid_t *jid)
{
    wagw_jid_t a, b;

    if (c->creds == NULL || !wagw_jid_is_person(jid)) {
        return false;
    }
    a = wagw_jid_user(jid);
    b = wagw_jid_user(wagw_jid_is_lid(jid) ? &c->creds->lid : &c->creds->jid);
    return !wagw_jid_empty(&b) && wagw_jid_eq(&a, &b);
}

bool wagw_is_this_device(const wagw_client_t *c, const wagw_jid_t *jid)
{
    return wagw_is_me(c, jid) && jid->device == c->creds->jid.device;
}

int wagw_lid_twin(wagw_turn_t *t, const wagw_jid_t *jid, wagw_jid_t *twin)
{
    int rc;
    bool lid = wagw_jid_is_lid(jid);
    char text[WAGW_JID_USER_MAX + 1];
    wagw_str_t v;
    const wagw_creds_t *me = wagw_turn_me(t);

    if (!wagw_jid_is_person(jid)) {
        return WAGW_NOT_FOUND;
    }
    /* our own pair is part of the credentials */
    if (me && !wagw_jid_empty(&me->lid)) {
        const wagw_jid_t *own = lid ? &me->lid : &me->jid;

        if (wagw_str_eq(user(jid), user(own))) {
            *twin = wagw_jid_make(lid ? me->jid.user : me->lid.user,
                                  lid ? (hosted(jid) ? WAGW_SRV_HOSTED : WAGW_SRV_USER)
                                      : (hosted(jid) ? WAGW_SRV_HOSTED_LID : WAGW_SRV_LID),
                                  jid->device);
            return WAGW_OK;
        }
    }
    rc = wagw_txn_get(&t->txn, lid ? WAGW_REC_PN_OF : WAGW_REC_LID_OF, user(jid), &v);
    if (rc != WAGW_OK) {
        return rc;
    }
    if (v.n == 0 || v.n > WAGW_JID_USER_MAX) {
        return WAGW_NOT_FOUND;
    }
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    *twin = wagw_jid_make(text,
                          lid ? (hosted(jid) ? WAGW_SRV_HOSTED : WAGW_SRV_USER)
                              : (hosted(jid) ? WAGW_SRV_HOSTED_LID : WAGW_SRV_LID),
                          jid->device);
    return WAGW_OK;
}

static int told(wagw_turn_t *t, const wagw_jid_t *lid, const wagw_jid_t *pn, const char *source)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "lid", wagw_jid_str(&t->arena, lid));
    wagw_json_kcstr(&j, "phoneNumber", pn->user);
    wagw_json_kcstr(&j, "source", source);
    wagw_json_close(&j);
    return wagw_event_emit(t, "lid.mapping", wagw_jid_str(&t->arena, pn), &b);
}

int wagw_lid_learn(wagw_turn_t *t, const wagw_jid_t *a, const wagw_jid_t *b, const char *source)
{
    int rc;
    wagw_str_t v, old;
    wagw_jid_t la, pa;
    wagw_signal_t *s;
    const wagw_jid_t *lid = wagw_jid_is_lid(a) ? a : b, *pn = lid == a ? b : a;

    if (!wagw_jid_is_lid(lid) || !wagw_jid_is_pn(pn) || lid->user_len == 0 || pn->user_len == 0) {
        return WAGW_OK;
    }
    rc = wagw_txn_get(&t->txn, WAGW_REC_LID_OF, user(pn), &v);
    if (rc == WAGW_OK && wagw_str_eq(v, user(lid))) {
        return WAGW_OK;
    }
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    /* unique both ways: the newer pair replaces the older ones */
    if (rc == WAGW_OK) {
        old = wagw_arena_str(&t->arena, v);
        WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_PN_OF, old));
    }
    rc = wagw_txn_get(&t->txn, WAGW_REC_PN_OF, user(lid), &v);
    if (rc == WAGW_OK && !wagw_str_eq(v, user(pn))) {
        old = wagw_arena_str(&t->arena, v);
        WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_LID_OF, old));
    } else if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    WAGW_TRY(wagw_txn_put(&t->txn, WAGW_REC_LID_OF, user(pn), user(lid)));
    WAGW_TRY(wagw_txn_put(&t->txn, WAGW_REC_PN_OF, user(lid), user(pn)));

    s = wagw_turn_signal(t);
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_signal_migrate(s, pn->user, lid->user));

    /* what was stored while only the LID was known moves to the phone form */
    la = wagw_jid_user(lid);
    pa = wagw_jid_user(pn);
    if (source && !wagw_is_me(t->c, &pa)) {
        WAGW_TRY(told(t, &la, &pa, source));
    }
    return wagw_txn_op(&t->txn, WAGW_OP_CHAT_MERGE, wagw_jid_str(&t->arena, &la), wagw_jid_str(&t->arena, &pa));
}

int wagw_lid_signal(wagw_turn_t *t, const wagw_jid_t *device, wagw_signal_addr_t *addr)
{
    int rc;
    wagw_jid_t twin;

    if (wagw_jid_is_pn(device)) {
        rc = wagw_lid_twin(t, device, &twin);
        if (rc == WAGW_OK) {
            *addr = wagw_signal_addr(&twin);
            return WAGW_OK;
        }
        if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }
    *addr = wagw_signal_addr(device);
    return WAGW_OK;
}

int wagw_lid_in(wagw_turn_t *t, const wagw_jid_t *jid, bool lid, wagw_jid_t *out)
{
    int rc;

    *out = *jid;
    if (!wagw_jid_is_person(jid) || wagw_jid_is_lid(jid) == lid) {
        return WAGW_OK;
    }
    rc = wagw_lid_twin(t, jid, out);
    if (rc == WAGW_NOT_FOUND) {
        *out = *jid;
        return WAGW_OK;
    }
    return rc;
}

int wagw_chat_canonical(wagw_turn_t *t, const wagw_jid_t *jid, wagw_jid_t *out)
{
    wagw_jid_t j;

    WAGW_TRY(wagw_lid_in(t, jid, false, &j));
    *out = wagw_jid_is_person(&j) ? wagw_jid_user(&j) : j;
    return WAGW_OK;
}

int wagw_lid_learn_attr(wagw_turn_t *t, const wagw_node_t *n, const wagw_jid_t *jid, const char *lid_attr,
                        const char *pn_attr, const char *source)
{
    wagw_jid_t alt;
    const char *attr = wagw_jid_is_lid(jid) ? pn_attr : lid_attr;

    if (!wagw_jid_is_person(jid) || !wagw_node_has(n, attr) || wagw_node_get_jid(n, attr, &alt) != WAGW_OK) {
        return WAGW_OK;
    }
    return wagw_lid_learn(t, jid, &alt, source);
}

int wagw_contact_seen(wagw_turn_t *t, const wagw_jid_t *jid, wagw_str_t push_name)
{
    int rc;
    bool renamed = false;
    wagw_buf_t b = {0};
    wagw_str_t v, key, copy;
    wagw_jid_t canon, twin;
    wagw_row_contact_t c;

    if (!wagw_jid_is_person(jid)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, jid, &canon));
    key = wagw_jid_str(&t->arena, &canon);
    rc = wagw_txn_get(&t->txn, WAGW_REC_CONTACT, key, &v);
    memset(&c, 0, sizeof(c));
    if (rc == WAGW_OK) {
        copy = wagw_arena_str(&t->arena, v);
        if (wagw_row_contact_decode(&c, copy) != WAGW_OK) {
            memset(&c, 0, sizeof(c));
        }
    } else if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    rc = wagw_lid_twin(t, &canon, &twin);
    if (rc == WAGW_AGAIN) {
        return rc;
    }
    if (c.jid.n && (push_name.n == 0 || wagw_str_eq(c.push_name, push_name)) &&
        ((c.lid.n && c.pn.n) || rc == WAGW_NOT_FOUND)) {
        return WAGW_OK;
    }
    c.jid = key;
    if (wagw_jid_is_lid(&canon)) {
        c.lid = key;
    } else {
        c.pn = key;
        if (rc == WAGW_OK) {
            twin = wagw_jid_user(&twin);
            c.lid = wagw_jid_str(&t->arena, &twin);
        }
    }
    if (push_name.n) {
        renamed = c.push_name.n != 0 && !wagw_str_eq(c.push_name, push_name);
        c.push_name = push_name;
    }
    rc = wagw_row_contact_encode(&b, &c);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_CONTACT, key, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    /* the first name is no news */
    return rc == WAGW_OK && renamed ? wagw_contact_event_text(t, &c, "pushName", push_name) : rc;
}
