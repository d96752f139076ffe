#include "ngx_wagw_calls.h"

/* Messages, chats, contacts and LIDs as the store has them (contract 3.4, 3.5, 3.9). */

typedef int (*listing_details_pt)(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_buf_t *json, uint32_t *count);

typedef struct {
    uint32_t num;
    wagw_str_t instance_id;
    ngx_wagw_list_t list;
    wagw_message_filter_t messages;
    wagw_chat_filter_t chats;
    wagw_str_t chat, id, q;
    wagw_buf_t text; /* resolved chat, LID or number */
    int blocked;
    listing_details_pt details;
    const char *message; /* of the answer */
    unsigned strict : 1; /* an unknown chat is 404 */
    unsigned map : 1;
} listing_t;

static listing_t *listing_start(ngx_wagw_call_t *call, uint32_t limit)
{
    listing_t *l;
    ngx_wagw_instance_t *in;

    l = ngx_wagw_call_ctx(call, sizeof(listing_t));
    if (l == NULL) {
        return NULL;
    }

    in = ngx_wagw_call_instance(call);
    l->num = in->num;
    l->instance_id = wagw_str(call->instance_id.data, call->instance_id.len);
    l->chat = ngx_wagw_param_str(call, "chatId");
    l->id = ngx_wagw_param_str(call, "messageId");
    l->q = ngx_wagw_param_str(call, "q");
    l->blocked = -1;
    ngx_wagw_list_page(call, &l->list, limit);

    return l;
}

static void listing_free(listing_t *l)
{
    ngx_wagw_list_free(&l->list);
    wagw_buf_free(&l->text);
}

/* Everything but success; `what` is the thing that is missing after WAGW_NOT_FOUND. */
static ngx_uint_t listing_failed(ngx_wagw_call_t *call, int rc, const char *code, const char *error)
{
    if (rc == WAGW_OK) {
        return 0;
    }

    listing_free(call->data);

    switch (rc) {

    case WAGW_NOT_FOUND:
        ngx_wagw_call_fail(call, 404, code, error, WAGW_STR_NULL);
        break;

    case WAGW_MALFORMED:
        ngx_wagw_call_invalid(call, "cursor", "not a cursor of this listing");
        break;

    default:
        ngx_wagw_call_store_failed(call);
    }

    return 1;
}

static void listing_answer(ngx_wagw_call_t *call)
{
    listing_t *l = call->data;
    ngx_wagw_list_t list = l->list;

    wagw_buf_free(&l->text);
    ngx_wagw_call_list(call, &list, NULL);
}

static void listing_answer_one(ngx_wagw_call_t *call)
{
    listing_t *l = call->data;
    wagw_buf_t json = l->list.json;

    wagw_buf_free(&l->text);
    wagw_buf_free(&l->list.next_cursor);
    ngx_wagw_call_data(call, 200, &json, l->message);
}

/* ---- messages ------------------------------------------------------------- */

static int messages_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    bool exists;
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    if (l->strict) {
        rc = wagw_store_chat_resolve(s, l->num, l->chat, &l->text, &exists);

        if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }

        if (rc == WAGW_NOT_FOUND || !exists) {
            return WAGW_NOT_FOUND;
        }

        l->strict = 0; /* what is missing from here on is a message */
    }

    return wagw_store_messages(s, l->num, &l->messages, &l->list.json, &l->list.count, &l->list.total, &l->list.more,
                               &l->list.next_cursor);
}

static void message_list_done(ngx_wagw_call_t *call, int rc)
{
    listing_t *l = call->data;

    if (!listing_failed(call, rc, l->strict ? "CHAT_NOT_FOUND" : "MESSAGE_NOT_FOUND",
                        l->strict ? "Chat not found" : "Message not found")) {
        listing_answer(call);
    }
}

static void messages_done(ngx_wagw_job_t *job)
{
    message_list_done(job->data, job->rc);
}

static void messages_edge(ngx_wagw_call_t *call, const char *name, wagw_str_t *id, int64_t *ms, int64_t step)
{
    int64_t at = ngx_wagw_param_time(call, name);

    if (at == 0) {
        *id = ngx_wagw_param_str(call, name);

    } else if (*ms == 0 || (step < 0 ? at + step < *ms : at + step > *ms)) {
        *ms = at + step;
    }
}

