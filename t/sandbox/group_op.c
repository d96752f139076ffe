/*
 * What members do to groups: w:g2 operations, whoever asks for them (a
 * companion's iq, or an admin call for a phone).
 */

#include "group.h"

#include <stdio.h>
#include <stdlib.h>

static bool sbx_group_is_admin(const sbx_group_t *g, const sbx_account_t *a)
{
    const sbx_member_t *m;

    m = sbx_group_member(g, a);
    return m != NULL && m->role != SBX_MEMBER;
}

/* A user's answer to being added: 0, or the error of the participant. */
static int sbx_group_may_add(const sbx_account_t *by, const sbx_account_t *a)
{
    const char *who;

    if (sbx_map_get(&a->blocked, by->lid) != NULL || sbx_map_get(&by->blocked, a->lid) != NULL) {
        return 401;
    }
    who = sbx_map_get(&a->privacy, "groupadd");
    return who != NULL && strcmp(who, "all") != 0 ? 403 : 0;
}

/* The code of an invitation to one person; nothing needs to be kept for it. */
static void sbx_group_invitation(char out[21], const sbx_group_t *g, const sbx_account_t *a)
{
    uint8_t h[32];
    wagw_buf_t b = {0};

    wagw_sha256_2(h, wagw_cstr(g->code), wagw_cstr(a->lid));
    wagw_hex_encode(&b, wagw_str(h, 10));
    snprintf(out, 21, "%.*s", (int)b.n, (const char *)b.p);
    wagw_buf_free(&b);
}

static void sbx_group_refused(wagw_arena_t *a, wagw_node_t *p, const sbx_group_t *g, const sbx_account_t *acc,
                              int error)
{
    char code[21];
    wagw_node_t *k;

    wagw_node_attr_int(a, p, "error", error);
    if (error == 403) {
        sbx_group_invitation(code, g, acc);
        k = wagw_node_child(a, p, "add_request");
        wagw_node_attr(a, k, "code", wagw_arena_str(a, wagw_cstr(code)));
        wagw_node_attr_int(a, k, "expiration", sbx_now_s() + 3 * 86400);
    }
}

static void sbx_group_created(sbx_group_t *g, const sbx_account_t *actor, const sbx_account_t *only, wagw_str_t key,
                              const char *reason)
{
    wagw_node_t *n;
    wagw_arena_t a = {0};

    n = wagw_node(&a, "create");
    if (reason == NULL) {
        wagw_node_attrc(&a, n, "type", "new");
    } else if (*reason != '\0') {
        wagw_node_attrc(&a, n, "reason", reason);
    }
    wagw_node_attr(&a, n, "key", key);
    sbx_group_node(&a, n, g, false);
    sbx_group_notify(g, actor, only, n);
    wagw_arena_free(&a);
}

static void sbx_group_create_settings(sbx_group_t *g, const wagw_node_t *create)
{
    uint64_t u;
    const wagw_node_t *k;

    k = wagw_node_find(create, "member_add_mode");
    g->admin_add = k != NULL && wagw_str_is(wagw_node_data(k), "admin_add");
    g->locked = wagw_node_find(create, "locked") != NULL;
    g->announce = wagw_node_find(create, "announcement") != NULL;
    k = wagw_node_find(create, "ephemeral");
    if (k != NULL && wagw_node_get_u64(k, "expiration", &u) == WAGW_OK) {
        g->ephemeral = (uint32_t)u;
    }
    k = wagw_node_find(create, "membership_approval_mode");
    k = k ? wagw_node_find(k, "group_join") : NULL;
    g->approval = k != NULL && wagw_node_attr_is(k, "state", "on");
}

