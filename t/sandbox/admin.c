/*
 * The admin calls that look at the model, and the table of all of them.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int sbx_admin_root(sbx_req_t *r)
{
    r->type = "text/plain";
    wagw_hex_encode(&r->out, wagw_str(sbx.root.pub, 32));
    return 200;
}

static int sbx_admin_cert(sbx_req_t *r)
{
    r->type = "application/x-pem-file";
    wagw_buf_cstr(&r->out, sbx_tls_pem());
    r->out.n--; /* the answer ends with a newline already */
    return 200;
}

void sbx_device_json(wagw_json_t *j, const sbx_device_t *d)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid;

    wagw_json_open(j, '{');
    jid = sbx_device_jid(d, false);
    wagw_jid_text(&jid, text);
    wagw_json_kcstr(j, "jid", text);
    jid = sbx_device_jid(d, true);
    wagw_jid_text(&jid, text);
    wagw_json_kcstr(j, "lid", text);
    wagw_json_kcstr(j, "phone", d->account->pn);
    wagw_json_kcstr(j, "name", d->account->name);
    wagw_json_kint(j, "device", d->id);
    wagw_json_kint(j, "keyIndex", d->key_index);
    wagw_json_kcstr(j, "platform", d->platform);
    wagw_json_kbool(j, "connected", d->conn != NULL);
    wagw_json_kbool(j, "active", d->conn != NULL && d->conn->active);
    if (d->conn != NULL) {
        wagw_json_kint(j, "conn", (int64_t)d->conn->id);
    } else {
        wagw_json_knull(j, "conn");
    }
    wagw_json_kint(j, "preKeys", sbx_device_prekeys(d));
    wagw_json_kint(j, "pending", d->pending);
    wagw_json_key(j, "stats");
    wagw_json_open(j, '{');
    wagw_json_kint(j, "connects", d->connects);
    wagw_json_kint(j, "messagesIn", (int64_t)d->messages_in);
    wagw_json_kint(j, "messagesOut", (int64_t)d->messages_out);
    wagw_json_close(j);
    wagw_json_close(j);
}

static int sbx_admin_devices(sbx_req_t *r)
{
    bool all;
    char buf[64];
    uint32_t i;
    const char *phone;
    sbx_account_t *only;
    sbx_device_t *d;

    phone = sbx_arg(r, "phone", buf);
    only = phone ? sbx_account_find(phone) : NULL;
    all = sbx_arg_bool(r, "all", false);

    wagw_json_open(&r->j, '[');
    for (i = 0; i < sbx.naccounts; i++) {
        if (phone != NULL && sbx.accounts[i] != only) {
            continue;
        }
        for (d = sbx.accounts[i]->devices; d != NULL; d = d->next) {
            if (d->id != 0 || all) {
                sbx_device_json(&r->j, d);
            }
        }
    }
    wagw_json_close(&r->j);
    return 200;
}

static int64_t sbx_rss(void)
{
    long pages, total;
    FILE *f;

    pages = 0;
    f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &total, &pages) != 2) {
            pages = 0;
        }
        fclose(f);
    }
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int sbx_admin_status(sbx_req_t *r)
{
    uint32_t i, devices, connected;
    uint64_t pending;
    sbx_device_t *d;

    devices = connected = 0;
    pending = 0;
    for (i = 0; i < sbx.naccounts; i++) {
        for (d = sbx.accounts[i]->devices->next; d != NULL; d = d->next) {
            devices++;
            connected += d->conn != NULL;
            pending += d->pending;
        }
    }

    wagw_json_open(&r->j, '{');
    wagw_json_kint(&r->j, "pid", getpid());
    wagw_json_kint(&r->j, "uptimeMs", sbx_now_ms() - sbx.started);
    wagw_json_kint(&r->j, "accounts", sbx.naccounts);
    wagw_json_kint(&r->j, "devices", devices);
    wagw_json_kint(&r->j, "connected", connected);
    wagw_json_kint(&r->j, "connections", sbx.nconns);
    wagw_json_kint(&r->j, "logins", (int64_t)sbx.logins);
    wagw_json_kint(&r->j, "messages", (int64_t)sbx.messages);
    wagw_json_kint(&r->j, "receipts", (int64_t)sbx.receipts);
    wagw_json_kint(&r->j, "deliveries", (int64_t)sbx.deliveries);
    wagw_json_kint(&r->j, "pending", (int64_t)pending);
    wagw_json_kint(&r->j, "unhandled", cJSON_GetArraySize(sbx.unhandled));
    wagw_json_key(&r->j, "memory");
    wagw_json_open(&r->j, '{');
    wagw_json_kint(&r->j, "rss", sbx_rss());
    wagw_json_kint(&r->j, "signal", (int64_t)wagw_cache_bytes(sbx.cache));
    wagw_json_close(&r->j);
    wagw_json_key(&r->j, "pendingPairings");
    sbx_pair_list(&r->j);
    wagw_json_close(&r->j);
    return 200;
}

