/*
 * What WhatsApp does not let the account do: the reach-out time-lock (04
 * section 16, 10 section 7.2).  While it lasts nobody new can be written to;
 * each try counts against the account, so none is made.
 */

#include "client_i.h"

#include <stdio.h>

#define MEX_MAX 65536
#define END_UNKNOWN_MS 60000

enum { LOCK_ENDS = 1, LOCK_TYPE };

static int lock_event(wagw_turn_t *t, bool active, const char *type, int64_t ends_ms)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "isActive", active);
    wagw_json_kcstr(&j, "type", type[0] ? type : "DEFAULT");
    wagw_json_kiso(&j, "endsAt", ends_ms);
    wagw_json_close(&j);
    return wagw_event_emit(t, "account.restricted", WAGW_STR_NULL, &b);
}

static void lock_then(wagw_client_t *c, void *arg)
{
    c->lock = *(wagw_timelock_t *)arg;
}

static int lock_set(wagw_turn_t *t, const wagw_timelock_t *l)
{
    int rc;
    wagw_buf_t b = {0};

    if (l->ends_ms == 0) {
        rc = wagw_txn_del(&t->txn, WAGW_REC_META, WAGW_STR("timelock"));
    } else {
        wagw_tlv_put_u(&b, LOCK_ENDS, (uint64_t)l->ends_ms);
        wagw_tlv_put_s(&b, LOCK_TYPE, wagw_cstr(l->type));
        rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_META, WAGW_STR("timelock"), wagw_buf_view(&b));
        wagw_buf_free(&b);
    }
    WAGW_TRY(rc);
    return wagw_turn_then(t, lock_then, l, sizeof(*l));
}

int wagw_limit_restore(wagw_turn_t *t)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_str_t v, s;
    wagw_tlv_t r;
    wagw_timelock_t l = {0};

    rc = wagw_txn_get(&t->txn, WAGW_REC_META, WAGW_STR("timelock"), &v);
    if (rc == WAGW_NOT_FOUND) {
        v = WAGW_STR_NULL;
    } else {
        WAGW_TRY(rc);
    }
    r = (wagw_tlv_t){v, 0};
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        if (tag == LOCK_ENDS) {
            l.ends_ms = (int64_t)u;
        } else if (tag == LOCK_TYPE) {
            wagw_creds_text(l.type, sizeof(l.type), s);
        }
    }
    return wagw_turn_then(t, lock_then, &l, sizeof(l));
}

/* {is_active, enforcement_type, time_enforcement_ends}: the last is a string of seconds. */
static int lock_told(wagw_turn_t *t, const cJSON *o)
{
    double ends;
    wagw_timelock_t l = {0};
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "enforcement_type"));
    const cJSON *end = cJSON_GetObjectItemCaseSensitive(o, "time_enforcement_ends");
    uint64_t seconds = 0;
    bool was = t->c->lock.ends_ms > t->now;

    if (cJSON_IsString(end)) {
        (void)wagw_str_u64(wagw_cstr(end->valuestring), &seconds);
    } else if (cJSON_IsNumber(end) && end->valuedouble > 0) {
        ends = end->valuedouble;
        seconds = ends < 1e12 ? (uint64_t)ends : 0;
    }
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "is_active"))) {
        l.ends_ms = seconds && seconds < (1ull << 40) ? (int64_t)seconds * 1000 : t->now + END_UNKNOWN_MS;
        wagw_creds_text(l.type, sizeof(l.type), wagw_cstr(type));
        if (l.ends_ms == t->c->lock.ends_ms && strcmp(l.type, t->c->lock.type) == 0) {
            return WAGW_OK;
        }
    } else if (t->c->lock.ends_ms == 0) {
        return WAGW_OK;
    }
    WAGW_TRY(lock_set(t, &l));
    if (l.ends_ms == 0) {
        return was ? lock_event(t, false, t->c->lock.type, 0) : WAGW_OK;
    }
    return lock_event(t, true, l.type, l.ends_ms);
}

int wagw_limit_notification(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc = WAGW_OK;
    cJSON *json;
    wagw_str_t text;
    const cJSON *lock;
    const wagw_node_t *u;

    for (u = wagw_node_find(n, "update"); u && rc == WAGW_OK; u = wagw_node_find_next(u, "update")) {
        text = wagw_node_data(u);
        if (text.n == 0 || text.n > MEX_MAX) {
            continue;
        }
        json = cJSON_ParseWithLength((const char *)text.p, text.n);
        lock = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, "data"),
                                                "xwa2_notify_account_reachout_timelock");
        if (cJSON_IsObject(lock) && cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "errors")) == 0) {
            rc = lock_told(t, lock);
        }
        cJSON_Delete(json);
    }
    return rc;
}

static int lock_result(wagw_turn_t *t, wagw_result_t *r, int code)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_timelock_t *l = &t->c->lock;
    int64_t ends = l->ends_ms > t->now ? l->ends_ms : 0;

    memset(r, 0, sizeof(*r));
    r->status = 429;
    r->code = "WA_ACCOUNT_RESTRICTED";
    r->error = "WhatsApp does not let this account open new chats now";
    wagw_json_open(&j, '{');
    wagw_json_kiso(&j, "endsAt", ends);
    wagw_json_kcstr(&j, "type", ends && l->type[0] ? l->type : "DEFAULT");
    wagw_json_kint(&j, "code", code);
    wagw_json_close(&j);
    r->details = wagw_arena_str(&t->arena, wagw_buf_view(&b));
    rc = b.failed || r->details.p == NULL ? WAGW_NOMEM : WAGW_OK;
    wagw_buf_free(&b);
    if (ends) {
        ends = (ends - t->now + 999) / 1000;
        r->retry_after = ends < 0x7fffffff ? (int)ends : 0x7fffffff;
    }
    return rc;
}

int wagw_limit_refused(wagw_turn_t *t, wagw_result_t *r)
{
    const wagw_timelock_t *l = &t->c->lock;

    WAGW_TRY(lock_result(t, r, 463));
    return lock_event(t, true, l->ends_ms > t->now ? l->type : "", l->ends_ms > t->now ? l->ends_ms : 0);
}

int wagw_limit_new_chat(wagw_turn_t *t, uint64_t command, wagw_str_t chat, bool *refused)
{
    int rc;
    wagw_result_t r;
    wagw_row_chat_t row;

    *refused = false;
    if (t->c->lock.ends_ms <= t->now) {
        return WAGW_OK;
    }
    rc = wagw_turn_chat(t, chat, &row);
    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    *refused = true;
    WAGW_TRY(lock_result(t, &r, 463));
    return wagw_turn_reply(t, command, &r);
}
