/*
 * REST calls that change app state (contract 3.4, 3.5, 3.9, 3.13; 07 section
 * 10).  Each becomes one patch; the answer follows when the server took it.
 */

#include "app_i.h"

#include <stdio.h>
#include <stdlib.h>

#define MUTE_MAX_S (10LL * 365 * 86400)
#define FOREVER "9999-12-31T23:59:59.999Z"

static int fail(wagw_turn_t *t, uint64_t command, int status, const char *code, const char *error)
{
    return wagw_turn_fail(t, command, status, code, error);
}

static int chat_unknown(wagw_turn_t *t, uint64_t command)
{
    return fail(t, command, 404, "CHAT_NOT_FOUND", "Chat not found");
}

static char *dup(wagw_turn_t *t, wagw_str_t s)
{
    return (char *)wagw_arena_str(&t->arena, s).p;
}

static wagw_str_t data_of(wagw_turn_t *t, wagw_buf_t *b)
{
    wagw_str_t s = b->failed ? WAGW_STR_NULL : wagw_arena_str(&t->arena, wagw_buf_view(b));

    wagw_buf_free(b);
    return s;
}

wagw_str_t wagw_app_index_text(wagw_turn_t *t, const wagw_str_t *part, size_t n)
{
    wagw_buf_t b = {0};
    wagw_str_t s = WAGW_STR_NULL;

    if (wagw_app_index(&b, part, n) == WAGW_OK) {
        s = wagw_arena_str(&t->arena, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return s;
}

/*
 * The index of a chat.  What was set under the person's other address stays
 * there: two records of one chat would contradict each other.
 */
static int chat_index(wagw_turn_t *t, wagw_app_collection_t c, wagw_str_t *part, size_t n, const wagw_jid_t *chat,
                      wagw_str_t *index)
{
    int rc;
    wagw_jid_t twin;
    wagw_str_t other, key;

    part[1] = wagw_jid_str(&t->arena, chat);
    *index = wagw_app_index_text(t, part, n);
    if (index->p == NULL) {
        return WAGW_NOMEM;
    }
    if (!wagw_jid_is_person(chat)) {
        return WAGW_OK;
    }
    rc = wagw_lid_twin(t, chat, &twin);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    twin = wagw_jid_user(&twin);
    part[1] = wagw_jid_str(&t->arena, &twin);
    other = wagw_app_index_text(t, part, n);
    if (other.p == NULL) {
        return WAGW_NOMEM;
    }
    rc = wagw_app_key_of(&t->txn, &t->arena, c, other, &key);
    if (rc == WAGW_OK) {
        *index = other;
    } else if (rc == WAGW_NOT_FOUND) {
        part[1] = wagw_jid_str(&t->arena, chat);
    } else {
        return rc;
    }
    return WAGW_OK;
}

/* The chat of the call and its row; *found false: answered. */
static int the_chat(wagw_turn_t *t, uint64_t command, const cJSON *params, bool must, wagw_jid_t *chat,
                    wagw_row_chat_t *row, bool *found)
{
    int rc;

    *found = false;
    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, chat));
    if (wagw_jid_empty(chat)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, chat, chat));
    rc = wagw_turn_chat(t, wagw_jid_str(&t->arena, chat), row);
    if (rc == WAGW_NOT_FOUND && must) {
        return chat_unknown(t, command);
    }
    if (rc == WAGW_NOT_FOUND) {
        row->id = wagw_jid_str(&t->arena, chat);
    } else if (rc != WAGW_OK) {
        return rc;
    }
    *found = true;
    return WAGW_OK;
}

