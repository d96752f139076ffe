/*
 * What the engine has to do with media: the list of media hosts.  Files
 * themselves are the owner's.
 */

#include "client_i.h"

#define HOSTS_MAX 32


static int
conn_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int                 rc, code = node ? wagw_iq_error(node, NULL) : 0;
    size_t              n = 0;
    uint64_t            ttl;
    wagw_buf_t          b = { 0 };
    wagw_json_t         j = wagw_json(&b);
    wagw_result_t       r = { 0 };
    const wagw_node_t  *m, *h;

    m = node && code == 0 ? wagw_node_find(node, "media_conn") : NULL;
    if (m == NULL || wagw_node_get(m, "auth").n == 0) {
        wagw_iq_result(&r, &t->arena, node && code == 0 ? 500 : code, WAGW_STR_NULL);
        return wagw_turn_reply(t, command, &r);
    }
    if (wagw_node_get_u64(m, "ttl", &ttl) != WAGW_OK || ttl > 86400) {
        ttl = 300;
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "auth", wagw_node_get(m, "auth"));
    wagw_json_kint(&j, "ttl", (int64_t) ttl);
    wagw_json_key(&j, "hosts");
    wagw_json_open(&j, '[');
    for (h = wagw_node_find(m, "host"); h && n < HOSTS_MAX; h = wagw_node_find_next(h, "host")) {
        if (wagw_node_get(h, "hostname").n) {
            wagw_json_str(&j, wagw_node_get(h, "hostname"));
            n++;
        }
    }
    wagw_json_close(&j);
    wagw_json_close(&j);

    r.status = 200;
    r.data = wagw_buf_view(&b);
    rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    wagw_buf_free(&b);
    return rc;
}


int
wagw_media_conn_command(wagw_turn_t *t, uint64_t command)
{
    wagw_node_t  *iq = wagw_iq(t, "set", "w:m");

    wagw_node_child(&t->arena, iq, "media_conn");
    return wagw_iq_send_for(t, iq, conn_answer, command);
}
