/*
 * Queries by namespace.  What is not known is refused and listed.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

static void sbx_iq_ok(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_arena_t a = {0};

    sbx_send(c, sbx_iq_result(&a, iq));
    wagw_arena_free(&a);
}

static void sbx_iq_passive(sbx_conn_t *c, const wagw_node_t *iq)
{
    sbx_iq_ok(c, iq);
    if (wagw_node_find(iq, "passive") != NULL) {
        c->active = false;
    } else if (wagw_node_find(iq, "active") != NULL && !c->active) {
        sbx_activate(c);
    }
}

static void sbx_iq_md(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_jid_t jid;
    sbx_conn_t *was;
    sbx_device_t *d;
    sbx_account_t *acc;
    const wagw_node_t *rm;

    if (wagw_node_find(iq, "link_code_companion_reg") != NULL) {
        sbx_pair_code_iq(c, iq);
        return;
    }

    rm = wagw_node_find(iq, "remove-companion-device");
    if (rm != NULL && c->device != NULL) {
        acc = wagw_node_get_jid(rm, "jid", &jid) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
        d = acc == c->device->account && acc && jid.device != 0 ? sbx_device_get(acc, jid.device) : NULL;
        if (d == NULL) {
            sbx_iq_error(c, iq, 404, "item-not-found");
            return;
        }
        sbx_iq_ok(c, iq);
        was = d->conn;
        sbx_device_remove(d);
        if (was != NULL) {
            sbx_stream_error(was, "401", "device_removed");
        }
        return;
    }
    sbx_unhandled(c, iq);
    sbx_iq_error(c, iq, 400, "bad-request");
}

static void sbx_iq_media(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_node_t *n, *m, *h;
    wagw_arena_t a = {0};

    n = sbx_iq_result(&a, iq);
    m = wagw_node_child(&a, n, "media_conn");
    wagw_node_attrc(&a, m, "auth", sbx_media_auth());
    wagw_node_attrc(&a, m, "ttl", "3600");
    wagw_node_attrc(&a, m, "auth_ttl", "3600");
    wagw_node_attrc(&a, m, "max_buckets", "12");
    h = wagw_node_child(&a, m, "host");
    wagw_node_attr(&a, h, "hostname", wagw_arena_printf(&a, "%s:%u", sbx.host, sbx.media_port));
    wagw_node_attrc(&a, h, "maxContentLengthBytes", "2147483648");
    /* the same one under another name: clients that go on to the next host find it */
    h = wagw_node_child(&a, m, "host");
    wagw_node_attr(&a, h, "hostname", wagw_arena_printf(&a, "localhost:%u", sbx.media_port));
    sbx_send(c, n);
    wagw_arena_free(&a);
}

static void sbx_iq_props(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_node_t *n, *p;
    wagw_arena_t a = {0};

    n = sbx_iq_result(&a, iq);
    p = wagw_node_child(&a, n, "props");
    wagw_node_attrc(&a, p, "hash", "1");
    wagw_node_attrc(&a, p, "refresh", "86400");
    if (!wagw_node_attr_is(wagw_node_find(iq, "props"), "hash", "1")) {
        p = wagw_node_child(&a, p, "prop");
        wagw_node_attrc(&a, p, "config_code", "9435");
        wagw_node_attrc(&a, p, "config_value", "1");
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}

static void sbx_iq_request(sbx_conn_t *c, const wagw_node_t *iq)
{
    wagw_str_t ns;
    const wagw_node_t *usync;

    ns = wagw_node_get(iq, "xmlns");

    if (wagw_str_is(ns, "w:p")) {
        sbx_iq_ok(c, iq);
        return;
    }
    if (wagw_str_is(ns, "md")) {
        sbx_iq_md(c, iq);
        return;
    }
    if (c->device == NULL) {
        sbx_fault(NULL, "iq %.*s before login", (int)ns.n, ns.p ? (const char *)ns.p : "");
        sbx_iq_error(c, iq, 401, "not-authorized");
        return;
    }

    usync = wagw_node_find(iq, "usync");
    if (wagw_str_is(ns, "usync") && usync != NULL) {
        sbx_iq_usync(c, iq, usync);
    } else if (wagw_str_is(ns, "encrypt")) {
        sbx_iq_encrypt(c, iq);
    } else if (wagw_str_is(ns, "passive")) {
        sbx_iq_passive(c, iq);
    } else if (wagw_str_is(ns, "privacy")) {
        sbx_iq_privacy(c, iq);
    } else if (wagw_str_is(ns, "blocklist")) {
        sbx_iq_blocklist(c, iq);
    } else if (wagw_str_is(ns, "status")) {
        sbx_iq_status(c, iq);
    } else if (wagw_str_is(ns, "w:profile:picture")) {
        sbx_iq_picture(c, iq);
    } else if (wagw_str_is(ns, "abt") || wagw_str_is(ns, "w")) {
        sbx_iq_props(c, iq);
    } else if (wagw_str_is(ns, "w:m")) {
        sbx_iq_media(c, iq);
    } else if (wagw_str_is(ns, "w:g2")) {
        sbx_iq_groups(c, iq);
    } else if (wagw_str_is(ns, "w:biz:catalog")) {
        sbx_iq_catalog(c, iq);
    } else if (wagw_str_is(ns, "w:sync:app:state")) {
        sbx_iq_app_state(c, iq);
    } else if (wagw_str_is(ns, "disappearing_mode")) {
        sbx_iq_disappearing(c, iq);
    } else if (wagw_str_is(ns, "w:qr")) {
        sbx_iq_qr(c, iq);
    } else if (wagw_str_is(ns, "w:biz")) {
        sbx_iq_business(c, iq);
    } else if (wagw_str_is(ns, "urn:xmpp:whatsapp:dirty") || wagw_str_is(ns, "w:stats")) {
        sbx_iq_ok(c, iq);
    } else {
        sbx_unhandled(c, iq);
        sbx_iq_error(c, iq, 501, "feature-not-implemented");
    }
}

void sbx_iq(sbx_conn_t *c, const wagw_node_t *iq)
{
    int code;
    bool silent;
    char text[64];

    if (wagw_node_attr_is(iq, "type", "result") || wagw_node_attr_is(iq, "type", "error")) {
        if (!sbx_pair_result(c, iq) && c->device != NULL) {
            sbx_request_reply(c->device, iq);
        }
        return;
    }
    if (wagw_node_get(iq, "id").n == 0) {
        sbx_fault(c->device, "iq without id");
        return;
    }

    silent = false;
    code = sbx_iq_rule(c->device, iq, &silent, text);
    if (code != 0) {
        if (!silent) {
            sbx_iq_error(c, iq, code, text);
        }
        return;
    }
    sbx_iq_request(c, iq);
}