int sbx_group_create(sbx_account_t *by, const wagw_node_t *create, bool lid, wagw_arena_t *a, wagw_node_t *out,
                     sbx_group_t **made)
{
    int error;
    char *subject;
    wagw_jid_t jid;
    wagw_str_t s;
    wagw_node_t *n;
    sbx_group_t *g;
    sbx_account_t *acc;
    const wagw_node_t *p;

    s = wagw_node_get(create, "subject");
    if (s.n == 0 || s.n > 4 * SBX_GROUP_SUBJECT_MAX || create->nchildren > SBX_GROUP_MEMBERS_MAX) {
        return 406;
    }
    if (wagw_node_find(create, "parent") != NULL || wagw_node_find(create, "linked_parent") != NULL) {
        return 501; /* communities */
    }
    subject = sbx_strndup(s);
    g = sbx_group_make(by, subject, lid);
    free(subject);
    sbx_group_create_settings(g, create);

    for (p = wagw_node_find(create, "participant"); p != NULL; p = wagw_node_find_next(p, "participant")) {
        acc = wagw_node_get_jid(p, "jid", &jid) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
        if (acc != NULL && sbx_group_may_add(by, acc) == 0) {
            sbx_group_member_add(g, acc, SBX_MEMBER);
        }
    }
    if (out != NULL) {
        sbx_group_node(a, out, g, false);
        n = out->last;
        for (p = wagw_node_find(create, "participant"); p != NULL; p = wagw_node_find_next(p, "participant")) {
            if (wagw_node_get_jid(p, "jid", &jid) != WAGW_OK) {
                continue;
            }
            acc = sbx_account_jid(&jid);
            error = acc ? sbx_group_may_add(by, acc) : 404;
            if (error != 0) {
                sbx_group_refused(a, wagw_node_attr_jid(a, wagw_node_child(a, n, "participant"), "jid", &jid), g, acc,
                                  error);
            }
        }
    }
    sbx_group_created(g, by, NULL, wagw_node_get(create, "key"), NULL);
    *made = g;
    return 0;
}

/* ---- participants ---- */

static int sbx_group_change_one(sbx_group_t *g, sbx_account_t *by, sbx_account_t *acc, const wagw_node_t *op)
{
    int error;
    sbx_member_t *m;

    if (acc == NULL) {
        return 404;
    }
    m = sbx_group_member(g, acc);
    if (wagw_node_is(op, "add")) {
        if (m != NULL) {
            return 409;
        }
        error = sbx_group_may_add(by, acc);
        return error == 0 && g->nmembers >= SBX_GROUP_MEMBERS_MAX ? 419 : error;
    }
    if (m == NULL) {
        return 404;
    }
    return m->role == SBX_OWNER && !wagw_node_is(op, "promote") ? 405 : 0;
}

/* The notification names those with whom it worked. */
static int sbx_group_participants(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a,
                                  wagw_node_t *out)
{
    int error;
    bool add;
    size_t n, i;
    wagw_jid_t jid;
    wagw_str_t tag;
    wagw_node_t *answer, *note, *k;
    sbx_account_t **done;
    const wagw_node_t *p;

    add = wagw_node_is(op, "add");
    if (!sbx_group_is_admin(g, by) && !(add && !g->admin_add)) {
        return 403;
    }
    tag = wagw_arena_str(a, op->tag);
    answer = wagw_node_child(a, out, (const char *)tag.p);
    note = wagw_node(a, (const char *)tag.p);
    wagw_node_attr(a, note, "prev_v_id", wagw_arena_printf(a, "%llu", (unsigned long long)g->version));
    done = wagw_arena_alloc(a, (op->nchildren + 1) * sizeof(*done));
    if (done == NULL) {
        return 500;
    }

    n = 0;
    for (p = wagw_node_find(op, "participant"); p != NULL; p = wagw_node_find_next(p, "participant")) {
        if (wagw_node_get_jid(p, "jid", &jid) != WAGW_OK) {
            return 400;
        }
        done[n] = sbx_account_jid(&jid);
        error = sbx_group_change_one(g, by, done[n], op);
        if (error != 0) {
            k = wagw_node_child(a, answer, "participant");
            sbx_group_refused(a, wagw_node_attr_jid(a, k, "jid", &jid), g, done[n], error);
            continue;
        }
        sbx_group_participant(a, answer, done[n], g->lid);
        k = sbx_group_participant(a, note, done[n], g->lid);
        if (wagw_node_is(op, "promote")) {
            wagw_node_attrc(a, k, "type", "admin");
        }
        n++;
    }
    if (n == 0) {
        return 0;
    }
    wagw_node_attr(a, note, "v_id", wagw_arena_printf(a, "%llu", (unsigned long long)g->version + 1));
    sbx_group_notify(g, by, NULL, note);
    for (i = 0; i < n; i++) {
        if (add) {
            sbx_group_join_drop(g, done[i]);
            sbx_group_member_add(g, done[i], SBX_MEMBER);
        } else if (wagw_node_is(op, "remove")) {
            sbx_group_member_drop(g, done[i]);
        } else {
            sbx_group_member(g, done[i])->role = wagw_node_is(op, "promote") ? SBX_ADMIN : SBX_MEMBER;
        }
    }
    for (i = 0; add && i < n; i++) {
        sbx_group_created(g, by, done[i], WAGW_STR_NULL, "");
    }
    return 0;
}

