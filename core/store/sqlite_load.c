#include "sqlite.h"

/*
 * Prefixes are ranges: from the prefix itself to the prefix followed by bytes
 * that no key reaches (keys are shorter than WAGW_KEY_MAX and hold no 0xFF
 * beyond the binary ones, which are shorter still).
 */

typedef struct {
    wagw_store_t *s;
    uint32_t inst;
    wagw_arena_t *arena;
    wagw_rec_t **tail;
    wagw_buf_t row;
    uint8_t high[3][2 * WAGW_KEY_MAX];
} load_t;

static int load_emit(load_t *l, uint8_t kind, wagw_str_t key, wagw_str_t value)
{
    wagw_rec_t *r;

    r = wagw_arena_zalloc(l->arena, sizeof(wagw_rec_t));
    if (r == NULL) {
        return WAGW_NOMEM;
    }

    r->kind = kind;
    r->key = wagw_arena_str(l->arena, key);
    r->value = wagw_arena_str(l->arena, value);

    if (r->key.p == NULL || r->value.p == NULL) {
        return WAGW_NOMEM;
    }

    *l->tail = r;
    l->tail = &r->next;

    return WAGW_OK;
}

static int load_emit_row(load_t *l, uint8_t kind, wagw_str_t key)
{
    return l->row.failed ? WAGW_NOMEM : load_emit(l, kind, key, wagw_buf_view(&l->row));
}

static int load_emit_key3(load_t *l, uint8_t kind, wagw_str_t chat, wagw_str_t id, wagw_str_t user)
{
    char key[WAGW_KEY_MAX];
    size_t n = wagw_msgkey(key, chat, id, user);

    return n == 0 ? WAGW_LIMIT : load_emit_row(l, kind, wagw_str(key, n));
}

static wagw_str_t high_of(load_t *l, unsigned slot, wagw_str_t prefix)
{
    if (prefix.n != 0) {
        memcpy(l->high[slot], prefix.p, prefix.n);
    }

    memset(l->high[slot] + prefix.n, 0xFF, WAGW_KEY_MAX);

    return wagw_str(l->high[slot], prefix.n + WAGW_KEY_MAX);
}

static int load_records(load_t *l, uint8_t kind, wagw_str_t key, bool prefix)
{
    wagw_str_t found, value;
    sqlite3_stmt *st;
    int rc;

    if (prefix) {
        st = wagw_sql(l->s, "SELECT key, value FROM records WHERE inst = ?1 AND kind = ?2 AND key BETWEEN ?3 AND ?4"
                            " ORDER BY key");
        wagw_sql_bind(st, "uubb", l->inst, (uint32_t)kind, key, high_of(l, 0, key));
    } else {
        st = wagw_sql(l->s, "SELECT key, value FROM records WHERE inst = ?1 AND kind = ?2 AND key = ?3");
        wagw_sql_bind(st, "uub", l->inst, (uint32_t)kind, key);
    }

    while ((rc = wagw_sql_step(l->s, st)) == WAGW_OK) {
        found = wagw_sql_str(st, 0);

        rc = wagw_unseal(l->s, &l->s->opened, l->inst, kind, found, wagw_sql_str(st, 1), &value);
        if (rc == WAGW_OK) {
            rc = load_emit(l, kind, found, value);
        }

        if (rc != WAGW_OK) {
            break;
        }
    }

    wagw_sql_done(st);

    return rc;
}

/* Lower and upper bound of one part of a key. */
static void part_range(load_t *l, unsigned slot, wagw_str_t part, bool exact, wagw_str_t *low, wagw_str_t *high)
{
    *low = part;
    *high = exact ? part : high_of(l, slot, part);
}

static void bind_key3(load_t *l, sqlite3_stmt *st, wagw_str_t key, bool prefix)
{
    wagw_str_t low[3], high[3];
    wagw_key3_t k;

    wagw_key3(&k, key);

    part_range(l, 0, k.chat, !prefix || k.bars > 0, &low[0], &high[0]);
    part_range(l, 1, k.id, !prefix || k.bars > 1, &low[1], &high[1]);
    part_range(l, 2, k.user, !prefix, &low[2], &high[2]);

    wagw_sql_bind(st, "ussssss", l->inst, low[0], high[0], low[1], high[1], low[2], high[2]);
}

