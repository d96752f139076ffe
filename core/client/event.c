/*
 * Events (contract 4.4): part of the turn's commit, numbered without gaps.
 */

#include "client_i.h"

#include <stdio.h>
#include <stdlib.h>

#define CROCKFORD "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

/* A ULID: 48 bits of milliseconds, 80 random ones. */
static void ulid(wagw_turn_t *t, char out[27])
{
    uint8_t r[10];
    uint64_t ms = (uint64_t)t->now, hi, lo;

    wagw_turn_random(t, r, sizeof(r));
    for (int i = 9; i >= 0; i--) {
        out[i] = CROCKFORD[ms & 31];
        ms >>= 5;
    }
    hi = lo = 0;
    for (int i = 0; i < 5; i++) {
        hi = hi << 8 | r[i];
        lo = lo << 8 | r[5 + i];
    }
    for (int i = 7; i >= 0; i--) {
        out[10 + i] = CROCKFORD[hi & 31];
        out[18 + i] = CROCKFORD[lo & 31];
        hi >>= 5;
        lo >>= 5;
    }
    out[26] = '\0';
}

int wagw_event_emit(wagw_turn_t *t, const char *name, wagw_str_t chat, wagw_buf_t *json)
{
    int rc;
    char id[27];
    wagw_event_t e;

    if (json->failed) {
        wagw_buf_free(json);
        return WAGW_NOMEM;
    }
    memset(&e, 0, sizeof(e));
    ulid(t, id);
    snprintf(e.id, sizeof(e.id), "evt_%s", id);
    e.seq = t->c->event_seq + t->nevents + 1;
    e.at_ms = t->now;
    e.name = name;
    e.chat = chat;
    e.data = wagw_buf_view(json);
    rc = wagw_txn_event(&t->txn, &e);
    if (rc == WAGW_OK) {
        t->nevents++;
    }
    wagw_buf_free(json);
    return rc;
}

static void raw_or_null(wagw_json_t *j, const char *key, wagw_str_t v)
{
    if (v.n) {
        wagw_json_kraw(j, key, v);
    }
}

static wagw_str_t own_text(wagw_turn_t *t)
{
    wagw_jid_t own;

    if (wagw_turn_me(t) == NULL) {
        return WAGW_STR("");
    }
    own = wagw_jid_user(&wagw_turn_me(t)->jid);
    return wagw_jid_str(&t->arena, &own);
}

int wagw_event_message(wagw_turn_t *t, const char *name, const wagw_row_message_t *m, const char *source)
{
    bool group;
    wagw_buf_t b = {0};
    wagw_jid_t alt;
    wagw_json_t j = wagw_json(&b);

    group = wagw_str_ends(m->chat, WAGW_STR("@g.us")) || wagw_str_ends(m->chat, WAGW_STR("@broadcast"));
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", m->id);
    wagw_json_kstr(&j, "from", m->from_me ? own_text(t) : m->sender.n ? m->sender : m->chat);
    wagw_json_kstr(&j, "to", m->from_me ? m->chat : own_text(t));
    wagw_json_kstr(&j, "chatId", m->chat);
    if (group && !m->from_me) {
        wagw_json_kstr(&j, "participant", m->sender);
    }
    wagw_json_kbool(&j, "fromMe", m->from_me);
    wagw_json_kbool(&j, "isGroup", wagw_str_ends(m->chat, WAGW_STR("@g.us")));
    if (m->push_name.n) {
        wagw_json_kstr(&j, "pushName", m->push_name);
    }
    wagw_json_kstr(&j, "body", m->body);
    wagw_json_kstr(&j, "type", m->type);
    wagw_message_media_members(&j, m, wagw_cstr(t->c->conf.id));
    wagw_message_detail_members(&j, m);
    raw_or_null(&j, "quoted", m->quoted);
    raw_or_null(&j, "mentions", m->mentions);
    wagw_json_kiso(&j, "timestamp", m->t_ms);
    if (source) {
        wagw_json_kcstr(&j, "source", source);
    }
    if (m->ref.n) {
        wagw_json_kstr(&j, "ref", m->ref);
    }
    if (m->flags & WAGW_ROW_FORWARDED) {
        wagw_json_kbool(&j, "isForwarded", true);
    }
    if (!m->from_me && m->sender_alt.n && wagw_jid_parse(&alt, m->sender_alt) == WAGW_OK) {
        wagw_json_kstr(&j, wagw_jid_is_lid(&alt) ? "fromLid" : "fromPhone", m->sender_alt);
    }
    wagw_json_key(&j, "key");
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "remoteJid", m->chat);
    wagw_json_kbool(&j, "fromMe", m->from_me);
    wagw_json_kstr(&j, "id", m->id);
    if (group && !m->from_me) {
        wagw_json_kstr(&j, "participant", m->sender);
    }
    wagw_json_close(&j);
    wagw_json_close(&j);
    return wagw_event_emit(t, name, m->chat, &b);
}