static listing_t *messages_start(ngx_wagw_call_t *call, uint32_t limit)
{
    listing_t *l;

    l = listing_start(call, limit);
    if (l == NULL) {
        return NULL;
    }

    l->messages.instance_id = l->instance_id;
    l->messages.chat = l->chat;
    l->messages.type = ngx_wagw_param_str(call, "type");
    l->messages.status = ngx_wagw_param_str(call, "status");
    l->messages.q = l->q;
    l->messages.from_me = ngx_wagw_param_bool(call, "fromMe");
    l->messages.since_ms = ngx_wagw_param_time(call, "since");
    l->messages.until_ms = ngx_wagw_param_time(call, "until");
    messages_edge(call, "before", &l->messages.before, &l->messages.until_ms, -1);
    messages_edge(call, "after", &l->messages.after, &l->messages.since_ms, 1);
    l->messages.cursor = ngx_wagw_param_str(call, "cursor");
    l->messages.limit = l->list.limit;
    l->messages.offset = l->list.offset;

    return l;
}

NGX_WAGW_HANDLER(message_chat)
{
    listing_t *l;

    l = messages_start(call, 50);
    if (l == NULL) {
        return;
    }

    l->strict = 1;
    ngx_wagw_call_store(call, 0, messages_run, messages_done);
}

NGX_WAGW_HANDLER(chats_messages)
{
    if (messages_start(call, 50)) {
        ngx_wagw_call_store(call, 0, messages_run, messages_done);
    }
}

NGX_WAGW_HANDLER(chats_pinned)
{
    listing_t *l;

    l = messages_start(call, 50);
    if (l == NULL) {
        return;
    }

    l->messages.type = WAGW_STR_NULL;
    l->messages.flags = WAGW_ROW_PINNED;
    ngx_wagw_call_store(call, 0, messages_run, messages_done);
}

NGX_WAGW_HANDLER(chats_media)
{
    listing_t *l;

    l = messages_start(call, 50);
    if (l == NULL) {
        return;
    }

    l->messages.media = true;
    ngx_wagw_call_store(call, 0, messages_run, messages_done);
}

NGX_WAGW_HANDLER(message_all)
{
    listing_t *l;

    l = messages_start(call, 100);
    if (l == NULL) {
        return;
    }

    l->messages.with_chat = true;
    ngx_wagw_call_store(call, 0, messages_run, messages_done);
}

static int message_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    return wagw_store_message_get(s, l->num, l->instance_id, l->chat, l->id, l->messages.with_chat, &l->list.json);
}

static void message_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (!listing_failed(call, job->rc, "MESSAGE_NOT_FOUND", "Message not found")) {
        listing_answer_one(call);
    }
}

NGX_WAGW_HANDLER(message_get)
{
    listing_t *l;

    l = listing_start(call, 1);
    if (l == NULL) {
        return;
    }

    l->chat = WAGW_STR_NULL;
    ngx_wagw_call_store(call, 0, message_run, message_done);
}

NGX_WAGW_HANDLER(chats_message_get)
{
    listing_t *l;

    l = listing_start(call, 1);
    if (l == NULL) {
        return;
    }

    l->messages.with_chat = true;
    ngx_wagw_call_store(call, 0, message_run, message_done);
}

/* An empty list of details is one only when its message is stored. */
static int details_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    wagw_str_t none = WAGW_STR_NULL;
    wagw_buf_t row = {0};
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    rc = l->details(s, l->num, l->id, &l->list.json, &l->list.count);

    if (rc == WAGW_OK && l->list.count == 0) {
        rc = wagw_store_message_get(s, l->num, none, none, l->id, false, &row);
        wagw_buf_wipe(&row);
    }

    return rc;
}

static void details_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    ((listing_t *)call->data)->list.paginated = 0;
    message_list_done(call, job->rc);
}

static void details_start(ngx_wagw_call_t *call, listing_details_pt details)
{
    listing_t *l;

    l = listing_start(call, 500);
    if (l) {
        l->details = details;
        ngx_wagw_call_store(call, 0, details_run, details_done);
    }
}

NGX_WAGW_HANDLER(message_receipts)
{
    details_start(call, wagw_store_message_receipts);
}

NGX_WAGW_HANDLER(message_reactions)
{
    details_start(call, wagw_store_message_reactions);
}

/* ---- chats ------------------------------------------------------------------- */

static int chats_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    return wagw_store_chats(s, l->num, &l->chats, &l->list.json, &l->list.count, &l->list.total, &l->list.more);
}

static void chats_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (!listing_failed(call, job->rc, "CHAT_NOT_FOUND", "Chat not found")) {
        listing_answer(call);
    }
}