static int load_message_rows(load_t *l, sqlite3_stmt *st, uint8_t kind)
{
    wagw_arena_t tmp = {0};
    wagw_row_message_t m;
    int rc;

    while ((rc = wagw_sql_step(l->s, st)) == WAGW_OK) {
        rc = wagw_message_row(l->s, st, l->inst, &tmp, &m);

        if (rc == WAGW_OK) {
            wagw_buf_reset(&l->row);
            rc = wagw_row_message_encode(&l->row, &m);
        }

        if (rc == WAGW_OK) {
            rc = load_emit_key3(l, kind, m.chat, m.id, m.sender);
        }

        wagw_arena_reset(&tmp);

        if (rc != WAGW_OK) {
            break;
        }
    }

    wagw_sql_done(st);
    wagw_arena_free(&tmp);

    return rc;
}

static int load_messages(load_t *l, wagw_str_t key, bool prefix)
{
    sqlite3_stmt *st;

    if (prefix) {
        st = wagw_sql(l->s, "SELECT " WAGW_MESSAGE_COLUMNS " FROM chats c JOIN messages m ON m.chat = c.num"
                            " AND m.inst = c.inst WHERE c.inst = ?1 AND c.chat BETWEEN ?2 AND ?3"
                            " AND m.id BETWEEN ?4 AND ?5 AND m.sender BETWEEN ?6 AND ?7 ORDER BY m.num");
        bind_key3(l, st, key, true);

    } else {
        wagw_key3_t k;

        wagw_key3(&k, key);
        st = wagw_sql(l->s, "SELECT " WAGW_MESSAGE_COLUMNS " FROM messages m JOIN chats c ON c.num = m.chat"
                            " WHERE m.inst = ?1 AND m.id = ?2 AND m.sender = ?3 AND c.chat = ?4");
        wagw_sql_bind(st, "usss", l->inst, k.id, k.user, k.chat);
    }

    return load_message_rows(l, st, WAGW_REC_MESSAGE);
}

static int load_pending(load_t *l)
{
    sqlite3_stmt *st;

    st = wagw_sql(l->s, "SELECT " WAGW_MESSAGE_COLUMNS " FROM messages m INDEXED BY messages_pending"
                        " CROSS JOIN chats c ON c.num = m.chat WHERE m.inst = ?1 AND m.status = 0 ORDER BY m.num");
    wagw_sql_bind(st, "u", l->inst);

    return load_message_rows(l, st, WAGW_REC_PENDING);
}

static int load_chats(load_t *l, wagw_str_t key, bool prefix)
{
    sqlite3_stmt *st;
    wagw_row_chat_t c;
    int rc;

    st = wagw_sql(l->s, "SELECT " WAGW_CHAT_COLUMNS " FROM chats c WHERE inst = ?1 AND chat BETWEEN ?2 AND ?3"
                        " AND present = 1 ORDER BY chat");
    wagw_sql_bind(st, "uss", l->inst, key, prefix ? high_of(l, 0, key) : key);

    while ((rc = wagw_sql_step(l->s, st)) == WAGW_OK) {
        wagw_chat_row(st, &c);
        wagw_buf_reset(&l->row);
        wagw_row_chat_encode(&l->row, &c);

        rc = load_emit_row(l, WAGW_REC_CHAT, c.id);
        if (rc != WAGW_OK) {
            break;
        }
    }

    wagw_sql_done(st);

    return rc;
}

static int load_contacts(load_t *l, wagw_str_t key, bool prefix)
{
    sqlite3_stmt *st;
    wagw_row_contact_t c;
    int rc;

    st = wagw_sql(l->s, "SELECT " WAGW_CONTACT_COLUMNS " FROM contacts WHERE inst = ?1 AND jid BETWEEN ?2 AND ?3"
                        " ORDER BY jid");
    wagw_sql_bind(st, "uss", l->inst, key, prefix ? high_of(l, 0, key) : key);

    while ((rc = wagw_sql_step(l->s, st)) == WAGW_OK) {
        wagw_contact_row(st, &c);
        wagw_buf_reset(&l->row);
        wagw_row_contact_encode(&l->row, &c);

        rc = load_emit_row(l, WAGW_REC_CONTACT, c.jid);
        if (rc != WAGW_OK) {
            break;
        }
    }

    wagw_sql_done(st);

    return rc;
}

static int load_receipts(load_t *l, wagw_str_t key, bool prefix)
{
    wagw_row_receipt_t r;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(l->s, "SELECT c.chat, m.id, r.user, r.delivered, r.read, r.played FROM chats c"
                        " JOIN messages m ON m.inst = ?1 AND m.chat = c.num AND m.sender = ''"
                        " JOIN receipts r ON r.msg = m.num WHERE c.inst = ?1 AND c.chat BETWEEN ?2 AND ?3"
                        " AND m.id BETWEEN ?4 AND ?5 AND r.user BETWEEN ?6 AND ?7");
    bind_key3(l, st, key, prefix);

    while ((rc = wagw_sql_step(l->s, st)) == WAGW_OK) {
        r = (wagw_row_receipt_t){
            .chat = wagw_sql_str(st, 0),
            .id = wagw_sql_str(st, 1),
            .user = wagw_sql_str(st, 2),
            .delivered = sqlite3_column_int64(st, 3),
            .read = sqlite3_column_int64(st, 4),
            .played = sqlite3_column_int64(st, 5),
        };
        wagw_buf_reset(&l->row);
        wagw_row_receipt_encode(&l->row, &r);

        rc = load_emit_key3(l, WAGW_REC_RECEIPT, r.chat, r.id, r.user);
        if (rc != WAGW_OK) {
            break;
        }
    }

    wagw_sql_done(st);

    return rc;
}

