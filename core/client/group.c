/*
 * Group metadata, as far as messages need it, and our own sender keys (04
 * section 9, 09).  A record is fetched once and then kept true by the w:gp2
 * notifications; what cannot be applied drops it.
 */

#include "client_i.h"

enum { TAG_FETCHED = 1, TAG_LID, TAG_ANNOUNCE, TAG_EPHEMERAL, TAG_SUBJECT, TAG_MEMBER, TAG_ROLE };
enum { TAG_KEY_ID = 1, TAG_GIVEN };


static wagw_str_t
text(wagw_turn_t *t, const wagw_jid_t *j)
{
    return wagw_jid_str(&t->arena, j);
}


int
wagw_group_get(wagw_turn_t *t, const wagw_jid_t *group, wagw_group_t *g)
{
    int         rc;
    size_t      cap;
    uint8_t     tag;
    uint64_t    u;
    wagw_str_t  v, s, copy;
    wagw_tlv_t  r;

    memset(g, 0, sizeof(*g));
    rc = wagw_txn_get(&t->txn, WAGW_REC_GROUP, text(t, group), &v);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    copy = wagw_arena_str(&t->arena, v);
    cap = v.n / 8 + 1;
    g->members = wagw_arena_alloc(&t->arena, cap * sizeof(*g->members));
    g->roles = wagw_arena_zalloc(&t->arena, cap);
    if (copy.p == NULL || g->members == NULL || g->roles == NULL) {
        return WAGW_NOMEM;
    }
    r = (wagw_tlv_t) { copy, 0 };
    while ((rc = wagw_tlv_next(&r, &tag, &u, &s)) == WAGW_OK) {
        switch (tag) {
        case TAG_FETCHED: g->fetched_ms = (int64_t) u; break;
        case TAG_LID: g->lid = u; break;
        case TAG_ANNOUNCE: g->announce = u; break;
        case TAG_EPHEMERAL: g->ephemeral = (uint32_t) u; break;
        case TAG_SUBJECT: g->subject = s; break;
        case TAG_MEMBER:
            if (g->n < cap && wagw_jid_parse(&g->members[g->n], s) == WAGW_OK) {
                g->n++;
            }
            break;
        case TAG_ROLE:
            if (g->n) {
                g->roles[g->n - 1] = (uint8_t) u;
            }
            break;
        default: break;
        }
    }
    if (rc != WAGW_NOT_FOUND) {
        memset(g, 0, sizeof(*g));       /* damaged: fetched again */
    }
    return WAGW_OK;
}


static int
group_put(wagw_turn_t *t, const wagw_jid_t *group, const wagw_group_t *g)
{
    int         rc;
    wagw_buf_t  b = { 0 };

    wagw_tlv_put_u(&b, TAG_FETCHED, (uint64_t) g->fetched_ms);
    wagw_tlv_put_u(&b, TAG_LID, g->lid);
    wagw_tlv_put_u(&b, TAG_ANNOUNCE, g->announce);
    wagw_tlv_put_u(&b, TAG_EPHEMERAL, g->ephemeral);
    wagw_tlv_put_s(&b, TAG_SUBJECT, g->subject);
    for (size_t i = 0; i < g->n; i++) {
        wagw_tlv_put_s(&b, TAG_MEMBER, text(t, &g->members[i]));
        wagw_tlv_put_u(&b, TAG_ROLE, g->roles[i]);
    }
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_GROUP, text(t, group), wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}


int
wagw_group_forget(wagw_turn_t *t, const wagw_jid_t *group)
{
    return wagw_txn_del(&t->txn, WAGW_REC_GROUP, text(t, group));
}


int
wagw_group_query(wagw_turn_t *t, const wagw_jid_t *group, wagw_iq_pt handler, uint64_t arg)
{
    wagw_node_t  *iq = wagw_node(&t->arena, "iq"), *q;

    wagw_node_attr_jid(&t->arena, iq, "to", group);
    wagw_node_attrc(&t->arena, iq, "type", "get");
    wagw_node_attrc(&t->arena, iq, "xmlns", "w:g2");
    q = wagw_node_child(&t->arena, iq, "query");
    wagw_node_attrc(&t->arena, q, "request", "interactive");
    return wagw_iq_send(t, iq, handler, arg);
}


