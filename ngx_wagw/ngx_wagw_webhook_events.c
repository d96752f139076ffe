#include "ngx_wagw_webhook.h"
#include "ngx_wagw_calls.h"

/*
 * From an event of the engine to deliveries: which hooks want it, under which
 * names, and the envelope of contract 4.1.  An alias is a second view of the
 * same event: the same id and seq, another name, perhaps one more field.
 */

#define NGX_WAGW_VIEWS 5

typedef struct {
    const char *name;
    const char *key; /* additional field of data, or NULL */
    const char *value;
    wagw_buf_t payload; /* built when first wanted */
} ngx_wagw_view_t;

typedef struct {
    ngx_wagw_instance_t *in;
    const wagw_event_t *ev;
    cJSON *data;     /* parsed when needed */
    wagw_buf_t body; /* data as it is sent, when not as the engine made it */
    unsigned parsed : 1;
    ngx_uint_t main; /* the view for those who take everything */
    ngx_uint_t n;
    ngx_wagw_view_t view[NGX_WAGW_VIEWS];
} ngx_wagw_views_t;

/* contract 4.4; the second column is the documentation's name */
static const struct {
    const char *name;
    const char *doc;
} ngx_wagw_event_list[] = {{"session.status", "connection.update"},
                           {"connection.open", NULL},
                           {"connection.close", NULL},
                           {"message.received", NULL},
                           {"message.sent", NULL},
                           {"message.failed", NULL},
                           {"message.ack", NULL},
                           {"message.delivered", NULL},
                           {"message.read", NULL},
                           {"message.updated", NULL},
                           {"message.edited", NULL},
                           {"message.revoked", NULL},
                           {"message.any", NULL},
                           {"message.reaction", NULL},
                           {"message.undecryptable", NULL},
                           {"poll.vote", NULL},
                           {"poll.vote.failed", NULL},
                           {"event.response", NULL},
                           {"event.response.failed", NULL},
                           {"presence.update", NULL},
                           {"chat.archive", NULL},
                           {"chat.update", NULL},
                           {"chat.delete", NULL},
                           {"group.v2.join", "group.join"},
                           {"group.v2.leave", "group.leave"},
                           {"group.v2.update", "group.update"},
                           {"group.v2.participants", "group.participants.update"},
                           {"group.join.request", NULL},
                           {"call.received", NULL},
                           {"call.accepted", NULL},
                           {"call.rejected", NULL},
                           {"label.upsert", NULL},
                           {"label.deleted", NULL},
                           {"label.chat.added", NULL},
                           {"label.chat.deleted", NULL},
                           {"contact.update", NULL},
                           {"lid.mapping", NULL},
                           {"channel.message", NULL},
                           {"channel.update", NULL},
                           {"status.received", NULL},
                           {"history.sync", NULL},
                           {"schedule.sent", NULL},
                           {"schedule.failed", NULL},
                           {"job.progress", NULL},
                           {"job.done", NULL},
                           {"limit.warning", NULL},
                           {"account.restricted", NULL},
                           {"passkey.required", NULL},
                           {"passkey.confirm", NULL},
                           {"webhook.test", NULL},
                           {NULL, NULL}};

static ngx_uint_t ngx_wagw_event_matches(const char *pattern, const char *name)
{
    size_t n;

    n = ngx_strlen(pattern);

    if (n >= 2 && pattern[n - 1] == '*' && pattern[n - 2] == '.') {
        return ngx_strncmp(pattern, name, n - 1) == 0;
    }

    return ngx_strcmp(pattern, name) == 0;
}

static ngx_uint_t ngx_wagw_event_everything(const char *pattern)
{
    return ngx_strcmp(pattern, "*") == 0 || ngx_strcmp(pattern, "all") == 0;
}

ngx_uint_t ngx_wagw_webhook_event_known(const char *name)
{
    ngx_uint_t i;

    if (ngx_wagw_event_everything(name)) {
        return 1;
    }

    for (i = 0; ngx_wagw_event_list[i].name; i++) {
        if (ngx_wagw_event_matches(name, ngx_wagw_event_list[i].name) ||
            (ngx_wagw_event_list[i].doc && ngx_wagw_event_matches(name, ngx_wagw_event_list[i].doc))) {
            return 1;
        }
    }

    return 0;
}

static const cJSON *ngx_wagw_views_data(ngx_wagw_views_t *v)
{
    if (!v->parsed) {
        v->data = cJSON_ParseWithLength((const char *)v->ev->data.p, v->ev->data.n);
        v->parsed = 1;
    }

    return v->data;
}