static void chats_list(ngx_wagw_call_t *call, ngx_uint_t overview)
{
    listing_t *l;
    wagw_str_t s;

    l = listing_start(call, 50);
    if (l == NULL) {
        return;
    }

    s = ngx_wagw_param_str(call, "sortBy");
    l->chats.sort = wagw_str_is(s, "name") ? 1 : wagw_str_is(s, "unreadCount") ? 2 : 0;

    s = ngx_wagw_param_str(call, "sortOrder");
    l->chats.ascending = s.n ? wagw_str_is(s, "asc") : l->chats.sort == 1;

    s = ngx_wagw_param_str(call, "type");
    l->chats.type = wagw_str_is(s, "user") ? 0 : wagw_str_is(s, "group") ? 1 : wagw_str_is(s, "channel") ? 2 : -1;

    l->chats.archived = ngx_wagw_param_bool(call, "archived");
    l->chats.unread = ngx_wagw_param_bool(call, "unread");
    l->chats.q = l->q;
    l->chats.limit = l->list.limit;
    l->chats.offset = l->list.offset;
    l->chats.overview = overview;

    ngx_wagw_call_store(call, 0, chats_run, chats_done);
}

NGX_WAGW_HANDLER(chats_list)
{
    chats_list(call, 0);
}

NGX_WAGW_HANDLER(chats_overview)
{
    chats_list(call, 1);
}

NGX_WAGW_HANDLER(message_chats)
{
    chats_list(call, 0);
}

static int chat_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    return wagw_store_chat_get(s, l->num, l->chat, &l->list.json);
}

static void chat_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (!listing_failed(call, job->rc, "CHAT_NOT_FOUND", "Chat not found")) {
        listing_answer_one(call);
    }
}

NGX_WAGW_HANDLER(chats_get)
{
    if (listing_start(call, 1)) {
        ngx_wagw_call_store(call, 0, chat_run, chat_done);
    }
}

/* ---- contacts ------------------------------------------------------------------ */

static int contacts_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    return wagw_store_contacts(s, l->num, l->q, l->blocked, l->list.limit, l->list.offset, &l->list.json,
                               &l->list.count, &l->list.more);
}

/* ?map=true: the seed's form, keyed by jid */
static void contacts_map(listing_t *l)
{
    char *text;
    cJSON *list, *item, *map;
    const char *jid;

    list = cJSON_ParseWithLength((const char *)l->list.json.p, l->list.json.n);
    map = cJSON_CreateObject();

    while (map && list && (item = cJSON_DetachItemFromArray(list, 0)) != NULL) {
        jid = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "jid"));

        if (jid == NULL || !cJSON_AddItemToObject(map, jid, item)) {
            cJSON_Delete(item);
        }
    }

    text = map ? cJSON_PrintUnformatted(map) : NULL;
    wagw_buf_reset(&l->list.json);

    if (text) {
        wagw_buf_cstr(&l->list.json, text);
        cJSON_free(text);

    } else {
        l->list.json.failed = true;
    }

    cJSON_Delete(list);
    cJSON_Delete(map);
}

static void contacts_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    if (listing_failed(call, job->rc, "CONTACT_NOT_FOUND", "Contact not found")) {
        return;
    }

    if (l->map) {
        contacts_map(l);
    }

    if (l->list.more) {
        wagw_buf_printf(&l->list.next_cursor, "%lu", (unsigned long)l->list.offset + l->list.count);
    }

    listing_answer(call);
}

/* The cursor of these two listings is the offset of the next page. */
static ngx_int_t listing_cursor(ngx_wagw_call_t *call, listing_t *l)
{
    uint64_t n;
    wagw_str_t cursor;

    cursor = ngx_wagw_param_str(call, "cursor");

    if (cursor.n == 0) {
        return NGX_OK;
    }

    if (wagw_str_u64(cursor, &n) != WAGW_OK || n > UINT32_MAX) {
        ngx_wagw_call_invalid(call, "cursor", "not a cursor of this listing");
        return NGX_DECLINED;
    }

    l->list.offset = (uint32_t)n;

    return NGX_OK;
}

NGX_WAGW_HANDLER(contacts_all)
{
    listing_t *l;

    l = listing_start(call, 500);

    if (l == NULL || listing_cursor(call, l) != NGX_OK) {
        return;
    }

    l->blocked = ngx_wagw_param_bool(call, "blocked");
    l->map = ngx_wagw_param_bool(call, "map") == 1;
    ngx_wagw_call_store(call, 0, contacts_run, contacts_done);
}

static int contact_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    return wagw_store_contact_get(s, l->num, l->chat, &l->list.json);
}

static void contact_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (!listing_failed(call, job->rc, "CONTACT_NOT_FOUND", "Contact not found")) {
        listing_answer_one(call);
    }
}

/* The engine's answer to a change, with the contact as the store has it now; inside an op. */
static void contact_changed(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    listing_t *l;
    const char *jid;

    if (r->code || r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }

    data = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    jid = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "jid"));
    ngx_wagw_param_set(call, "phoneNumber", jid ? jid : "");
    cJSON_Delete(data);

    l = listing_start(call, 1);
    if (l) {
        l->chat = ngx_wagw_param_str(call, "phoneNumber");
        l->message = "Contact updated successfully";
        ngx_wagw_call_store(call, 0, contact_run, contact_done);
    }
}