/* Up to the last message of the chat (07 section 9); wire: the chat's name in the index. */
static int message_range(wagw_turn_t *t, const wagw_row_chat_t *c, wagw_str_t wire,
                         Wa__SyncActionValue__SyncActionMessageRange **out)
{
    int rc;
    wagw_jid_t chat, who;
    Wa__MessageKey *key = wagw_arena_alloc(&t->arena, sizeof(*key));
    wagw_row_message_t m;
    Wa__SyncActionValue__SyncActionMessage *one = wagw_arena_alloc(&t->arena, sizeof(*one));
    Wa__SyncActionValue__SyncActionMessage **list = wagw_arena_alloc(&t->arena, sizeof(one));
    Wa__SyncActionValue__SyncActionMessageRange *r = wagw_arena_alloc(&t->arena, sizeof(*r));

    if (key == NULL || one == NULL || list == NULL || r == NULL) {
        return WAGW_NOMEM;
    }
    wa__sync_action_value__sync_action_message_range__init(r);
    *out = r;
    r->has_lastmessagetimestamp = 1;
    r->lastmessagetimestamp = (c->last_ms ? c->last_ms : t->now) / 1000;
    if (c->last_id.n == 0) {
        return WAGW_OK;
    }
    wa__message_key__init(key);
    wa__sync_action_value__sync_action_message__init(one);
    key->remotejid = dup(t, wire);
    key->has_fromme = 1;
    key->fromme = c->last_from_me;
    key->id = dup(t, c->last_id);
    if (!c->last_from_me && wagw_jid_parse(&chat, c->id) == WAGW_OK && !wagw_jid_is_person(&chat)) {
        rc = wagw_turn_message_find(t, c->id, c->last_id, &m, NULL);
        if (rc == WAGW_OK && wagw_jid_parse(&who, m.sender) == WAGW_OK) {
            who = wagw_jid_user(&who);
            key->participant = dup(t, wagw_jid_str(&t->arena, &who));
        } else if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }
    one->key = key;
    one->has_timestamp = 1;
    one->timestamp = r->lastmessagetimestamp;
    list[0] = one;
    r->n_messages = 1;
    r->messages = list;
    return key->remotejid && key->id ? WAGW_OK : WAGW_NOMEM;
}

/* ---- chats ---- */

static int archive(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found, on = wagw_param_bool(params, "archive", true);
    unsigned n = 1;
    wagw_jid_t chat;
    wagw_str_t part[2] = {WAGW_STR("archive")}, pin[2] = {WAGW_STR("pin_v1")};
    wagw_app_do_t ch[2] = {{.version = 3}, {.version = 5}};
    wagw_row_chat_t c;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT, p = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__PinAction pa = WA__SYNC_ACTION_VALUE__PIN_ACTION__INIT;
    Wa__SyncActionValue__ArchiveChatAction a = WA__SYNC_ACTION_VALUE__ARCHIVE_CHAT_ACTION__INIT;

    WAGW_TRY(the_chat(t, command, params, true, &chat, &c, &found));
    if (!found) {
        return WAGW_OK;
    }
    WAGW_TRY(chat_index(t, WAGW_APP_REGULAR_LOW, part, 2, &chat, &ch[0].index));
    WAGW_TRY(message_range(t, &c, part[1], &a.messagerange));
    a.has_archived = 1;
    a.archived = on;
    v.archivechataction = &a;
    ch[0].value = wagw_app_value(t, &v);
    if (on) {
        /* phones show a pinned chat outside of the archive */
        WAGW_TRY(chat_index(t, WAGW_APP_REGULAR_LOW, pin, 2, &chat, &ch[1].index));
        pa.has_pinned = 1;
        p.pinaction = &pa;
        ch[1].value = wagw_app_value(t, &p);
        n = 2;
    }
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_LOW, ch, n,
                          on ? "Chat archived successfully" : "Chat unarchived successfully", WAGW_STR_NULL);
}

