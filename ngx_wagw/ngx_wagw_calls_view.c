#include "ngx_wagw_calls.h"

/*
 * What callers see of an instance (contract 3.2).  The engine knows the live
 * part; counts, and what an engine that was never started does not know, come
 * from the store.  Both are put together on the loop.
 */

#define VIEW_MAX 500

typedef struct {
    uint32_t num;
    u_char id[65];
    size_t id_len;
    uint64_t messages, chats;
    unsigned stored : 1;     /* the row below was found */
    wagw_row_instance_t row; /* strings in the arena */
} view_item_t;

typedef struct {
    ngx_uint_t n;
    view_item_t *item;
    wagw_arena_t arena;
    ngx_uint_t rows; /* rows are needed too */
    ngx_wagw_list_t list;
    unsigned many : 1;
    unsigned brief : 1; /* the short object of /status */
    ngx_uint_t status;  /* HTTP */
    const char *message;
} view_t;

static ngx_uint_t view_linked(ngx_wagw_instance_t *in, const wagw_client_info_t *info)
{
    if (info->linked) {
        return 1;
    }

    /* an engine that has not loaded its credentials does not know yet */
    return in->jid.len && info->status != WAGW_STATUS_LOGGED_OUT;
}

ngx_uint_t ngx_wagw_instance_linked(ngx_wagw_instance_t *in)
{
    wagw_client_info_t info;

    wagw_client_info(in->client, &info);

    return view_linked(in, &info);
}

/* "62812..." of "62812...:7@s.whatsapp.net" */
static wagw_str_t view_number(wagw_str_t jid)
{
    size_t n;

    for (n = 0; n < jid.n && jid.p[n] != ':' && jid.p[n] != '@'; n++) { /* void */
    }

    return wagw_str(jid.p, n);
}

static void view_str_or_null(wagw_json_t *j, const char *key, wagw_str_t s)
{
    if (s.n) {
        wagw_json_kstr(j, key, s);

    } else {
        wagw_json_knull(j, key);
    }
}

static void view_cjson(wagw_json_t *j, const char *key, const cJSON *o)
{
    char *text;

    text = o ? cJSON_PrintUnformatted(o) : NULL;
    wagw_json_kraw(j, key, text ? wagw_cstr(text) : WAGW_STR("{}"));
    cJSON_free(text);
}

/* Who is linked: from the engine, else from the row. */
typedef struct {
    char jid_text[WAGW_JID_TEXT_MAX], lid_text[WAGW_JID_TEXT_MAX];
    wagw_str_t jid, lid, push_name, platform, business_name;
} view_account_t;

static ngx_uint_t view_account(ngx_wagw_instance_t *in, const wagw_client_info_t *info, const view_item_t *item,
                               view_account_t *a)
{
    wagw_jid_t user, lid;

    ngx_memzero(a, sizeof(view_account_t));

    if (!view_linked(in, info)) {
        return 0;
    }

    if (info->linked) {
        user = wagw_jid_user(&info->jid);
        lid = wagw_jid_user(&info->lid);
        a->push_name = info->push_name;
        a->platform = info->platform;
        a->business_name = info->business_name;

    } else {
        ngx_memzero(&user, sizeof(user));
        ngx_memzero(&lid, sizeof(lid));

        if (wagw_jid_parse(&user, wagw_str(in->jid.data, in->jid.len)) == WAGW_OK) {
            user = wagw_jid_user(&user);
        }

        if (item && item->stored) {
            if (item->row.lid.n && wagw_jid_parse(&lid, item->row.lid) == WAGW_OK) {
                lid = wagw_jid_user(&lid);
            }

            a->push_name = item->row.push_name;
            a->platform = item->row.platform;
            a->business_name = item->row.business_name;
        }
    }

    if (!wagw_jid_empty(&user)) {
        a->jid = wagw_str(a->jid_text, wagw_jid_text(&user, a->jid_text));
    }

    if (!wagw_jid_empty(&lid)) {
        a->lid = wagw_str(a->lid_text, wagw_jid_text(&lid, a->lid_text));
    }

    return 1;
}