/* Somebody comes in by a link or an invitation. */
static void sbx_group_enter(sbx_group_t *g, sbx_account_t *acc, const sbx_account_t *actor)
{
    wagw_node_t *n;
    wagw_arena_t a = {0};

    n = wagw_node(&a, "add");
    wagw_node_attrc(&a, n, "reason", "invite");
    sbx_group_participant(&a, n, acc, g->lid);
    sbx_group_notify(g, actor, NULL, n);
    sbx_group_join_drop(g, acc);
    sbx_group_member_add(g, acc, SBX_MEMBER);
    sbx_group_created(g, actor, acc, WAGW_STR_NULL, "invite");
    wagw_arena_free(&a);
}

int sbx_group_leave(sbx_account_t *by, const wagw_node_t *leave, wagw_arena_t *a, wagw_node_t *out)
{
    bool admins;
    uint32_t i;
    wagw_jid_t jid;
    wagw_node_t *answer, *n;
    sbx_group_t *g;
    const wagw_node_t *k;

    answer = wagw_node_child(a, out, "leave");
    for (k = wagw_node_find(leave, "group"); k != NULL; k = wagw_node_find_next(k, "group")) {
        n = wagw_node_child(a, answer, "group");
        wagw_node_attr(a, n, "id", wagw_arena_str(a, wagw_node_get(k, "id")));
        g = wagw_node_get_jid(k, "id", &jid) == WAGW_OK && wagw_jid_is_group(&jid) ? sbx_group_id(jid.user) : NULL;
        if (g == NULL || sbx_group_member(g, by) == NULL) {
            wagw_node_attrc(a, n, "error", "404");
            continue;
        }
        n = wagw_node(a, "remove");
        sbx_group_participant(a, n, by, g->lid);
        sbx_group_notify(g, by, NULL, n);
        sbx_group_member_drop(g, by);
        if (g->nmembers == 0) {
            sbx_group_delete(g);
            continue;
        }
        for (i = 0, admins = false; i < g->nmembers; i++) {
            admins |= g->members[i].role != SBX_MEMBER;
        }
        if (!admins) {
            g->members[0].role = SBX_ADMIN;
            n = wagw_node(a, "promote");
            wagw_node_attrc(a, sbx_group_participant(a, n, g->members[0].account, g->lid), "type", "admin");
            sbx_group_notify(g, by, NULL, n);
        }
    }
    return 0;
}

/* ---- joining ---- */

static void sbx_group_ask(sbx_group_t *g, sbx_account_t *by)
{
    uint32_t i;
    wagw_node_t *n;
    wagw_arena_t a = {0};

    sbx_group_join_add(g, by, "invite_link");
    n = wagw_node(&a, "created_membership_requests");
    wagw_node_attrc(&a, n, "request_method", "invite_link");
    sbx_group_participant(&a, n, by, g->lid);
    for (i = 0; i < g->nmembers; i++) {
        if (g->members[i].role != SBX_MEMBER) {
            sbx_group_notify(g, by, g->members[i].account, n);
        }
    }
    wagw_arena_free(&a);
}

int sbx_group_by_code(sbx_account_t *by, wagw_str_t code, bool join, wagw_arena_t *a, wagw_node_t *out)
{
    wagw_jid_t jid;
    sbx_group_t *g;

    if (code.n < 8) {
        return 406;
    }
    for (g = sbx_group_first(); g != NULL && !wagw_str_eq(code, wagw_cstr(g->code)); g = g->next) {
    }
    if (g == NULL) {
        return 410;
    }
    if (!join) {
        sbx_group_node(a, out, g, true);
        return 0;
    }
    if (sbx_group_member(g, by) != NULL) {
        return 409;
    }
    jid = sbx_group_jid(g);
    if (g->approval) {
        if (sbx_group_join_of(g, by) == NULL) {
            sbx_group_ask(g, by);
        }
        wagw_node_attr_jid(a, wagw_node_child(a, out, "membership_approval_request"), "jid", &jid);
        return 0;
    }
    sbx_group_enter(g, by, by);
    wagw_node_attr_jid(a, wagw_node_child(a, out, "group"), "jid", &jid);
    return 0;
}

static int sbx_group_accept(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op)
{
    char code[21];
    uint64_t until;
    wagw_jid_t jid;
    const sbx_account_t *admin;

    sbx_group_invitation(code, g, by);
    admin = wagw_node_get_jid(op, "admin", &jid) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
    if (!wagw_node_attr_is(op, "code", code) || admin == NULL || sbx_group_member(g, admin) == NULL) {
        return 406;
    }
    if (wagw_node_get_u64(op, "expiration", &until) != WAGW_OK || (int64_t)until < sbx_now_s()) {
        return 410;
    }
    if (sbx_group_member(g, by) != NULL) {
        return 409;
    }
    sbx_group_enter(g, by, admin);
    return 0;
}