static int pin(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found, on = wagw_param_bool(params, "pin", true);
    wagw_jid_t chat;
    wagw_str_t part[2] = {WAGW_STR("pin_v1")};
    wagw_app_do_t ch = {.version = 5};
    wagw_row_chat_t c;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__PinAction a = WA__SYNC_ACTION_VALUE__PIN_ACTION__INIT;

    WAGW_TRY(the_chat(t, command, params, false, &chat, &c, &found));
    if (!found) {
        return WAGW_OK;
    }
    WAGW_TRY(chat_index(t, WAGW_APP_REGULAR_LOW, part, 2, &chat, &ch.index));
    a.has_pinned = 1;
    a.pinned = on;
    v.pinaction = &a;
    ch.value = wagw_app_value(t, &v);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_LOW, &ch, 1,
                          on ? "Chat pinned successfully" : "Chat unpinned successfully", WAGW_STR_NULL);
}

static int mute(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found, on = wagw_param_bool(params, "mute", true);
    int64_t s = wagw_param_int(params, "duration", 0), until = 0;
    wagw_jid_t chat;
    wagw_buf_t b = {0};
    wagw_str_t part[2] = {WAGW_STR("mute")};
    wagw_json_t j = wagw_json(&b);
    wagw_app_do_t ch = {.version = 2};
    wagw_row_chat_t c;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__MuteAction a = WA__SYNC_ACTION_VALUE__MUTE_ACTION__INIT;

    WAGW_TRY(the_chat(t, command, params, false, &chat, &c, &found));
    if (!found) {
        return WAGW_OK;
    }
    WAGW_TRY(chat_index(t, WAGW_APP_REGULAR_HIGH, part, 2, &chat, &ch.index));
    a.has_muted = 1;
    a.muted = on;
    if (on) {
        until = s > 0 && s < MUTE_MAX_S ? t->now + t->c->server_offset_ms + s * 1000 : -1;
        a.has_muteendtimestamp = 1;
        a.muteendtimestamp = until;
    }
    v.muteaction = &a;
    ch.value = wagw_app_value(t, &v);
    wagw_json_open(&j, '{');
    if (until < 0) {
        wagw_json_kcstr(&j, "mutedUntil", FOREVER);
    } else {
        wagw_json_kiso(&j, "mutedUntil", until);
    }
    wagw_json_close(&j);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_HIGH, &ch, 1,
                          on ? "Chat muted successfully" : "Chat unmuted successfully", data_of(t, &b));
}

static int read_state(wagw_turn_t *t, uint64_t command, const wagw_jid_t *chat, const wagw_row_chat_t *c, bool read,
                      const char *message, wagw_str_t data)
{
    wagw_str_t part[2] = {WAGW_STR("markChatAsRead")};
    wagw_app_do_t ch = {.version = 3};
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__MarkChatAsReadAction a = WA__SYNC_ACTION_VALUE__MARK_CHAT_AS_READ_ACTION__INIT;

    WAGW_TRY(chat_index(t, WAGW_APP_REGULAR_LOW, part, 2, chat, &ch.index));
    WAGW_TRY(message_range(t, c, part[1], &a.messagerange));
    a.has_read = 1;
    a.read = read;
    v.markchatasreadaction = &a;
    ch.value = wagw_app_value(t, &v);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_LOW, &ch, 1, message, data);
}

static int unread(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found;
    wagw_buf_t b = {0};
    wagw_jid_t chat;
    wagw_json_t j = wagw_json(&b);
    wagw_row_chat_t c;

    WAGW_TRY(the_chat(t, command, params, true, &chat, &c, &found));
    if (!found) {
        return WAGW_OK;
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", c.id);
    wagw_json_kint(&j, "unreadCount", c.unread ? c.unread : 1);
    wagw_json_close(&j);
    return read_state(t, command, &chat, &c, false, "Chat marked as unread", data_of(t, &b));
}

/* Read here, so read everywhere; nobody waits for it. */
int wagw_app_seen(wagw_turn_t *t, wagw_str_t id)
{
    int rc;
    wagw_jid_t chat;
    wagw_str_t key;
    wagw_app_meta_t m;
    wagw_row_chat_t c;

    if (wagw_jid_parse(&chat, id) != WAGW_OK) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_app_meta(t, &m));
    rc = wagw_app_key_best(&t->txn, &t->arena, m.expired, &key);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    rc = wagw_turn_chat(t, id, &c);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    return read_state(t, 0, &chat, &c, true, NULL, WAGW_STR_NULL);
}

