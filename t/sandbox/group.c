/*
 * Groups: who is in them, what they look like, who is told.
 */

#include "group.h"

#include <stdio.h>
#include <stdlib.h>

#define SBX_CODE_LEN 22

static sbx_group_t *sbx_groups;
static uint64_t sbx_group_next;

sbx_group_t *sbx_group_first(void)
{
    return sbx_groups;
}

sbx_group_t *sbx_group_id(const char *user)
{
    sbx_group_t *g;

    for (g = sbx_groups; g != NULL && strcmp(g->id, user) != 0; g = g->next) {
    }
    return g;
}

sbx_group_t *sbx_group_find(const char *text)
{
    wagw_jid_t jid;
    sbx_group_t *g;

    if (text == NULL) {
        return NULL;
    }
    if (wagw_jid_parse(&jid, wagw_cstr(text)) == WAGW_OK) {
        return wagw_jid_is_group(&jid) ? sbx_group_id(jid.user) : NULL;
    }
    for (g = sbx_groups; g != NULL && strcmp(g->subject, text) != 0; g = g->next) {
    }
    return g;
}

wagw_jid_t sbx_group_jid(const sbx_group_t *g)
{
    return wagw_jid_make(g->id, WAGW_SRV_GROUP, 0);
}

/* ---- members ---- */

sbx_member_t *sbx_group_member(const sbx_group_t *g, const sbx_account_t *a)
{
    uint32_t i;

    for (i = 0; i < g->nmembers; i++) {
        if (g->members[i].account == a) {
            return &g->members[i];
        }
    }
    return NULL;
}

void sbx_group_member_add(sbx_group_t *g, sbx_account_t *a, sbx_role_t role)
{
    sbx_member_t *m;

    if (sbx_group_member(g, a) != NULL) {
        return;
    }
    g->members = realloc(g->members, (g->nmembers + 1) * sizeof(sbx_member_t));
    if (g->members == NULL) {
        abort();
    }
    m = &g->members[g->nmembers++];
    m->account = a;
    m->role = (uint8_t)role;
    m->rotate = true; /* a key of an earlier stay is not used again */
    g->version++;
    sbx_changed();
}

void sbx_group_member_drop(sbx_group_t *g, const sbx_account_t *a)
{
    size_t i;
    sbx_member_t *m;

    m = sbx_group_member(g, a);
    if (m == NULL) {
        return;
    }
    i = (size_t)(m - g->members);
    g->nmembers--;
    memmove(m, m + 1, (g->nmembers - i) * sizeof(sbx_member_t));
    g->version++;
    sbx_group_rotate(g);
    sbx_changed();
}

void sbx_group_rotate(sbx_group_t *g)
{
    uint32_t i;

    for (i = 0; i < g->nmembers; i++) {
        g->members[i].rotate = true;
    }
}

void sbx_group_device_gone(const sbx_account_t *a)
{
    sbx_group_t *g;

    for (g = sbx_groups; g != NULL; g = g->next) {
        if (sbx_group_member(g, a) != NULL) {
            sbx_group_rotate(g);
        }
    }
}

sbx_join_t *sbx_group_join_of(const sbx_group_t *g, const sbx_account_t *a)
{
    uint32_t i;

    for (i = 0; i < g->njoins; i++) {
        if (g->joins[i].account == a) {
            return &g->joins[i];
        }
    }
    return NULL;
}

void sbx_group_join_add(sbx_group_t *g, sbx_account_t *a, const char *method)
{
    g->joins = realloc(g->joins, (g->njoins + 1) * sizeof(sbx_join_t));
    if (g->joins == NULL) {
        abort();
    }
    g->joins[g->njoins++] = (sbx_join_t){a, sbx_now_s(), method};
}

void sbx_group_join_drop(sbx_group_t *g, const sbx_account_t *a)
{
    size_t i;
    sbx_join_t *j;

    j = sbx_group_join_of(g, a);
    if (j != NULL) {
        i = (size_t)(j - g->joins);
        g->njoins--;
        memmove(j, j + 1, (g->njoins - i) * sizeof(sbx_join_t));
    }
}

