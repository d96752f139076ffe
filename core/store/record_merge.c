/*
 * What a turn sees of two chats that it has just merged: the same that the
 * store will have made of them.
 */

#include "record_private.h"
#include "row.h"

static int wagw_merge_value(wagw_arena_t *a, int rc, wagw_buf_t *b, wagw_str_t *value)
{
    wagw_str_t copy;

    if (rc == WAGW_OK) {
        copy = wagw_arena_str(a, wagw_buf_view(b));
        if (copy.p != NULL) {
            *value = copy;
        } else {
            rc = WAGW_NOMEM;
        }
    }

    wagw_buf_wipe(b);
    return rc;
}

int wagw_rec_rename(wagw_arena_t *a, uint8_t kind, wagw_str_t chat, wagw_str_t *value)
{
    wagw_buf_t b = {0};
    wagw_row_chat_t c;
    wagw_row_message_t m;
    wagw_row_receipt_t p;
    wagw_row_reaction_t r;
    wagw_row_vote_t v;

    switch (kind) {

    case WAGW_REC_CHAT:
        if (wagw_row_chat_decode(&c, *value) != WAGW_OK) {
            return WAGW_OK;
        }
        c.id = chat;
        return wagw_merge_value(a, wagw_row_chat_encode(&b, &c), &b, value);

    case WAGW_REC_MESSAGE:
        if (wagw_row_message_decode(&m, *value) != WAGW_OK) {
            return WAGW_OK;
        }
        m.chat = chat;
        return wagw_merge_value(a, wagw_row_message_encode(&b, &m), &b, value);

    case WAGW_REC_RECEIPT:
        if (wagw_row_receipt_decode(&p, *value) != WAGW_OK) {
            return WAGW_OK;
        }
        p.chat = chat;
        return wagw_merge_value(a, wagw_row_receipt_encode(&b, &p), &b, value);

    case WAGW_REC_VOTE:
        if (wagw_row_vote_decode(&v, *value) != WAGW_OK) {
            return WAGW_OK;
        }
        v.chat = chat;
        return wagw_merge_value(a, wagw_row_vote_encode(&b, &v), &b, value);

    default:
        if (wagw_row_reaction_decode(&r, *value) != WAGW_OK) {
            return WAGW_OK;
        }
        r.chat = chat;
        return wagw_merge_value(a, wagw_row_reaction_encode(&b, &r), &b, value);
    }
}

int wagw_rec_join(wagw_arena_t *a, wagw_str_t from, wagw_str_t *value)
{
    wagw_buf_t b = {0};
    wagw_row_chat_t o, c;

    if (wagw_row_chat_decode(&o, from) != WAGW_OK || wagw_row_chat_decode(&c, *value) != WAGW_OK) {
        return WAGW_OK;
    }

    c.unread += o.unread;
    c.marked_unread = c.marked_unread || o.marked_unread;

    if (c.name.n == 0) {
        c.name = o.name;
    }
    if (c.pinned < o.pinned) {
        c.pinned = o.pinned;
    }
    if (c.muted_until == 0) {
        c.muted_until = o.muted_until;
    }

    if (o.last_ms > c.last_ms) {
        c.last_ms = o.last_ms;
        c.last_id = o.last_id;
        c.last_body = o.last_body;
        c.last_type = o.last_type;
        c.last_from_me = o.last_from_me;
    }

    return wagw_merge_value(a, wagw_row_chat_encode(&b, &c), &b, value);
}