static int clear_chat(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found;
    wagw_buf_t b = {0};
    wagw_jid_t chat;
    wagw_str_t part[4] = {WAGW_STR("clearChat"), WAGW_STR_NULL, WAGW_STR("1"), WAGW_STR("0")};
    wagw_json_t j = wagw_json(&b);
    wagw_app_do_t ch = {.version = 6};
    wagw_row_chat_t c;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__ClearChatAction a = WA__SYNC_ACTION_VALUE__CLEAR_CHAT_ACTION__INIT;

    WAGW_TRY(the_chat(t, command, params, true, &chat, &c, &found));
    if (!found) {
        return WAGW_OK;
    }
    if (wagw_param_bool(params, "keepStarred", false)) {
        part[2] = WAGW_STR("0");
    }
    WAGW_TRY(chat_index(t, WAGW_APP_REGULAR_HIGH, part, 4, &chat, &ch.index));
    WAGW_TRY(message_range(t, &c, part[1], &a.messagerange));
    v.clearchataction = &a;
    ch.value = wagw_app_value(t, &v);
    wagw_json_open(&j, '{');
    wagw_json_kint(&j, "deleted", wagw_param_int(params, "_messages", 0));
    wagw_json_close(&j);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_HIGH, &ch, 1, "Chat cleared successfully", data_of(t, &b));
}

static int delete_chat(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found, local = wagw_param_bool(params, "local", false);
    wagw_buf_t b = {0};
    wagw_jid_t chat;
    wagw_str_t part[3] = {WAGW_STR("deleteChat"), WAGW_STR_NULL, WAGW_STR("1")};
    wagw_json_t j = wagw_json(&b);
    wagw_app_do_t ch = {.version = 6};
    wagw_result_t r = {0};
    wagw_row_chat_t c;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__DeleteChatAction a = WA__SYNC_ACTION_VALUE__DELETE_CHAT_ACTION__INIT;

    WAGW_TRY(the_chat(t, command, params, true, &chat, &c, &found));
    if (!found) {
        return WAGW_OK;
    }
    if (!local) {
        WAGW_TRY(chat_index(t, WAGW_APP_REGULAR_HIGH, part, 3, &chat, &ch.index));
        WAGW_TRY(message_range(t, &c, part[1], &a.messagerange));
        v.deletechataction = &a;
        ch.value = wagw_app_value(t, &v);
    }
    wagw_json_open(&j, '{');
    wagw_json_key(&j, "deleted");
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chat", c.id);
    wagw_json_kint(&j, "messages", wagw_param_int(params, "_messages", 0));
    wagw_json_close(&j);
    wagw_json_close(&j);
    r.status = 200;
    r.message = "Chat deleted successfully";
    r.data = data_of(t, &b);
    if (local) {
        WAGW_TRY(wagw_app_clear(t, c.id, t->now, false));
        WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_CHAT, c.id));
        return wagw_turn_reply(t, command, &r);
    }
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_HIGH, &ch, 1, r.message, r.data);
}

/* ---- messages ---- */

/* ["head", chat, id, fromMe, author | 0] of a stored message; *found false: none is stored. */
static int message_index(wagw_turn_t *t, const char *head, const wagw_jid_t *chat, wagw_str_t id, wagw_str_t *index,
                         wagw_row_message_t *m, bool *found)
{
    int rc;
    wagw_jid_t who;
    wagw_str_t part[5] = {wagw_cstr(head), WAGW_STR_NULL, id, WAGW_STR("0"), WAGW_STR("0")};

    rc = wagw_turn_message_find(t, wagw_jid_str(&t->arena, chat), id, m, NULL);
    *found = rc == WAGW_OK;
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    if (m->from_me) {
        part[3] = WAGW_STR("1");
    } else if (!wagw_jid_is_person(chat) && wagw_jid_parse(&who, m->sender) == WAGW_OK) {
        who = wagw_jid_user(&who);
        part[4] = wagw_jid_str(&t->arena, &who);
    }
    return chat_index(t, WAGW_APP_REGULAR_HIGH, part, 5, chat, index);
}

