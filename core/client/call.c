/*
 * Calls (11 section 11): a gateway cannot take them, but it keeps a list of
 * those that came in, tells of them, and declines them.  Every stanza is
 * acknowledged, understood or not.
 */

#include "account_i.h"
#include "../crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>

#define CALLS_MAX 200    /* kept per instance */
#define CALLS_DUE_MAX 16 /* texts about declined calls that may be on their way */
#define CALL_ID_MAX 128
#define CALL_LATE_MS 60000 /* whoever called before that does not ring any more */
#define DUE_KEY WAGW_STR("calls_due")

enum { TAG_FROM = 1, TAG_CREATOR, TAG_FLAGS, TAG_T, TAG_STATUS, TAG_REASON, TAG_END, TAG_GROUP, TAG_NAME };
enum { CALL_VIDEO = 1, CALL_GROUP = 2 };
typedef enum { CALL_RINGING = 0, CALL_ACCEPTED, CALL_REJECTED, CALL_MISSED, CALL_ENDED } call_status_t;

static const char *const status_names[] = {"ringing", "accepted", "rejected", "missed", "ended"};

typedef struct {
    wagw_str_t id;
    wagw_str_t from;    /* canonical */
    wagw_str_t creator; /* as on the wire: who a refusal goes to */
    wagw_str_t name, group;
    wagw_str_t reason;
    unsigned flags;
    unsigned status; /* call_status_t */
    int64_t t_ms, end_ms;
} call_t;

/* ---- the record ------------------------------------------------------------------- */

static void call_decode(call_t *c, wagw_str_t id, wagw_str_t value)
{
    uint8_t tag;
    uint64_t u;
    wagw_str_t s;
    wagw_tlv_t r = {value, 0};

    memset(c, 0, sizeof(*c));
    c->id = id;
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        switch (tag) {
        case TAG_FROM:
            c->from = s;
            break;
        case TAG_CREATOR:
            c->creator = s;
            break;
        case TAG_FLAGS:
            c->flags = (unsigned)u;
            break;
        case TAG_T:
            c->t_ms = (int64_t)u;
            break;
        case TAG_STATUS:
            c->status = u > CALL_ENDED ? CALL_ENDED : (unsigned)u;
            break;
        case TAG_REASON:
            c->reason = s;
            break;
        case TAG_END:
            c->end_ms = (int64_t)u;
            break;
        case TAG_GROUP:
            c->group = s;
            break;
        case TAG_NAME:
            c->name = s;
            break;
        default:
            break;
        }
    }
}

static int call_get(wagw_turn_t *t, wagw_str_t id, call_t *c)
{
    wagw_str_t v;

    WAGW_TRY(wagw_txn_get(&t->txn, WAGW_REC_CALL, id, &v));
    v = wagw_arena_str(&t->arena, v);
    if (v.p == NULL) {
        return WAGW_NOMEM;
    }
    call_decode(c, id, v);
    return WAGW_OK;
}

static int call_put(wagw_turn_t *t, const call_t *c)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_s(&b, TAG_FROM, c->from);
    wagw_tlv_put_s(&b, TAG_CREATOR, c->creator);
    wagw_tlv_put_u(&b, TAG_FLAGS, c->flags);
    wagw_tlv_put_u(&b, TAG_T, (uint64_t)c->t_ms);
    wagw_tlv_put_u(&b, TAG_STATUS, c->status);
    wagw_tlv_put_s(&b, TAG_REASON, c->reason);
    wagw_tlv_put_u(&b, TAG_END, (uint64_t)c->end_ms);
    wagw_tlv_put_s(&b, TAG_GROUP, c->group);
    wagw_tlv_put_s(&b, TAG_NAME, c->name);
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_CALL, c->id, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

typedef struct {
    wagw_turn_t *t;
    size_t n;
    call_t all[CALLS_MAX + 1];
} calls_t;

