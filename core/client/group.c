/*
 * What happens to groups: the w:gp2 notifications and the changes we make
 * ourselves, applied to the record and told as events (09 section 6).
 */

#include "client_i.h"

static wagw_str_t text(wagw_turn_t *t, const wagw_jid_t *j)
{
    return wagw_jid_str(&t->arena, j);
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

/* ---- notifications --------------------------------------------------------------- */

typedef struct {
    wagw_jid_t group;
    wagw_jid_t actor; /* canonical, or empty */
    int64_t at_ms;
    wagw_group_t g;
    size_t seen; /* members that the notification names */
    bool changed;
    bool rotate;
} change_t;

/* Everything that will be read about the members, so that one load brings it all. */
static int members_load(wagw_turn_t *t, const change_t *c, const wagw_node_t *k)
{
    int rc, again = WAGW_OK;
    wagw_jid_t j;
    const wagw_node_t *p;

    for (p = wagw_node_find(k, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        rc = wagw_group_participant(t, p, c->g.lid, &j);
        if (rc == WAGW_MALFORMED) {
            continue;
        }
        again = rc == WAGW_AGAIN ? rc : again;
        if (rc == WAGW_OK || rc == WAGW_AGAIN) {
            rc = wagw_node_get_jid(p, "jid", &j) == WAGW_OK ? wagw_chat_canonical(t, &j, &j) : WAGW_OK;
        }
        again = rc == WAGW_AGAIN ? rc : again;
        if (rc != WAGW_OK && rc != WAGW_AGAIN) {
            return rc;
        }
    }
    return again;
}

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
        int rc = wagw_node_has(p, "error") ? WAGW_MALFORMED : wagw_group_participant(t, p, c->g.lid, &j);

        if (rc == WAGW_MALFORMED) {
            continue;
        }
        WAGW_TRY(rc);
        for (i = 0; i < n && !wagw_jid_eq(&members[i], &j); i++) { /* void */
        }
        members[i] = j;
        roles[i] = wagw_group_role(p);
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
        int rc = wagw_node_has(p, "error") ? WAGW_MALFORMED : wagw_group_participant(t, p, c->g.lid, &j);

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

static int group_timer(wagw_turn_t *t, const wagw_jid_t *group, uint32_t seconds)
{
    int rc;
    wagw_row_chat_t chat;

    rc = wagw_turn_chat(t, text(t, group), &chat);
    if (rc == WAGW_NOT_FOUND || (rc == WAGW_OK && chat.ephemeral == seconds)) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    chat.ephemeral = seconds;
    return wagw_turn_chat_put(t, &chat);
}

/* What a change does to the record. */
static int change_record(wagw_turn_t *t, change_t *c, const wagw_node_t *k)
{
    uint64_t u = 0;
    wagw_group_t *g = &c->g;

    if (wagw_node_is(k, "add")) {
        return members_add(t, c, k);
    }
    if (wagw_node_is(k, "remove") || wagw_node_is(k, "leave")) {
        c->rotate = true;
        return members_change(t, c, k, -1);
    }
    if (wagw_node_is(k, "promote") || wagw_node_is(k, "demote")) {
        return members_change(t, c, k, wagw_node_is(k, "promote") ? 1 : 0);
    }
    c->changed = true;
    if (wagw_node_is(k, "subject")) {
        g->subject = wagw_node_has(k, "subject") ? wagw_node_get(k, "subject") : wagw_node_data(k);
        return wagw_group_name(t, &c->group, g->subject);
    }
    if (wagw_node_is(k, "description")) {
        g->desc = wagw_node_data(wagw_node_find(k, "body"));
        g->desc_id = g->desc.n ? wagw_node_get(k, "id") : WAGW_STR_NULL;
        g->desc_owner = c->actor;
    } else if (wagw_node_is(k, "announcement") || wagw_node_is(k, "not_announcement")) {
        g->announce = wagw_node_is(k, "announcement");
    } else if (wagw_node_is(k, "locked") || wagw_node_is(k, "unlocked")) {
        g->locked = wagw_node_is(k, "locked");
    } else if (wagw_node_is(k, "ephemeral") || wagw_node_is(k, "not_ephemeral")) {
        (void)wagw_node_get_u64(k, "expiration", &u);
        g->ephemeral = wagw_node_is(k, "ephemeral") ? (uint32_t)u : 0;
        return group_timer(t, &c->group, g->ephemeral);
    } else if (wagw_node_is(k, "member_add_mode")) {
        g->admin_add = !wagw_str_is(wagw_node_data(k), "all_member_add");
    } else if (wagw_node_is(k, "membership_approval_mode")) {
        g->approval = wagw_group_approval(k);
    } else if (wagw_node_is(k, "modify") || wagw_node_is(k, "delete") || wagw_node_is(k, "link") ||
               wagw_node_is(k, "unlink")) {
        g->fetched_ms = 0; /* a number changed, it is gone, or moved: read again */
    } else {
        c->changed = false;
    }
    return WAGW_OK;
}

static int apply_change(wagw_turn_t *t, change_t *c, const wagw_node_t *k)
{
    wagw_group_t *g = &c->g;
#define FLAG(v) ((v) ? WAGW_STR("true") : WAGW_STR("false"))

    c->seen += k->nchildren;
    if (c->seen > WAGW_GROUP_MEMBERS_MAX || g->n + k->nchildren > 2 * WAGW_GROUP_MEMBERS_MAX) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "a group change with %u members is refused, the group is read again",
                        (unsigned)k->nchildren);
        g->fetched_ms = 0;
        c->changed = c->rotate = true;
        return WAGW_OK;
    }
    if (wagw_node_is(k, "create")) {
        WAGW_TRY(wagw_group_answer(t, k));
        WAGW_TRY(wagw_group_get(t, &c->group, g));
        WAGW_TRY(group_chat(t, &c->group, c->at_ms));
        return members_event(t, c, wagw_node_find(k, "group"), "group.v2.join", NULL);
    }
    WAGW_TRY(members_load(t, c, k));
    WAGW_TRY(change_record(t, c, k));
    if (wagw_node_is(k, "add")) {
        WAGW_TRY(members_event(t, c, k, "group.v2.participants", "add"));
        return members_event(t, c, k, "group.v2.join", NULL);
    }
    if (wagw_node_is(k, "remove") || wagw_node_is(k, "leave")) {
        WAGW_TRY(members_event(t, c, k, "group.v2.participants", "remove"));
        return members_event(t, c, k, "group.v2.leave", NULL);
    }
    if (wagw_node_is(k, "promote") || wagw_node_is(k, "demote")) {
        return members_event(t, c, k, "group.v2.participants", wagw_node_is(k, "promote") ? "promote" : "demote");
    }
    if (wagw_node_is(k, "subject")) {
        return update_text(t, c, "subject", g->subject);
    }
    if (wagw_node_is(k, "description")) {
        return update_text(t, c, "desc", g->desc);
    }
    if (wagw_node_is(k, "created_membership_requests") || wagw_node_is(k, "membership_approval_request") ||
        wagw_node_is(k, "revoked_membership_requests")) {
        return join_event(t, c, k);
    }
    if (wagw_node_is(k, "announcement") || wagw_node_is(k, "not_announcement")) {
        return update_event(t, c, "announce", FLAG(g->announce));
    }
    if (wagw_node_is(k, "locked") || wagw_node_is(k, "unlocked")) {
        return update_event(t, c, "restrict", FLAG(g->locked));
    }
    if (wagw_node_is(k, "ephemeral") || wagw_node_is(k, "not_ephemeral")) {
        return update_event(t, c, "ephemeral", wagw_arena_printf(&t->arena, "%u", g->ephemeral));
    }
    if (wagw_node_is(k, "member_add_mode")) {
        return update_event(t, c, "memberAddMode", FLAG(!g->admin_add));
    }
    if (wagw_node_is(k, "membership_approval_mode")) {
        return update_event(t, c, "joinApprovalMode", FLAG(g->approval));
    }
    if (wagw_node_is(k, "invite")) {
        return update_text(t, c, "inviteCode", wagw_node_get(k, "code"));
    }
#undef FLAG
    return WAGW_OK;
}