static int sbx_group_decide(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a, wagw_node_t *out)
{
    bool approve;
    wagw_jid_t jid;
    wagw_node_t *answer, *p, *n;
    sbx_account_t *acc;
    const wagw_node_t *k, *what;

    what = op->child;
    approve = what != NULL && wagw_node_is(what, "approve");
    if (what == NULL || (!approve && !wagw_node_is(what, "reject"))) {
        return 400;
    }
    if (!sbx_group_is_admin(g, by)) {
        return 403;
    }
    answer = wagw_node_child(a, out, "membership_requests_action");
    answer = wagw_node_child(a, answer, approve ? "approve" : "reject");
    for (k = wagw_node_find(what, "participant"); k != NULL; k = wagw_node_find_next(k, "participant")) {
        if (wagw_node_get_jid(k, "jid", &jid) != WAGW_OK) {
            return 400;
        }
        p = wagw_node_attr_jid(a, wagw_node_child(a, answer, "participant"), "jid", &jid);
        acc = sbx_account_jid(&jid);
        if (acc == NULL || sbx_group_join_of(g, acc) == NULL) {
            wagw_node_attrc(a, p, "error", "404");
            continue;
        }
        if (approve) {
            sbx_group_enter(g, acc, by);
            continue;
        }
        sbx_group_join_drop(g, acc);
        n = wagw_node(a, "revoked_membership_requests");
        sbx_group_participant(a, n, acc, g->lid);
        sbx_group_notify(g, by, acc, n);
    }
    return 0;
}

/* ---- reading ---- */

static int sbx_group_joins(sbx_group_t *g, sbx_account_t *by, wagw_arena_t *a, wagw_node_t *out)
{
    uint32_t i;
    wagw_node_t *n, *k;

    if (!sbx_group_is_admin(g, by)) {
        return 403;
    }
    n = wagw_node_child(a, out, "membership_approval_requests");
    for (i = 0; i < g->njoins; i++) {
        k = wagw_node_child(a, n, "membership_approval_request");
        sbx_group_person(a, k, "jid", "phone_number", "lid", g->joins[i].account, g->lid);
        wagw_node_attr_int(a, k, "request_time", g->joins[i].t);
        wagw_node_attrc(a, k, "request_method", g->joins[i].method);
    }
    return 0;
}

int sbx_group_get(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a, wagw_node_t *out)
{
    char code[21];
    const wagw_node_t *k;

    if (wagw_node_is(op, "query")) {
        k = wagw_node_find(op, "add_request");
        sbx_group_invitation(code, g, by);
        if (k != NULL ? !wagw_node_attr_is(k, "code", code) : sbx_group_member(g, by) == NULL) {
            return 403;
        }
        sbx_group_node(a, out, g, k != NULL);
        return 0;
    }
    if (wagw_node_is(op, "invite")) {
        if (!sbx_group_is_admin(g, by)) {
            return 401;
        }
        wagw_node_attr(a, wagw_node_child(a, out, "invite"), "code", wagw_arena_str(a, wagw_cstr(g->code)));
        return 0;
    }
    if (wagw_node_is(op, "membership_approval_requests")) {
        return sbx_group_joins(g, by, a, out);
    }
    return 501;
}

void sbx_group_participating(sbx_account_t *by, wagw_arena_t *a, wagw_node_t *out)
{
    wagw_node_t *n;
    sbx_group_t *g;

    n = wagw_node_child(a, out, "groups");
    for (g = sbx_group_first(); g != NULL; g = g->next) {
        if (sbx_group_member(g, by) != NULL) {
            sbx_group_node(a, n, g, false);
        }
    }
}

/* ---- settings ---- */

static int sbx_group_subject(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a)
{
    char *text;
    wagw_node_t *n;
    wagw_str_t s;

    s = wagw_node_data(op);
    if (s.n == 0 || s.n > 4 * SBX_GROUP_SUBJECT_MAX) {
        return 406;
    }
    text = sbx_strndup(s);
    sbx_set_text(&g->subject, text);
    free(text);
    g->subject_t = sbx_now_s();
    g->subject_by = by;
    n = wagw_node(a, "subject");
    wagw_node_attr(a, n, "subject", wagw_arena_str(a, wagw_cstr(g->subject)));
    sbx_group_person(a, n, "s_o", "s_o_pn", "s_o_lid", by, g->lid);
    wagw_node_attr_int(a, n, "s_t", g->subject_t);
    sbx_group_notify(g, by, NULL, n);
    return 0;
}