static void view_account_json(wagw_json_t *j, const view_account_t *a)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", a->jid);
    wagw_json_kstr(j, "name", a->push_name);
    view_str_or_null(j, "lid", a->lid);
    wagw_json_kstr(j, "phoneNumber", view_number(a->jid));
    wagw_json_kstr(j, "platform", a->platform);
    wagw_json_kstr(j, "pushName", a->push_name);

    if (a->business_name.n) {
        wagw_json_kstr(j, "businessName", a->business_name);
    }

    wagw_json_close(j);
}

static void view_qr(wagw_json_t *j, const wagw_client_info_t *info)
{
    wagw_buf_t b;

    ngx_memzero(&b, sizeof(b));

    if (info->status == WAGW_STATUS_QR && info->qr.n && ngx_wagw_qr_data_url(&b, info->qr, 0) == WAGW_OK) {
        wagw_json_kstr(j, "qrCode", wagw_buf_view(&b));

    } else {
        wagw_json_knull(j, "qrCode");
    }

    wagw_buf_free(&b);
}

static void view_disconnect(wagw_json_t *j, const wagw_client_info_t *info, const view_item_t *item)
{
    int32_t code;
    int64_t at;
    wagw_str_t reason;

    code = info->disconnect_code;
    reason = info->disconnect_reason;
    at = info->disconnect_ms;

    if (at == 0 && item->stored) {
        code = item->row.disconnect_code;
        reason = item->row.disconnect_reason;
        at = item->row.disconnect_ms;
    }

    if (at == 0 && code == 0) {
        wagw_json_knull(j, "lastDisconnect");
        return;
    }

    wagw_json_key(j, "lastDisconnect");
    wagw_json_open(j, '{');
    wagw_json_kint(j, "code", code);
    view_str_or_null(j, "reason", reason);
    wagw_json_kiso(j, "at", at);
    wagw_json_close(j);
}

static void view_head(wagw_json_t *j, ngx_wagw_instance_t *in, const wagw_client_info_t *info, const view_account_t *a)
{
    wagw_str_t phone;

    phone = a->jid.n ? view_number(a->jid) : wagw_str(in->phone.data, in->phone.len);

    wagw_json_kstr(j, "id", wagw_str(in->id.data, in->id.len));
    wagw_json_kstr(j, "name", wagw_str(in->name.data, in->name.len));
    view_str_or_null(j, "phoneNumber", phone);
    wagw_json_kcstr(j, "status", wagw_status_name(info->status));
    wagw_json_kbool(j, "isActive", in->active);
}

static void view_tail(wagw_json_t *j, ngx_wagw_instance_t *in, const view_item_t *item)
{
    wagw_json_key(j, "messageCount");
    wagw_json_uint(j, item->messages);
    wagw_json_key(j, "chatCount");
    wagw_json_uint(j, item->chats);
    wagw_json_kiso(j, "createdAt", in->created_ms);
    wagw_json_kiso(j, "updatedAt", in->updated_ms);
}

static void view_json(wagw_json_t *j, ngx_wagw_instance_t *in, const view_item_t *item, ngx_uint_t brief)
{
    int64_t connected;
    view_account_t a;
    ngx_wagw_hook_t *hook;
    wagw_client_info_t info;

    wagw_client_info(in->client, &info);

    wagw_json_open(j, '{');

    if (brief) {
        (void)view_account(in, &info, item, &a);
        view_head(j, in, &info, &a);
        view_tail(j, in, item);
        wagw_json_close(j);
        return;
    }

    if (view_account(in, &info, item, &a)) {
        view_head(j, in, &info, &a);
        view_str_or_null(j, "lid", a.lid);
        wagw_json_key(j, "info");
        view_account_json(j, &a);

    } else {
        view_head(j, in, &info, &a);
        wagw_json_knull(j, "lid");
        wagw_json_knull(j, "info");
    }

    view_qr(j, &info);
    view_str_or_null(j, "pairingCode", info.status == WAGW_STATUS_PAIRING ? info.pairing_code : WAGW_STR_NULL);

    hook = ngx_wagw_hook_first(in);
    view_str_or_null(j, "webhookUrl", hook ? hook->w.url : WAGW_STR_NULL);

    ngx_wagw_settings_json(j, "settings", in->settings);
    view_cjson(j, "metadata", in->metadata);
    view_tail(j, in, item);

    connected = info.connected_ms ? info.connected_ms : item->stored ? item->row.connected_ms : 0;
    wagw_json_kiso(j, "lastConnectedAt", connected);
    view_disconnect(j, &info, item);
    wagw_json_close(j);
}

