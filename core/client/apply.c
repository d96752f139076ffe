/*
 * What a decrypted Message does to the store and which event it becomes (04
 * section 12, 05; contract 4.4).  Used for received messages, for what our
 * phone typed, and, at the server's ack, for our own reactions, edits and
 * revokes.  Edits and revokes count only when they come from the author.
 */

#include "client_i.h"

static int apply_message(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m);
static int apply_revoke(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m);

static wagw_str_t jid_text(wagw_turn_t *t, const wagw_jid_t *j)
{
    return wagw_jid_empty(j) ? WAGW_STR_NULL : wagw_jid_str(&t->arena, j);
}

/* Who did it, for events: the author, or ourselves. */
wagw_str_t wagw_apply_actor(wagw_turn_t *t, const wagw_incoming_t *in)
{
    wagw_jid_t own;

    if (!in->from_me) {
        return jid_text(t, &in->author);
    }
    own = wagw_jid_user(&wagw_turn_me(t)->jid);
    return wagw_jid_str(&t->arena, &own);
}

static void ignored_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    c->ignored++;
    c->ops->changed(c->driver);
}

int wagw_apply_content(wagw_turn_t *t, wagw_incoming_t *given, wagw_str_t plain)
{
    int rc;
    wagw_jid_t j;
    wagw_str_t group;
    wagw_content_t m;
    wagw_signal_t *s;
    wagw_incoming_t in = *given;
    wagw_signal_addr_t addr;

    WAGW_TRY(wagw_message_read(&m, &t->arena, plain));

    if (m.dsm_to.n) {
        if (!in.from_me || in.node == NULL) {
            wagw_client_log(t->c, WAGW_LOG_WARN, "a device-sent message of somebody else is dropped");
            return wagw_turn_then(t, ignored_then, NULL, 0);
        }
        /* the stanza's recipient names the chat already; this one fills in */
        if (!wagw_node_has(in.node, "recipient") && wagw_jid_parse(&j, m.dsm_to) == WAGW_OK) {
            in.wire_chat = wagw_jid_is_person(&j) ? wagw_jid_user(&j) : j;
            WAGW_TRY(wagw_chat_canonical(t, &in.wire_chat, &in.chat));
        }
    }

    if (m.skdm.n && (in.group || in.status) && in.node) {
        group = wagw_jid_str(&t->arena, &in.from);
        WAGW_TRY(wagw_lid_signal(t, &in.sender, &addr));
        s = wagw_turn_signal(t);
        if (s == NULL) {
            return WAGW_NOMEM;
        }
        rc = wagw_signal_group_process(s, group, &addr, m.skdm);
        if (rc != WAGW_OK && rc != WAGW_MALFORMED && rc != WAGW_CRYPTO) {
            return rc;
        }
    }

    switch (m.is) {

    case WAGW_IS_CONTENT:
        return apply_message(t, &in, &m);

    case WAGW_IS_REACTION:
        return wagw_apply_reaction(t, &in, &m);

    case WAGW_IS_EDIT:
        return wagw_apply_edit(t, &in, &m);

    case WAGW_IS_REVOKE:
        return apply_revoke(t, &in, &m);

    case WAGW_IS_HISTORY_SYNC:
    case WAGW_IS_APP_STATE_KEY_SHARE:
    case WAGW_IS_APP_STATE_KEY_REQUEST:
    case WAGW_IS_LID_MAPPING:
    case WAGW_IS_PEER_RESPONSE:
    case WAGW_IS_PEER_OTHER:
        if (in.from_me && in.node && !wagw_node_has(in.node, "recipient")) {
            given->history = m.is == WAGW_IS_HISTORY_SYNC;
            return wagw_apply_self(t, &in, &m);
        }
        wagw_client_log(t->c, WAGW_LOG_WARN, "a message of a kind that only our own devices may send is dropped");
        return wagw_turn_then(t, ignored_then, NULL, 0);

    case WAGW_IS_EPHEMERAL_SETTING:
    case WAGW_IS_PIN:
    case WAGW_IS_KEEP:
        return wagw_apply_mark(t, &in, &m);

    case WAGW_IS_POLL_VOTE:
    case WAGW_IS_EVENT_RESPONSE:
    case WAGW_IS_ENC_REACTION:
    case WAGW_IS_SECRET_EDIT:
        return wagw_apply_addon(t, &in, &m);

    case WAGW_IS_NOTHING:
    case WAGW_IS_PROTOCOL_OTHER:
        break;
    }
    wagw_client_log(t->c, WAGW_LOG_DEBUG, "a %s is not shown", m.proto_name ? m.proto_name : "protocol message");
    return WAGW_OK;
}

