/*
 * What a verified mutation does (07 sections 9 and 10): rows of chats,
 * contacts and messages, settings, credentials; and the event it becomes.
 */

#include "account_i.h"
#include "app_i.h"

static int again(wagw_app_apply_t *a, int rc)
{
    if (rc == WAGW_AGAIN) {
        a->again = rc;
        return WAGW_OK;
    }
    return rc;
}

/* The chat of an index part, canonical; WAGW_NOT_FOUND: none of ours. */
static int chat_of(wagw_turn_t *t, wagw_str_t text, wagw_jid_t *chat)
{
    wagw_jid_t j;

    if (wagw_jid_parse(&j, text) != WAGW_OK || wagw_jid_empty(&j)) {
        return WAGW_NOT_FOUND;
    }
    return wagw_chat_canonical(t, &j, chat);
}

static int chat_row(wagw_turn_t *t, const wagw_jid_t *chat, wagw_row_chat_t *c)
{
    int rc;
    wagw_str_t id = wagw_jid_str(&t->arena, chat);

    rc = wagw_turn_chat(t, id, c);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (rc == WAGW_NOT_FOUND) {
        *(wagw_jid_is_lid(chat) ? &c->lid : &c->pn) = wagw_jid_is_person(chat) ? id : WAGW_STR_NULL;
    }
    c->id = id;
    return WAGW_OK;
}

/* A range that ends before the newest message of the other side was meant for
 * an older state of the chat (07 section 9). */
static bool outdated(const wagw_row_chat_t *c, const Wa__SyncActionValue__SyncActionMessageRange *r)
{
    int64_t last = 0;

    if (r && r->has_lastmessagetimestamp) {
        last = r->lastmessagetimestamp;
    }
    if (r && r->has_lastsystemmessagetimestamp && r->lastsystemmessagetimestamp > last) {
        last = r->lastsystemmessagetimestamp;
    }
    return last > 0 && !c->last_from_me && last < c->last_ms / 1000;
}

/* ---- events ---- */

/* {chatId, changes{...}, timestamp}: the caller writes into changes. */
static void event_open(wagw_json_t *j, const wagw_row_chat_t *c)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "chatId", c->id);
    wagw_json_key(j, "changes");
    wagw_json_open(j, '{');
}

static int event_close(wagw_app_apply_t *a, const wagw_row_chat_t *c, const char *name, wagw_json_t *j, wagw_buf_t *b)
{
    wagw_json_close(j);
    wagw_json_kiso(j, "timestamp", a->t->now);
    wagw_json_close(j);
    return wagw_event_emit(a->t, name, c->id, b);
}

static int chat_event_str(wagw_app_apply_t *a, const wagw_row_chat_t *c, const char *key, wagw_str_t text)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (!a->emit) {
        return WAGW_OK;
    }
    event_open(&j, c);
    wagw_json_kstr(&j, key, text);
    return event_close(a, c, "chat.update", &j, &b);
}

static int chat_event_int(wagw_app_apply_t *a, const wagw_row_chat_t *c, const char *key, int64_t number)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (!a->emit) {
        return WAGW_OK;
    }
    event_open(&j, c);
    wagw_json_kint(&j, key, number);
    return event_close(a, c, "chat.update", &j, &b);
}

static int chat_event_bool(wagw_app_apply_t *a, const wagw_row_chat_t *c, const char *name, const char *key, bool v)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (!a->emit) {
        return WAGW_OK;
    }
    event_open(&j, c);
    wagw_json_kbool(&j, key, v);
    return event_close(a, c, name, &j, &b);
}

/* ---- chats ---- */

static int apply_archive(wagw_app_apply_t *a, wagw_row_chat_t *c, const Wa__SyncActionValue__ArchiveChatAction *v)
{
    bool archived = v->has_archived && v->archived;
    wagw_str_t name;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (archived == c->archived || (archived && a->meta->unarchive && outdated(c, v->messagerange))) {
        return WAGW_OK;
    }
    c->archived = archived;
    WAGW_TRY(wagw_turn_chat_put(a->t, c));
    if (!a->emit) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_turn_chat_name(a->t, c, &name));
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", c->id);
    wagw_json_kstr(&j, "chatName", name);
    wagw_json_kbool(&j, "archived", archived);
    wagw_json_kiso(&j, "timestamp", a->t->now);
    wagw_json_close(&j);
    return wagw_event_emit(a->t, "chat.archive", c->id, &b);
}