static int calls_one(void *data, wagw_str_t key, wagw_str_t value)
{
    calls_t *l = data;

    if (l->n <= CALLS_MAX) {
        call_decode(&l->all[l->n++], wagw_arena_str(&l->t->arena, key), wagw_arena_str(&l->t->arena, value));
    }
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const call_t *x = a, *y = b;

    return x->t_ms == y->t_ms ? 0 : x->t_ms < y->t_ms ? 1 : -1;
}

/* All that are kept, newest first. */
static int calls_all(wagw_turn_t *t, calls_t **out)
{
    calls_t *l = wagw_arena_zalloc(&t->arena, sizeof(*l));

    if (l == NULL) {
        return WAGW_NOMEM;
    }
    l->t = t;
    WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_CALL, WAGW_STR(""), calls_one, l));
    qsort(l->all, l->n, sizeof(l->all[0]), newest_first);
    *out = l;
    return WAGW_OK;
}

/* ---- events -------------------------------------------------------------------------- */

static void call_members(wagw_json_t *j, const call_t *c)
{
    wagw_json_kstr(j, "callId", c->id);
    wagw_json_kstr(j, "from", c->from);
    wagw_json_kstr(j, "fromName", c->name);
    wagw_json_kbool(j, "isVideo", c->flags & CALL_VIDEO);
    wagw_json_kbool(j, "isGroup", c->flags & CALL_GROUP);
    if (c->group.n) {
        wagw_json_kstr(j, "groupId", c->group);
    }
}

static int call_event(wagw_turn_t *t, const char *name, const call_t *c, int64_t at_ms)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    call_members(&j, c);
    if (c->reason.n) {
        wagw_json_kstr(&j, "reason", c->reason);
    }
    wagw_json_kiso(&j, "timestamp", at_ms);
    wagw_json_close(&j);
    return wagw_event_emit(t, name, c->from, &b);
}

/* What a person would call the caller: address book, own name, number. */
static int caller_name(wagw_turn_t *t, const wagw_jid_t *from, const wagw_node_t *n, wagw_str_t *name)
{
    int rc;
    wagw_str_t v;
    wagw_row_contact_t c;

    rc = wagw_txn_get(&t->txn, WAGW_REC_CONTACT, wagw_jid_str(&t->arena, from), &v);
    if (rc == WAGW_OK) {
        v = wagw_arena_str(&t->arena, v);
        if (wagw_row_contact_decode(&c, v) == WAGW_OK && (c.name.n || c.push_name.n)) {
            *name = c.name.n ? c.name : c.push_name;
            return WAGW_OK;
        }
    } else if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    *name = wagw_node_get(n, "notify");
    if (name->n == 0) {
        *name = wagw_arena_str(&t->arena, wagw_cstr(from->user));
    }
    return name->p ? WAGW_OK : WAGW_NOMEM;
}

/* ---- declining -------------------------------------------------------------------------- */

static int reject_send(wagw_turn_t *t, wagw_str_t id, const wagw_jid_t *creator)
{
    uint8_t random[8];
    wagw_buf_t b = {0};
    wagw_str_t stanza;
    wagw_node_t *n = wagw_node(&t->arena, "call"), *k;

    wagw_turn_random(t, random, sizeof(random));
    wagw_hex_encode(&b, wagw_str(random, sizeof(random)));
    stanza = wagw_arena_str(&t->arena, wagw_buf_view(&b));
    wagw_buf_free(&b);
    if (stanza.p == NULL) {
        return WAGW_NOMEM;
    }
    wagw_node_attr_jid(&t->arena, n, "from", &wagw_turn_me(t)->jid);
    wagw_node_attr_jid(&t->arena, n, "to", creator);
    wagw_node_attr(&t->arena, n, "id", stanza);
    k = wagw_node_child(&t->arena, n, "reject");
    wagw_node_attr(&t->arena, k, "call-id", id);
    wagw_node_attr_jid(&t->arena, k, "call-creator", creator);
    wagw_node_attrc(&t->arena, k, "count", "0");
    return wagw_turn_send(t, n);
}

