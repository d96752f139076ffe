/*
 * What a history chunk holds becomes rows: nothing that is stored already is
 * overwritten by it, and no event is told (08 section 5).
 */

#include "app_i.h"

#include <stdlib.h>

static int put_receipts(wagw_turn_t *t, const wagw_row_message_t *row, const wagw_history_message_t *m)
{
    int rc = WAGW_OK;
    char key[WAGW_KEY_MAX];
    size_t n;
    wagw_jid_t who;
    wagw_buf_t b = {0};
    wagw_row_receipt_t r;

    for (size_t i = 0; i < m->nreceipts && rc == WAGW_OK; i++) {
        if (wagw_jid_parse(&who, m->receipts[i].user) != WAGW_OK || !wagw_jid_is_person(&who)) {
            continue;
        }
        WAGW_TRY(wagw_chat_canonical(t, &who, &who));
        r = (wagw_row_receipt_t){.chat = row->chat, .id = row->id, .user = wagw_jid_str(&t->arena, &who)};
        r.delivered = m->receipts[i].received;
        r.read = m->receipts[i].read;
        r.played = m->receipts[i].played;
        n = wagw_msgkey(key, r.chat, r.id, r.user);
        if (n == 0 || (r.delivered == 0 && r.read == 0 && r.played == 0)) {
            continue;
        }
        wagw_buf_reset(&b);
        rc = wagw_row_receipt_encode(&b, &r);
        if (rc == WAGW_OK) {
            rc = wagw_txn_put(&t->txn, WAGW_REC_RECEIPT, wagw_str(key, n), wagw_buf_view(&b));
        }
    }
    wagw_buf_free(&b);
    return rc;
}

static int put_reactions(wagw_turn_t *t, const wagw_row_message_t *row, const wagw_history_message_t *m)
{
    int rc = WAGW_OK;
    char key[WAGW_KEY_MAX];
    size_t n;
    wagw_jid_t who;
    wagw_buf_t b = {0};
    wagw_row_reaction_t r;

    for (size_t i = 0; i < m->nreactions && rc == WAGW_OK; i++) {
        r = (wagw_row_reaction_t){.chat = row->chat, .id = row->id, .user = WAGW_STR("")};
        r.emoji = m->reactions[i].emoji;
        r.t_ms = m->reactions[i].t_ms ? m->reactions[i].t_ms : row->t_ms;
        if (!m->reactions[i].from_me) {
            if (wagw_jid_parse(&who, m->reactions[i].user) != WAGW_OK || !wagw_jid_is_person(&who)) {
                continue;
            }
            WAGW_TRY(wagw_chat_canonical(t, &who, &who));
            r.user = wagw_jid_str(&t->arena, &who);
        }
        n = wagw_msgkey(key, r.chat, r.id, r.user);
        if (n == 0 || r.emoji.n == 0) {
            continue;
        }
        wagw_buf_reset(&b);
        rc = wagw_row_reaction_encode(&b, &r);
        if (rc == WAGW_OK) {
            rc = wagw_txn_put(&t->txn, WAGW_REC_REACTION, wagw_str(key, n), wagw_buf_view(&b));
        }
    }
    wagw_buf_free(&b);
    return rc;
}

/* Never pending: it would be sent again. */
static uint8_t status_of(const wagw_history_message_t *m)
{
    if (!m->from_me) {
        return WAGW_MSG_RECEIVED;
    }
    switch (m->status) {
    case 0:
        return WAGW_MSG_FAILED;
    case 3:
        return WAGW_MSG_DELIVERED;
    case 4:
        return WAGW_MSG_READ;
    case 5:
        return WAGW_MSG_PLAYED;
    default:
        return WAGW_MSG_SENT;
    }
}

/* Who wrote it; false: nobody can tell (08 section 5). */
static bool author_of(const wagw_history_message_t *m, const wagw_jid_t *chat, wagw_jid_t *author)
{
    memset(author, 0, sizeof(*author));
    if (m->from_me) {
        return true;
    }
    if (wagw_jid_is_person(chat) || chat->server == WAGW_SRV_NEWSLETTER) {
        *author = *chat;
        return true;
    }
    return m->participant.n && wagw_jid_parse(author, m->participant) == WAGW_OK && wagw_jid_is_person(author);
}