int wagw_group_applied(wagw_turn_t *t, const wagw_jid_t *group, const wagw_node_t *change)
{
    change_t c;

    memset(&c, 0, sizeof(c));
    c.group = *group;
    c.at_ms = t->now;
    c.actor = wagw_jid_user(&wagw_turn_me(t)->jid);
    WAGW_TRY(wagw_group_get(t, group, &c.g));
    if (c.g.fetched_ms == 0) {
        return WAGW_OK; /* nothing to keep true */
    }
    WAGW_TRY(change_record(t, &c, change));
    if (c.rotate) {
        WAGW_TRY(wagw_group_rotate(t, group));
    }
    return c.changed ? wagw_group_put(t, group, &c.g) : WAGW_OK;
}

bool wagw_group_is_member(wagw_turn_t *t, const wagw_group_t *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (wagw_is_me(t->c, &g->members[i])) {
            return true;
        }
    }
    return false;
}

int wagw_group_picture(wagw_turn_t *t, const wagw_node_t *n, const wagw_jid_t *group)
{
    uint64_t at;
    change_t c;
    const wagw_node_t *k = n->content == WAGW_CONTENT_NODES ? n->child : NULL;

    memset(&c, 0, sizeof(c));
    c.group = *group;
    c.at_ms = t->now;
    if (wagw_node_get_u64(n, "t", &at) == WAGW_OK && at && at < (1ull << 40)) {
        c.at_ms = (int64_t)at * 1000;
    }
    if (wagw_node_get_jid(k, "author", &c.actor) == WAGW_OK ||
        wagw_node_get_jid(n, "participant", &c.actor) == WAGW_OK) {
        WAGW_TRY(wagw_chat_canonical(t, &c.actor, &c.actor));
    } else {
        memset(&c.actor, 0, sizeof(c.actor));
    }
    WAGW_TRY(wagw_group_get(t, group, &c.g));
    return update_text(t, &c, "picture", wagw_node_is(k, "delete") ? WAGW_STR("removed") : WAGW_STR("changed"));
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
        WAGW_TRY(wagw_lid_learn_attr(t, n, &c.actor, "participant_lid", "participant_pn", "group"));
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
        return c.g.fetched_ms ? wagw_group_put(t, &c.group, &c.g) : wagw_group_forget(t, &c.group);
    }
    return WAGW_OK;
}