static int apply_pin(wagw_app_apply_t *a, wagw_row_chat_t *c, const Wa__SyncActionValue *v)
{
    bool pinned = v->pinaction->has_pinned && v->pinaction->pinned;
    int64_t at = v->has_timestamp && v->timestamp > 0 ? v->timestamp : a->t->now;

    if (pinned == (c->pinned != 0)) {
        return WAGW_OK;
    }
    c->pinned = pinned ? (uint32_t)(at / 1000) : 0;
    WAGW_TRY(wagw_turn_chat_put(a->t, c));
    return chat_event_bool(a, c, "chat.update", "pinned", pinned);
}

static int apply_mute(wagw_app_apply_t *a, wagw_row_chat_t *c, const Wa__SyncActionValue__MuteAction *v)
{
    int64_t until = 0;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (v->has_muted && v->muted) {
        until = v->has_muteendtimestamp && v->muteendtimestamp > 0 ? v->muteendtimestamp : -1;
    }
    if (until == c->muted_until) {
        return WAGW_OK;
    }
    c->muted_until = until;
    WAGW_TRY(wagw_turn_chat_put(a->t, c));
    if (!a->emit) {
        return WAGW_OK;
    }
    event_open(&j, c);
    wagw_json_kbool(&j, "muted", until != 0);
    if (until > 0) {
        wagw_json_kiso(&j, "mutedUntil", until);
    } else if (until < 0) {
        wagw_json_kcstr(&j, "mutedUntil", "9999-12-31T23:59:59.999Z");
    } else {
        wagw_json_knull(&j, "mutedUntil");
    }
    return event_close(a, c, "chat.update", &j, &b);
}

static int apply_read(wagw_app_apply_t *a, wagw_row_chat_t *c, const Wa__SyncActionValue__MarkChatAsReadAction *v)
{
    bool read = v->has_read && v->read;

    if (read && outdated(c, v->messagerange)) {
        return WAGW_OK;
    }
    if (read ? c->unread == 0 && !c->marked_unread : c->marked_unread) {
        return WAGW_OK;
    }
    c->marked_unread = !read;
    c->unread = read ? 0 : c->unread;
    WAGW_TRY(wagw_turn_chat_put(a->t, c));
    return chat_event_int(a, c, "unreadCount", read ? 0 : c->unread ? (int64_t)c->unread : 1);
}

static int64_t range_ms(const Wa__SyncActionValue__SyncActionMessageRange *r, int64_t otherwise)
{
    /* a second has room for messages whose milliseconds we know */
    return r && r->has_lastmessagetimestamp && r->lastmessagetimestamp > 0 && r->lastmessagetimestamp < (1ll << 40)
               ? r->lastmessagetimestamp * 1000 + 999
               : otherwise;
}