static int message_unknown(wagw_turn_t *t, uint64_t command)
{
    return fail(t, command, 404, "MESSAGE_NOT_FOUND", "Message not found");
}

static int star(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found, on = wagw_param_bool(params, "star", true);
    unsigned n = 0;
    wagw_jid_t chat;
    wagw_str_t ids[WAGW_APP_DO_MAX];
    const cJSON *item;
    wagw_app_do_t ch[WAGW_APP_DO_MAX];
    wagw_row_message_t m;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__StarAction a = WA__SYNC_ACTION_VALUE__STAR_ACTION__INIT;

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, &chat));
    if (wagw_jid_empty(&chat)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
    if (wagw_param_str(params, "messageId").n) {
        ids[n++] = wagw_param_str(params, "messageId");
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(params, "messages"))
    {
        wagw_str_t id = cJSON_IsString(item) ? wagw_cstr(item->valuestring) : wagw_param_str(item, "id");

        if (n < WAGW_APP_DO_MAX && id.n) {
            ids[n++] = id;
        }
    }
    a.has_starred = 1;
    a.starred = on;
    v.staraction = &a;
    for (unsigned i = 0; i < n; i++) {
        ch[i] = (wagw_app_do_t){.version = 2};
        WAGW_TRY(message_index(t, "star", &chat, ids[i], &ch[i].index, &m, &found));
        if (!found) {
            return message_unknown(t, command);
        }
        ch[i].value = wagw_app_value(t, &v);
    }
    if (n == 0) {
        return message_unknown(t, command);
    }
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_HIGH, ch, n,
                          on ? "Message starred successfully" : "Message unstarred successfully", WAGW_STR_NULL);
}

static int delete_for_me(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool found;
    wagw_buf_t b = {0};
    wagw_jid_t chat;
    wagw_str_t id = wagw_param_str(params, "messageId");
    wagw_json_t j = wagw_json(&b);
    wagw_app_do_t ch = {.version = 3};
    wagw_row_message_t m;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__DeleteMessageForMeAction a = WA__SYNC_ACTION_VALUE__DELETE_MESSAGE_FOR_ME_ACTION__INIT;

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, &chat));
    if (wagw_jid_empty(&chat)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
    WAGW_TRY(message_index(t, "deleteMessageForMe", &chat, id, &ch.index, &m, &found));
    if (!found) {
        return message_unknown(t, command);
    }
    a.has_deletemedia = 1;
    a.deletemedia = 1;
    a.has_messagetimestamp = 1;
    a.messagetimestamp = m.t_ms / 1000;
    v.deletemessageformeaction = &a;
    ch.value = wagw_app_value(t, &v);
    wagw_json_open(&j, '{');
    wagw_json_key(&j, "deleted");
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", id);
    wagw_json_kint(&j, "count", 1);
    wagw_json_close(&j);
    wagw_json_close(&j);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_HIGH, &ch, 1, "Message deleted successfully", data_of(t, &b));
}

/* ---- contacts, own name ---- */