/* ---- groups ---- */

void sbx_group_new_code(sbx_group_t *g)
{
    unsigned i;
    uint8_t r[SBX_CODE_LEN];
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    sbx_random(NULL, r, sizeof(r));
    for (i = 0; i < SBX_CODE_LEN; i++) {
        g->code[i] = digits[r[i] % (sizeof(digits) - 1)];
    }
    g->code[SBX_CODE_LEN] = '\0';
}

sbx_group_t *sbx_group_make(sbx_account_t *creator, const char *subject, bool lid)
{
    sbx_group_t *g, **p;

    g = sbx_alloc(sizeof(sbx_group_t));
    snprintf(g->id, sizeof(g->id), "120363%012llu", (unsigned long long)(400000000000ULL + ++sbx_group_next));
    g->lid = lid;
    g->subject = sbx_strdup(subject);
    g->subject_by = creator;
    g->creator = creator;
    g->creation = g->subject_t = sbx_now_s();
    g->version = (uint64_t)sbx_now_ms() * 1000;
    sbx_group_new_code(g);
    sbx_group_member_add(g, creator, SBX_OWNER);
    for (p = &sbx_groups; *p != NULL; p = &(*p)->next) {
    }
    *p = g;
    return g;
}

static void sbx_group_free(sbx_group_t *g)
{
    free(g->subject);
    free(g->desc);
    free(g->desc_id);
    free(g->picture.path);
    free(g->members);
    free(g->joins);
    sbx_map_free(&g->given);
    free(g);
}

void sbx_group_delete(sbx_group_t *g)
{
    sbx_group_t **p;

    for (p = &sbx_groups; *p != g; p = &(*p)->next) {
    }
    *p = g->next;
    sbx_group_free(g);
}

void sbx_groups_reset(void)
{
    sbx_group_t *g;

    while ((g = sbx_groups) != NULL) {
        sbx_groups = g->next;
        sbx_group_free(g);
    }
    sbx_group_next = 0;
}

/* --test-group: everybody who links is in it, the first one owns it. */
void sbx_group_welcome(sbx_account_t *a)
{
    wagw_node_t *n;
    wagw_arena_t arena = {0};
    sbx_group_t *g;

    if (sbx.test_group == NULL) {
        return;
    }
    g = sbx_group_find(sbx.test_group);
    if (g == NULL) {
        sbx_group_make(a, sbx.test_group, !sbx.group_pn);
        return;
    }
    if (sbx_group_member(g, a) != NULL) {
        return;
    }
    n = wagw_node(&arena, "add");
    sbx_group_participant(&arena, n, a, g->lid);
    sbx_group_notify(g, g->creator, NULL, n);
    sbx_group_member_add(g, a, SBX_MEMBER);
    wagw_arena_free(&arena);
}

/* ---- nodes ---- */

void sbx_group_person(wagw_arena_t *a, wagw_node_t *n, const char *key, const char *other_pn, const char *other_lid,
                      const sbx_account_t *acc, bool lid)
{
    wagw_jid_t jid;

    jid = sbx_account_jid_of(acc, lid);
    wagw_node_attr_jid(a, n, key, &jid);
    jid = sbx_account_jid_of(acc, !lid);
    wagw_node_attr_jid(a, n, lid ? other_pn : other_lid, &jid);
}

wagw_node_t *sbx_group_participant(wagw_arena_t *a, wagw_node_t *parent, const sbx_account_t *acc, bool lid)
{
    wagw_node_t *n;

    n = wagw_node_child(a, parent, "participant");
    sbx_group_person(a, n, "jid", "phone_number", "lid", acc, lid);
    return n;
}