/* An edit that came as a message of its own. */
static int apply_edit(wagw_turn_t *t, const wagw_jid_t *chat, const wagw_jid_t *author, const wagw_content_t *c,
                      int64_t t_ms)
{
    int rc;
    wagw_str_t id = wagw_jid_str(&t->arena, chat);
    wagw_row_message_t row;

    rc = wagw_jid_empty(author) ? wagw_turn_message(t, id, c->key.id, WAGW_STR(""), &row)
                                : wagw_turn_message_by(t, id, c->key.id, author, &row);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    t_ms = c->target_ms ? c->target_ms : t_ms;
    if (row.edited_ms >= t_ms) {
        return WAGW_OK;
    }
    row.body = c->edited_body;
    row.flags |= WAGW_ROW_EDITED;
    row.edited_ms = t_ms;
    if (c->edited.n) {
        row.content = c->edited;
    }
    return wagw_turn_message_put(t, &row);
}

static int apply_stored(wagw_turn_t *t, const wagw_history_message_t *m, wagw_row_message_t *row)
{
    uint8_t status = status_of(m);
    uint32_t flags = row->flags | (m->starred ? WAGW_ROW_STARRED : 0);

    if (!row->from_me || status == WAGW_MSG_FAILED || status <= row->status || row->status == WAGW_MSG_PENDING ||
        row->status == WAGW_MSG_FAILED) {
        status = row->status;
    }
    if (status == row->status && flags == row->flags) {
        return WAGW_OK;
    }
    row->status = status;
    row->flags = flags;
    return wagw_turn_message_put(t, row);
}

/* Messages come newest first: an older one does not know better. */
static int push_name(wagw_turn_t *t, const wagw_jid_t *who, wagw_str_t name)
{
    int rc;
    wagw_str_t v;
    wagw_row_contact_t c;

    rc = wagw_txn_get(&t->txn, WAGW_REC_CONTACT, wagw_jid_str(&t->arena, who), &v);
    if (rc == WAGW_OK && wagw_row_contact_decode(&c, v) == WAGW_OK && c.push_name.n) {
        return WAGW_OK;
    }
    return rc == WAGW_OK || rc == WAGW_NOT_FOUND ? wagw_contact_seen(t, who, name) : rc;
}

static int fresh_chat(wagw_turn_t *t, wagw_hist_t *h, wagw_str_t chat)
{
    int rc;
    wagw_row_chat_t c;

    rc = wagw_turn_chat(t, chat, &c);
    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (chat.n < sizeof(h->slice_fresh)) {
        memcpy(h->slice_fresh, chat.p, chat.n);
        h->slice_fresh[chat.n] = '\0';
    }
    return WAGW_OK;
}