static uint8_t
role(const wagw_node_t *p)
{
    return wagw_node_attr_is(p, "type", "superadmin") ? 2 : wagw_node_attr_is(p, "type", "admin") ? 1 : 0;
}


/* A <participant>: its pair is learnt, its jid in the group's mode is given. */
static int
participant(wagw_turn_t *t, const wagw_node_t *p, bool lid, wagw_jid_t *out)
{
    int         rc = WAGW_OK;
    wagw_jid_t  alt;

    if (wagw_node_get_jid(p, "jid", out) != WAGW_OK || !wagw_jid_is_person(out)) {
        return WAGW_MALFORMED;
    }
    *out = wagw_jid_user(out);
    if (wagw_node_get_jid(p, wagw_jid_is_lid(out) ? "phone_number" : "lid", &alt) == WAGW_OK) {
        rc = wagw_lid_learn(t, out, &alt);
        if (rc == WAGW_OK && wagw_jid_is_lid(out) != lid) {
            *out = wagw_jid_user(&alt);
        }
    }
    return rc;
}


static int
group_name(wagw_turn_t *t, const wagw_jid_t *group, wagw_str_t subject)
{
    int              rc;
    wagw_row_chat_t  c;

    rc = wagw_turn_chat(t, text(t, group), &c);
    if (rc == WAGW_NOT_FOUND || (rc == WAGW_OK && wagw_str_eq(c.name, subject))) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    c.name = subject;
    return wagw_turn_chat_put(t, &c);
}


int
wagw_group_answer(wagw_turn_t *t, const wagw_node_t *iq)
{
    int                 rc, again = WAGW_OK;
    uint64_t            u;
    wagw_str_t          id;
    wagw_jid_t          jid;
    wagw_group_t        g;
    const wagw_node_t  *n = wagw_node_find(iq, "group"), *p;

    if (n == NULL || n->nchildren > WAGW_GROUP_MEMBERS_MAX) {
        return WAGW_OK;
    }
    id = wagw_node_get(n, "id");
    if (memchr(id.p ? id.p : (const uint8_t *) "", '@', id.n) == NULL) {
        id = wagw_arena_printf(&t->arena, "%.*s@g.us", (int) (id.n < 64 ? id.n : 64), (const char *) id.p);
    }
    if (wagw_jid_parse(&jid, id) != WAGW_OK || !wagw_jid_is_group(&jid)) {
        return WAGW_OK;
    }
    memset(&g, 0, sizeof(g));
    g.fetched_ms = t->now > 0 ? t->now : 1;
    g.lid = wagw_node_attr_is(n, "addressing_mode", "lid");
    g.announce = wagw_node_find(n, "announcement") != NULL;
    g.subject = wagw_node_get(n, "subject");
    if (wagw_node_get_u64(wagw_node_find(n, "ephemeral"), "expiration", &u) == WAGW_OK) {
        g.ephemeral = (uint32_t) u;
    }
    g.members = wagw_arena_alloc(&t->arena, (n->nchildren + 1) * sizeof(*g.members));
    g.roles = wagw_arena_zalloc(&t->arena, n->nchildren + 1);
    if (g.members == NULL || g.roles == NULL) {
        return WAGW_NOMEM;
    }
    for (p = wagw_node_find(n, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        if (wagw_node_has(p, "error")) {
            continue;
        }
        rc = participant(t, p, g.lid, &g.members[g.n]);
        if (rc == WAGW_OK) {
            g.roles[g.n++] = role(p);
        } else if (rc == WAGW_AGAIN) {
            again = rc;         /* on, so that one load brings all pairs */
        } else if (rc != WAGW_MALFORMED) {
            return rc;
        }
    }
    WAGW_TRY(again);
    WAGW_TRY(group_put(t, &jid, &g));
    return g.subject.n ? group_name(t, &jid, g.subject) : WAGW_OK;
}


static int
learn_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void) arg;
    return node && wagw_iq_error(node, NULL) == 0 ? wagw_group_answer(t, node) : WAGW_OK;
}


int
wagw_group_learn(wagw_turn_t *t, const wagw_jid_t *group)
{
    wagw_group_t  g;

    if (t->c->conn != WAGW_CONN_OPEN) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_group_get(t, group, &g));
    return g.fetched_ms ? WAGW_OK : wagw_group_query(t, group, learn_answer, 0);
}


/* ---- notifications --------------------------------------------------------------- */