int wagw_app_clear(wagw_turn_t *t, wagw_str_t chat, int64_t until, bool keep_starred)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_i(&b, 1, until);
    wagw_tlv_put_u(&b, 2, keep_starred);
    rc = b.failed ? WAGW_NOMEM : wagw_txn_op(&t->txn, WAGW_OP_CHAT_CLEAR, chat, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

static int apply_clear(wagw_app_apply_t *a, wagw_row_chat_t *c, const wagw_app_mutation_t *m,
                       const Wa__SyncActionValue__ClearChatAction *v)
{
    int64_t until = range_ms(v->messagerange, a->t->now);

    WAGW_TRY(wagw_app_clear(a->t, c->id, until, !(m->nparts > 2 && wagw_str_is(m->part[2], "1"))));
    if (c->last_ms <= until) {
        c->last_id = c->last_body = c->last_type = WAGW_STR_NULL;
        c->last_from_me = false;
        c->unread = 0;
        c->marked_unread = false;
    }
    WAGW_TRY(wagw_turn_chat_put(a->t, c));
    return chat_event_bool(a, c, "chat.update", "cleared", true);
}

static int apply_delete(wagw_app_apply_t *a, wagw_row_chat_t *c, const Wa__SyncActionValue__DeleteChatAction *v)
{
    int64_t until = range_ms(v->messagerange, a->t->now);

    if (!a->emit && c->last_ms == 0) {
        return WAGW_OK; /* a snapshot has no order: what else it says of the chat may be newer */
    }
    WAGW_TRY(wagw_app_clear(a->t, c->id, until, false));
    if (c->last_ms > until) {
        return WAGW_OK; /* something newer came meanwhile: the chat stays */
    }
    WAGW_TRY(wagw_txn_del(&a->t->txn, WAGW_REC_CHAT, c->id));
    return chat_event_bool(a, c, "chat.delete", "deleted", true);
}

static int apply_chat(wagw_app_apply_t *a, const wagw_app_mutation_t *m, const Wa__SyncActionValue *v)
{
    int rc;
    wagw_jid_t chat;
    wagw_row_chat_t c;

    rc = chat_of(a->t, m->part[1], &chat);
    if (rc != WAGW_OK || wagw_jid_is_status(&chat)) { /* status posts are no chat */
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    WAGW_TRY(chat_row(a->t, &chat, &c));
    if (v->archivechataction && wagw_str_is(m->part[0], "archive")) {
        return apply_archive(a, &c, v->archivechataction);
    }
    if (v->pinaction && wagw_str_is(m->part[0], "pin_v1")) {
        return apply_pin(a, &c, v);
    }
    if (v->muteaction && wagw_str_is(m->part[0], "mute")) {
        return apply_mute(a, &c, v->muteaction);
    }
    if (v->markchatasreadaction && wagw_str_is(m->part[0], "markChatAsRead")) {
        return apply_read(a, &c, v->markchatasreadaction);
    }
    if (v->clearchataction && wagw_str_is(m->part[0], "clearChat")) {
        return apply_clear(a, &c, m, v->clearchataction);
    }
    if (v->deletechataction && wagw_str_is(m->part[0], "deleteChat")) {
        return apply_delete(a, &c, v->deletechataction);
    }
    if (v->lockchataction && wagw_str_is(m->part[0], "lock")) {
        return chat_event_bool(a, &c, "chat.update", "locked",
                               v->lockchataction->has_locked && v->lockchataction->locked);
    }
    return WAGW_OK;
}

/* ---- messages: ["star", chat, id, fromMe, participant] ---- */

static int apply_message(wagw_app_apply_t *a, const wagw_app_mutation_t *m, const Wa__SyncActionValue *v)
{
    int rc;
    uint32_t flags;
    wagw_jid_t chat, who;
    wagw_str_t id, key;
    wagw_buf_t text = {0};
    wagw_turn_t *t = a->t;
    wagw_row_chat_t c;
    wagw_row_message_t row;

    rc = chat_of(t, m->part[1], &chat);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    id = wagw_jid_str(&t->arena, &chat);
    key = WAGW_STR_NULL;
    if (wagw_str_is(m->part[3], "1")) {
        rc = wagw_turn_message(t, id, m->part[2], WAGW_STR(""), &row);
    } else if (m->nparts > 4 && wagw_jid_parse(&who, m->part[4]) == WAGW_OK && wagw_jid_is_person(&who)) {
        WAGW_TRY(wagw_chat_canonical(t, &who, &who));
        rc = wagw_turn_message_by(t, id, m->part[2], &who, &row);
    } else if (wagw_jid_is_person(&chat)) {
        rc = wagw_turn_message_by(t, id, m->part[2], &chat, &row);
    } else {
        rc = wagw_turn_message_find(t, id, m->part[2], &row, &key);
    }
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    if (v->staraction) {
        flags = row.flags & ~(uint32_t)WAGW_ROW_STARRED;
        flags |= v->staraction->has_starred && v->staraction->starred ? WAGW_ROW_STARRED : 0;
        if (flags == row.flags) {
            return WAGW_OK;
        }
        row.flags = flags;
        WAGW_TRY(wagw_turn_message_put(t, &row));
        WAGW_TRY(chat_row(t, &chat, &c));
        return chat_event_str(a, &c, flags & WAGW_ROW_STARRED ? "starredMessage" : "unstarredMessage", row.id);
    }
    if (v->deletemessageformeaction == NULL) {
        return WAGW_OK;
    }
    wagw_buf_str(&text, id);
    wagw_buf_u8(&text, '|');
    wagw_buf_str(&text, row.id);
    wagw_buf_u8(&text, '|');
    wagw_buf_str(&text, row.from_me ? WAGW_STR("") : row.sender);
    rc = text.failed ? WAGW_NOMEM : wagw_txn_del(&t->txn, WAGW_REC_MESSAGE, wagw_buf_view(&text));
    wagw_buf_free(&text);
    WAGW_TRY(rc);
    WAGW_TRY(chat_row(t, &chat, &c));
    if (wagw_str_eq(c.last_id, row.id)) {
        c.last_body = WAGW_STR_NULL;
        WAGW_TRY(wagw_turn_chat_put(t, &c));
    }
    return chat_event_str(a, &c, "deletedMessage", row.id);
}

/* ---- contacts ---- */

static wagw_str_t text_of(wagw_turn_t *t, const char *a, const char *b, const char *c)
{
    const char *s = a && a[0] ? a : b && b[0] ? b : c && c[0] ? c : "";

    return wagw_arena_str(&t->arena, wagw_cstr(s));
}

static int apply_contact(wagw_app_apply_t *a, const wagw_app_mutation_t *m, const Wa__SyncActionValue *v)
{
    int rc;
    wagw_jid_t j, lid, canon, twin;
    wagw_buf_t b = {0};
    wagw_str_t name = WAGW_STR_NULL, key, old;
    wagw_json_t json;
    wagw_turn_t *t = a->t;
    wagw_row_contact_t c;

    if (wagw_jid_parse(&j, m->part[1]) != WAGW_OK || !wagw_jid_is_person(&j)) {
        return WAGW_OK;
    }
    if (!m->remove && v->contactaction) {
        name = text_of(t, v->contactaction->fullname, v->contactaction->firstname, v->contactaction->username);
        if (v->contactaction->lidjid && wagw_jid_parse(&lid, wagw_cstr(v->contactaction->lidjid)) == WAGW_OK) {
            WAGW_TRY(wagw_lid_learn(t, &j, &lid, "app-state"));
        }
    } else if (!m->remove && v->lidcontactaction) {
        name = text_of(t, v->lidcontactaction->fullname, v->lidcontactaction->firstname, v->lidcontactaction->username);
    } else if (!m->remove) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &j, &canon));
    key = wagw_jid_str(&t->arena, &canon);
    memset(&c, 0, sizeof(c));
    rc = wagw_txn_get(&t->txn, WAGW_REC_CONTACT, key, &old);
    if (rc == WAGW_OK) {
        old = wagw_arena_str(&t->arena, old);
        if (wagw_row_contact_decode(&c, old) != WAGW_OK) {
            memset(&c, 0, sizeof(c));
        }
    } else if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (wagw_str_eq(c.name, name)) {
        return WAGW_OK;
    }
    c.jid = key;
    c.name = name;
    *(wagw_jid_is_lid(&canon) ? &c.lid : &c.pn) = key;
    rc = wagw_lid_twin(t, &canon, &twin);
    if (rc == WAGW_OK) {
        twin = wagw_jid_user(&twin);
        *(wagw_jid_is_lid(&twin) ? &c.lid : &c.pn) = wagw_jid_str(&t->arena, &twin);
    } else if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    rc = wagw_row_contact_encode(&b, &c);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_CONTACT, key, wagw_buf_view(&b));
    }
    wagw_buf_reset(&b);
    if (rc != WAGW_OK || !a->emit) {
        wagw_buf_free(&b);
        return rc;
    }
    json = wagw_json(&b);
    wagw_json_open(&json, '{');
    wagw_json_kstr(&json, "jid", c.jid);
    if (c.lid.n) {
        wagw_json_kstr(&json, "lid", c.lid);
    } else {
        wagw_json_knull(&json, "lid");
    }
    if (name.n) {
        wagw_json_kstr(&json, "name", name);
    } else {
        wagw_json_knull(&json, "name");
    }
    wagw_json_kiso(&json, "timestamp", t->now);
    wagw_json_close(&json);
    return wagw_event_emit(t, "contact.update", c.jid, &b);
}

