/*
 * Group metadata, as far as messages need it (04 section 9, 09).  A record is
 * fetched once and then kept true by the w:gp2 notifications; what cannot be
 * applied drops it.
 */

#include "client_i.h"

enum { TAG_FETCHED = 1, TAG_LID, TAG_ANNOUNCE, TAG_EPHEMERAL, TAG_SUBJECT, TAG_MEMBER, TAG_ROLE };

static wagw_str_t text(wagw_turn_t *t, const wagw_jid_t *j)
{
    return wagw_jid_str(&t->arena, j);
}

int wagw_group_get(wagw_turn_t *t, const wagw_jid_t *group, wagw_group_t *g)
{
    int rc;
    size_t cap;
    uint8_t tag;
    uint64_t u;
    wagw_str_t v, s, copy;
    wagw_tlv_t r;

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
    r = (wagw_tlv_t){copy, 0};
    while ((rc = wagw_tlv_next(&r, &tag, &u, &s)) == WAGW_OK) {
        switch (tag) {
        case TAG_FETCHED:
            g->fetched_ms = (int64_t)u;
            break;
        case TAG_LID:
            g->lid = u;
            break;
        case TAG_ANNOUNCE:
            g->announce = u;
            break;
        case TAG_EPHEMERAL:
            g->ephemeral = (uint32_t)u;
            break;
        case TAG_SUBJECT:
            g->subject = s;
            break;
        case TAG_MEMBER:
            if (g->n < cap && wagw_jid_parse(&g->members[g->n], s) == WAGW_OK) {
                g->n++;
            }
            break;
        case TAG_ROLE:
            if (g->n) {
                g->roles[g->n - 1] = (uint8_t)u;
            }
            break;
        default:
            break;
        }
    }
    if (rc != WAGW_NOT_FOUND) {
        memset(g, 0, sizeof(*g)); /* damaged: fetched again */
    }
    return WAGW_OK;
}

static int group_put(wagw_turn_t *t, const wagw_jid_t *group, const wagw_group_t *g)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_u(&b, TAG_FETCHED, (uint64_t)g->fetched_ms);
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

int wagw_group_forget(wagw_turn_t *t, const wagw_jid_t *group)
{
    return wagw_txn_del(&t->txn, WAGW_REC_GROUP, text(t, group));
}

int wagw_group_query(wagw_turn_t *t, const wagw_jid_t *group, wagw_iq_pt handler, uint64_t arg)
{
    wagw_node_t *iq = wagw_node(&t->arena, "iq"), *q;

    wagw_node_attr_jid(&t->arena, iq, "to", group);
    wagw_node_attrc(&t->arena, iq, "type", "get");
    wagw_node_attrc(&t->arena, iq, "xmlns", "w:g2");
    q = wagw_node_child(&t->arena, iq, "query");
    wagw_node_attrc(&t->arena, q, "request", "interactive");
    return wagw_iq_send(t, iq, handler, arg);
}

static uint8_t role(const wagw_node_t *p)
{
    return wagw_node_attr_is(p, "type", "superadmin") ? 2 : wagw_node_attr_is(p, "type", "admin") ? 1 : 0;
}

