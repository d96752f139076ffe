/*
 * What a device must receive: a queue until it acknowledges, the backlog of a
 * login, and the chaos rules that stand between queue and wire.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

void sbx_queue_free(sbx_device_t *d)
{
    sbx_queued_t *q;

    while ((q = d->queue) != NULL) {
        d->queue = q->next;
        sbx_stanza_unref(q->stanza);
        free(q->id);
        free(q->from);
        free(q);
    }
    d->queue_last = NULL;
    d->pending = 0;
}

static void sbx_queue_unlink(sbx_device_t *d, sbx_queued_t **p)
{
    sbx_queued_t *q, *e;

    q = *p;
    *p = q->next;
    if (d->queue_last == q) {
        d->queue_last = NULL;
        for (e = d->queue; e != NULL; e = e->next) {
            d->queue_last = e;
        }
    }
    d->pending--;
    sbx_stanza_unref(q->stanza);
    free(q->id);
    free(q->from);
    free(q);
}

void sbx_deliver(sbx_device_t *d, const wagw_node_t *n)
{
    sbx_queued_t *q;

    if (d->id == 0) {
        if (wagw_node_is(n, "message")) {
            sbx_phone_message(d->account, n);
        } else if (wagw_node_is(n, "receipt")) {
            sbx_phone_receipt(d->account, n);
        }
        return;
    }

    q = sbx_alloc(sizeof(sbx_queued_t));
    q->stanza = sbx_stanza(n);
    q->id = sbx_strndup(wagw_node_get(n, "id"));
    q->from = sbx_strndup(wagw_node_get(n, "from"));
    snprintf(q->tag, sizeof(q->tag), "%.*s", (int)n->tag.n, (const char *)n->tag.p);
    if (d->queue_last != NULL) {
        d->queue_last->next = q;
    } else {
        d->queue = q;
    }
    d->queue_last = q;
    d->pending++;
    sbx.deliveries++;

    if (d->conn != NULL && d->conn->active) {
        q->sent = true;
        sbx_chaos_send(d->conn, q->stanza, n, true);
    }
    sbx_changed();
}

void sbx_deliver_live(sbx_device_t *d, const wagw_node_t *n)
{
    sbx_stanza_t *s;

    if (d->conn != NULL && d->conn->active) {
        s = sbx_stanza(n);
        sbx_chaos_send(d->conn, s, n, true);
        sbx_stanza_unref(s);
    }
}

/*
 * An ack answers the stanza of its class; a receipt answers a message.  Ids
 * of messages are unique per sender only, so the address is compared too.
 */
void sbx_acknowledged(sbx_device_t *d, const wagw_node_t *n)
{
    char *id, *to, tag[13];
    wagw_str_t class;
    sbx_queued_t **p, **first;

    class = wagw_node_is(n, "receipt") ? WAGW_STR("message") : wagw_node_get(n, "class");
    snprintf(tag, sizeof(tag), "%.*s", (int)class.n, class.p ? (const char *)class.p : "");
    id = sbx_strndup(wagw_node_get(n, "id"));
    to = sbx_strndup(wagw_node_get(n, "to"));

    first = NULL;
    for (p = &d->queue; *p != NULL; p = &(*p)->next) {
        if (strcmp((*p)->id, id) != 0 || strcmp((*p)->tag, tag) != 0 || !(*p)->sent) {
            continue;
        }
        if (strcmp((*p)->from, to) == 0) {
            break;
        }
        first = first ? first : p;
    }
    if (*p == NULL) {
        p = first;
    }
    if (p != NULL) {
        sbx_queue_unlink(d, p);
        sbx_changed();
    }
    free(id);
    free(to);
}

static void sbx_offline_count(sbx_conn_t *c, uint32_t count)
{
    wagw_node_t *n;
    wagw_arena_t a = {0};

    n = wagw_node(&a, "ib");
    wagw_node_attr_server(&a, n, "from");
    wagw_node_attr_int(&a, wagw_node_child(&a, n, "offline"), "count", count);
    sbx_send(c, n);
    wagw_arena_free(&a);
}

static void sbx_offline_preview(sbx_conn_t *c)
{
    uint32_t messages, receipts, notifications;
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_queued_t *q;

    messages = receipts = notifications = 0;
    for (q = c->device->queue; q != NULL; q = q->next) {
        messages += strcmp(q->tag, "message") == 0;
        receipts += strcmp(q->tag, "receipt") == 0;
        notifications += strcmp(q->tag, "notification") == 0;
    }
    n = wagw_node(&a, "ib");
    wagw_node_attr_server(&a, n, "from");
    k = wagw_node_child(&a, n, "offline_preview");
    wagw_node_attr_int(&a, k, "count", c->device->pending);
    wagw_node_attr_int(&a, k, "message", messages);
    wagw_node_attr_int(&a, k, "receipt", receipts);
    wagw_node_attr_int(&a, k, "notification", notifications);
    wagw_node_attr_int(&a, k, "appdata", 0);
    sbx_send(c, n);
    wagw_arena_free(&a);
}

void sbx_queue_backlog(sbx_conn_t *c)
{
    uint32_t count;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_stanza_t *s;
    sbx_queued_t *q;

    if (c->device == NULL) {
        return;
    }
    if (c->device->pending != 0) {
        sbx_offline_preview(c);
    }

    count = 0;
    for (q = c->device->queue; q != NULL && !c->closing; q = q->next) {
        n = sbx_stanza_node(&a, q->stanza);
        if (n == NULL) {
            continue;
        }
        wagw_node_attrc(&a, n, "offline", "0");
        s = sbx_stanza(n);
        q->sent = true;
        sbx_chaos_send(c, s, n, true);
        sbx_stanza_unref(s);
        wagw_arena_reset(&a);
        count++;
    }
    wagw_arena_free(&a);
    sbx_offline_count(c, count);
}