static int load_reactions(load_t *l, wagw_str_t key, bool prefix)
{
    wagw_row_reaction_t r;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(l->s, "SELECT c.chat, r.id, r.user, r.emoji, r.t_ms FROM chats c"
                        " JOIN reactions r ON r.chat = c.num WHERE c.inst = ?1 AND c.chat BETWEEN ?2 AND ?3"
                        " AND r.id BETWEEN ?4 AND ?5 AND r.user BETWEEN ?6 AND ?7");
    bind_key3(l, st, key, prefix);

    while ((rc = wagw_sql_step(l->s, st)) == WAGW_OK) {
        r = (wagw_row_reaction_t){
            .chat = wagw_sql_str(st, 0),
            .id = wagw_sql_str(st, 1),
            .user = wagw_sql_str(st, 2),
            .emoji = wagw_sql_str(st, 3),
            .t_ms = sqlite3_column_int64(st, 4),
        };
        wagw_buf_reset(&l->row);
        wagw_row_reaction_encode(&l->row, &r);

        rc = load_emit_key3(l, WAGW_REC_REACTION, r.chat, r.id, r.user);
        if (rc != WAGW_OK) {
            break;
        }
    }

    wagw_sql_done(st);

    return rc;
}

static int load_votes(load_t *l, wagw_str_t key, bool prefix)
{
    wagw_row_vote_t v;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(l->s, "SELECT c.chat, v.id, v.user, v.options, v.t_ms FROM chats c"
                        " JOIN votes v ON v.chat = c.num WHERE c.inst = ?1 AND c.chat BETWEEN ?2 AND ?3"
                        " AND v.id BETWEEN ?4 AND ?5 AND v.user BETWEEN ?6 AND ?7");
    bind_key3(l, st, key, prefix);

    while ((rc = wagw_sql_step(l->s, st)) == WAGW_OK) {
        v = (wagw_row_vote_t){
            .chat = wagw_sql_str(st, 0),
            .id = wagw_sql_str(st, 1),
            .user = wagw_sql_str(st, 2),
            .options = wagw_sql_str(st, 3),
            .t_ms = sqlite3_column_int64(st, 4),
        };
        wagw_buf_reset(&l->row);
        wagw_row_vote_encode(&l->row, &v);

        rc = load_emit_key3(l, WAGW_REC_VOTE, v.chat, v.id, v.user);
        if (rc != WAGW_OK) {
            break;
        }
    }

    wagw_sql_done(st);

    return rc;
}

static int load_one(load_t *l, const wagw_load_t *w)
{
    wagw_str_t key = wagw_str(w->key, w->key_len);

    if (w->key_len > WAGW_KEY_MAX) {
        return WAGW_LIMIT;
    }

    switch (w->kind) {
    case WAGW_REC_MESSAGE:
        return load_messages(l, key, w->prefix);
    case WAGW_REC_CHAT:
        return load_chats(l, key, w->prefix);
    case WAGW_REC_CONTACT:
        return load_contacts(l, key, w->prefix);
    case WAGW_REC_RECEIPT:
        return load_receipts(l, key, w->prefix);
    case WAGW_REC_REACTION:
        return load_reactions(l, key, w->prefix);
    case WAGW_REC_VOTE:
        return load_votes(l, key, w->prefix);
    case WAGW_REC_PENDING:
        return load_pending(l);
    default:
        return w->kind < WAGW_REC_MESSAGE ? load_records(l, w->kind, key, w->prefix) : WAGW_MALFORMED;
    }
}

int wagw_store_load(wagw_store_t *s, uint32_t instance, const wagw_load_t *asked, wagw_arena_t *a, wagw_rec_t **recs)
{
    load_t l = {.s = s, .inst = instance, .arena = a, .tail = recs};
    int rc = WAGW_OK;

    *recs = NULL;

    for (; asked != NULL && rc == WAGW_OK; asked = asked->next) {
        rc = load_one(&l, asked);
        rc = rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    wagw_buf_wipe(&l.row);

    return rc;
}