static int apply_message(wagw_turn_t *t, wagw_hist_t *h, const wagw_history_item_t *it)
{
    int rc;
    wagw_jid_t wire, chat, author, alt;
    wagw_content_t content;
    wagw_row_message_t row;
    wagw_history_message_t *m = wagw_arena_alloc(&t->arena, sizeof(*m));

    if (m == NULL) {
        return WAGW_NOMEM;
    }
    if (wagw_history_message(m, it->bytes) != WAGW_OK || m->id.n == 0 || m->id.n > 128 || m->message.n == 0 ||
        wagw_jid_parse(&wire, it->chat.n ? it->chat : m->chat) != WAGW_OK || wagw_jid_empty(&wire)) {
        return WAGW_OK; /* stubs are no messages */
    }
    if (wagw_jid_is_person(&wire)) {
        wire = wagw_jid_user(&wire);
    }
    if ((wagw_jid_is_status(&wire) && t->c->conf.ignore_status) ||
        (wagw_jid_is_group(&wire) && t->c->conf.ignore_groups)) {
        return WAGW_OK;
    }
    rc = wagw_message_read(&content, &t->arena, m->message);
    if (rc == WAGW_NOMEM) {
        return rc;
    }
    if (rc != WAGW_OK || (content.is != WAGW_IS_CONTENT && content.is != WAGW_IS_EDIT)) {
        return WAGW_OK;
    }
    if (!author_of(m, &wire, &author)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &wire, &chat));
    memset(&row, 0, sizeof(row));
    row.chat = wagw_jid_str(&t->arena, &chat);
    row.id = m->id;
    row.from_me = m->from_me;
    if (!m->from_me) {
        WAGW_TRY(wagw_chat_canonical(t, &author, &author));
        author = wagw_jid_user(&author);
        row.sender = wagw_jid_str(&t->arena, &author);
        rc = wagw_lid_twin(t, &author, &alt);
        if (rc == WAGW_OK) {
            alt = wagw_jid_user(&alt);
            row.sender_alt = wagw_jid_str(&t->arena, &alt);
        } else if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }
    if (content.is == WAGW_IS_EDIT) {
        return content.key.id.n ? apply_edit(t, &chat, &author, &content, m->t_ms) : WAGW_OK;
    }

    {
        wagw_row_message_t old;

        rc = m->from_me ? wagw_turn_message(t, row.chat, row.id, WAGW_STR(""), &old)
                        : wagw_turn_message_by(t, row.chat, row.id, &author, &old);
        if (rc == WAGW_OK) {
            return apply_stored(t, m, &old);
        }
        if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }

    row.push_name = m->from_me ? WAGW_STR_NULL : m->push_name;
    row.status = status_of(m);
    row.flags =
        content.flags | WAGW_ROW_HISTORY | (m->starred ? WAGW_ROW_STARRED : 0) | (m->from_me ? WAGW_ROW_APP : 0);
    row.t_ms = m->t_ms ? m->t_ms + (int64_t)it->order : t->now;
    row.created_ms = t->now;
    row.type = wagw_cstr(content.type);
    row.body = content.body;
    row.to = wagw_jid_str(&t->arena, &wire);
    row.quoted = content.quoted;
    row.mentions = content.mentions;
    row.media = content.media;
    row.content = content.content;
    row.secret = m->secret.n ? m->secret : content.secret;
    row.expiration = content.expiration ? content.expiration : m->ephemeral;
    WAGW_TRY(wagw_turn_message_put(t, &row));
    h->slice_messages++;
    WAGW_TRY(put_receipts(t, &row, m));
    WAGW_TRY(put_reactions(t, &row, m));
    if (!wagw_jid_is_status(&wire)) {
        WAGW_TRY(fresh_chat(t, h, row.chat));
        WAGW_TRY(wagw_turn_chat_touch(t, &row, &chat, 0));
    }
    return m->from_me || m->push_name.n == 0 ? WAGW_OK : push_name(t, &author, m->push_name);
}

/* A name from the address book, unless there is one. */
static int contact_name(wagw_turn_t *t, const wagw_jid_t *who, wagw_str_t name)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_str_t key = wagw_jid_str(&t->arena, who), v;
    wagw_row_contact_t c;

    if (name.n == 0) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_contact_seen(t, who, WAGW_STR_NULL)); /* the row, with both addresses */
    rc = wagw_txn_get(&t->txn, WAGW_REC_CONTACT, key, &v);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    v = wagw_arena_str(&t->arena, v);
    if (wagw_row_contact_decode(&c, v) != WAGW_OK || c.name.n) {
        return WAGW_OK;
    }
    c.name = name;
    rc = wagw_row_contact_encode(&b, &c);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_CONTACT, key, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