/* ---- from the store ----------------------------------------------------------- */

static int view_row(void *data, const wagw_instance_t *i)
{
    view_t *v = data;
    ngx_uint_t k;
    view_item_t *item;
    wagw_row_instance_t *r;

    for (k = 0; k < v->n; k++) {
        item = &v->item[k];

        if (item->num != i->num) {
            continue;
        }

        r = &item->row;
        *r = i->engine;
        r->jid = wagw_arena_str(&v->arena, r->jid);
        r->lid = wagw_arena_str(&v->arena, r->lid);
        r->push_name = wagw_arena_str(&v->arena, r->push_name);
        r->platform = wagw_arena_str(&v->arena, r->platform);
        r->business_name = wagw_arena_str(&v->arena, r->business_name);
        r->disconnect_reason = wagw_arena_str(&v->arena, r->disconnect_reason);
        r->status = WAGW_STR_NULL;
        item->stored = 1;

        return --v->rows == 0 ? WAGW_LIMIT : WAGW_OK;
    }

    return WAGW_OK;
}

static int view_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    view_t *v;
    ngx_uint_t k;
    ngx_wagw_call_t *call = job->data;

    v = call->data;

    for (k = 0; k < v->n; k++) {
        rc = wagw_store_instance_counts(s, v->item[k].num, &v->item[k].messages, &v->item[k].chats);

        if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }

    if (v->rows) {
        rc = wagw_store_instance_each(s, view_row, v);

        /* WAGW_LIMIT: all of them were found */
        if (rc != WAGW_OK && rc != WAGW_LIMIT) {
            return rc;
        }
    }

    return WAGW_OK;
}