static void ngx_wagw_views_push(ngx_wagw_views_t *v, const char *name, const char *key, const char *value)
{
    ngx_wagw_view_t *w;

    w = &v->view[v->n++];
    w->name = name;
    w->key = key;
    w->value = value;
}

/* qrCode means a picture everywhere in the API; the engine knows only its text, which goes along as `raw` */
static void ngx_wagw_views_picture(ngx_wagw_views_t *v)
{
    char *text;
    cJSON *copy;
    wagw_buf_t url;
    const char *raw;

    raw = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(ngx_wagw_views_data(v), "qrCode"));
    if (raw == NULL) {
        return;
    }

    text = NULL;
    ngx_memzero(&url, sizeof(url));
    copy = cJSON_Duplicate(v->data, 1);

    if (copy && ngx_wagw_qr_data_url(&url, wagw_cstr(raw), 0) == WAGW_OK && wagw_buf_u8(&url, '\0') == WAGW_OK) {
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "qrCode");

        if (cJSON_AddStringToObject(copy, "qrCode", (const char *)url.p) && cJSON_AddStringToObject(copy, "raw", raw)) {
            text = cJSON_PrintUnformatted(copy);
        }
    }

    if (text) {
        wagw_buf_cstr(&v->body, text);
        cJSON_free(text);
    }

    wagw_buf_free(&url);
    cJSON_Delete(copy);
}

static void ngx_wagw_views_session(ngx_wagw_views_t *v)
{
    ngx_uint_t i;
    const char *status;
    static const char *closed[] = {"disconnected", "logged_out", "banned", "conflict", "failed", "paused", NULL};

    ngx_wagw_views_push(v, "connection.update", NULL, NULL);
    ngx_wagw_views_picture(v);

    status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(ngx_wagw_views_data(v), "status"));
    if (status == NULL) {
        return;
    }

    if (ngx_strcmp(status, "connected") == 0) {
        ngx_wagw_views_push(v, "connection.open", NULL, NULL);
        return;
    }

    for (i = 0; closed[i]; i++) {
        if (ngx_strcmp(status, closed[i]) == 0) {
            ngx_wagw_views_push(v, "connection.close", NULL, NULL);
            return;
        }
    }
}

static void ngx_wagw_views_build(ngx_wagw_views_t *v, ngx_uint_t doc)
{
    ngx_uint_t i, named;
    const char *name;
    const cJSON *ack;
    static const struct {
        const char *name;
        const char *any;
        ngx_uint_t updated;
    } umbrella[] = {{"message.received", "received", 0},
                    {"message.sent", "sent", 0},
                    {"message.ack", "ack", 1},
                    {"message.edited", "edited", 1},
                    {"message.revoked", "revoked", 0}};

    name = v->ev->name;
    ngx_wagw_views_push(v, name, NULL, NULL);

    if (ngx_strcmp(name, "session.status") == 0) {
        ngx_wagw_views_session(v);

    } else if (ngx_strcmp(name, "message.ack") == 0) {
        ack = cJSON_GetObjectItemCaseSensitive(ngx_wagw_views_data(v), "ack");

        if (cJSON_IsNumber(ack) && ack->valueint == 2) {
            ngx_wagw_views_push(v, "message.delivered", NULL, NULL);

        } else if (cJSON_IsNumber(ack) && ack->valueint == 3) {
            ngx_wagw_views_push(v, "message.read", NULL, NULL);
        }

    } else {
        for (i = 0; ngx_wagw_event_list[i].name; i++) {
            if (ngx_wagw_event_list[i].doc && ngx_strcmp(ngx_wagw_event_list[i].name, name) == 0) {
                ngx_wagw_views_push(v, ngx_wagw_event_list[i].doc, NULL, NULL);
                break;
            }
        }
    }

    /* the last of these is the most specific documented name */
    named = v->n - 1;
    v->main = doc ? named : 0;

    for (i = 0; i < sizeof(umbrella) / sizeof(umbrella[0]); i++) {
        if (ngx_strcmp(umbrella[i].name, name) == 0) {
            if (umbrella[i].updated) {
                ngx_wagw_views_push(v, "message.updated", "updateType", umbrella[i].any);
            }

            ngx_wagw_views_push(v, "message.any", "eventType", umbrella[i].any);
            break;
        }
    }
}

static void ngx_wagw_views_free(ngx_wagw_views_t *v)
{
    ngx_uint_t i;

    for (i = 0; i < v->n; i++) {
        wagw_buf_free(&v->view[i].payload);
    }

    wagw_buf_free(&v->body);
    cJSON_Delete(v->data);
}

