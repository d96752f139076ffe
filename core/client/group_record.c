/*
 * Group metadata (04 section 9, 09).  A record is fetched once and then kept
 * true by the w:gp2 notifications; what cannot be applied drops it.
 */

#include "client_i.h"

enum {
    TAG_FETCHED = 1,
    TAG_LID,
    TAG_ANNOUNCE,
    TAG_EPHEMERAL,
    TAG_SUBJECT,
    TAG_MEMBER,
    TAG_ROLE,
    TAG_FLAGS,
    TAG_CREATED,
    TAG_OWNER,
    TAG_PARENT,
    TAG_DESC,
    TAG_DESC_ID,
    TAG_DESC_OWNER
};

/* META record: every group that we are in has a record. */
#define ALL_KNOWN "groups"

enum { FLAG_LOCKED = 1, FLAG_ADMIN_ADD = 2, FLAG_APPROVAL = 4, FLAG_COMMUNITY = 8, FLAG_COMMUNITY_ALL = 16 };

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
        case TAG_FLAGS:
            g->locked = u & FLAG_LOCKED;
            g->admin_add = u & FLAG_ADMIN_ADD;
            g->approval = u & FLAG_APPROVAL;
            g->community = u & FLAG_COMMUNITY;
            g->community_all = u & FLAG_COMMUNITY_ALL;
            break;
        case TAG_CREATED:
            g->created_s = (int64_t)u;
            break;
        case TAG_OWNER:
            (void)wagw_jid_parse(&g->owner, s);
            break;
        case TAG_PARENT:
            (void)wagw_jid_parse(&g->parent, s);
            break;
        case TAG_DESC:
            g->desc = s;
            break;
        case TAG_DESC_ID:
            g->desc_id = s;
            break;
        case TAG_DESC_OWNER:
            (void)wagw_jid_parse(&g->desc_owner, s);
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

static void put_jid(wagw_turn_t *t, wagw_buf_t *b, uint8_t tag, const wagw_jid_t *j)
{
    if (!wagw_jid_empty(j)) {
        wagw_tlv_put_s(b, tag, text(t, j));
    }
}

int wagw_group_put(wagw_turn_t *t, const wagw_jid_t *group, const wagw_group_t *g)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_u(&b, TAG_FETCHED, (uint64_t)g->fetched_ms);
    wagw_tlv_put_u(&b, TAG_LID, g->lid);
    wagw_tlv_put_u(&b, TAG_ANNOUNCE, g->announce);
    wagw_tlv_put_u(&b, TAG_EPHEMERAL, g->ephemeral);
    wagw_tlv_put_s(&b, TAG_SUBJECT, g->subject);
    wagw_tlv_put_u(&b, TAG_FLAGS,
                   (g->locked ? FLAG_LOCKED : 0) | (g->admin_add ? FLAG_ADMIN_ADD : 0) |
                       (g->approval ? FLAG_APPROVAL : 0) | (g->community ? FLAG_COMMUNITY : 0) |
                       (g->community_all ? FLAG_COMMUNITY_ALL : 0));
    wagw_tlv_put_u(&b, TAG_CREATED, (uint64_t)g->created_s);
    put_jid(t, &b, TAG_OWNER, &g->owner);
    put_jid(t, &b, TAG_PARENT, &g->parent);
    if (g->desc_id.n || g->desc.n) {
        wagw_tlv_put_s(&b, TAG_DESC, g->desc);
        wagw_tlv_put_s(&b, TAG_DESC_ID, g->desc_id);
        put_jid(t, &b, TAG_DESC_OWNER, &g->desc_owner);
    }
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

wagw_node_t *wagw_group_iq(wagw_turn_t *t, const char *type, const wagw_jid_t *to, const char *tag, wagw_node_t **child)
{
    wagw_jid_t any = wagw_jid_make("", WAGW_SRV_GROUP, 0);
    wagw_node_t *iq = wagw_node(&t->arena, "iq");

    wagw_node_attr_jid(&t->arena, iq, "to", to ? to : &any);
    wagw_node_attrc(&t->arena, iq, "type", type);
    wagw_node_attrc(&t->arena, iq, "xmlns", "w:g2");
    *child = wagw_node_child(&t->arena, iq, tag);
    return iq;
}

static wagw_node_t *query(wagw_turn_t *t, const wagw_jid_t *group)
{
    wagw_node_t *q, *iq = wagw_group_iq(t, "get", group, "query", &q);

    wagw_node_attrc(&t->arena, q, "request", "interactive");
    return iq;
}

