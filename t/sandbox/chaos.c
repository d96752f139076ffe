/*
 * Rules that disturb what is sent to a device.  What a rule keeps back is
 * bound to the connection: after a reconnect the queue delivers it again.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

typedef enum {
    SBX_DROP = 0,
    SBX_DELAY,
    SBX_DUPLICATE,
    SBX_REORDER,
    SBX_HOLD,
    SBX_DAMAGE,
    SBX_MANGLE,
    SBX_CLOSE,
    SBX_ACTIONS
} sbx_action_t;

static const char *const sbx_action_names[SBX_ACTIONS] = {"drop", "delay",   "duplicate", "reorder",
                                                          "hold", "corrupt", "mangle",    "close"};

struct sbx_rule_s {
    sbx_rule_t *next;
    sbx_device_t *device; /* NULL: every device */
    sbx_action_t action;
    char *tag;
    char *type;
    char *child;
    char *id;
    int64_t left; /* -1: no end */
    int64_t skip;
    int64_t ms;
    int64_t times;
    int64_t window;
    sbx_corrupt_t mode;
};

typedef struct sbx_held_s sbx_held_t;
struct sbx_held_s {
    sbx_held_t *next;
    sbx_device_t *device;
    uint64_t conn;
    sbx_rule_t *rule;
    sbx_stanza_t *stanza;
    struct event *timer; /* of a delayed one */
};

static sbx_rule_t *sbx_rules;
static sbx_held_t *sbx_held;

static bool sbx_rule_is(const char *want, wagw_str_t have)
{
    return want == NULL || wagw_str_eq(wagw_cstr(want), have);
}

static bool sbx_rule_type(const char *want, const wagw_node_t *n)
{
    const wagw_node_t *e;

    if (sbx_rule_is(want, wagw_node_get(n, "type"))) {
        return true;
    }
    e = wagw_node_find(n, "enc");
    return e != NULL && sbx_rule_is(want, wagw_node_get(e, "type"));
}

static sbx_rule_t *sbx_rule_match(const sbx_device_t *d, const wagw_node_t *n, bool delivery)
{
    sbx_rule_t *r;
    const wagw_node_t *enc;

    for (r = sbx_rules; r != NULL; r = r->next) {
        if ((r->device != NULL && r->device != d) || r->left == 0) {
            continue;
        }
        /* answers to the client are touched only when they are named */
        if (r->tag == NULL && !delivery) {
            continue;
        }
        if (!sbx_rule_is(r->tag, n->tag) || !sbx_rule_type(r->type, n) || !sbx_rule_is(r->id, wagw_node_get(n, "id")) ||
            (r->child != NULL && wagw_node_find(n, r->child) == NULL)) {
            continue;
        }
        if (r->action == SBX_MANGLE) {
            enc = wagw_node_find(n, "enc");
            if (enc == NULL || wagw_node_has(enc, "count")) {
                continue; /* a resend repairs: it is left alone */
            }
        }
        if (r->skip > 0) {
            r->skip--;
            continue;
        }
        if (r->left > 0) {
            r->left--;
        }
        return r;
    }
    return NULL;
}

static void sbx_held_free(sbx_held_t *h)
{
    if (h->timer != NULL) {
        event_free(h->timer);
    }
    sbx_stanza_unref(h->stanza);
    free(h);
}

static void sbx_held_send(sbx_held_t *h)
{
    if (h->device->conn != NULL && h->device->conn->id == h->conn) {
        sbx_send_stanza(h->device->conn, h->stanza);
    }
    sbx_held_free(h);
}

static void sbx_held_due(evutil_socket_t fd, short what, void *data)
{
    sbx_held_t *h, **p;

    (void)fd;
    (void)what;
    h = data;
    for (p = &sbx_held; *p != h; p = &(*p)->next) {
    }
    *p = h->next;
    sbx_held_send(h);
}

static sbx_held_t *sbx_hold(sbx_conn_t *c, sbx_rule_t *r, sbx_stanza_t *s)
{
    sbx_held_t *h, **p;

    h = sbx_alloc(sizeof(sbx_held_t));
    h->device = c->device;
    h->conn = c->id;
    h->rule = r;
    h->stanza = sbx_stanza_ref(s);
    for (p = &sbx_held; *p != NULL; p = &(*p)->next) {
    }
    *p = h;
    return h;
}

static int sbx_release(const sbx_device_t *d, const sbx_rule_t *r, bool reverse)
{
    int n;
    sbx_held_t *h, **p, *out, **end;

    n = 0;
    out = NULL;
    end = &out;
    for (p = &sbx_held; (h = *p) != NULL;) {
        if ((d != NULL && h->device != d) || (r != NULL && h->rule != r)) {
            p = &h->next;
            continue;
        }
        *p = h->next;
        if (reverse) {
            h->next = out;
            out = h;
        } else {
            h->next = NULL;
            *end = h;
            end = &h->next;
        }
        n++;
    }
    while ((h = out) != NULL) {
        out = h->next;
        sbx_held_send(h);
    }
    return n;
}