/* A <participant>: its pair is learnt, its jid in the group's mode is given. */
static int participant(wagw_turn_t *t, const wagw_node_t *p, bool lid, wagw_jid_t *out)
{
    int rc = WAGW_OK;
    wagw_jid_t alt;

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

static int group_name(wagw_turn_t *t, const wagw_jid_t *group, wagw_str_t subject)
{
    int rc;
    wagw_row_chat_t c;

    rc = wagw_turn_chat(t, text(t, group), &c);
    if (rc == WAGW_NOT_FOUND || (rc == WAGW_OK && wagw_str_eq(c.name, subject))) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    c.name = subject;
    return wagw_turn_chat_put(t, &c);
}

/* A group that we came into is a chat at once, as on phones. */
static int group_chat(wagw_turn_t *t, const wagw_jid_t *group, int64_t at_ms)
{
    int rc;
    wagw_group_t g;
    wagw_row_chat_t c;

    WAGW_TRY(wagw_group_get(t, group, &g));
    rc = wagw_turn_chat(t, text(t, group), &c);
    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    c.id = text(t, group);
    c.name = g.subject;
    c.ephemeral = g.ephemeral;
    c.last_ms = at_ms;
    return wagw_turn_chat_put(t, &c);
}

/* A <group>: what messages need of it.  *jid is left empty when it is none. */
static int group_store(wagw_turn_t *t, const wagw_node_t *n, wagw_jid_t *jid)
{
    int rc, again = WAGW_OK;
    uint64_t u;
    wagw_str_t id;
    wagw_group_t g;
    const wagw_node_t *p;

    memset(jid, 0, sizeof(*jid));
    if (n == NULL || n->nchildren > WAGW_GROUP_MEMBERS_MAX) {
        return WAGW_OK;
    }
    id = wagw_node_get(n, "id");
    if (memchr(id.p ? id.p : (const uint8_t *)"", '@', id.n) == NULL) {
        id = wagw_arena_printf(&t->arena, "%.*s@g.us", (int)(id.n < 64 ? id.n : 64), (const char *)id.p);
    }
    if (wagw_jid_parse(jid, id) != WAGW_OK || !wagw_jid_is_group(jid)) {
        memset(jid, 0, sizeof(*jid));
        return WAGW_OK;
    }
    memset(&g, 0, sizeof(g));
    g.fetched_ms = t->now > 0 ? t->now : 1;
    g.lid = wagw_node_attr_is(n, "addressing_mode", "lid");
    g.announce = wagw_node_find(n, "announcement") != NULL;
    g.subject = wagw_node_get(n, "subject");
    if (wagw_node_get_u64(wagw_node_find(n, "ephemeral"), "expiration", &u) == WAGW_OK) {
        g.ephemeral = (uint32_t)u;
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
            again = rc; /* on, so that one load brings all pairs */
        } else if (rc != WAGW_MALFORMED) {
            return rc;
        }
    }
    WAGW_TRY(again);
    WAGW_TRY(group_put(t, jid, &g));
    return g.subject.n ? group_name(t, jid, g.subject) : WAGW_OK;
}

int wagw_group_answer(wagw_turn_t *t, const wagw_node_t *iq)
{
    wagw_jid_t jid;

    return group_store(t, wagw_node_find(iq, "group"), &jid);
}

/* ---- "something changed with your groups" ------------------------------------------- */

typedef struct stale_s stale_t;
struct stale_s {
    wagw_str_t key;
    stale_t *next;
};

typedef struct {
    wagw_turn_t *t;
    stale_t *all;
} stales_t;

static int stale_one(void *data, wagw_str_t key, wagw_str_t value)
{
    stales_t *l = data;
    stale_t *s = wagw_arena_zalloc(&l->t->arena, sizeof(*s));

    (void)value;
    if (s) {
        s->key = wagw_arena_str(&l->t->arena, key);
        s->next = l->all;
        l->all = s;
    }
    return 0;
}

static int cleaned(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void)t;
    (void)node;
    (void)arg;
    return WAGW_OK;
}

static int all_groups(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    int rc, again = WAGW_OK;
    stales_t l = {t, NULL};
    wagw_jid_t jid;
    wagw_node_t *iq;
    const wagw_node_t *list = wagw_node_find(node, "groups"), *g;

    (void)arg;
    if (node == NULL || wagw_iq_error(node, NULL) || list == NULL) {
        return WAGW_OK; /* it is dirty still, and will be said again */
    }
    /* what is not in the list is ours no more */
    rc = wagw_txn_scan(&t->txn, WAGW_REC_GROUP, WAGW_STR(""), stale_one, &l);
    if (rc != WAGW_OK && rc != WAGW_AGAIN) {
        return rc;
    }
    again = rc;
    for (stale_t *s = l.all; s; s = s->next) {
        WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_GROUP, s->key));
    }
    for (g = wagw_node_find(list, "group"); g; g = wagw_node_find_next(g, "group")) {
        rc = group_store(t, g, &jid);
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    WAGW_TRY(again);
    iq = wagw_iq(t, "set", "urn:xmpp:whatsapp:dirty");
    wagw_node_attrc(&t->arena, wagw_node_child(&t->arena, iq, "clean"), "type", "groups");
    return wagw_iq_send(t, iq, cleaned, 0);
}