int wagw_group_query(wagw_turn_t *t, const wagw_jid_t *group, wagw_iq_pt handler, uint64_t arg)
{
    return wagw_iq_send(t, query(t, group), handler, arg);
}

int wagw_group_query_for(wagw_turn_t *t, const wagw_jid_t *group, wagw_iq_pt handler, uint64_t command,
                         const cJSON *params)
{
    return wagw_iq_send_params(t, query(t, group), handler, command, params);
}

uint8_t wagw_group_role(const wagw_node_t *p)
{
    return wagw_node_attr_is(p, "type", "superadmin") ? 2 : wagw_node_attr_is(p, "type", "admin") ? 1 : 0;
}

/* A <participant>: its pair is learnt, its jid in the group's mode is given. */
int wagw_group_participant(wagw_turn_t *t, const wagw_node_t *p, bool lid, wagw_jid_t *out)
{
    int rc = WAGW_OK;
    wagw_jid_t alt;

    if (wagw_node_get_jid(p, "jid", out) != WAGW_OK || !wagw_jid_is_person(out)) {
        return WAGW_MALFORMED;
    }
    *out = wagw_jid_user(out);
    if (wagw_node_get_jid(p, wagw_jid_is_lid(out) ? "phone_number" : "lid", &alt) == WAGW_OK) {
        rc = wagw_lid_learn(t, out, &alt, NULL);
        if (rc == WAGW_OK && wagw_jid_is_lid(out) != lid) {
            *out = wagw_jid_user(&alt);
        }
    }
    return rc;
}

int wagw_group_name(wagw_turn_t *t, const wagw_jid_t *group, wagw_str_t subject)
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

/* The jid of an attribute, its twin in another one learnt. */
static int named(wagw_turn_t *t, const wagw_node_t *n, const char *attr, const char *pn_attr, wagw_jid_t *out)
{
    wagw_jid_t pn;

    if (wagw_node_get_jid(n, attr, out) != WAGW_OK || !wagw_jid_is_person(out)) {
        memset(out, 0, sizeof(*out));
        return WAGW_OK;
    }
    *out = wagw_jid_user(out);
    return wagw_node_get_jid(n, pn_attr, &pn) == WAGW_OK ? wagw_lid_learn(t, out, &pn, NULL) : WAGW_OK;
}

bool wagw_group_approval(const wagw_node_t *n)
{
    const wagw_node_t *join = wagw_node_find(n, "group_join");

    return n != NULL && !(join && wagw_node_attr_is(join, "state", "off"));
}

/* Everything but the members (09 section 3). */
static int group_head(wagw_turn_t *t, const wagw_node_t *n, wagw_group_t *g)
{
    int rc, again;
    uint64_t u;
    const wagw_node_t *d = wagw_node_find(n, "description"), *k;

    g->lid = wagw_node_attr_is(n, "addressing_mode", "lid");
    g->announce = wagw_node_find(n, "announcement") != NULL;
    g->locked = wagw_node_find(n, "locked") != NULL;
    g->approval = wagw_group_approval(wagw_node_find(n, "membership_approval_mode"));
    g->community = wagw_node_find(n, "parent") != NULL;
    g->community_all = wagw_node_find(n, "default_sub_group") != NULL;
    g->admin_add = !wagw_str_is(wagw_node_data(wagw_node_find(n, "member_add_mode")), "all_member_add");
    g->subject = wagw_node_get(n, "subject");
    if (wagw_node_get_u64(wagw_node_find(n, "ephemeral"), "expiration", &u) == WAGW_OK) {
        g->ephemeral = (uint32_t)u;
    }
    if (wagw_node_get_u64(n, "creation", &u) == WAGW_OK && u < (1ull << 40)) {
        g->created_s = (int64_t)u;
    }
    k = wagw_node_find(n, "linked_parent");
    if (k && (wagw_node_get_jid(k, "jid", &g->parent) != WAGW_OK || !wagw_jid_is_group(&g->parent))) {
        memset(&g->parent, 0, sizeof(g->parent));
    }
    again = named(t, n, "creator", "creator_pn", &g->owner);
    if (again != WAGW_OK && again != WAGW_AGAIN) {
        return again;
    }
    if (d && wagw_node_find(d, "body")) {
        g->desc = wagw_node_data(wagw_node_find(d, "body"));
        g->desc_id = wagw_node_get(d, "id");
        rc = named(t, d, "participant", "participant_pn", &g->desc_owner);
        again = rc == WAGW_OK ? again : rc;
    }
    return again;
}