static void sbx_mangle(sbx_conn_t *c, const wagw_node_t *n)
{
    uint8_t *p;
    wagw_node_t *copy, *e;
    wagw_arena_t a = {0};
    sbx_stanza_t *s;

    copy = wagw_node_clone(&a, n);
    for (e = copy ? copy->child : NULL; e != NULL && !wagw_node_is(e, "enc"); e = e->next) {
    }
    if (e != NULL && e->data.n > 8) {
        p = wagw_arena_alloc(&a, e->data.n);
        memcpy(p, e->data.p, e->data.n);
        p[e->data.n - 9] ^= 0x01;
        e->data.p = p;
        s = sbx_stanza(copy);
        sbx_send_stanza(c, s);
        sbx_stanza_unref(s);
    }
    wagw_arena_free(&a);
}

void sbx_chaos_send(sbx_conn_t *c, sbx_stanza_t *s, const wagw_node_t *n, bool delivery)
{
    int64_t i, held;
    sbx_rule_t *r;
    sbx_held_t *h;
    struct timeval tv;

    r = sbx_rules && c->device ? sbx_rule_match(c->device, n, delivery) : NULL;
    if (r == NULL) {
        sbx_send_stanza(c, s);
        return;
    }

    switch (r->action) {

    case SBX_DROP:
        break;

    case SBX_DELAY:
        h = sbx_hold(c, r, s);
        h->timer = evtimer_new(sbx.base, sbx_held_due, h);
        tv.tv_sec = r->ms / 1000;
        tv.tv_usec = (r->ms % 1000) * 1000;
        evtimer_add(h->timer, &tv);
        break;

    case SBX_DUPLICATE:
        for (i = 0; i < r->times; i++) {
            sbx_send_stanza(c, s);
        }
        break;

    case SBX_REORDER:
        sbx_hold(c, r, s);
        for (held = 0, h = sbx_held; h != NULL; h = h->next) {
            held += h->rule == r && h->device == c->device;
        }
        if (held >= r->window) {
            sbx_release(c->device, r, true);
        }
        break;

    case SBX_HOLD:
        sbx_hold(c, r, s);
        break;

    case SBX_DAMAGE:
        c->corrupt = (uint8_t)r->mode;
        sbx_send_stanza(c, s);
        break;

    case SBX_MANGLE:
        sbx_mangle(c, n);
        break;

    default:
        sbx_conn_ws_close(c);
    }
}

static char *sbx_arg_dup(sbx_req_t *r, const char *name)
{
    char buf[64];
    const char *s;

    s = sbx_arg(r, name, buf);
    return s && *s ? sbx_strdup(s) : NULL;
}

int sbx_chaos_add(sbx_req_t *r, sbx_device_t *d)
{
    int i;
    char buf[64];
    int64_t count;
    sbx_rule_t *rule, **p;
    const char *action, *mode;

    action = sbx_arg(r, "action", buf);
    for (i = 0; i < SBX_ACTIONS && (action == NULL || strcmp(action, sbx_action_names[i]) != 0); i++) {
    }
    if (i == SBX_ACTIONS) {
        return sbx_error(r, 400, "action: drop, delay, duplicate, reorder, hold, corrupt, mangle or close");
    }

    rule = sbx_alloc(sizeof(sbx_rule_t));
    rule->device = d;
    rule->action = (sbx_action_t)i;
    rule->tag = sbx_arg_dup(r, "tag");
    rule->type = sbx_arg_dup(r, "type");
    rule->child = sbx_arg_dup(r, "child");
    rule->id = sbx_arg_dup(r, "id");
    count = sbx_arg_int(r, "count", 0);
    rule->left = count > 0 ? count : -1;
    rule->skip = sbx_arg_int(r, "skip", 0);
    rule->ms = sbx_arg_int(r, "ms", 1000);
    rule->times = sbx_arg_int(r, "times", 2);
    rule->window = sbx_arg_int(r, "window", 2);
    mode = sbx_arg(r, "mode", buf);
    rule->mode = SBX_CORRUPT_CIPHER;
    if (mode != NULL && strcmp(mode, "node") == 0) {
        rule->mode = SBX_CORRUPT_NODE;
    } else if (mode != NULL && strcmp(mode, "truncate") == 0) {
        rule->mode = SBX_CORRUPT_TRUNCATE;
    }
    if (rule->ms < 0 || rule->ms > 3600000 || rule->times < 0 || rule->times > 100) {
        rule->ms = 1000;
        rule->times = 2;
    }

    for (p = &sbx_rules; *p != NULL; p = &(*p)->next) {
    }
    *p = rule;

    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}

int sbx_chaos_release(sbx_device_t *d, bool reverse)
{
    return sbx_release(d, NULL, reverse);
}

static void sbx_rules_free(const sbx_device_t *d, bool all)
{
    sbx_rule_t *r, **p;

    for (p = &sbx_rules; (r = *p) != NULL;) {
        if (!all && r->device != d) {
            p = &r->next;
            continue;
        }
        *p = r->next;
        free(r->tag);
        free(r->type);
        free(r->child);
        free(r->id);
        free(r);
    }
}

int sbx_chaos_clear(sbx_device_t *d)
{
    int n;

    n = sbx_release(d, NULL, false);
    sbx_rules_free(d, d == NULL);
    return n;
}

void sbx_chaos_forget(sbx_device_t *d)
{
    sbx_held_t *h, **p;

    for (p = &sbx_held; (h = *p) != NULL;) {
        if (h->device == d) {
            *p = h->next;
            sbx_held_free(h);
        } else {
            p = &h->next;
        }
    }
    sbx_rules_free(d, false);
}