static wagw_str_t ngx_wagw_view_payload(ngx_wagw_views_t *v, ngx_wagw_view_t *w)
{
    char *meta;
    wagw_buf_t data;
    wagw_str_t body;
    wagw_json_t j;

    if (w->payload.n) {
        return wagw_buf_view(&w->payload);
    }

    ngx_memzero(&data, sizeof(data));
    body = v->body.n ? wagw_buf_view(&v->body) : v->ev->data.n ? v->ev->data : WAGW_STR("{}");

    if (w->key && body.n >= 2 && body.p[body.n - 1] == '}') {
        wagw_buf_add(&data, body.p, body.n - 1);

        if (body.n > 2) {
            wagw_buf_u8(&data, ',');
        }

        /* both are ours and need no escaping */
        wagw_buf_printf(&data, "\"%s\":\"%s\"}", w->key, w->value);
        body = wagw_buf_view(&data);
    }

    j = wagw_json(&w->payload);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "id", v->ev->id);
    wagw_json_key(&j, "seq");
    wagw_json_uint(&j, v->ev->seq);
    wagw_json_kcstr(&j, "event", w->name);
    wagw_json_kstr(&j, "instanceId", wagw_str(v->in->id.data, v->in->id.len));
    wagw_json_kstr(&j, "instanceName", wagw_str(v->in->name.data, v->in->name.len));
    wagw_json_kiso(&j, "timestamp", v->ev->at_ms);
    wagw_json_kraw(&j, "data", body);

    if (v->in->metadata && v->in->metadata->child) {
        meta = cJSON_PrintUnformatted(v->in->metadata);

        if (meta) {
            wagw_json_kraw(&j, "metadata", wagw_cstr(meta));
            cJSON_free(meta);
        }
    }

    wagw_json_kint(&j, "version", 1);
    wagw_json_close(&j);

    if (data.failed) {
        w->payload.failed = 1;
    }

    wagw_buf_free(&data);

    return w->payload.failed ? WAGW_STR_NULL : wagw_buf_view(&w->payload);
}

static ngx_uint_t ngx_wagw_filter_lists(const cJSON *list, const char *value)
{
    const cJSON *i;

    cJSON_ArrayForEach(i, list)
    {
        if (cJSON_IsString(i) && ngx_strcmp(i->valuestring, value) == 0) {
            return 1;
        }
    }

    return 0;
}

/* A filter speaks about fields; an event without the field passes. */
static ngx_uint_t ngx_wagw_filter_passes(ngx_wagw_hook_full_t *h, ngx_wagw_views_t *v)
{
    const char *s;
    const cJSON *f, *want, *data, *me;
    wagw_jid_t jid;
    char text[WAGW_JID_TEXT_MAX];

    f = cJSON_GetObjectItemCaseSensitive(h->options, "filter");
    if (!cJSON_IsObject(f)) {
        return 1;
    }

    data = ngx_wagw_views_data(v);

    want = cJSON_GetObjectItemCaseSensitive(f, "chats");
    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "chatId"));

    if (cJSON_GetArraySize(want) > 0 && s && !ngx_wagw_filter_lists(want, s)) {
        const cJSON *i;
        ngx_uint_t found = 0;

        cJSON_ArrayForEach(i, want)
        {
            if (cJSON_IsString(i) && wagw_jid_from_caller(&jid, wagw_cstr(i->valuestring)) == WAGW_OK) {
                wagw_jid_text(&jid, text);
                found |= ngx_strcmp(text, s) == 0;
            }
        }

        if (!found) {
            return 0;
        }
    }

    want = cJSON_GetObjectItemCaseSensitive(f, "types");
    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "type"));

    if (cJSON_GetArraySize(want) > 0 && s && !ngx_wagw_filter_lists(want, s)) {
        return 0;
    }

    want = cJSON_GetObjectItemCaseSensitive(f, "fromMe");

    if (cJSON_IsBool(want)) {
        me = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(data, "key"), "fromMe");

        if (ngx_strcmp(v->ev->name, "message.sent") == 0) {
            return cJSON_IsTrue(want);
        }

        if (ngx_strcmp(v->ev->name, "message.received") == 0) {
            return !cJSON_IsTrue(want);
        }

        if (cJSON_IsBool(me)) {
            return cJSON_IsTrue(want) == cJSON_IsTrue(me);
        }
    }

    return 1;
}