static void sbx_group_settings(wagw_arena_t *a, wagw_node_t *n, const sbx_group_t *g)
{
    wagw_node_t *k;

    wagw_node_bytes(wagw_node_child(a, n, "member_add_mode"),
                    g->admin_add ? WAGW_STR("admin_add") : WAGW_STR("all_member_add"));
    if (g->ephemeral != 0) {
        k = wagw_node_child(a, n, "ephemeral");
        wagw_node_attr_int(a, k, "expiration", g->ephemeral);
        wagw_node_attrc(a, k, "trigger", "1");
    }
    if (g->announce) {
        wagw_node_child(a, n, "announcement");
    }
    if (g->locked) {
        wagw_node_child(a, n, "locked");
    }
    if (g->approval) {
        k = wagw_node_child(a, wagw_node_child(a, n, "membership_approval_mode"), "group_join");
        wagw_node_attrc(a, k, "state", "on");
    }
}

void sbx_group_node(wagw_arena_t *a, wagw_node_t *parent, const sbx_group_t *g, bool brief)
{
    uint32_t i;
    wagw_str_t v;
    wagw_node_t *n, *k;

    n = wagw_node_child(a, parent, "group");
    wagw_node_attr(a, n, "id", wagw_arena_str(a, wagw_cstr(g->id)));
    wagw_node_attrc(a, n, "addressing_mode", g->lid ? "lid" : "pn");
    wagw_node_attr(a, n, "subject", wagw_arena_str(a, wagw_cstr(g->subject)));
    sbx_group_person(a, n, "s_o", "s_o_pn", "s_o_lid", g->subject_by, g->lid);
    wagw_node_attr_int(a, n, "s_t", g->subject_t);
    wagw_node_attr_int(a, n, "creation", g->creation);
    sbx_group_person(a, n, "creator", "creator_pn", "creator_lid", g->creator, g->lid);
    v = wagw_arena_printf(a, "%llu", (unsigned long long)g->version);
    wagw_node_attr(a, n, "p_v_id", v);
    wagw_node_attr_int(a, n, "size", g->nmembers);

    if (g->desc != NULL) {
        k = wagw_node_child(a, n, "description");
        wagw_node_attr(a, k, "id", wagw_arena_str(a, wagw_cstr(g->desc_id)));
        wagw_node_attr_int(a, k, "t", g->desc_t);
        sbx_group_person(a, k, "participant", "participant_pn", "participant_lid", g->desc_by, g->lid);
        wagw_node_bytes_copy(a, wagw_node_child(a, k, "body"), wagw_cstr(g->desc));
    }
    for (i = 0; i < g->nmembers; i++) {
        if (brief && g->members[i].role == SBX_MEMBER) {
            continue;
        }
        k = sbx_group_participant(a, n, g->members[i].account, g->lid);
        if (g->members[i].role != SBX_MEMBER) {
            wagw_node_attrc(a, k, "type", g->members[i].role == SBX_OWNER ? "superadmin" : "admin");
        }
    }
    sbx_group_settings(a, n, g);
}

void sbx_group_notify(sbx_group_t *g, const sbx_account_t *actor, const sbx_account_t *only, const wagw_node_t *child)
{
    uint32_t i;
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_device_t *d;
    const sbx_account_t *to;

    for (i = 0; only != NULL ? i == 0 : i < g->nmembers; i++) {
        to = only ? only : g->members[i].account;
        for (d = to->devices->next; d != NULL; d = d->next) {
            n = wagw_node(&a, "notification");
            jid = sbx_group_jid(g);
            wagw_node_attr_jid(&a, n, "from", &jid);
            wagw_node_attrc(&a, n, "type", "w:gp2");
            wagw_node_attr(&a, n, "id", sbx_server_id(&a));
            if (actor != NULL) {
                sbx_group_person(&a, n, "participant", "participant_pn", "participant_lid", actor, g->lid);
                wagw_node_attr(&a, n, "notify", wagw_cstr(actor->name));
            }
            wagw_node_attrc(&a, n, "addressing_mode", g->lid ? "lid" : "pn");
            wagw_node_attr_int(&a, n, "t", sbx_now_s());
            wagw_node_append(n, wagw_node_clone(&a, child));
            sbx_deliver(d, n);
            wagw_arena_reset(&a);
        }
    }
    wagw_arena_free(&a);
}