static int contact(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    bool gone = wagw_param_bool(params, "remove", false), lid_only;
    wagw_buf_t b = {0};
    wagw_jid_t who, twin;
    wagw_str_t full = wagw_param_str(params, "fullName"), first = wagw_param_str(params, "firstName");
    wagw_str_t user = wagw_param_str(params, "username"), part[2];
    wagw_json_t j = wagw_json(&b);
    wagw_app_do_t ch = {.remove = gone, .version = 2};
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__ContactAction a = WA__SYNC_ACTION_VALUE__CONTACT_ACTION__INIT;
    Wa__SyncActionValue__LidContactAction l = WA__SYNC_ACTION_VALUE__LID_CONTACT_ACTION__INIT;

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", "phone", &who));
    if (wagw_jid_empty(&who)) {
        return WAGW_OK;
    }
    if (!wagw_jid_is_person(&who)) {
        return fail(t, command, 400, "INVALID_JID", "Only people are contacts");
    }
    WAGW_TRY(wagw_chat_canonical(t, &who, &who));
    full = full.n ? full : wagw_param_str(params, "name");
    full = full.n ? full : first.n ? first : user;
    if (!gone && full.n == 0) {
        return fail(t, command, 400, "VALIDATION_FAILED", "A name is needed");
    }
    lid_only = wagw_jid_is_lid(&who);
    part[0] = lid_only ? WAGW_STR("lid_contact") : WAGW_STR("contact");
    part[1] = wagw_jid_str(&t->arena, &who);
    ch.index = wagw_app_index_text(t, part, 2);
    rc = wagw_lid_twin(t, &who, &twin);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (lid_only) {
        ch.version = 1;
        l.fullname = gone ? NULL : dup(t, full);
        l.firstname = gone || first.n == 0 ? NULL : dup(t, first);
        l.username = gone || user.n == 0 ? NULL : dup(t, user);
        v.lidcontactaction = &l;
    } else {
        if (!gone) {
            a.fullname = dup(t, full);
            a.firstname = first.n ? dup(t, first) : NULL;
            a.username = user.n ? dup(t, user) : NULL;
            a.has_saveonprimaryaddressbook = 1;
            a.saveonprimaryaddressbook = 1;
            if (rc == WAGW_OK) {
                twin = wagw_jid_user(&twin);
                a.lidjid = dup(t, wagw_jid_str(&t->arena, &twin));
            }
        }
        v.contactaction = &a;
    }
    ch.value = wagw_app_value(t, &v);
    if (!gone) {
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "jid", part[1]);
        if (lid_only || rc == WAGW_OK) {
            twin = lid_only ? who : twin;
            wagw_json_kstr(&j, "lid", wagw_jid_str(&t->arena, &twin));
        } else {
            wagw_json_knull(&j, "lid");
        }
        if (lid_only) {
            wagw_json_knull(&j, "phoneNumber");
        } else {
            wagw_json_kcstr(&j, "phoneNumber", who.user);
        }
        wagw_json_kstr(&j, "name", full);
        wagw_json_close(&j);
    }
    return wagw_app_queue(t, command, WAGW_APP_CRITICAL_UNBLOCK_LOW, &ch, 1,
                          gone ? "Contact deleted successfully" : "Contact updated successfully", data_of(t, &b));
}

static int push_name(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_buf_t b = {0};
    wagw_str_t name = wagw_param_str(params, "name"), part = WAGW_STR("setting_pushName");
    wagw_json_t j = wagw_json(&b);
    wagw_app_do_t ch = {.version = 1};
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__PushNameSetting a = WA__SYNC_ACTION_VALUE__PUSH_NAME_SETTING__INIT;

    ch.index = wagw_app_index_text(t, &part, 1);
    a.name = dup(t, name);
    v.pushnamesetting = &a;
    ch.value = wagw_app_value(t, &v);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "name", name);
    wagw_json_close(&j);
    return wagw_app_queue(t, command, WAGW_APP_CRITICAL_BLOCK, &ch, 1, "Profile name updated successfully",
                          data_of(t, &b));
}