int wagw_group_dirty(wagw_turn_t *t)
{
    wagw_jid_t any = wagw_jid_make("", WAGW_SRV_GROUP, 0);
    wagw_node_t *iq = wagw_node(&t->arena, "iq"), *p;

    wagw_node_attr_jid(&t->arena, iq, "to", &any);
    wagw_node_attrc(&t->arena, iq, "type", "get");
    wagw_node_attrc(&t->arena, iq, "xmlns", "w:g2");
    p = wagw_node_child(&t->arena, iq, "participating");
    wagw_node_child(&t->arena, p, "participants");
    wagw_node_child(&t->arena, p, "description");
    return wagw_iq_send(t, iq, all_groups, 0);
}

int wagw_group_stale(wagw_turn_t *t, const wagw_jid_t *group)
{
    int rc, again = WAGW_OK;
    wagw_group_t g;

    WAGW_TRY(wagw_group_get(t, group, &g));
    for (size_t i = 0; i < g.n; i++) {
        rc = wagw_devices_forget(t, &g.members[i]);
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    WAGW_TRY(again);
    return wagw_group_forget(t, group);
}

static int learn_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    (void)arg;
    return node && wagw_iq_error(node, NULL) == 0 ? wagw_group_answer(t, node) : WAGW_OK;
}

int wagw_group_learn(wagw_turn_t *t, const wagw_jid_t *group)
{
    wagw_group_t g;

    if (t->c->conn != WAGW_CONN_OPEN) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_group_get(t, group, &g));
    return g.fetched_ms ? WAGW_OK : wagw_group_query(t, group, learn_answer, 0);
}

/* ---- notifications --------------------------------------------------------------- */

typedef struct {
    wagw_jid_t group;
    wagw_jid_t actor; /* canonical, or empty */
    int64_t at_ms;
    wagw_group_t g;
    bool changed;
    bool rotate;
} change_t;

static int members_event(wagw_turn_t *t, const change_t *c, const wagw_node_t *k, const char *name, const char *action)
{
    bool self = false;
    size_t n = 0;
    wagw_jid_t j;
    wagw_buf_t b = {0};
    wagw_json_t json = wagw_json(&b);
    const wagw_node_t *p;

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
            int rc = wagw_chat_canonical(t, &j, &j);

            if (rc != WAGW_OK) {
                wagw_buf_free(&b);
                return rc;
            }
            wagw_json_str(&json, text(t, &j));
            self = n++ == 0 && wagw_jid_eq(&j, &c->actor);
        }
    }
    wagw_json_close(&json);
    if (strcmp(name, "group.v2.leave") == 0) {
        wagw_json_kstr(&json, "removedBy", wagw_jid_empty(&c->actor) ? WAGW_STR("") : text(t, &c->actor));
        wagw_json_kcstr(&json, "reason", wagw_node_is(k, "leave") || self ? "left" : "removed");
    } else {
        wagw_json_kstr(&json, action ? "actor" : "addedBy",
                       wagw_jid_empty(&c->actor) ? WAGW_STR("") : text(t, &c->actor));
    }
    wagw_json_kiso(&json, "timestamp", c->at_ms);
    wagw_json_close(&json);
    return wagw_event_emit(t, name, text(t, &c->group), &b);
}

static int update_event(wagw_turn_t *t, const change_t *c, const char *key, wagw_str_t value)
{
    wagw_buf_t b = {0};
    wagw_json_t json = wagw_json(&b);

    wagw_json_open(&json, '{');
    wagw_json_kstr(&json, "groupId", text(t, &c->group));
    wagw_json_kstr(&json, "groupName", c->g.subject);
    wagw_json_key(&json, "updates");
    wagw_json_open(&json, '{');
    wagw_json_key(&json, key);
    wagw_json_raw(&json, value);
    wagw_json_close(&json);
    wagw_json_kstr(&json, "updatedBy", wagw_jid_empty(&c->actor) ? WAGW_STR("") : text(t, &c->actor));
    wagw_json_kiso(&json, "timestamp", c->at_ms);
    wagw_json_close(&json);
    return wagw_event_emit(t, "group.v2.update", text(t, &c->group), &b);
}