static ngx_int_t ngx_wagw_webhook_deliver(ngx_wagw_hook_full_t *h, ngx_wagw_views_t *v, ngx_wagw_view_t *w,
                                          wagw_batch_t *batch)
{
    char id[37];
    ngx_int_t rc;
    wagw_buf_t row;
    wagw_delivery_t d;

    ngx_memzero(&row, sizeof(row));
    ngx_memzero(&d, sizeof(d));
    ngx_wagw_uuid(id);

    d.id = wagw_cstr(id);
    d.webhook_id = h->hook.w.id;
    d.instance = v->in->num;
    d.instance_id = wagw_str(v->in->id.data, v->in->id.len);
    d.url = h->hook.w.url;
    d.event = wagw_cstr(w->name);
    d.event_id = wagw_cstr(v->ev->id);
    d.chat = v->ev->chat;
    d.seq = v->ev->seq;
    d.payload = ngx_wagw_view_payload(v, w);
    d.status = WAGW_DLV_PENDING;
    d.created_ms = ngx_wagw_now_ms();
    d.updated_ms = d.created_ms;
    d.next_ms = d.created_ms;

    rc = NGX_ERROR;

    if (d.payload.n && wagw_row_delivery_encode(&row, &d) == WAGW_OK && !row.failed &&
        wagw_batch_add(batch, WAGW_OP_DELIVERY, 0, WAGW_STR_NULL, wagw_buf_view(&row)) == WAGW_OK) {
        rc = NGX_OK;
    }

    wagw_buf_free(&row);

    return rc;
}

static ngx_int_t ngx_wagw_webhook_offer(ngx_wagw_hook_full_t *h, ngx_wagw_views_t *v, wagw_batch_t *batch)
{
    ngx_uint_t i, taken;
    const cJSON *s;

    if (!h->hook.w.enabled || !ngx_wagw_filter_passes(h, v)) {
        return NGX_OK;
    }

    taken = 0;

    if (h->hook.events == NULL) {
        taken |= (ngx_uint_t)1 << v->main;
    }

    cJSON_ArrayForEach(s, h->hook.events)
    {
        if (!cJSON_IsString(s) || s->valuestring[0] == '\0') {
            continue;
        }

        if (ngx_wagw_event_everything(s->valuestring)) {
            taken |= (ngx_uint_t)1 << v->main;
            continue;
        }

        /* "message.*" means the canonical names, not their second views */
        if (s->valuestring[ngx_strlen(s->valuestring) - 1] == '*') {
            if (ngx_wagw_event_matches(s->valuestring, v->ev->name)) {
                taken |= (ngx_uint_t)1 << v->main;
            }

            continue;
        }

        for (i = 0; i < v->n; i++) {
            if (ngx_strcmp(s->valuestring, v->view[i].name) == 0) {
                taken |= (ngx_uint_t)1 << (i == 0 ? v->main : i);
            }
        }
    }

    for (i = 0; i < v->n; i++) {
        if (taken & ((ngx_uint_t)1 << i)) {
            if (ngx_wagw_webhook_deliver(h, v, &v->view[i], batch) != NGX_OK) {
                return NGX_ERROR;
            }

            ngx_wagw_hookq_dirty(h);
        }
    }

    return NGX_OK;
}

static ngx_int_t ngx_wagw_webhook_offer_all(ngx_queue_t *list, ngx_wagw_views_t *v, wagw_batch_t *batch)
{
    ngx_queue_t *q;
    ngx_wagw_hook_t *hook;

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = ngx_queue_next(q)) {
        hook = ngx_queue_data(q, ngx_wagw_hook_t, queue);

        if (ngx_wagw_webhook_offer((ngx_wagw_hook_full_t *)hook, v, batch) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

void ngx_wagw_webhook_expand(ngx_wagw_instance_t *in, wagw_batch_t *batch)
{
    ngx_int_t rc;
    wagw_op_t *op, *last;
    ngx_queue_t *global;
    ngx_wagw_views_t v;

    global = ngx_wagw_webhook_global();

    if (ngx_queue_empty(&in->webhooks) && ngx_queue_empty(global)) {
        return;
    }

    /* deliveries are added behind the ops that are there now */
    last = batch->last;

    for (op = batch->ops; op; op = op->next) {

        if (op->op == WAGW_OP_EVENT && op->event) {
            ngx_memzero(&v, sizeof(v));
            v.in = in;
            v.ev = op->event;
            ngx_wagw_views_build(&v, ngx_wagw_webhook_doc_names());

            rc = ngx_wagw_webhook_offer_all(&in->webhooks, &v, batch);
            if (rc == NGX_OK) {
                rc = ngx_wagw_webhook_offer_all(global, &v, batch);
            }

            ngx_wagw_views_free(&v);

            if (rc != NGX_OK) {
                ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0, "wagw webhook: no memory for a delivery of \"%V\"",
                              &in->id);
            }
        }

        if (op == last) {
            break;
        }
    }
}