static int call_rejected(wagw_turn_t *t, call_t *c, wagw_str_t reason)
{
    if (c->status != CALL_RINGING) {
        return WAGW_OK;
    }
    c->status = wagw_str_is(reason, "timeout") ? CALL_MISSED : CALL_REJECTED;
    c->reason = reason;
    c->end_ms = t->now;
    WAGW_TRY(call_put(t, c));
    return call_event(t, "call.rejected", c, t->now);
}

int wagw_call_reject_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    wagw_str_t id = wagw_param_str(params, "callId");
    wagw_jid_t to;
    call_t c;

    WAGW_TRY(wagw_param_jid(t, command, params, "from", NULL, &to));
    if (wagw_jid_empty(&to)) {
        return WAGW_OK;
    }
    rc = call_get(t, id, &c);
    if (rc == WAGW_OK && wagw_jid_parse(&to, c.creator) == WAGW_OK) {
        WAGW_TRY(call_rejected(t, &c, WAGW_STR("reject")));
    } else if (rc == WAGW_OK || rc == WAGW_NOT_FOUND) {
        /* not seen by us: the caller knows better */
        WAGW_TRY(wagw_lid_in(t, &to, true, &to));
    } else {
        return rc;
    }
    WAGW_TRY(reject_send(t, id, &to));
    return wagw_command_ok(t, command, NULL, "Call rejected");
}

/* ---- a text to whoever was declined ------------------------------------------------------- */

typedef struct {
    char id[CALL_ID_MAX + 1];
    char to[WAGW_JID_TEXT_MAX];
} due_t;

/* The id of the text about a call is always the same, so that it is sent once. */
static void due_message_id(char out[24], const char *call)
{
    uint8_t sum[32];
    wagw_buf_t b = {0};

    wagw_buf_cstr(&b, "wagw declined call ");
    wagw_buf_cstr(&b, call);
    wagw_sha256(sum, wagw_buf_view(&b));
    wagw_buf_free(&b);
    memcpy(out, "3EB0", 4);
    for (unsigned i = 0; i < 9; i++) {
        snprintf(out + 4 + 2 * i, 3, "%02X", sum[i]);
    }
}

static void due_send(wagw_client_t *c, const due_t *d)
{
    char id[24];
    cJSON *p = cJSON_CreateObject();

    if (p == NULL || c->conf.reject_call_message == NULL || c->conf.reject_call_message[0] == '\0') {
        cJSON_Delete(p);
        return;
    }
    due_message_id(id, d->id);
    cJSON_AddStringToObject(p, "to", d->to);
    cJSON_AddStringToObject(p, "message", c->conf.reject_call_message);
    cJSON_AddStringToObject(p, "_id", id);
    cJSON_AddTrueToObject(p, "_resume");
    wagw_client_command(c, 0, WAGW_CMD_SEND, p, c->now);
    cJSON_Delete(p);
}

static void due_then(wagw_client_t *c, void *arg)
{
    due_send(c, arg);
}

/* Ids of calls whose text may not be stored yet, in order. */
static int due_load(wagw_turn_t *t, wagw_str_t ids[CALLS_DUE_MAX], size_t *n)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_str_t v, s;
    wagw_tlv_t r;

    *n = 0;
    rc = wagw_txn_get(&t->txn, WAGW_REC_META, DUE_KEY, &v);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    v = wagw_arena_str(&t->arena, v);
    r = (wagw_tlv_t){v, 0};
    while (*n < CALLS_DUE_MAX && wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        if (s.n && s.n <= CALL_ID_MAX) {
            ids[(*n)++] = s;
        }
    }
    return WAGW_OK;
}