static int update_text(wagw_turn_t *t, const change_t *c, const char *key, wagw_str_t value)
{
    wagw_buf_t b = {0};
    wagw_str_t v;
    wagw_json_t j = wagw_json(&b);

    wagw_json_str(&j, value);
    v = wagw_arena_str(&t->arena, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return v.p ? update_event(t, c, key, v) : WAGW_NOMEM;
}

/* Somebody asks to come in, takes that back, or was turned away. */
static int join_event(wagw_turn_t *t, const change_t *c, const wagw_node_t *k)
{
    wagw_jid_t who = c->actor;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *p = wagw_node_find(k, "participant");

    p = p ? p : wagw_node_find(k, "requested_user");
    if (p && wagw_node_get_jid(p, "jid", &who) == WAGW_OK) {
        WAGW_TRY(wagw_chat_canonical(t, &who, &who));
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "groupId", text(t, &c->group));
    wagw_json_kstr(&j, "jid", wagw_jid_empty(&who) ? WAGW_STR("") : text(t, &who));
    wagw_json_kcstr(&j, "action", wagw_node_is(k, "revoked_membership_requests") ? "revoked" : "requested");
    wagw_json_kiso(&j, "timestamp", c->at_ms);
    wagw_json_close(&j);
    return wagw_event_emit(t, "group.join.request", text(t, &c->group), &b);
}

static int members_add(wagw_turn_t *t, change_t *c, const wagw_node_t *k)
{
    size_t i, n = c->g.n;
    wagw_jid_t j, *members;
    uint8_t *roles;
    const wagw_node_t *p;

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
        int rc = participant(t, p, c->g.lid, &j);

        if (rc == WAGW_MALFORMED) {
            continue;
        }
        WAGW_TRY(rc);
        for (i = 0; i < n && !wagw_jid_eq(&members[i], &j); i++) { /* void */
        }
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

static int members_change(wagw_turn_t *t, change_t *c, const wagw_node_t *k, int new_role)
{
    size_t i;
    wagw_jid_t j;
    const wagw_node_t *p;

    for (p = wagw_node_find(k, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        int rc = participant(t, p, c->g.lid, &j);

        if (rc == WAGW_MALFORMED) {
            continue;
        }
        WAGW_TRY(rc);
        for (i = 0; i < c->g.n; i++) {
            if (!wagw_jid_eq(&c->g.members[i], &j)) {
                continue;
            }
            if (new_role >= 0) {
                c->g.roles[i] = (uint8_t)new_role;
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

static int apply_change(wagw_turn_t *t, change_t *c, const wagw_node_t *k)
{
    uint64_t u = 0;

    if (wagw_node_is(k, "create")) {
        WAGW_TRY(wagw_group_answer(t, k));
        WAGW_TRY(wagw_group_get(t, &c->group, &c->g));
        WAGW_TRY(group_chat(t, &c->group, c->at_ms));
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
        return update_text(t, c, "subject", c->g.subject);
    }
    if (wagw_node_is(k, "description")) {
        return update_text(t, c, "desc", wagw_node_data(wagw_node_find(k, "body")));
    }
    if (wagw_node_is(k, "created_membership_requests") || wagw_node_is(k, "membership_approval_request") ||
        wagw_node_is(k, "revoked_membership_requests")) {
        return join_event(t, c, k);
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
        (void)wagw_node_get_u64(k, "expiration", &u);
        c->g.ephemeral = wagw_node_is(k, "ephemeral") ? (uint32_t)u : 0;
        c->changed = true;
        return update_event(t, c, "ephemeral", wagw_arena_printf(&t->arena, "%u", c->g.ephemeral));
    }
    if (wagw_node_is(k, "modify") || wagw_node_is(k, "delete")) {
        c->g.fetched_ms = 0; /* a number changed, or it is gone: read again */
        c->changed = true;
    }
    return WAGW_OK;
}

int wagw_group_notification(wagw_turn_t *t, const wagw_node_t *n)
{
    bool known;
    uint64_t at;
    change_t c;
    const wagw_node_t *k;

    memset(&c, 0, sizeof(c));
    c.at_ms = t->now;
    if (wagw_node_get_u64(n, "t", &at) == WAGW_OK && at && at < (1ull << 40)) {
        c.at_ms = (int64_t)at * 1000;
    }
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