/* ---- the account ---- */

static int apply_push_name(wagw_app_apply_t *a, const char *name)
{
    size_t n;
    wagw_turn_t *t = a->t;
    wagw_creds_t *creds;

    if (name == NULL || name[0] == '\0' || strcmp(name, wagw_turn_me(t)->push_name) == 0) {
        return WAGW_OK;
    }
    creds = wagw_turn_creds(t);
    if (creds == NULL) {
        return WAGW_NOMEM;
    }
    n = strlen(name);
    if (n >= sizeof(creds->push_name)) {
        for (n = sizeof(creds->push_name) - 1; n > 0 && ((uint8_t)name[n] & 0xc0) == 0x80; n--) {
        }
    }
    memcpy(creds->push_name, name, n);
    creds->push_name[n] = '\0';
    WAGW_TRY(wagw_status_store(t, t->c->status));
    /* the server tells others the name with the next presence */
    return t->c->conn == WAGW_CONN_OPEN ? wagw_presence_send(t, t->c->available || t->c->conf.always_online) : WAGW_OK;
}

/* Close friends are a list of people who may see, too. */
static wagw_story_mode_t status_mode(const Wa__SyncActionValue__StatusPrivacyAction *v)
{
    if (!v->has_mode) {
        return WAGW_STORY_CONTACTS;
    }
    switch ((int)v->mode) {
    case 0:
    case 3:
        return WAGW_STORY_ALLOW;
    case 1:
        return WAGW_STORY_DENY;
    default:
        return WAGW_STORY_CONTACTS;
    }
}