static int due_store(wagw_turn_t *t, const wagw_str_t *ids, size_t n)
{
    int rc;
    wagw_buf_t b = {0};

    if (n == 0) {
        return wagw_txn_del(&t->txn, WAGW_REC_META, DUE_KEY);
    }
    for (size_t i = 0; i < n; i++) {
        wagw_tlv_put_s(&b, 1, ids[i]);
    }
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, DUE_KEY, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

static void due_fill(due_t *d, const call_t *c)
{
    memset(d, 0, sizeof(*d));
    wagw_creds_text(d->id, sizeof(d->id), c->id);
    wagw_creds_text(d->to, sizeof(d->to), c->from);
}

static int due_add(wagw_turn_t *t, const call_t *c)
{
    size_t n;
    due_t d;
    wagw_str_t ids[CALLS_DUE_MAX + 1];

    WAGW_TRY(due_load(t, ids, &n));
    ids[n++] = c->id;
    if (n > CALLS_DUE_MAX) {
        memmove(ids, ids + 1, --n * sizeof(ids[0]));
    }
    WAGW_TRY(due_store(t, ids, n));
    due_fill(&d, c);
    return wagw_turn_then(t, due_then, &d, sizeof(d));
}

/* After a login: a text that a crash kept from being stored is sent now. */
int wagw_calls_due(wagw_turn_t *t, uint64_t unused)
{
    int rc;
    char id[24];
    size_t n, left = 0;
    due_t d;
    call_t c;
    wagw_str_t ids[CALLS_DUE_MAX], still[CALLS_DUE_MAX];
    wagw_row_message_t row;

    (void)unused;
    WAGW_TRY(due_load(t, ids, &n));
    for (size_t i = 0; i < n; i++) {
        rc = call_get(t, ids[i], &c);
        if (rc == WAGW_NOT_FOUND) {
            continue;
        }
        WAGW_TRY(rc);
        due_fill(&d, &c);
        due_message_id(id, d.id);
        rc = wagw_turn_message_find(t, c.from, wagw_cstr(id), &row, NULL);
        if (rc == WAGW_NOT_FOUND && t->now - c.t_ms < 3600000) {
            still[left++] = ids[i];
            WAGW_TRY(wagw_turn_then(t, due_then, &d, sizeof(d)));
        } else if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }
    return n == left ? WAGW_OK : due_store(t, still, left);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static int offer(wagw_turn_t *t, const wagw_node_t *n, const wagw_node_t *k, call_t *c, const wagw_jid_t *creator)
{
    bool late;
    uint64_t at = 0;
    wagw_jid_t group;
    calls_t *all;

    WAGW_TRY(calls_all(t, &all));
    for (size_t i = all->n; i >= CALLS_MAX && i > 0; i--) {
        WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_CALL, all->all[i - 1].id));
    }
    c->t_ms = t->now;
    if (wagw_node_get_u64(n, "t", &at) == WAGW_OK && at && at < (1ull << 40)) {
        c->t_ms = wagw_server_ms(t->now, at);
    }
    if (wagw_node_find(k, "video") || wagw_node_attr_is(k, "media", "video")) {
        c->flags |= CALL_VIDEO;
    }
    if (wagw_node_attr_is(k, "type", "group") || wagw_node_has(k, "group-jid")) {
        c->flags |= CALL_GROUP;
        if (wagw_node_get_jid(k, "group-jid", &group) == WAGW_OK) {
            c->group = wagw_jid_str(&t->arena, &group);
        }
    }
    c->creator = wagw_jid_str(&t->arena, creator);
    WAGW_TRY(call_put(t, c));
    WAGW_TRY(call_event(t, "call.received", c, c->t_ms));

    late = wagw_node_has(n, "offline") || t->now - c->t_ms > CALL_LATE_MS;
    if (!t->c->conf.reject_calls) {
        return WAGW_OK;
    }
    if (!late) {
        WAGW_TRY(reject_send(t, c->id, creator));
        WAGW_TRY(call_rejected(t, c, WAGW_STR("reject")));
    }
    if (t->c->conf.reject_call_message && t->c->conf.reject_call_message[0] && !(c->flags & CALL_GROUP)) {
        return due_add(t, c);
    }
    return WAGW_OK;
}