/* ---- nodes ---- */

typedef struct {
    bool have_dir;
    bool out;
    const char *tag;
    const char *child;
    const char *attr[4]; /* type, xmlns, id, to */
    int64_t since;
    int64_t limit;
} sbx_filter_t;

static const char *const sbx_filter_attrs[4] = {"type", "xmlns", "id", "to"};

static bool sbx_filter_node(const sbx_filter_t *f, const sbx_entry_t *e, const wagw_node_t *n)
{
    int i;

    if (f->tag != NULL && !wagw_node_is(n, f->tag)) {
        return false;
    }
    if (f->child != NULL && wagw_node_find(n, f->child) == NULL) {
        return false;
    }
    for (i = 0; i < 4; i++) {
        if (f->attr[i] != NULL && !wagw_node_attr_is(n, sbx_filter_attrs[i], f->attr[i])) {
            return false;
        }
    }
    (void)e;
    return true;
}

static int64_t sbx_nodes_of(wagw_json_t *j, const sbx_log_t *log, const sbx_filter_t *f, const sbx_device_t *d,
                            int64_t skip)
{
    char text[WAGW_JID_TEXT_MAX];
    int64_t count;
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    const sbx_entry_t *e;

    count = 0;
    for (e = log->head; e != NULL; e = e->next) {
        if ((f->have_dir && e->out != f->out) || e->t < f->since) {
            continue;
        }
        n = sbx_stanza_node(&a, e->stanza);
        if (n != NULL && sbx_filter_node(f, e, n) && count++ >= skip && j != NULL) {
            wagw_json_open(j, '{');
            wagw_json_kcstr(j, "dir", e->out ? "out" : "in");
            wagw_json_kint(j, "t", e->t);
            if (d != NULL) {
                jid = sbx_device_jid(d, false);
                wagw_jid_text(&jid, text);
                wagw_json_kcstr(j, "device", text);
            }
            wagw_json_key(j, "node");
            sbx_node_json(j, n);
            wagw_json_close(j);
        }
        wagw_arena_reset(&a);
    }
    wagw_arena_free(&a);
    return count;
}

static int64_t sbx_nodes_all(wagw_json_t *j, const sbx_filter_t *f, sbx_device_t *only, int64_t skip)
{
    int64_t n, total;
    uint32_t i;
    sbx_conn_t *c;
    sbx_device_t *d;

    if (only != NULL) {
        return sbx_nodes_of(j, &only->log, f, only, skip);
    }
    total = 0;
    for (i = 0; i < sbx.naccounts; i++) {
        for (d = sbx.accounts[i]->devices; d != NULL; d = d->next) {
            n = sbx_nodes_of(j, &d->log, f, d, skip);
            total += n;
            skip = skip > n ? skip - n : 0;
        }
    }
    for (c = sbx.conns; c != NULL; c = c->next) {
        n = sbx_nodes_of(j, &c->log, f, NULL, skip);
        total += n;
        skip = skip > n ? skip - n : 0;
    }
    return total;
}