static int apply_chat(wagw_turn_t *t, wagw_hist_t *h, const wagw_history_item_t *it)
{
    int rc;
    bool fresh;
    wagw_jid_t chat, twin;
    wagw_row_chat_t row;
    wagw_history_chat_t c;

    if (wagw_history_chat(&c, it->bytes) != WAGW_OK || wagw_jid_parse(&chat, c.id) != WAGW_OK ||
        wagw_jid_empty(&chat) || wagw_jid_is_status(&chat)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
    rc = wagw_turn_chat(t, wagw_jid_str(&t->arena, &chat), &row);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    h->slice_chats++;
    if (h->notice.type == WAGW_SYNC_ON_DEMAND && rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    row.id = wagw_jid_str(&t->arena, &chat);
    fresh = rc == WAGW_NOT_FOUND || wagw_str_eq(row.id, wagw_cstr(h->slice_fresh));
    if (wagw_jid_is_person(&chat)) {
        *(wagw_jid_is_lid(&chat) ? &row.lid : &row.pn) = row.id;
        rc = wagw_lid_twin(t, &chat, &twin);
        if (rc == WAGW_OK) {
            twin = wagw_jid_user(&twin);
            *(wagw_jid_is_lid(&twin) ? &row.lid : &row.pn) = wagw_jid_str(&t->arena, &twin);
        } else if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
        WAGW_TRY(contact_name(t, &chat, c.name));
    }
    if (wagw_jid_is_person(&chat)) {
        WAGW_TRY(wagw_token_told(t, &chat, c.token, c.token_t, c.token_sender_t));
    }
    if (row.name.n == 0 || (wagw_jid_is_group(&chat) && c.name.n)) {
        row.name = c.name;
    }
    if (row.ephemeral == 0) {
        row.ephemeral = c.ephemeral;
    }
    if (row.last_ms == 0) {
        row.last_ms = c.last_ms;
    }
    /* of a chat that is known here, only the first sync knows better */
    if (h->notice.type == WAGW_SYNC_BOOTSTRAP || (fresh && h->notice.type != WAGW_SYNC_ON_DEMAND)) {
        row.unread = c.unread > row.unread ? c.unread : row.unread;
        row.marked_unread = row.marked_unread || c.marked_unread;
        row.archived = c.archived;
        row.pinned = c.pinned;
        row.muted_until = c.muted_ms;
    }
    return wagw_turn_chat_put(t, &row);
}

static int apply_name(wagw_turn_t *t, const wagw_history_item_t *it)
{
    wagw_jid_t who;

    if (it->name.n == 0 || wagw_str_is(it->name, "-") || wagw_jid_parse(&who, it->id) != WAGW_OK ||
        !wagw_jid_is_person(&who)) {
        return WAGW_OK;
    }
    who = wagw_jid_user(&who);
    return wagw_contact_seen(t, &who, it->name);
}

static int apply_inline(wagw_turn_t *t, const wagw_history_item_t *it)
{
    wagw_jid_t who;
    wagw_str_t name;

    if (wagw_history_contact(it->bytes, &name) != WAGW_OK ||
        wagw_jid_parse(&who, it->id.n ? it->id : it->name) != WAGW_OK || !wagw_jid_is_person(&who)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &who, &who));
    who = wagw_jid_user(&who);
    return contact_name(t, &who, name);
}

int wagw_history_apply(wagw_turn_t *t, wagw_hist_t *h, const wagw_history_item_t *it)
{
    wagw_jid_t pn, lid;

    switch (it->what) {
    case WAGW_HISTORY_PAIR:
        if (wagw_jid_parse(&pn, it->id) != WAGW_OK || wagw_jid_parse(&lid, it->name) != WAGW_OK) {
            return WAGW_OK;
        }
        pn = wagw_jid_user(&pn);
        lid = wagw_jid_user(&lid);
        return wagw_lid_learn(t, &pn, &lid, NULL);
    case WAGW_HISTORY_MESSAGE:
    case WAGW_HISTORY_STATUS:
        return apply_message(t, h, it);
    case WAGW_HISTORY_CHAT:
        return apply_chat(t, h, it);
    case WAGW_HISTORY_NAME:
        return apply_name(t, it);
    case WAGW_HISTORY_CONTACT:
        return apply_inline(t, it);
    case WAGW_HISTORY_SALT:
        return wagw_token_salt(t, it->bytes);
    default:
        return WAGW_OK;
    }
}