static int known_call(wagw_turn_t *t, const wagw_node_t *k, call_t *c, bool mine)
{
    wagw_str_t reason = wagw_node_get(k, "reason");

    if (wagw_node_is(k, "accept")) {
        if (c->status != CALL_RINGING) {
            return WAGW_OK;
        }
        c->status = CALL_ACCEPTED;
        WAGW_TRY(call_put(t, c));
        return call_event(t, "call.accepted", c, t->now);
    }
    if (wagw_node_is(k, "reject")) {
        return call_rejected(t, c, mine ? WAGW_STR("elsewhere") : WAGW_STR("reject"));
    }
    /* terminate */
    if (c->status == CALL_RINGING) {
        return call_rejected(t, c,
                             wagw_str_is(reason, "timeout")                         ? WAGW_STR("timeout")
                             : wagw_str_ends(reason, WAGW_STR("elsewhere")) || mine ? WAGW_STR("elsewhere")
                                                                                    : WAGW_STR("terminate"));
    }
    if (c->status == CALL_ACCEPTED) {
        c->status = CALL_ENDED;
        c->end_ms = t->now;
        return call_put(t, c);
    }
    return WAGW_OK;
}

int wagw_receive_call(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc;
    bool offered;
    call_t c = {0};
    wagw_jid_t from, creator, canon;
    const wagw_node_t *k = n->content == WAGW_CONTENT_NODES ? n->child : NULL;

    WAGW_TRY(wagw_ack(t, n, 0));
    c.id = wagw_node_get(k, "call-id");
    if (c.id.n == 0 || c.id.n > CALL_ID_MAX || memchr(c.id.p, '\0', c.id.n) || !wagw_utf8_valid(c.id) ||
        wagw_node_get_jid(n, "from", &from) != WAGW_OK) {
        return WAGW_OK;
    }
    if (wagw_node_get_jid(k, "call-creator", &creator) != WAGW_OK) {
        creator = from;
    }
    if (!wagw_jid_is_person(&creator) || wagw_is_me(t->c, &creator)) {
        return WAGW_OK; /* our own phone calls somebody */
    }
    offered = wagw_node_is(k, "offer") || wagw_node_is(k, "offer_notice");
    if (!offered && !wagw_node_is(k, "accept") && !wagw_node_is(k, "reject") && !wagw_node_is(k, "terminate")) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_lid_learn_attr(t, k, &creator, "caller_lid", "caller_pn", "call"));
    rc = call_get(t, c.id, &c);
    if (rc == WAGW_OK) {
        return offered ? WAGW_OK : known_call(t, k, &c, wagw_is_me(t->c, &from));
    }
    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    WAGW_TRY(wagw_chat_canonical(t, &creator, &canon));
    c.from = wagw_jid_str(&t->arena, &canon);
    WAGW_TRY(caller_name(t, &canon, n, &c.name));
    if (offered) {
        return offer(t, n, k, &c, &creator);
    }
    /* its offer was not for us, or is long gone: told, but not kept */
    if (wagw_node_is(k, "accept")) {
        return call_event(t, "call.accepted", &c, t->now);
    }
    c.reason = wagw_node_is(k, "reject")                                          ? WAGW_STR("reject")
               : wagw_node_attr_is(k, "reason", "timeout")                        ? WAGW_STR("timeout")
               : wagw_str_ends(wagw_node_get(k, "reason"), WAGW_STR("elsewhere")) ? WAGW_STR("elsewhere")
                                                                                  : WAGW_STR("terminate");
    return call_event(t, "call.rejected", &c, t->now);
}

/* ---- the list ---------------------------------------------------------------------------------- */

int wagw_calls_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    size_t limit = (size_t)wagw_param_int(params, "limit", 50);
    calls_t *all;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    WAGW_TRY(calls_all(t, &all));
    wagw_json_open(&j, '[');
    for (size_t i = 0; i < all->n && i < limit; i++) {
        const call_t *c = &all->all[i];

        wagw_json_open(&j, '{');
        call_members(&j, c);
        wagw_json_kcstr(&j, "status", status_names[c->status]);
        if (c->reason.n) {
            wagw_json_kstr(&j, "reason", c->reason);
        } else {
            wagw_json_knull(&j, "reason");
        }
        wagw_json_kiso(&j, "timestamp", c->t_ms);
        wagw_json_kiso(&j, "endedAt", c->end_ms);
        wagw_json_close(&j);
    }
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}