/* Who sees our status posts: without `jids` the list stays, if the mode does. */
static int status_privacy(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    size_t n = 0, k = 0;
    wagw_buf_t b = {0};
    wagw_jid_t j;
    wagw_str_t mode = wagw_param_str(params, "mode"), part = WAGW_STR("status_privacy");
    wagw_json_t json = wagw_json(&b);
    const cJSON *item, *list = cJSON_GetObjectItemCaseSensitive(params, "jids");
    wagw_app_do_t ch = {.version = 7};
    wagw_story_mode_t m;
    wagw_story_privacy_t old;
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__StatusPrivacyAction a = WA__SYNC_ACTION_VALUE__STATUS_PRIVACY_ACTION__INIT;

    WAGW_TRY(wagw_story_privacy(t, &old));
    m = wagw_str_is(mode, "allow")  ? WAGW_STORY_ALLOW
        : wagw_str_is(mode, "deny") ? WAGW_STORY_DENY
                                    : WAGW_STORY_CONTACTS;
    if (m == WAGW_STORY_CONTACTS) {
        n = 0;
    } else if (cJSON_IsArray(list)) {
        n = (size_t)cJSON_GetArraySize(list);
    } else if (m == old.mode) {
        n = old.n;
    }
    if (n > WAGW_GROUP_MEMBERS_MAX) {
        return fail(t, command, 400, "VALIDATION_FAILED", "The list is too long");
    }
    a.userjid = wagw_arena_alloc(&t->arena, (n + 1) * sizeof(*a.userjid));
    if (a.userjid == NULL) {
        return WAGW_NOMEM;
    }
    wagw_json_open(&json, '{');
    wagw_json_kcstr(&json, "mode", wagw_story_mode_name(m));
    wagw_json_key(&json, "jids");
    wagw_json_open(&json, '[');
    item = cJSON_IsArray(list) ? list->child : NULL;
    for (size_t i = 0; i < n; i++, item = item ? item->next : NULL) {
        if (item == NULL) {
            j = old.jids[i];
        } else if (!cJSON_IsString(item) || wagw_jid_from_caller(&j, wagw_cstr(item->valuestring)) != WAGW_OK ||
                   !wagw_jid_is_person(&j)) {
            wagw_buf_free(&b);
            return fail(t, command, 400, "INVALID_JID", "Only people see status posts");
        }
        j = wagw_jid_user(&j);
        a.userjid[k] = dup(t, wagw_jid_str(&t->arena, &j));
        wagw_json_cstr(&json, a.userjid[k]);
        if (a.userjid[k++] == NULL) {
            wagw_buf_free(&b);
            return WAGW_NOMEM;
        }
    }
    wagw_json_close(&json);
    wagw_json_close(&json);
    a.n_userjid = k;
    a.has_mode = 1;
    a.mode = m == WAGW_STORY_ALLOW ? 0 : m == WAGW_STORY_DENY ? 1 : 2;
    v.statusprivacy = &a;
    ch.index = wagw_app_index_text(t, &part, 1);
    ch.value = wagw_app_value(t, &v);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR_HIGH, &ch, 1, "Status privacy updated successfully",
                          data_of(t, &b));
}

int wagw_app_changed(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params)
{
    switch (cmd) {
    case WAGW_CMD_STAR:
        return star(t, command, params);
    case WAGW_CMD_ARCHIVE:
        return archive(t, command, params);
    case WAGW_CMD_PIN_CHAT:
        return pin(t, command, params);
    case WAGW_CMD_MUTE:
        return mute(t, command, params);
    case WAGW_CMD_UNREAD:
        return unread(t, command, params);
    case WAGW_CMD_CHAT_CLEAR:
        return clear_chat(t, command, params);
    case WAGW_CMD_CHAT_DELETE:
        return delete_chat(t, command, params);
    case WAGW_CMD_DELETE_FOR_ME:
        return delete_for_me(t, command, params);
    case WAGW_CMD_CONTACT:
        return contact(t, command, params);
    case WAGW_CMD_STORY_PUT:
        return status_privacy(t, command, params);
    default:
        return push_name(t, command, params);
    }
}
