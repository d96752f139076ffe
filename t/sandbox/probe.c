/*
 * Any node to a device, and iqs whose answer is awaited.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct sbx_probe_s sbx_probe_t;
struct sbx_probe_s {
    sbx_probe_t *next;
    const sbx_device_t *device;
    char *id;
    sbx_stanza_t *reply;
};

static sbx_probe_t *sbx_probes;

static void sbx_probe_drop(void *data)
{
    sbx_probe_t *p, **at;

    p = data;
    for (at = &sbx_probes; *at != NULL; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    sbx_stanza_unref(p->reply);
    free(p->id);
    free(p);
}

bool sbx_request_reply(sbx_device_t *d, const wagw_node_t *iq)
{
    sbx_probe_t *p;

    for (p = sbx_probes; p != NULL; p = p->next) {
        if (p->device == d && p->reply == NULL && wagw_node_attr_is(iq, "id", p->id)) {
            p->reply = sbx_stanza(iq);
            sbx_changed();
            return true;
        }
    }
    return false;
}

/* The device and the node of a call; NULL after an error was written. */
static wagw_node_t *sbx_probe_node(sbx_req_t *r, wagw_arena_t *a, sbx_device_t **d, int *status)
{
    char buf[64];
    wagw_node_t *n;
    const char *s, *why;

    s = sbx_arg(r, "device", buf);
    *d = s ? sbx_device_find(s) : NULL;
    if (*d == NULL) {
        *status = s ? sbx_error(r, 404, "device unknown: %s", s) : sbx_error(r, 400, "device is missing");
        return NULL;
    }
    why = "node is missing";
    n = sbx_arg_json(r, "node") ? sbx_node_from_json(a, sbx_arg_json(r, "node"), &why) : NULL;
    if (n == NULL) {
        *status = sbx_error(r, 400, "%s", why);
    }
    return n;
}

int sbx_admin_send_node(sbx_req_t *r)
{
    int status;
    bool queued;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_stanza_t *s;
    sbx_device_t *d;

    n = sbx_probe_node(r, &a, &d, &status);
    if (n == NULL) {
        goto done;
    }

    queued = !sbx_arg_bool(r, "raw", false) && (wagw_node_is(n, "message") || wagw_node_is(n, "receipt") ||
                                                wagw_node_is(n, "notification") || wagw_node_is(n, "call"));
    if (queued) {
        if (wagw_node_get(n, "id").n == 0) {
            wagw_node_attr(&a, n, "id", sbx_server_id(&a));
        }
        sbx_deliver(d, n);
    } else if (d->conn == NULL) {
        status = sbx_error(r, 409, "device is not connected");
        goto done;
    } else {
        s = sbx_stanza(n);
        sbx_send_stanza(d->conn, s);
        sbx_stanza_unref(s);
    }

    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_key(&r->j, "id");
    wagw_json_str(&r->j, wagw_node_get(n, "id"));
    wagw_json_close(&r->j);
    status = 200;

done:

    wagw_arena_free(&a);
    return status;
}

int sbx_admin_request(sbx_req_t *r)
{
    int status;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_probe_t *p;
    sbx_device_t *d;

    p = r->data;
    if (p == NULL) {
        n = sbx_probe_node(r, &a, &d, &status);
        if (n == NULL) {
            goto done;
        }
        if (d->conn == NULL) {
            status = sbx_error(r, 409, "device is not connected");
            goto done;
        }
        if (wagw_node_get(n, "id").n == 0) {
            wagw_node_attr(&a, n, "id", sbx_server_id(&a));
        }
        if (wagw_node_get(n, "from").n == 0) {
            wagw_node_attr_server(&a, n, "from");
        }
        p = sbx_alloc(sizeof(sbx_probe_t));
        p->device = d;
        p->id = sbx_strndup(wagw_node_get(n, "id"));
        p->next = sbx_probes;
        sbx_probes = p;
        r->data = p;
        r->drop = sbx_probe_drop;
        sbx_send(d->conn, n);
    }

    if (p->reply == NULL) {
        status = sbx_wait(r, sbx_arg_int(r, "timeoutMs", 10000)) ? SBX_WAIT : sbx_error(r, 504, "no answer");
        goto done;
    }
    n = sbx_stanza_node(&a, p->reply);
    if (n == NULL) {
        status = sbx_error(r, 500, "the answer cannot be read");
        goto done;
    }
    sbx_node_json(&r->j, n);
    status = 200;

done:

    wagw_arena_free(&a);
    return status;
}