static int sbx_admin_nodes(sbx_req_t *r)
{
    int i;
    char bufs[8][64];
    int64_t count, min;
    const char *s;
    sbx_filter_t f;
    sbx_device_t *d;

    memset(&f, 0, sizeof(f));
    d = NULL;
    s = sbx_arg(r, "device", bufs[0]);
    if (s != NULL && (d = sbx_device_find(s)) == NULL) {
        return sbx_error(r, 404, "device unknown: %s", s);
    }
    s = sbx_arg(r, "dir", bufs[1]);
    if (s != NULL) {
        f.have_dir = true;
        f.out = strcmp(s, "out") == 0;
        if (!f.out && strcmp(s, "in") != 0) {
            return sbx_error(r, 400, "dir: in or out");
        }
    }
    f.tag = sbx_arg(r, "tag", bufs[2]);
    f.child = sbx_arg(r, "child", bufs[3]);
    for (i = 0; i < 4; i++) {
        f.attr[i] = sbx_arg(r, sbx_filter_attrs[i], bufs[4 + i]);
    }
    f.since = sbx_arg_int(r, "since", 0);
    f.limit = sbx_arg_int(r, "limit", 1000);
    min = sbx_arg_int(r, "min", 1);

    count = sbx_nodes_all(NULL, &f, d, 0);
    if (count < min && sbx_wait(r, sbx_arg_int(r, "wait", 0))) {
        return SBX_WAIT;
    }

    wagw_json_open(&r->j, '[');
    sbx_nodes_all(&r->j, &f, d, count > f.limit ? count - f.limit : 0);
    wagw_json_close(&r->j);
    return 200;
}

static int sbx_ok(sbx_req_t *r)
{
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}

static int sbx_admin_nodes_clear(sbx_req_t *r)
{
    char buf[64];
    uint32_t i;
    const char *s;
    sbx_conn_t *c;
    sbx_device_t *d;

    s = sbx_arg(r, "device", buf);
    if (s != NULL) {
        d = sbx_device_find(s);
        if (d == NULL) {
            return sbx_error(r, 404, "device unknown: %s", s);
        }
        sbx_log_clear(&d->log);
        return sbx_ok(r);
    }
    for (i = 0; i < sbx.naccounts; i++) {
        for (d = sbx.accounts[i]->devices; d != NULL; d = d->next) {
            sbx_log_clear(&d->log);
        }
    }
    for (c = sbx.conns; c != NULL; c = c->next) {
        sbx_log_clear(&c->log);
    }
    return sbx_ok(r);
}

static int sbx_admin_pending(sbx_req_t *r)
{
    char buf[64], text[WAGW_JID_TEXT_MAX];
    uint32_t i;
    wagw_jid_t jid;
    const char *s;
    sbx_queued_t *q;
    sbx_device_t *d, *only;

    only = NULL;
    s = sbx_arg(r, "device", buf);
    if (s != NULL && (only = sbx_device_find(s)) == NULL) {
        return sbx_error(r, 404, "device unknown: %s", s);
    }

    wagw_json_open(&r->j, '[');
    for (i = 0; i < sbx.naccounts; i++) {
        for (d = sbx.accounts[i]->devices; d != NULL; d = d->next) {
            for (q = only == NULL || only == d ? d->queue : NULL; q != NULL; q = q->next) {
                jid = sbx_device_jid(d, false);
                wagw_jid_text(&jid, text);
                wagw_json_open(&r->j, '{');
                wagw_json_kcstr(&r->j, "device", text);
                wagw_json_kcstr(&r->j, "tag", q->tag);
                wagw_json_kcstr(&r->j, "id", q->id);
                wagw_json_kcstr(&r->j, "from", q->from);
                wagw_json_kbool(&r->j, "sent", q->sent);
                wagw_json_close(&r->j);
            }
        }
    }
    wagw_json_close(&r->j);
    return 200;
}

static int sbx_admin_unhandled(sbx_req_t *r)
{
    char *text;

    text = cJSON_PrintUnformatted(sbx.unhandled);
    wagw_json_raw(&r->j, wagw_cstr(text));
    free(text);
    return 200;
}