static void view_done(ngx_wagw_job_t *job)
{
    view_t *v;
    wagw_buf_t one;
    wagw_json_t j;
    ngx_uint_t k, status;
    const char *message;
    ngx_wagw_list_t list;
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_instance_t *in;

    v = call->data;

    if (job->rc != WAGW_OK) {
        wagw_arena_free(&v->arena);
        ngx_wagw_call_store_failed(call);
        return;
    }

    list = v->list;
    list.count = 0;
    j = wagw_json(&list.json);

    if (v->many) {
        wagw_json_open(&j, '[');
    }

    for (k = 0; k < v->n; k++) {
        in = ngx_wagw_instance_find(v->item[k].id, v->item[k].id_len);

        if (in == NULL || in->num != v->item[k].num) {
            continue;
        }

        view_json(&j, in, &v->item[k], v->brief);
        list.count++;
    }

    wagw_arena_free(&v->arena);

    if (v->many) {
        wagw_json_close(&j);
        ngx_wagw_call_list(call, &list, NULL);
        return;
    }

    if (list.count == 0) {
        wagw_buf_free(&list.json);
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    one = list.json;
    status = v->status;
    message = v->message;
    ngx_wagw_call_data(call, status, &one, message);
}

static void view_want(view_t *v, ngx_wagw_instance_t *in)
{
    view_item_t *item;
    wagw_client_info_t info;

    item = &v->item[v->n++];
    item->num = in->num;
    item->id_len = ngx_min(in->id.len, sizeof(item->id) - 1);
    ngx_memcpy(item->id, in->id.data, item->id_len);

    wagw_client_info(in->client, &info);

    if (!info.linked && (info.connected_ms == 0 || info.disconnect_ms == 0)) {
        v->rows++;
    }
}

void ngx_wagw_call_instance_view(ngx_wagw_call_t *call, ngx_wagw_instance_t *in, ngx_uint_t status, const char *message)
{
    view_t *v;

    v = ngx_wagw_call_ctx(call, sizeof(view_t) + sizeof(view_item_t));
    if (v == NULL) {
        return;
    }

    v->item = (view_item_t *)(v + 1);
    v->status = status;
    v->message = message;
    v->brief = call->route->handler == ngx_wagw_call_instance_status;
    view_want(v, in);

    ngx_wagw_call_store(call, 0, view_run, view_done);
}

NGX_WAGW_HANDLER(instance_get)
{
    ngx_wagw_call_instance_view(call, ngx_wagw_call_instance(call), 200, NULL);
}

NGX_WAGW_HANDLER(instance_status)
{
    ngx_wagw_call_instance_view(call, ngx_wagw_call_instance(call), 200, NULL);
}

static ngx_uint_t view_matches(ngx_wagw_instance_t *in, wagw_str_t status, wagw_str_t name)
{
    wagw_client_info_t info;

    if (name.n && (name.n != in->name.len || ngx_memcmp(name.p, in->name.data, name.n) != 0)) {
        return 0;
    }

    if (status.n) {
        wagw_client_info(in->client, &info);
        return wagw_str_eq(status, wagw_cstr(wagw_status_name(info.status)));
    }

    return 1;
}

NGX_WAGW_HANDLER(instance_list)
{
    view_t *v;
    uint64_t total;
    wagw_str_t status, name;
    ngx_queue_t *q, *all;
    ngx_wagw_list_t page;
    ngx_wagw_instance_t *in;

    ngx_memzero(&page, sizeof(page));
    ngx_wagw_list_page(call, &page, 100);

    v = ngx_wagw_call_ctx(call, sizeof(view_t) + page.limit * sizeof(view_item_t));
    if (v == NULL) {
        return;
    }

    v->item = (view_item_t *)(v + 1);
    v->list = page;
    v->many = 1;

    status = ngx_wagw_param_str(call, "status");
    name = ngx_wagw_param_str(call, "name");
    all = ngx_wagw_instances();
    total = 0;

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all); q = ngx_queue_next(q)) {
        in = ngx_queue_data(q, ngx_wagw_instance_t, queue);

        if (in->deleting || !ngx_wagw_call_sees(call, &in->id) || !view_matches(in, status, name)) {
            continue;
        }

        if (total >= page.offset && v->n < page.limit) {
            view_want(v, in);
        }

        total++;
    }

    v->list.total = total;
    v->list.more = total > (uint64_t)page.offset + v->n;

    ngx_wagw_call_store(call, 0, view_run, view_done);
}

/* ---- /info ------------------------------------------------------------------------ */

static void info_done(ngx_wagw_job_t *job)
{
    view_t *v;
    wagw_buf_t b;
    wagw_json_t j;
    view_account_t a;
    ngx_wagw_call_t *call = job->data;
    wagw_client_info_t info;
    ngx_wagw_instance_t *in;

    v = call->data;

    if (job->rc != WAGW_OK) {
        wagw_arena_free(&v->arena);
        ngx_wagw_call_store_failed(call);
        return;
    }

    ngx_memzero(&b, sizeof(b));
    in = ngx_wagw_call_instance(call);

    if (in) {
        wagw_client_info(in->client, &info);
    }

    if (in == NULL || !view_account(in, &info, &v->item[0], &a)) {
        wagw_arena_free(&v->arena);
        ngx_wagw_call_fail(call, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected", WAGW_STR_NULL);
        return;
    }

    j = wagw_json(&b);
    view_account_json(&j, &a);
    wagw_arena_free(&v->arena);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(instance_info)
{
    view_t *v;

    v = ngx_wagw_call_ctx(call, sizeof(view_t) + sizeof(view_item_t));
    if (v == NULL) {
        return;
    }

    v->item = (view_item_t *)(v + 1);
    view_want(v, ngx_wagw_call_instance(call));
    ngx_wagw_call_store(call, 0, view_run, info_done);
}