static int apply_message(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    bool ignored;
    bool seen;
    unsigned unread;
    wagw_str_t id = in->id;
    wagw_row_message_t row;

    /* own posts are kept: they can be listed and deleted; others' only while they are shown */
    ignored = (in->status && !in->from_me && (t->c->conf.ignore_status || t->now - in->t_ms > WAGW_STORY_LIFE_MS)) ||
              (in->group && t->c->conf.ignore_groups);
    if (ignored) {
        return WAGW_OK;
    }

    memset(&row, 0, sizeof(row));
    row.chat = jid_text(t, &in->chat);
    row.id = id;
    row.from_me = in->from_me;
    if (!in->from_me) {
        row.sender = jid_text(t, &in->author);
        row.sender_alt = jid_text(t, &in->author_alt);
        row.push_name = in->push_name;
    }
    row.status = in->from_me ? WAGW_MSG_SENT : WAGW_MSG_RECEIVED;
    row.flags = m->flags | (in->from_me ? WAGW_ROW_APP : 0);
    row.t_ms = in->t_ms;
    row.created_ms = t->now;
    row.type = wagw_cstr(m->type);
    row.body = m->body;
    row.to = jid_text(t, &in->wire_chat);
    row.quoted = m->quoted;
    row.mentions = m->mentions;
    row.media = m->media;
    row.content = m->content;
    row.secret = m->secret;
    row.expiration = m->expiration;
    WAGW_TRY(wagw_turn_message_put(t, &row));

    seen = t->c->conf.mark_read && !in->from_me && !in->status && in->node;
    unread = in->from_me || seen ? 0 : 1;
    if (!in->status) {
        WAGW_TRY(wagw_turn_chat_touch(t, &row, &in->chat, unread));
    }
    if (in->group) {
        WAGW_TRY(wagw_group_learn(t, &in->chat));
    }
    if (!in->from_me) {
        WAGW_TRY(wagw_contact_seen(t, &in->sender, in->push_name));
    }
    if (in->from_me) {
        return wagw_event_message(t, "message.sent", &row, "app");
    }
    if (seen) {
        wagw_jid_t participant = wagw_jid_user(&in->sender);

        WAGW_TRY(wagw_receipt_read(t, &in->wire_chat, in->group ? &participant : NULL, &id, 1));
    }
    return wagw_event_message(t, in->status ? "status.received" : "message.received", &row, NULL);
}

/*
 * The target of a reaction, edit or revoke.  A key is written from its
 * sender's view (05 section 3.1): fromMe means the sender's own message.
 */
int wagw_apply_target(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_message_key_t *k, wagw_row_message_t *row)
{
    wagw_jid_t p, author = {0}; /* empty: we */
    wagw_str_t chat = jid_text(t, &in->chat);

    if (!k->present || k->id.n == 0) {
        return WAGW_NOT_FOUND;
    }
    if (k->from_me) {
        author = in->author;
    } else if (k->participant.n && wagw_jid_parse(&p, k->participant) == WAGW_OK && wagw_jid_is_person(&p)) {
        if (!wagw_is_me(t->c, &p)) {
            WAGW_TRY(wagw_chat_canonical(t, &p, &author));
        }
    } else if (wagw_jid_is_person(&in->chat)) {
        /* in a direct chat "not mine" is the other one's */
        if (in->from_me) {
            author = in->chat;
        }
    } else {
        return WAGW_NOT_FOUND;
    }
    return wagw_jid_empty(&author) ? wagw_turn_message(t, chat, k->id, WAGW_STR(""), row)
                                   : wagw_turn_message_by(t, chat, k->id, &author, row);
}

/* The message is by whom speaks. */
static bool same_author(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_row_message_t *row)
{
    if (row->from_me != in->from_me) {
        return false;
    }
    return in->from_me || wagw_str_eq(row->sender, jid_text(t, &in->author)) ||
           (in->author_alt.server != WAGW_SRV_NONE && wagw_str_eq(row->sender, jid_text(t, &in->author_alt)));
}