/* The device that `device` names, or NULL after an error was written. */
static sbx_device_t *sbx_named_device(sbx_req_t *r, int *status)
{
    char buf[64];
    const char *s;
    sbx_device_t *d;

    s = sbx_arg(r, "device", buf);
    d = s ? sbx_device_find(s) : NULL;
    if (d == NULL) {
        *status = s ? sbx_error(r, 404, "device unknown: %s", s) : sbx_error(r, 400, "device is missing");
    }
    return d;
}

static int sbx_admin_unlink(sbx_req_t *r)
{
    int status;
    sbx_conn_t *c;
    sbx_device_t *d;

    d = sbx_named_device(r, &status);
    if (d == NULL) {
        return status;
    }
    if (d->id == 0) {
        return sbx_error(r, 409, "the phone itself cannot be unlinked");
    }
    c = d->conn;
    sbx_device_remove(d);
    if (c != NULL) {
        sbx_stream_error(c, "401", "device_removed");
    }
    return sbx_ok(r);
}

static int sbx_admin_low_prekeys(sbx_req_t *r)
{
    int status;
    int64_t keep;
    sbx_device_t *d;

    d = sbx_named_device(r, &status);
    if (d == NULL) {
        return status;
    }
    keep = sbx_arg_int(r, "keep", 0);
    if (keep < 0) {
        return sbx_error(r, 400, "keep: 0 or more");
    }
    if (sbx_device_prekeys(d) > keep) {
        d->first = d->nprekeys - (uint32_t)keep;
    }
    sbx_prekeys_notify(d);
    return sbx_ok(r);
}

static int sbx_admin_app_state_fault(sbx_req_t *r)
{
    int status;
    int64_t count;
    sbx_device_t *d;

    d = sbx_named_device(r, &status);
    if (d == NULL) {
        return status;
    }
    count = sbx_arg_int(r, "count", 1);
    if (count < 0) {
        return sbx_error(r, 400, "count: 0 or more");
    }
    d->damage = (uint32_t)count;
    return sbx_ok(r);
}

static int sbx_admin_chaos(sbx_req_t *r)
{
    int status;
    char buf[64];
    sbx_device_t *d;

    d = NULL;
    if (sbx_arg(r, "device", buf) != NULL && (d = sbx_named_device(r, &status)) == NULL) {
        return status;
    }
    return sbx_chaos_add(r, d);
}

static int sbx_chaos_count(sbx_req_t *r, int n)
{
    wagw_json_open(&r->j, '{');
    wagw_json_kint(&r->j, "released", n);
    wagw_json_close(&r->j);
    return 200;
}

static int sbx_admin_chaos_clear(sbx_req_t *r)
{
    int status;
    char buf[64];
    sbx_device_t *d;

    d = NULL;
    if (sbx_arg(r, "device", buf) != NULL && (d = sbx_named_device(r, &status)) == NULL) {
        return status;
    }
    return sbx_chaos_count(r, sbx_chaos_clear(d));
}

static int sbx_admin_chaos_release(sbx_req_t *r)
{
    int status;
    char buf[64];
    sbx_device_t *d;

    d = NULL;
    if (sbx_arg(r, "device", buf) != NULL && (d = sbx_named_device(r, &status)) == NULL) {
        return status;
    }
    return sbx_chaos_count(r, sbx_chaos_release(d, sbx_arg_bool(r, "reverse", false)));
}

