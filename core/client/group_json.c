/*
 * Groups as callers see them (contract 3.6).  A person has the phone form when
 * it is known, whatever the group's own addressing is.
 */

#include "group_i.h"

static wagw_str_t text(wagw_turn_t *t, const wagw_jid_t *j)
{
    return wagw_jid_str(&t->arena, j);
}

int wagw_group_person(wagw_turn_t *t, const wagw_jid_t *jid, wagw_group_person_t *p)
{
    int rc, rc2;

    memset(p, 0, sizeof(*p));
    if (wagw_jid_empty(jid)) {
        return WAGW_OK;
    }
    rc = wagw_lid_in(t, jid, false, &p->jid);
    rc2 = wagw_lid_in(t, jid, true, &p->lid);
    WAGW_TRY(rc);
    WAGW_TRY(rc2);
    if (!wagw_jid_is_lid(&p->lid)) {
        memset(&p->lid, 0, sizeof(p->lid));
    }
    return WAGW_OK;
}

void wagw_group_person_json(wagw_turn_t *t, wagw_json_t *j, const wagw_group_person_t *p)
{
    if (!wagw_jid_empty(&p->lid)) {
        wagw_json_kstr(j, "lid", text(t, &p->lid));
    }
    if (wagw_jid_is_pn(&p->jid)) {
        wagw_json_kstr(j, "phoneNumber", wagw_str(p->jid.user, p->jid.user_len));
    }
}

static void nullable_jid(wagw_turn_t *t, wagw_json_t *j, const char *key, const wagw_jid_t *jid)
{
    if (wagw_jid_empty(jid)) {
        wagw_json_knull(j, key);
    } else {
        wagw_json_kstr(j, key, text(t, jid));
    }
}

static void nullable(wagw_json_t *j, const char *key, wagw_str_t s)
{
    if (s.n) {
        wagw_json_kstr(j, key, s);
    } else {
        wagw_json_knull(j, key);
    }
}