static int apply_one(wagw_app_apply_t *a, const wagw_app_mutation_t *m, const Wa__SyncActionValue *v)
{
    wagw_jid_t lid, pn;
    const wagw_str_t *p = m->part;

    if (m->nparts >= 2 && (wagw_str_is(p[0], "contact") || wagw_str_is(p[0], "lid_contact"))) {
        return apply_contact(a, m, v);
    }
    if (wagw_str_is(p[0], "nct_salt_sync")) {
        return wagw_token_salt(a->t, !m->remove && v->nctsaltsyncaction && v->nctsaltsyncaction->has_salt
                                         ? wagw_str(v->nctsaltsyncaction->salt.data, v->nctsaltsyncaction->salt.len)
                                         : WAGW_STR_NULL);
    }
    if (m->nparts >= 2 && wagw_str_starts(p[0], WAGW_STR("label_"))) {
        return wagw_label_apply(a, m, v);
    }
    if (m->remove) {
        return WAGW_OK;
    }
    if (m->nparts >= 4 && (wagw_str_is(p[0], "star") || wagw_str_is(p[0], "deleteMessageForMe"))) {
        return apply_message(a, m, v);
    }
    if (wagw_str_is(p[0], "setting_pushName") && v->pushnamesetting) {
        return apply_push_name(a, v->pushnamesetting->name);
    }
    if (wagw_str_is(p[0], "setting_unarchiveChats") && v->unarchivechatssetting) {
        a->meta->unarchive = v->unarchivechatssetting->has_unarchivechats && v->unarchivechatssetting->unarchivechats;
        return WAGW_OK;
    }
    if (wagw_str_is(p[0], "sentinel") && v->keyexpiration && v->keyexpiration->has_expiredkeyepoch) {
        if (v->keyexpiration->expiredkeyepoch > a->meta->expired) {
            a->meta->expired = v->keyexpiration->expiredkeyepoch;
        }
        return WAGW_OK;
    }
    if (m->nparts >= 2 && wagw_str_is(p[0], "pnForLidChat") && v->pnforlidchataction && v->pnforlidchataction->pnjid &&
        wagw_jid_parse(&lid, p[1]) == WAGW_OK &&
        wagw_jid_parse(&pn, wagw_cstr(v->pnforlidchataction->pnjid)) == WAGW_OK) {
        return wagw_lid_learn(a->t, &lid, &pn, "app-state");
    }
    if (wagw_str_is(p[0], "status_privacy") && v->statusprivacy) {
        return wagw_story_synced(a->t, status_mode(v->statusprivacy), v->statusprivacy->userjid,
                                 v->statusprivacy->n_userjid);
    }
    return m->nparts >= 2 ? apply_chat(a, m, v) : WAGW_OK;
}

int wagw_app_apply(void *data, const wagw_app_mutation_t *m)
{
    int rc;
    wagw_app_apply_t *a = data;
    Wa__SyncActionValue *v;

    /* only the last state of an index matters */
    if (m->nparts == 0 || !m->last) {
        return WAGW_OK;
    }
    v = wa__sync_action_value__unpack(NULL, m->value.n, m->value.p);
    if (v == NULL) {
        wagw_client_log(a->t->c, WAGW_LOG_INFO, "an app-state value cannot be read and is ignored");
        return WAGW_OK;
    }
    rc = again(a, apply_one(a, m, v));
    wa__sync_action_value__free_unpacked(v, NULL);
    return rc;
}