int wagw_apply_reaction(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    int rc;
    char key[WAGW_KEY_MAX];
    size_t n;
    wagw_buf_t b = {0};
    wagw_str_t chat = jid_text(t, &in->chat), user;
    wagw_json_t j;
    wagw_row_message_t row;
    wagw_row_reaction_t r;

    rc = wagw_apply_target(t, in, &m->key, &row);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (!m->key.present || m->key.id.n == 0) {
        return WAGW_OK;
    }
    user = in->from_me ? WAGW_STR("") : jid_text(t, &in->author);
    n = wagw_msgkey(key, chat, m->key.id, user);
    if (n == 0) {
        return WAGW_OK;
    }
    memset(&r, 0, sizeof(r));
    r.chat = chat;
    r.id = m->key.id;
    r.user = user;
    r.emoji = m->emoji;
    r.t_ms = m->target_ms ? m->target_ms : in->t_ms;
    if (m->emoji.n) {
        rc = wagw_row_reaction_encode(&b, &r);
        if (rc == WAGW_OK) {
            rc = wagw_txn_put(&t->txn, WAGW_REC_REACTION, wagw_str(key, n), wagw_buf_view(&b));
        }
        wagw_buf_free(&b);
    } else {
        rc = wagw_txn_del(&t->txn, WAGW_REC_REACTION, wagw_str(key, n));
    }
    WAGW_TRY(rc);

    memset(&b, 0, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", m->key.id);
    wagw_json_kstr(&j, "chatId", chat);
    wagw_json_kstr(&j, "from", wagw_apply_actor(t, in));
    wagw_json_kstr(&j, "emoji", m->emoji);
    wagw_json_kbool(&j, "removed", m->emoji.n == 0);
    wagw_json_kiso(&j, "timestamp", r.t_ms);
    wagw_json_close(&j);
    return wagw_event_emit(t, "message.reaction", chat, &b);
}

int wagw_apply_edit(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    int rc;
    int64_t at = m->target_ms ? m->target_ms : in->t_ms;
    wagw_buf_t b = {0};
    wagw_str_t old;
    wagw_json_t j;
    wagw_row_message_t row;

    rc = wagw_apply_target(t, in, &m->key, &row);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    /* the author alone edits: own ones by us, the others by their sender */
    if (rc == WAGW_NOT_FOUND || !same_author(t, in, &row)) {
        wagw_client_log(t->c, WAGW_LOG_INFO, "an edit of an unknown message or by somebody else is ignored");
        return WAGW_OK;
    }
    if ((row.flags & WAGW_ROW_REVOKED) || (row.edited_ms && at < row.edited_ms)) {
        return WAGW_OK; /* taken back meanwhile, or an older edit came late */
    }
    old = row.body;
    row.body = m->edited_body;
    row.flags |= WAGW_ROW_EDITED;
    row.edited_ms = at;
    if (m->edited.n) {
        row.content = m->edited;
    }
    WAGW_TRY(wagw_turn_message_put(t, &row));

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", row.id);
    wagw_json_kstr(&j, "chatId", row.chat);
    wagw_json_kstr(&j, "from", wagw_apply_actor(t, in));
    wagw_json_kstr(&j, "pushName", in->from_me ? wagw_cstr(wagw_turn_me(t)->push_name) : in->push_name);
    wagw_json_kstr(&j, "oldBody", old);
    wagw_json_kstr(&j, "newBody", row.body);
    wagw_json_kiso(&j, "editedTimestamp", at);
    wagw_json_kiso(&j, "originalTimestamp", row.t_ms);
    wagw_json_close(&j);
    return wagw_event_emit(t, "message.edited", row.chat, &b);
}

/* Author, or admin of the group.  Of a group that is not known yet the server's word counts: edit 8 is an admin's. */
static int may_revoke(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_row_message_t *row, bool *may)
{
    wagw_group_t g;

    *may = same_author(t, in, row);
    if (*may || !in->group) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_group_get(t, &in->wire_chat, &g));
    if (g.fetched_ms == 0) {
        *may = in->node && wagw_node_attr_is(in->node, "edit", "8");
        return WAGW_OK;
    }
    for (size_t i = 0; i < g.n && !*may; i++) {
        *may = g.roles[i] &&
               (wagw_jid_same_user(&g.members[i], &in->sender) || wagw_jid_same_user(&g.members[i], &in->author) ||
                wagw_jid_same_user(&g.members[i], &in->author_alt));
    }
    return WAGW_OK;
}

static int apply_revoke(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m)
{
    int rc;
    bool may;
    wagw_buf_t b = {0};
    wagw_str_t chat = jid_text(t, &in->chat);
    wagw_json_t j;
    wagw_row_message_t row;

    rc = wagw_apply_target(t, in, &m->key, &row);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (rc == WAGW_OK) {
        WAGW_TRY(may_revoke(t, in, &row, &may));
        if (!may) {
            wagw_client_log(t->c, WAGW_LOG_INFO, "a revoke by somebody who may not is ignored");
            return WAGW_OK;
        }
        if (row.flags & WAGW_ROW_REVOKED) {
            return WAGW_OK;
        }
    }

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", m->key.id);
    wagw_json_kstr(&j, "chatId", chat);
    wagw_json_kstr(&j, "from", wagw_apply_actor(t, in));
    wagw_json_kcstr(&j, "revokedBy", in->from_me ? "me" : "them");
    wagw_json_key(&j, "originalMessage");
    if (rc == WAGW_OK) {
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "body", row.body);
        wagw_json_kstr(&j, "type", row.type);
        wagw_json_kiso(&j, "timestamp", row.t_ms);
        wagw_json_close(&j);
    } else {
        wagw_json_null(&j);
    }
    wagw_json_kiso(&j, "timestamp", in->t_ms);
    wagw_json_close(&j);

    if (rc == WAGW_OK) {
        row.flags |= WAGW_ROW_REVOKED;
        row.body = WAGW_STR_NULL;
        row.content = WAGW_STR_NULL;
        row.media = WAGW_STR_NULL;
        row.quoted = WAGW_STR_NULL;
        rc = wagw_turn_message_put(t, &row);
        if (rc != WAGW_OK) {
            wagw_buf_free(&b);
            return rc;
        }
    }
    return wagw_event_emit(t, "message.revoked", chat, &b);
}