NGX_WAGW_HANDLER(contact_update)
{
    call->reply = contact_changed;
    ngx_wagw_call_command(call, WAGW_CMD_CONTACT);
}

NGX_WAGW_HANDLER(contact_put)
{
    ngx_wagw_call_contact_update(call);
}

NGX_WAGW_HANDLER(contacts_get)
{
    listing_t *l;

    l = listing_start(call, 1);
    if (l == NULL) {
        return;
    }

    l->chat = ngx_wagw_param_str(call, "phoneNumber");
    ngx_wagw_call_store(call, 0, contact_run, contact_done);
}

/* ---- LIDs ------------------------------------------------------------------------ */

static int lids_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    return wagw_store_lids(s, l->num, l->list.limit, l->list.offset, &l->list.json, &l->list.count, &l->list.total);
}

static void lids_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    if (listing_failed(call, job->rc, "LID_NOT_FOUND", "LID not found")) {
        return;
    }

    l->list.more = l->list.total != UINT64_MAX && (uint64_t)l->list.offset + l->list.count < l->list.total;

    if (l->list.more) {
        wagw_buf_printf(&l->list.next_cursor, "%lu", (unsigned long)l->list.offset + l->list.count);
    }

    listing_answer(call);
}

NGX_WAGW_HANDLER(lids)
{
    listing_t *l;

    l = listing_start(call, 500);

    if (l == NULL || listing_cursor(call, l) != NGX_OK) {
        return;
    }

    ngx_wagw_call_store(call, 0, lids_run, lids_done);
}

static void lids_count_done(ngx_wagw_job_t *job)
{
    char extra[48];
    uint64_t n;
    listing_t *l;
    wagw_buf_t b;
    ngx_wagw_call_t *call = job->data;

    l = call->data;

    if (listing_failed(call, job->rc, "LID_NOT_FOUND", "LID not found")) {
        return;
    }

    n = l->list.total != UINT64_MAX ? l->list.total : l->list.count;
    listing_free(l);

    ngx_memzero(&b, sizeof(b));
    wagw_buf_printf(&b, "{\"count\":%llu}", (unsigned long long)n);
    snprintf(extra, sizeof(extra), "\"count\":%llu", (unsigned long long)n);

    if (b.failed) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);

    } else {
        ngx_wagw_call_ok(call, 200, wagw_buf_view(&b), NULL, wagw_cstr(extra));
    }

    wagw_buf_free(&b);
}

NGX_WAGW_HANDLER(lids_count)
{
    if (listing_start(call, 1)) {
        ngx_wagw_call_store(call, 0, lids_run, lids_count_done);
    }
}

static int lid_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    listing_t *l = call->data;

    return wagw_store_lid_get(s, l->num, l->id, &l->text);
}

static void lid_done(ngx_wagw_job_t *job)
{
    listing_t *l;
    wagw_buf_t b;
    wagw_json_t j;
    ngx_wagw_call_t *call = job->data;

    l = call->data;

    if (listing_failed(call, job->rc, "LID_NOT_FOUND", "LID not found")) {
        return;
    }

    ngx_memzero(&b, sizeof(b));
    wagw_buf_str(&l->list.json, l->id);
    wagw_buf_cstr(&l->list.json, "@lid");

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "lid", wagw_buf_view(&l->list.json));
    wagw_json_kstr(&j, "phoneNumber", wagw_buf_view(&l->text));
    wagw_json_close(&j);

    listing_free(l);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(lid_get)
{
    size_t i;
    listing_t *l;
    wagw_str_t lid;

    lid = ngx_wagw_param_str(call, "lid");

    if (wagw_str_ends(lid, WAGW_STR("@lid"))) {
        lid.n -= sizeof("@lid") - 1;
    }

    for (i = 0; i < lid.n && lid.p[i] >= '0' && lid.p[i] <= '9'; i++) { /* void */
    }

    if (lid.n == 0 || i != lid.n) {
        ngx_wagw_call_fail(call, 400, "INVALID_JID", "Not a LID", WAGW_STR("{\"field\":\"lid\"}"));
        return;
    }

    l = listing_start(call, 1);
    if (l == NULL) {
        return;
    }

    l->id = lid;
    ngx_wagw_call_store(call, 0, lid_run, lid_done);
}

NGX_WAGW_HANDLER(lid_of)
{
    ngx_wagw_call_command(call, WAGW_CMD_LID_OF);
}