int wagw_group_read(wagw_turn_t *t, const wagw_node_t *n, wagw_jid_t *jid, wagw_group_t *g)
{
    int rc, again;
    wagw_str_t id;
    const wagw_node_t *p;

    memset(g, 0, sizeof(*g));
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
    g->fetched_ms = t->now > 0 ? t->now : 1;
    again = group_head(t, n, g);
    if (again != WAGW_OK && again != WAGW_AGAIN) {
        return again;
    }
    g->members = wagw_arena_alloc(&t->arena, (n->nchildren + 1) * sizeof(*g->members));
    g->roles = wagw_arena_zalloc(&t->arena, n->nchildren + 1);
    if (g->members == NULL || g->roles == NULL) {
        return WAGW_NOMEM;
    }
    for (p = wagw_node_find(n, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        if (wagw_node_has(p, "error")) {
            continue;
        }
        rc = wagw_group_participant(t, p, g->lid, &g->members[g->n]);
        if (rc == WAGW_OK) {
            g->roles[g->n++] = wagw_group_role(p);
        } else if (rc == WAGW_AGAIN) {
            again = rc; /* on, so that one load brings all pairs */
        } else if (rc != WAGW_MALFORMED) {
            return rc;
        }
    }
    return again;
}

int wagw_group_store(wagw_turn_t *t, const wagw_node_t *n, wagw_jid_t *jid, wagw_group_t *out)
{
    wagw_group_t g;

    WAGW_TRY(wagw_group_read(t, n, jid, &g));
    if (wagw_jid_empty(jid)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_group_put(t, jid, &g));
    if (out) {
        *out = g;
    }
    return g.subject.n ? wagw_group_name(t, jid, g.subject) : WAGW_OK;
}

int wagw_group_answer(wagw_turn_t *t, const wagw_node_t *iq)
{
    wagw_jid_t jid;

    return wagw_group_store(t, wagw_node_find(iq, "group"), &jid, NULL);
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

int wagw_group_all_answer(wagw_turn_t *t, const wagw_node_t *node)
{
    int rc, again;
    stales_t l = {t, NULL};
    wagw_jid_t jid;
    const wagw_node_t *g;

    /* what is not in the list is ours no more */
    again = wagw_txn_scan(&t->txn, WAGW_REC_GROUP, WAGW_STR(""), stale_one, &l);
    if (again != WAGW_OK && again != WAGW_AGAIN) {
        return again;
    }
    for (stale_t *s = l.all; s; s = s->next) {
        WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_GROUP, s->key));
    }
    for (g = wagw_node_find(wagw_node_find(node, "groups"), "group"); g; g = wagw_node_find_next(g, "group")) {
        rc = wagw_group_store(t, g, &jid, NULL);
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    WAGW_TRY(again);
    return wagw_txn_put(&t->txn, WAGW_REC_META, WAGW_STR(ALL_KNOWN), WAGW_STR("1"));
}

int wagw_group_all_known(wagw_turn_t *t, bool *known)
{
    wagw_str_t v;
    int rc = wagw_txn_get(&t->txn, WAGW_REC_META, WAGW_STR(ALL_KNOWN), &v);

    *known = rc == WAGW_OK;
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_group_all_query(wagw_turn_t *t, wagw_iq_pt handler, uint64_t command, const cJSON *params)
{
    wagw_node_t *p, *iq = wagw_group_iq(t, "get", NULL, "participating", &p);

    wagw_node_child(&t->arena, p, "participants");
    wagw_node_child(&t->arena, p, "description");
    return wagw_iq_send_params(t, iq, handler, command, params);
}

static int all_groups(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    wagw_node_t *iq;

    (void)arg;
    if (node == NULL || wagw_iq_error(node, NULL) || wagw_node_find(node, "groups") == NULL) {
        return WAGW_OK; /* it is dirty still, and will be said again */
    }
    WAGW_TRY(wagw_group_all_answer(t, node));
    iq = wagw_iq(t, "set", "urn:xmpp:whatsapp:dirty");
    wagw_node_attrc(&t->arena, wagw_node_child(&t->arena, iq, "clean"), "type", "groups");
    return wagw_iq_send(t, iq, cleaned, 0);
}

int wagw_group_dirty(wagw_turn_t *t)
{
    return wagw_group_all_query(t, all_groups, 0, NULL);
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