static int sbx_admin_accounts(sbx_req_t *r)
{
    char id[24];
    size_t k;
    uint32_t i;
    sbx_device_t *d;

    wagw_json_open(&r->j, '[');
    for (i = 0; i < sbx.naccounts; i++) {
        wagw_json_open(&r->j, '{');
        wagw_json_kcstr(&r->j, "phone", sbx.accounts[i]->pn);
        wagw_json_kcstr(&r->j, "lid", sbx.accounts[i]->lid);
        wagw_json_kcstr(&r->j, "name", sbx.accounts[i]->name);
        wagw_json_kcstr(&r->j, "about", sbx.accounts[i]->about);
        wagw_json_kcstr(&r->j, "pictureId",
                        sbx.accounts[i]->picture.path
                            ? (snprintf(id, sizeof(id), "%llu", (unsigned long long)sbx.accounts[i]->picture.id), id)
                            : NULL);
        wagw_json_kcstr(&r->j, "picturePath", sbx.accounts[i]->picture.path);
        wagw_json_kbool(&r->j, "available", sbx.accounts[i]->available);
        wagw_json_kint(&r->j, "disappearing", sbx.accounts[i]->disappearing);
        wagw_json_key(&r->j, "privacy");
        wagw_json_open(&r->j, '{');
        for (k = 0; k < sbx.accounts[i]->privacy.cap; k++) {
            if (sbx.accounts[i]->privacy.slots[k].value != NULL) {
                wagw_json_kcstr(&r->j, sbx.accounts[i]->privacy.slots[k].key, sbx.accounts[i]->privacy.slots[k].value);
            }
        }
        wagw_json_close(&r->j);
        wagw_json_key(&r->j, "blocked");
        wagw_json_open(&r->j, '[');
        for (k = 0; k < sbx.accounts[i]->blocked.cap; k++) {
            if (sbx.accounts[i]->blocked.slots[k].value != NULL) {
                wagw_json_cstr(&r->j, ((sbx_account_t *)sbx.accounts[i]->blocked.slots[k].value)->pn);
            }
        }
        wagw_json_close(&r->j);
        wagw_json_kbool(&r->j, "mockUser", sbx.accounts[i]->mock_user);
        wagw_json_key(&r->j, "devices");
        wagw_json_open(&r->j, '[');
        for (d = sbx.accounts[i]->devices; d != NULL; d = d->next) {
            wagw_json_int(&r->j, d->id);
        }
        wagw_json_close(&r->j);
        wagw_json_close(&r->j);
    }
    wagw_json_close(&r->j);
    return 200;
}

/* Channels are not there yet: an account follows none. */
static int sbx_admin_newsletters(sbx_req_t *r)
{
    wagw_json_open(&r->j, '[');
    wagw_json_close(&r->j);
    return 200;
}

static int sbx_admin_config(sbx_req_t *r)
{
    int64_t n;

    sbx.history = sbx_arg_bool(r, "history", sbx.history);
    sbx.snapshots = sbx_arg_bool(r, "appStateSnapshots", sbx.snapshots);
    n = sbx_arg_int(r, "logNodes", sbx.log_nodes);
    if (n < 0 || n > 1000000) {
        return sbx_error(r, 400, "logNodes: 0 to 1000000");
    }
    sbx.log_nodes = (uint32_t)n;
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "history", sbx.history);
    wagw_json_kbool(&r->j, "appStateSnapshots", sbx.snapshots);
    wagw_json_kint(&r->j, "logNodes", sbx.log_nodes);
    wagw_json_close(&r->j);
    return 200;
}

static int sbx_admin_reset(sbx_req_t *r)
{
    sbx_conns_reset();
    sbx_chaos_clear(NULL);
    sbx_model_reset();
    sbx_signal_reset();
    sbx_fault_reset();
    sbx_app_state_reset();
    sbx_media_reset();
    cJSON_Delete(sbx.unhandled);
    sbx.unhandled = cJSON_CreateArray();
    sbx.logins = sbx.messages = sbx.receipts = sbx.deliveries = 0;
    return sbx_ok(r);
}