typedef struct {
    wagw_jid_t     group;
    wagw_jid_t     actor;           /* canonical, or empty */
    wagw_group_t   g;
    bool           changed;
    bool           rotate;
} change_t;


static int
members_event(wagw_turn_t *t, const change_t *c, const wagw_node_t *k, const char *name, const char *action)
{
    wagw_jid_t          j;
    wagw_buf_t          b = { 0 };
    wagw_json_t         json = wagw_json(&b);
    const wagw_node_t  *p;

    wagw_json_open(&json, '{');
    wagw_json_kstr(&json, "groupId", text(t, &c->group));
    wagw_json_kstr(&json, "groupName", c->g.subject);
    if (action) {
        wagw_json_kcstr(&json, "action", action);
    }
    wagw_json_key(&json, "participants");
    wagw_json_open(&json, '[');
    for (p = wagw_node_find(k, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        if (wagw_node_get_jid(p, "jid", &j) == WAGW_OK) {
            int  rc = wagw_chat_canonical(t, &j, &j);

            if (rc != WAGW_OK) {
                wagw_buf_free(&b);
                return rc;
            }
            wagw_json_str(&json, text(t, &j));
        }
    }
    wagw_json_close(&json);
    if (strcmp(name, "group.v2.leave") == 0) {
        wagw_json_kstr(&json, "removedBy", wagw_jid_empty(&c->actor) ? WAGW_STR("") : text(t, &c->actor));
        wagw_json_kcstr(&json, "reason", wagw_node_is(k, "leave") ? "left" : "removed");
    } else {
        wagw_json_kstr(&json, action ? "actor" : "addedBy", wagw_jid_empty(&c->actor) ? WAGW_STR("") : text(t, &c->actor));
    }
    wagw_json_kiso(&json, "timestamp", t->now);
    wagw_json_close(&json);
    return wagw_event_emit(t, name, text(t, &c->group), &b);
}


static int
update_event(wagw_turn_t *t, const change_t *c, const char *key, wagw_str_t value)
{
    wagw_buf_t   b = { 0 };
    wagw_json_t  json = wagw_json(&b);

    wagw_json_open(&json, '{');
    wagw_json_kstr(&json, "groupId", text(t, &c->group));
    wagw_json_kstr(&json, "groupName", c->g.subject);
    wagw_json_key(&json, "updates");
    wagw_json_open(&json, '{');
    wagw_json_key(&json, key);
    wagw_json_raw(&json, value);
    wagw_json_close(&json);
    wagw_json_kstr(&json, "updatedBy", wagw_jid_empty(&c->actor) ? WAGW_STR("") : text(t, &c->actor));
    wagw_json_kiso(&json, "timestamp", t->now);
    wagw_json_close(&json);
    return wagw_event_emit(t, "group.v2.update", text(t, &c->group), &b);
}


static int
members_add(wagw_turn_t *t, change_t *c, const wagw_node_t *k)
{
    size_t              i, n = c->g.n;
    wagw_jid_t          j, *members;
    uint8_t            *roles;
    const wagw_node_t  *p;

    members = wagw_arena_alloc(&t->arena, (n + k->nchildren + 1) * sizeof(*members));
    roles = wagw_arena_zalloc(&t->arena, n + k->nchildren + 1);
    if (members == NULL || roles == NULL) {
        return WAGW_NOMEM;
    }
    if (n) {
        memcpy(members, c->g.members, n * sizeof(*members));
        memcpy(roles, c->g.roles, n);
    }
    for (p = wagw_node_find(k, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        int  rc = participant(t, p, c->g.lid, &j);

        if (rc == WAGW_MALFORMED) {
            continue;
        }
        WAGW_TRY(rc);
        for (i = 0; i < n && !wagw_jid_eq(&members[i], &j); i++) { /* void */ }
        members[i] = j;
        roles[i] = role(p);
        n = i == n ? n + 1 : n;
    }
    c->g.members = members;
    c->g.roles = roles;
    c->g.n = n;
    c->changed = true;
    return WAGW_OK;
}


static int
members_change(wagw_turn_t *t, change_t *c, const wagw_node_t *k, int new_role)
{
    size_t              i;
    wagw_jid_t          j;
    const wagw_node_t  *p;

    for (p = wagw_node_find(k, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        int  rc = participant(t, p, c->g.lid, &j);

        if (rc == WAGW_MALFORMED) {
            continue;
        }
        WAGW_TRY(rc);
        for (i = 0; i < c->g.n; i++) {
            if (!wagw_jid_eq(&c->g.members[i], &j)) {
                continue;
            }
            if (new_role >= 0) {
                c->g.roles[i] = (uint8_t) new_role;
            } else {
                c->g.n--;
                memmove(&c->g.members[i], &c->g.members[i + 1], (c->g.n - i) * sizeof(j));
                memmove(&c->g.roles[i], &c->g.roles[i + 1], c->g.n - i);
            }
            break;
        }
    }
    c->changed = true;
    return WAGW_OK;
}


static int
apply_change(wagw_turn_t *t, change_t *c, const wagw_node_t *k)
{
    uint64_t     u = 0;
    wagw_buf_t   b = { 0 };
    wagw_str_t   v;
    wagw_json_t  j;

    if (wagw_node_is(k, "create")) {
        WAGW_TRY(wagw_group_answer(t, k));
        return members_event(t, c, wagw_node_find(k, "group"), "group.v2.join", NULL);
    }
    if (wagw_node_is(k, "add")) {
        WAGW_TRY(members_add(t, c, k));
        WAGW_TRY(members_event(t, c, k, "group.v2.participants", "add"));
        return members_event(t, c, k, "group.v2.join", NULL);
    }
    if (wagw_node_is(k, "remove") || wagw_node_is(k, "leave")) {
        WAGW_TRY(members_change(t, c, k, -1));
        c->rotate = true;
        WAGW_TRY(members_event(t, c, k, "group.v2.participants", "remove"));
        return members_event(t, c, k, "group.v2.leave", NULL);
    }
    if (wagw_node_is(k, "promote") || wagw_node_is(k, "demote")) {
        WAGW_TRY(members_change(t, c, k, wagw_node_is(k, "promote") ? 1 : 0));
        return members_event(t, c, k, "group.v2.participants", wagw_node_is(k, "promote") ? "promote" : "demote");
    }
    if (wagw_node_is(k, "subject")) {
        c->g.subject = wagw_node_get(k, "subject");
        c->changed = true;
        WAGW_TRY(group_name(t, &c->group, c->g.subject));
        j = wagw_json(&b);
        wagw_json_str(&j, c->g.subject);
        v = wagw_arena_str(&t->arena, wagw_buf_view(&b));
        wagw_buf_free(&b);
        return update_event(t, c, "subject", v);
    }
    if (wagw_node_is(k, "announcement") || wagw_node_is(k, "not_announcement")) {
        c->g.announce = wagw_node_is(k, "announcement");
        c->changed = true;
        return update_event(t, c, "announce", c->g.announce ? WAGW_STR("true") : WAGW_STR("false"));
    }
    if (wagw_node_is(k, "locked") || wagw_node_is(k, "unlocked")) {
        return update_event(t, c, "restrict", wagw_node_is(k, "locked") ? WAGW_STR("true") : WAGW_STR("false"));
    }
    if (wagw_node_is(k, "ephemeral") || wagw_node_is(k, "not_ephemeral")) {
        (void) wagw_node_get_u64(k, "expiration", &u);
        c->g.ephemeral = wagw_node_is(k, "ephemeral") ? (uint32_t) u : 0;
        c->changed = true;
        return update_event(t, c, "ephemeral", wagw_arena_printf(&t->arena, "%u", c->g.ephemeral));
    }
    if (wagw_node_is(k, "modify")) {
        c->g.fetched_ms = 0;        /* a number changed: read again */
        c->changed = true;
    }
    return WAGW_OK;
}


int
wagw_group_notification(wagw_turn_t *t, const wagw_node_t *n)
{
    bool                known;
    change_t            c;
    const wagw_node_t  *k;

    memset(&c, 0, sizeof(c));
    if (wagw_node_get_jid(n, "from", &c.group) != WAGW_OK || !wagw_jid_is_group(&c.group)) {
        return WAGW_OK;
    }
    if (wagw_node_get_jid(n, "participant", &c.actor) == WAGW_OK) {
        WAGW_TRY(wagw_lid_learn_attr(t, n, &c.actor, "participant_lid", "participant_pn"));
        WAGW_TRY(wagw_chat_canonical(t, &c.actor, &c.actor));
    } else {
        memset(&c.actor, 0, sizeof(c.actor));
    }
    WAGW_TRY(wagw_group_get(t, &c.group, &c.g));
    known = c.g.fetched_ms != 0;
    if (!known) {
        /* pairs are learnt in the form they come in */
        c.g.lid = wagw_node_attr_is(n, "addressing_mode", "lid");
    }
    for (k = n->content == WAGW_CONTENT_NODES ? n->child : NULL; k; k = k->next) {
        WAGW_TRY(apply_change(t, &c, k));
    }
    if (c.rotate) {
        WAGW_TRY(wagw_group_rotate(t, &c.group));
    }
    if (known && c.changed) {
        return c.g.fetched_ms ? group_put(t, &c.group, &c.g) : wagw_group_forget(t, &c.group);
    }
    return WAGW_OK;
}


/* ---- our sender keys ------------------------------------------------------------------ */

wagw_signal_addr_t
wagw_group_self(const wagw_turn_t *t)
{
    const wagw_creds_t  *me = wagw_turn_me(t);
    wagw_jid_t           j = wagw_jid_empty(&me->lid) ? me->jid : me->lid;

    j.device = me->jid.device;
    return wagw_signal_addr(&j);
}


int
wagw_group_rotate(wagw_turn_t *t, const wagw_jid_t *group)
{
    wagw_signal_t       *s = wagw_turn_signal(t);
    wagw_signal_addr_t   self = wagw_group_self(t);

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_signal_group_forget(s, text(t, group), &self));
    return wagw_txn_del(&t->txn, WAGW_REC_SENDER_KEY_SENT, text(t, group));
}


/* *given: NUL-separated signal addresses that have the key of this id. */
int
wagw_group_has(wagw_turn_t *t, const wagw_jid_t *group, uint32_t key_id, wagw_str_t *given)
{
    int         rc;
    uint8_t     tag;
    uint64_t    u, id = 0;
    wagw_str_t  v, s, list = WAGW_STR_NULL;
    wagw_tlv_t  r;

    *given = WAGW_STR_NULL;
    rc = wagw_txn_get(&t->txn, WAGW_REC_SENDER_KEY_SENT, text(t, group), &v);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    r = (wagw_tlv_t) { v, 0 };
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        if (tag == TAG_KEY_ID) {
            id = u;
        } else if (tag == TAG_GIVEN) {
            list = s;
        }
    }
    if (id == key_id && list.n) {
        *given = wagw_arena_str(&t->arena, list);
    }
    return WAGW_OK;
}


int
wagw_group_given(wagw_turn_t *t, const wagw_jid_t *group, uint32_t key_id, const uint8_t *given, size_t n)
{
    int         rc;
    wagw_buf_t  b = { 0 }, all = { 0 };
    wagw_str_t  old;

    WAGW_TRY(wagw_group_has(t, group, key_id, &old));
    wagw_buf_str(&all, old);
    wagw_buf_add(&all, given, n);
    wagw_tlv_put_u(&b, TAG_KEY_ID, key_id);
    wagw_tlv_put_s(&b, TAG_GIVEN, wagw_buf_view(&all));
    rc = b.failed || all.failed ? WAGW_NOMEM
       : wagw_txn_put(&t->txn, WAGW_REC_SENDER_KEY_SENT, text(t, group), wagw_buf_view(&b));
    wagw_buf_free(&b);
    wagw_buf_free(&all);
    return rc;
}


int
wagw_group_resend(wagw_turn_t *t, const wagw_jid_t *group, const wagw_signal_addr_t *device, wagw_buf_t *out,
    wagw_str_t message)
{
    int                  rc;
    char                 key[WAGW_KEY_MAX];
    size_t               n = wagw_signal_key(key, device);
    uint32_t             id;
    wagw_buf_t           skdm = { 0 };
    wagw_signal_t       *s = wagw_turn_signal(t);
    wagw_signal_addr_t   self = wagw_group_self(t);

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    rc = wagw_signal_group_skdm(s, text(t, group), &self, &skdm, &id);
    if (rc == WAGW_OK) {
        rc = wagw_message_add_skdm(out, message, text(t, group), wagw_buf_view(&skdm));
    }
    if (rc == WAGW_OK) {
        rc = wagw_group_given(t, group, id, (uint8_t *) key, n + 1);
    }
    wagw_buf_wipe(&skdm);
    return rc;
}