int wagw_event_ack(wagw_turn_t *t, const wagw_row_message_t *m, const wagw_jid_t *from, wagw_str_t participant,
                   unsigned ack, int64_t at_ms)
{
    static const char *const names[] = {"pending", "sent", "delivered", "read", "played"};
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", m->id);
    wagw_json_kstr(&j, "chatId", m->chat);
    wagw_json_kstr(&j, "from", wagw_jid_str(&t->arena, from));
    if (participant.n) {
        wagw_json_kstr(&j, "participant", participant);
    }
    wagw_json_kint(&j, "ack", ack);
    wagw_json_kcstr(&j, "ackName", names[ack < 5 ? ack : 4]);
    wagw_json_kiso(&j, "timestamp", at_ms);
    wagw_json_close(&j);
    return wagw_event_emit(t, "message.ack", m->chat, &b);
}

/* ---- events of the owner ------------------------------------------------------ */

static const char *event_owner_name(wagw_str_t name)
{
    static const char *const names[] = {"job.progress",  "job.done",        "limit.warning",
                                        "schedule.sent", "schedule.failed", "message.failed"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (wagw_str_eq(name, wagw_cstr(names[i]))) {
            return names[i];
        }
    }
    return NULL;
}

static int event_sends(wagw_turn_t *t, const cJSON *o)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_sends_result_t r = {0};

    if (!cJSON_IsObject(o)) {
        return WAGW_OK;
    }
    r.num = (uint64_t)wagw_param_int(o, "num", 0);
    r.at = (uint32_t)wagw_param_int(o, "at", 0);
    r.rest = wagw_param_bool(o, "rest", false);
    r.status = (uint8_t)wagw_param_int(o, "status", 0);
    r.code = wagw_param_str(o, "code");
    r.error = wagw_param_str(o, "error");
    r.now_ms = t->now;
    r.next_ms = wagw_param_int(o, "next", t->now);
    rc = wagw_row_sends_result_encode(&b, &r);
    if (rc == WAGW_OK) {
        rc = wagw_txn_op(&t->txn, WAGW_OP_SENDS, WAGW_STR_NULL, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

int wagw_event_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    char *text;
    wagw_buf_t b = {0};
    wagw_result_t r = {.status = 200};
    const char *name = event_owner_name(wagw_param_str(params, "_event"));
    const cJSON *sends = cJSON_GetObjectItemCaseSensitive(params, "_sends"), *one;

    if (cJSON_IsArray(sends)) {
        cJSON_ArrayForEach(one, sends)
        {
            WAGW_TRY(event_sends(t, one));
        }
    } else {
        WAGW_TRY(event_sends(t, sends));
    }
    if (name) {
        text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(params, "_data"));
        wagw_buf_cstr(&b, text ? text : "{}");
        free(text);
        rc = wagw_event_emit(t, name, wagw_param_str(params, "_chat"), &b);
        if (rc != WAGW_OK) {
            return rc;
        }
    }
    return wagw_turn_reply(t, command, &r);
}