static const struct {
    const char *method;
    const char *path; /* below /admin */
    int (*handler)(sbx_req_t *r);
} sbx_calls[] = {
    {"GET", "/noise-root", sbx_admin_root},
    {"GET", "/tls-cert", sbx_admin_cert},
    {"GET", "/status", sbx_admin_status},
    {"GET", "/devices", sbx_admin_devices},
    {"GET", "/accounts", sbx_admin_accounts},
    {"GET", "/groups", sbx_admin_groups},
    {"GET", "/newsletters", sbx_admin_newsletters},
    {"GET", "/qr-refs", sbx_admin_qr_refs},
    {"GET", "/nodes", sbx_admin_nodes},
    {"DELETE", "/nodes", sbx_admin_nodes_clear},
    {"GET", "/pending", sbx_admin_pending},
    {"GET", "/unhandled", sbx_admin_unhandled},
    {"GET", "/faults", sbx_admin_faults},
    {"POST", "/mock-phone/scan-qr", sbx_admin_scan_qr},
    {"POST", "/mock-phone/enter-code", sbx_admin_enter_code},
    {"POST", "/mock-phone/unlink", sbx_admin_unlink},
    {"GET", "/mock-phone/inbox", sbx_admin_inbox},
    {"POST", "/mock-phone/options", sbx_admin_phone_options},
    {"POST", "/mock-phone/share-keys", sbx_admin_phone_share_keys},
    {"POST", "/mock-phone/history", sbx_admin_phone_history},
    {"POST", "/mock-phone/app-state", sbx_admin_phone_app_state},
    {"POST", "/mock-phone/peer", sbx_admin_phone_peer},
    {"GET", "/app-state", sbx_admin_app_state},
    {"GET", "/mock-phone/events", sbx_admin_phone_events},
    {"POST", "/mock-user", sbx_admin_user},
    {"POST", "/mock-user/products", sbx_admin_user_products},
    {"POST", "/mock-user/send", sbx_admin_user_send},
    {"POST", "/mock-user/identity-change", sbx_admin_identity_change},
    {"POST", "/mock-user/receipt", sbx_admin_user_receipt},
    {"POST", "/mock-user/presence", sbx_admin_user_presence},
    {"POST", "/mock-user/call", sbx_admin_user_call},
    {"POST", "/mock-user/about", sbx_admin_user_about},
    {"POST", "/mock-user/picture", sbx_admin_user_picture},
    {"POST", "/mock-user/privacy", sbx_admin_user_privacy},
    {"POST", "/mock-user/group-create", sbx_admin_group_create},
    {"POST", "/mock-user/group", sbx_admin_group},
    {"POST", "/drop", sbx_admin_drop},
    {"POST", "/stream-error", sbx_admin_stream_error},
    {"POST", "/reject-login", sbx_admin_reject_login},
    {"POST", "/corrupt", sbx_admin_corrupt},
    {"POST", "/chaos", sbx_admin_chaos},
    {"DELETE", "/chaos", sbx_admin_chaos_clear},
    {"POST", "/chaos/release", sbx_admin_chaos_release},
    {"POST", "/ack-error", sbx_admin_ack_error},
    {"POST", "/iq-error", sbx_admin_iq_error},
    {"DELETE", "/iq-error", sbx_admin_iq_error_clear},
    {"POST", "/send-node", sbx_admin_send_node},
    {"POST", "/request", sbx_admin_request},
    {"POST", "/low-prekeys", sbx_admin_low_prekeys},
    {"POST", "/media-fault", sbx_admin_media_fault},
    {"POST", "/app-state-fault", sbx_admin_app_state_fault},
    {"POST", "/media-expire", sbx_admin_media_expire},
    {"POST", "/config", sbx_admin_config},
    {"POST", "/reset", sbx_admin_reset},
};

int sbx_admin(sbx_req_t *r)
{
    size_t i;
    bool path;

    path = false;
    if (strncmp(r->path, "/admin/", 7) == 0) {
        for (i = 0; i < sizeof(sbx_calls) / sizeof(sbx_calls[0]); i++) {
            if (strcmp(r->path + 6, sbx_calls[i].path) != 0) {
                continue;
            }
            path = true;
            if (strcmp(r->method, sbx_calls[i].method) == 0) {
                if (r->body.n != 0 && r->body.p[0] == '{' && r->json == NULL) {
                    return sbx_error(r, 400, "the body is not JSON");
                }
                return sbx_calls[i].handler(r);
            }
        }
    }
    return path ? sbx_error(r, 405, "not with %s", r->method) : sbx_error(r, 404, "no such call: %s", r->path);
}
