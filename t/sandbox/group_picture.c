/*
 * Pictures of groups: w:profile:picture with a group as target.
 */

#include "group.h"

static void sbx_group_picture_notice(sbx_group_t *g, sbx_account_t *by)
{
    uint32_t i;
    wagw_jid_t jid = sbx_group_jid(g);
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_device_t *d;

    for (i = 0; i < g->nmembers; i++) {
        for (d = g->members[i].account->devices->next; d != NULL; d = d->next) {
            n = wagw_node(&a, "notification");
            wagw_node_attr_jid(&a, n, "from", &jid);
            wagw_node_attrc(&a, n, "type", "picture");
            wagw_node_attr(&a, n, "id", sbx_server_id(&a));
            sbx_group_person(&a, n, "participant", "participant_pn", "participant_lid", by, g->lid);
            wagw_node_attr_int(&a, n, "t", sbx_now_s());
            k = wagw_node_child(&a, n, g->picture.path != NULL ? "set" : "delete");
            wagw_node_attr_jid(&a, k, "jid", &jid);
            if (g->picture.path != NULL) {
                wagw_node_attr_int(&a, k, "id", (int64_t)g->picture.id);
            }
            sbx_group_person(&a, k, "author", "author_pn", "author_lid", by, g->lid);
            sbx_deliver(d, n);
            wagw_arena_reset(&a);
        }
    }
    wagw_arena_free(&a);
}

void sbx_group_picture_iq(sbx_conn_t *c, const wagw_node_t *iq, const wagw_jid_t *group)
{
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_account_t *by = c->device->account;
    sbx_group_t *g = sbx_group_id(group->user);
    sbx_member_t *m = g ? sbx_group_member(g, by) : NULL;
    const wagw_node_t *q = wagw_node_find(iq, "picture");

    if (g == NULL || m == NULL) {
        sbx_iq_error(c, iq, g ? 401 : 404, g ? "not-authorized" : "item-not-found");
        return;
    }
    if (wagw_node_attr_is(iq, "type", "get")) {
        sbx_picture_answer(c, iq, &g->picture);
        return;
    }
    if (g->locked && m->role == SBX_MEMBER) {
        sbx_iq_error(c, iq, 403, "forbidden");
        return;
    }
    sbx_picture_put(&g->picture, wagw_node_data(q));
    n = sbx_iq_result(&a, iq);
    if (q != NULL) {
        wagw_node_attr_int(&a, wagw_node_child(&a, n, "picture"), "id", (int64_t)g->picture.id);
    }
    sbx_send(c, n);
    sbx_group_picture_notice(g, by);
    wagw_arena_free(&a);
}