int wagw_group_json(wagw_turn_t *t, wagw_json_t *j, const wagw_jid_t *id, const wagw_group_t *g, bool members)
{
    int rc, again = WAGW_OK;
    wagw_group_person_t owner, desc_owner, *all;

    all = wagw_arena_alloc(&t->arena, (g->n + 1) * sizeof(*all));
    if (all == NULL) {
        return WAGW_NOMEM;
    }
    /* every pair is asked for before anything is written, so that one load brings them */
    for (size_t i = 0; i < g->n + 2; i++) {
        if (i == g->n) {
            rc = wagw_group_person(t, &g->owner, &owner);
        } else if (i == g->n + 1) {
            rc = wagw_group_person(t, &g->desc_owner, &desc_owner);
        } else {
            rc = members ? wagw_group_person(t, &g->members[i], &all[i]) : WAGW_OK;
        }
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    WAGW_TRY(again);

    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", text(t, id));
    wagw_json_kstr(j, "subject", g->subject);
    wagw_json_kstr(j, "name", g->subject);
    nullable_jid(t, j, "owner", &owner.jid);
    if (wagw_jid_is_pn(&owner.jid)) {
        wagw_json_kstr(j, "ownerPn", text(t, &owner.jid));
    }
    nullable(j, "desc", g->desc);
    nullable(j, "descId", g->desc_id);
    nullable_jid(t, j, "descOwner", &desc_owner.jid);
    wagw_json_kint(j, "creation", g->created_s);
    wagw_json_kint(j, "size", (int64_t)g->n);
    wagw_json_kbool(j, "announce", g->announce);
    wagw_json_kbool(j, "restrict", g->locked);
    wagw_json_kint(j, "ephemeralDuration", g->ephemeral);
    wagw_json_kbool(j, "memberAddMode", !g->admin_add);
    wagw_json_kbool(j, "joinApprovalMode", g->approval);
    wagw_json_kbool(j, "isCommunity", g->community);
    wagw_json_kbool(j, "isCommunityAnnounce", g->community_all);
    if (!wagw_jid_empty(&g->parent)) {
        wagw_json_kstr(j, "linkedParent", text(t, &g->parent));
    }
    wagw_json_kcstr(j, "addressingMode", g->lid ? "lid" : "pn");
    if (members) {
        wagw_json_key(j, "participants");
        wagw_json_open(j, '[');
        for (size_t i = 0; i < g->n; i++) {
            wagw_json_open(j, '{');
            wagw_json_kstr(j, "id", text(t, &all[i].jid));
            wagw_group_person_json(t, j, &all[i]);
            wagw_json_kcstr(j, "admin", g->roles[i] == 2 ? "superadmin" : g->roles[i] == 1 ? "admin" : NULL);
            wagw_json_close(j);
        }
        wagw_json_close(j);
    }
    wagw_json_close(j);
    return WAGW_OK;
}

/* ---- results per participant -------------------------------------------------------- */

static const char *result_text(uint64_t code)
{
    switch (code) {
    case 401:
        return "One of you has blocked the other";
    case 403:
        return "The person's privacy settings do not allow it; an invite can be sent";
    case 404:
        return "Not on WhatsApp, not a member, or no such request";
    case 405:
        return "Not allowed for this participant";
    case 408:
        return "Left recently and cannot be added yet";
    case 409:
        return "Already a member";
    case 419:
        return "The group is full";
    default:
        return "WhatsApp answered an error";
    }
}

static const wagw_node_t *answered(const wagw_node_t *n, const wagw_group_person_t *who)
{
    wagw_jid_t jid;
    const wagw_node_t *p;
    static const char *const attrs[] = {"jid", "phone_number", "lid"};

    for (p = wagw_node_find(n, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        for (size_t i = 0; i < 3; i++) {
            if (wagw_node_get_jid(p, attrs[i], &jid) == WAGW_OK &&
                (wagw_jid_same_user(&jid, &who->jid) || wagw_jid_same_user(&jid, &who->lid))) {
                return p;
            }
        }
    }
    return NULL;
}

/* A pair that this answer brings is known from now on. */
static int learn(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc, again = WAGW_OK;
    wagw_jid_t j;
    const wagw_node_t *p;

    for (p = wagw_node_find(n, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        rc = wagw_group_participant(t, p, true, &j);
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK && rc != WAGW_MALFORMED) {
            return rc;
        }
    }
    return again;
}

int wagw_group_results(wagw_turn_t *t, wagw_json_t *j, const cJSON *asked, const wagw_node_t *n)
{
    int rc, again;
    size_t i = 0, total = (size_t)cJSON_GetArraySize(asked);
    uint64_t code, until;
    wagw_jid_t jid;
    wagw_group_person_t *who;
    const cJSON *name;
    const wagw_node_t *p, *add;

    who = wagw_arena_zalloc(&t->arena, (total + 1) * sizeof(*who));
    if (who == NULL) {
        return WAGW_NOMEM;
    }
    again = learn(t, n);
    if (again != WAGW_OK && again != WAGW_AGAIN) {
        return again;
    }
    cJSON_ArrayForEach(name, asked)
    {
        rc = WAGW_OK;
        if (cJSON_IsString(name) && wagw_jid_from_caller(&jid, wagw_cstr(name->valuestring)) == WAGW_OK) {
            jid = wagw_jid_user(&jid);
            rc = wagw_group_person(t, &jid, &who[i]);
        }
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
        i++;
    }
    WAGW_TRY(again);

    wagw_json_open(j, '[');
    for (i = 0; i < total; i++) {
        p = answered(n, &who[i]);
        code = p == NULL ? 500 : 200;
        if (p && wagw_node_has(p, "error") && wagw_node_get_u64(p, "error", &code) != WAGW_OK) {
            code = 500;
        }
        wagw_json_open(j, '{');
        wagw_json_kstr(j, "jid", text(t, &who[i].jid));
        wagw_group_person_json(t, j, &who[i]);
        wagw_json_key(j, "status");
        wagw_json_str(j, wagw_arena_printf(&t->arena, "%u", (unsigned)(code > 999 ? 500 : code)));
        if (code != 200) {
            wagw_json_kcstr(j, "error", result_text(code));
        }
        add = wagw_node_find(p, "add_request");
        if (add && wagw_node_get(add, "code").n) {
            wagw_json_kstr(j, "inviteCode", wagw_node_get(add, "code"));
            if (wagw_node_get_u64(add, "expiration", &until) == WAGW_OK && until < (1ull << 40)) {
                wagw_json_kint(j, "inviteExpiration", (int64_t)until);
            }
        }
        wagw_json_close(j);
    }
    wagw_json_close(j);
    return WAGW_OK;
}