static int sbx_group_description(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a)
{
    char *text;
    wagw_node_t *n;
    wagw_str_t s, id;

    if (!wagw_str_eq(wagw_node_get(op, "prev"), g->desc_id ? wagw_cstr(g->desc_id) : WAGW_STR_NULL)) {
        return 409;
    }
    n = wagw_node(a, "description");
    if (wagw_node_attr_is(op, "delete", "true")) {
        sbx_set_text(&g->desc, NULL);
        sbx_set_text(&g->desc_id, NULL);
        wagw_node_child(a, n, "delete");
    } else {
        s = wagw_node_data(wagw_node_find(op, "body"));
        id = wagw_node_get(op, "id");
        if (s.n == 0 || s.n > 2048 || id.n == 0) {
            return 406;
        }
        text = sbx_strndup(s);
        sbx_set_text(&g->desc, text);
        free(text);
        text = sbx_strndup(id);
        sbx_set_text(&g->desc_id, text);
        free(text);
        wagw_node_attr(a, n, "id", wagw_arena_str(a, id));
        wagw_node_attr(a, n, "prev", wagw_arena_str(a, wagw_node_get(op, "prev")));
        wagw_node_bytes_copy(a, wagw_node_child(a, n, "body"), s);
    }
    g->desc_t = sbx_now_s();
    g->desc_by = by;
    sbx_group_notify(g, by, NULL, n);
    return 0;
}

static int sbx_group_setting(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a)
{
    uint64_t u;
    wagw_node_t *n;
    const wagw_node_t *k;

    n = wagw_node_clone(a, op);
    if (wagw_node_is(op, "announcement") || wagw_node_is(op, "not_announcement")) {
        g->announce = wagw_node_is(op, "announcement");
    } else if (wagw_node_is(op, "locked") || wagw_node_is(op, "unlocked")) {
        g->locked = wagw_node_is(op, "locked");
    } else if (wagw_node_is(op, "ephemeral")) {
        if (wagw_node_get_u64(op, "expiration", &u) != WAGW_OK || u > 365 * 86400) {
            return 400;
        }
        g->ephemeral = (uint32_t)u;
        wagw_node_attrc(a, n, "trigger", "1");
    } else if (wagw_node_is(op, "not_ephemeral")) {
        g->ephemeral = 0;
    } else if (wagw_node_is(op, "member_add_mode")) {
        g->admin_add = wagw_str_is(wagw_node_data(op), "admin_add");
    } else if (wagw_node_is(op, "membership_approval_mode")) {
        k = wagw_node_find(op, "group_join");
        g->approval = k != NULL && wagw_node_attr_is(k, "state", "on");
    } else {
        return 501;
    }
    sbx_group_notify(g, by, NULL, n);
    sbx_changed();
    return 0;
}

int sbx_group_set(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a, wagw_node_t *out)
{
    bool open;
    wagw_node_t *n;

    if (wagw_node_is(op, "accept")) {
        return sbx_group_accept(g, by, op);
    }
    if (sbx_group_member(g, by) == NULL) {
        return 403;
    }
    if (wagw_node_is(op, "add") || wagw_node_is(op, "remove") || wagw_node_is(op, "promote") ||
        wagw_node_is(op, "demote")) {
        return sbx_group_participants(g, by, op, a, out);
    }
    if (wagw_node_is(op, "membership_requests_action")) {
        return sbx_group_decide(g, by, op, a, out);
    }

    open = wagw_node_is(op, "subject") || wagw_node_is(op, "description") || wagw_node_is(op, "ephemeral") ||
           wagw_node_is(op, "not_ephemeral");
    if (!sbx_group_is_admin(g, by) && (!open || g->locked)) {
        return 403;
    }
    if (wagw_node_is(op, "subject")) {
        return sbx_group_subject(g, by, op, a);
    }
    if (wagw_node_is(op, "description")) {
        return sbx_group_description(g, by, op, a);
    }
    if (wagw_node_is(op, "invite")) {
        sbx_group_new_code(g);
        n = wagw_node(a, "invite");
        wagw_node_attr(a, n, "code", wagw_arena_str(a, wagw_cstr(g->code)));
        sbx_group_notify(g, by, NULL, n);
        wagw_node_attr(a, wagw_node_child(a, out, "invite"), "code", wagw_arena_str(a, wagw_cstr(g->code)));
        return 0;
    }
    return sbx_group_setting(g, by, op, a);
}
