#include "sqlite.h"

/*
 * A batch is applied in two passes: the first decodes every operation and
 * writes nothing, so a bad row refuses its batch as a whole while the group's
 * transaction goes on.  What can still fail afterwards is the database
 * itself, and then the whole transaction is rolled back.  Puts are only noted
 * by the second pass, and written with the transaction (sqlite_late.c).
 */

typedef union {
    wagw_row_message_t message;
    wagw_row_chat_t chat;
    wagw_row_contact_t contact;
    wagw_row_receipt_t receipt;
    wagw_row_reaction_t reaction;
    wagw_row_vote_t vote;
    wagw_row_instance_t instance;
    wagw_delivery_t delivery;
    wagw_idempotency_t idempotency;
    wagw_sends_result_t sends;
} op_row_t;

static bool is_own_table(uint8_t kind)
{
    return kind >= WAGW_REC_MESSAGE;
}

/* Decodes and checks one operation; key3 is set for the kinds that have one. */
static int op_decode(const wagw_op_t *op, op_row_t *row, wagw_key3_t *key)
{
    if (op->key.n > WAGW_KEY_MAX) {
        return WAGW_LIMIT;
    }

    switch (op->op) {
    case WAGW_OP_WIPE:
        return WAGW_OK;
    case WAGW_OP_EVENT:
        return op->event != NULL ? WAGW_OK : WAGW_MALFORMED;
    case WAGW_OP_CHAT_MERGE:
        return op->key.n != 0 && op->value.n != 0 ? WAGW_OK : WAGW_MALFORMED;
    case WAGW_OP_CHAT_CLEAR:
        return op->key.n != 0 ? WAGW_OK : WAGW_MALFORMED;
    case WAGW_OP_INSTANCE:
        return wagw_row_instance_decode(&row->instance, op->value);
    case WAGW_OP_DELIVERY:
        if (wagw_row_delivery_decode(&row->delivery, op->value) != WAGW_OK || row->delivery.id.n == 0) {
            return WAGW_MALFORMED;
        }
        return WAGW_OK;
    case WAGW_OP_IDEMPOTENCY:
        return op->key.n == 32 ? wagw_row_idempotency_decode(&row->idempotency, op->value) : WAGW_MALFORMED;
    case WAGW_OP_SENDS:
        return wagw_row_sends_result_decode(&row->sends, op->value);
    case WAGW_OP_PUT:
    case WAGW_OP_DEL:
        break;
    default:
        return WAGW_MALFORMED;
    }

    if (!is_own_table(op->kind)) {
        return op->kind != 0 ? WAGW_OK : WAGW_MALFORMED;
    }

    if (op->key.n == 0) {
        return WAGW_MALFORMED;
    }

    switch (op->kind) {
    case WAGW_REC_CHAT:
        return op->op == WAGW_OP_DEL ? WAGW_OK : wagw_row_chat_decode(&row->chat, op->value);
    case WAGW_REC_CONTACT:
        return op->op == WAGW_OP_DEL ? WAGW_OK : wagw_row_contact_decode(&row->contact, op->value);
    case WAGW_REC_MESSAGE:
    case WAGW_REC_RECEIPT:
    case WAGW_REC_REACTION:
    case WAGW_REC_VOTE:
        break;
    default:
        return WAGW_MALFORMED;
    }

    wagw_key3(key, op->key);

    if (key->bars != 2 || key->chat.n == 0 || key->id.n == 0) {
        return WAGW_MALFORMED;
    }

    if (op->op == WAGW_OP_DEL) {
        return WAGW_OK;
    }

    switch (op->kind) {
    case WAGW_REC_MESSAGE:
        return wagw_row_message_decode(&row->message, op->value);
    case WAGW_REC_RECEIPT:
        return wagw_row_receipt_decode(&row->receipt, op->value);
    case WAGW_REC_VOTE:
        return wagw_row_vote_decode(&row->vote, op->value);
    default:
        return wagw_row_reaction_decode(&row->reaction, op->value);
    }
}

static int put_record(wagw_store_t *s, uint32_t inst, const wagw_op_t *op)
{
    sqlite3_stmt *st;
    wagw_str_t value;
    int rc;

    rc = wagw_seal(s, &s->scratch, inst, op->kind, op->key, op->value, &value);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "INSERT INTO records (inst, kind, key, value) VALUES (?1, ?2, ?3, ?4)"
                     " ON CONFLICT (inst, kind, key) DO UPDATE SET value = ?4");
    wagw_sql_bind(st, "uubb", inst, (uint32_t)op->kind, op->key, value);

    return wagw_sql_run(s, st);
}

static int put_contact(wagw_store_t *s, uint32_t inst, wagw_str_t jid, const wagw_row_contact_t *c)
{
    sqlite3_stmt *st;

    st = wagw_sql(s, "INSERT INTO contacts (inst, jid, lid, pn, name, push_name, verified_name, business, blocked)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (inst, jid) DO UPDATE SET lid = ?3,"
                     " pn = ?4, name = ?5, push_name = ?6, verified_name = ?7, business = ?8, blocked = ?9");
    wagw_sql_bind(st, "ussssssii", inst, jid, c->lid, c->pn, c->name, c->push_name, c->verified_name,
                  (int64_t)c->business, (int64_t)c->blocked);

    return wagw_sql_run(s, st);
}

static int put_receipt(wagw_store_t *s, uint32_t inst, const wagw_key3_t *key, const wagw_row_receipt_t *r)
{
    sqlite3_stmt *st;
    int64_t num;
    int rc;

    rc = wagw_message_num(s, inst, key, &num);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    st = wagw_sql(s, "INSERT INTO receipts (msg, user, delivered, read, played) VALUES (?1, ?2, ?3, ?4, ?5)"
                     " ON CONFLICT (msg, user) DO UPDATE SET delivered = ?3, read = ?4, played = ?5");
    wagw_sql_bind(st, "isiii", num, key->user, r->delivered, r->read, r->played);

    return wagw_sql_run(s, st);
}

static int put_reaction(wagw_store_t *s, uint32_t inst, const wagw_key3_t *key, const wagw_row_reaction_t *r)
{
    sqlite3_stmt *st;
    int64_t chat;
    int rc;

    rc = wagw_chat_num(s, inst, key->chat, true, &chat);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "INSERT INTO reactions (chat, id, user, emoji, t_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
                     " ON CONFLICT (chat, id, user) DO UPDATE SET emoji = ?4, t_ms = ?5");
    wagw_sql_bind(st, "isssi", chat, key->id, key->user, r->emoji, r->t_ms);

    return wagw_sql_run(s, st);
}

static int put_vote(wagw_store_t *s, uint32_t inst, const wagw_key3_t *key, const wagw_row_vote_t *v)
{
    sqlite3_stmt *st;
    int64_t chat;
    int rc;

    rc = wagw_chat_num(s, inst, key->chat, true, &chat);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "INSERT INTO votes (chat, id, user, options, t_ms) VALUES (?1, ?2, ?3, ?4, ?5)"
                     " ON CONFLICT (chat, id, user) DO UPDATE SET options = ?4, t_ms = ?5");
    wagw_sql_bind(st, "isssi", chat, key->id, key->user, v->options, v->t_ms);

    return wagw_sql_run(s, st);
}

static int op_put(wagw_store_t *s, uint32_t inst, const wagw_op_t *op, const op_row_t *row, const wagw_key3_t *key)
{
    switch (op->kind) {
    case WAGW_REC_MESSAGE:
        return wagw_message_put(s, inst, key, &row->message);
    case WAGW_REC_CHAT:
        return wagw_chat_put(s, inst, op->key, &row->chat);
    case WAGW_REC_CONTACT:
        return put_contact(s, inst, op->key, &row->contact);
    case WAGW_REC_RECEIPT:
        return put_receipt(s, inst, key, &row->receipt);
    case WAGW_REC_REACTION:
        return put_reaction(s, inst, key, &row->reaction);
    case WAGW_REC_VOTE:
        return put_vote(s, inst, key, &row->vote);
    default:
        return put_record(s, inst, op);
    }
}

static int op_del(wagw_store_t *s, uint32_t inst, const wagw_op_t *op, const wagw_key3_t *key)
{
    sqlite3_stmt *st;
    int64_t chat;
    int rc;

    if (!is_own_table(op->kind)) {
        st = wagw_sql(s, "DELETE FROM records WHERE inst = ?1 AND kind = ?2 AND key = ?3");
        wagw_sql_bind(st, "uub", inst, (uint32_t)op->kind, op->key);
        return wagw_sql_run(s, st);
    }

    if (op->kind == WAGW_REC_CHAT) {
        /* the number stays with the messages, which are records of their own */
        st = wagw_sql(s, "UPDATE chats SET present = 0, name = '', lid = '', pn = '', unread = 0, archived = 0,"
                         " pinned = 0, muted_until = 0, ephemeral = 0, last_ms = 0, last_id = '', last_body = '',"
                         " last_type = '', last_from_me = 0, marked_unread = 0 WHERE inst = ?1 AND chat = ?2");
        wagw_sql_bind(st, "us", inst, op->key);
        wagw_chat_forget(s);
        return wagw_sql_run(s, st);
    }

    if (op->kind == WAGW_REC_CONTACT) {
        st = wagw_sql(s, "DELETE FROM contacts WHERE inst = ?1 AND jid = ?2");
        wagw_sql_bind(st, "us", inst, op->key);
        return wagw_sql_run(s, st);
    }

    rc = wagw_chat_num(s, inst, key->chat, false, &chat);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    if (op->kind == WAGW_REC_MESSAGE) {
        /* inst, so that the unique index finds it */
        st = wagw_sql(s, "DELETE FROM messages WHERE chat = ?1 AND id = ?2 AND sender = ?3"
                         " AND inst = (SELECT inst FROM chats WHERE num = ?1)");
        wagw_seen_forget(s);
    } else if (op->kind == WAGW_REC_RECEIPT) {
        st = wagw_sql(
            s, "DELETE FROM receipts WHERE user = ?3 AND msg IN (SELECT num FROM messages"
               " WHERE chat = ?1 AND id = ?2 AND sender = '' AND inst = (SELECT inst FROM chats WHERE num = ?1))");
    } else if (op->kind == WAGW_REC_VOTE) {
        st = wagw_sql(s, "DELETE FROM votes WHERE chat = ?1 AND id = ?2 AND user = ?3");
    } else {
        st = wagw_sql(s, "DELETE FROM reactions WHERE chat = ?1 AND id = ?2 AND user = ?3");
    }

    wagw_sql_bind(st, "iss", chat, key->id, key->user);

    return wagw_sql_run(s, st);
}

static int op_instance(wagw_store_t *s, uint32_t inst, const wagw_row_instance_t *i)
{
    sqlite3_stmt *st;

    st = wagw_sql(s, "UPDATE instances SET jid = ?2, lid = ?3, push_name = ?4, platform = ?5, business_name = ?6,"
                     " status = ?7, connected_ms = ?8, disconnect_code = ?9, disconnect_reason = ?10,"
                     " disconnect_ms = ?11 WHERE num = ?1");
    wagw_sql_bind(st, "ussssssiisi", inst, i->jid, i->lid, i->push_name, i->platform, i->business_name, i->status,
                  i->connected_ms, (int64_t)i->disconnect_code, i->disconnect_reason, i->disconnect_ms);

    return wagw_sql_run(s, st);
}

/* Messages of a chat, and what is said of them. */
static int op_clear(wagw_store_t *s, uint32_t inst, const wagw_op_t *op)
{
    static const char *const rest[] = {
        "DELETE FROM reactions WHERE chat = ?1 AND id NOT IN (SELECT id FROM messages WHERE chat = ?1)",
        "DELETE FROM votes WHERE chat = ?1 AND id NOT IN (SELECT id FROM messages WHERE chat = ?1)"};
    uint8_t tag;
    int64_t chat, until = 0, spared = 0;
    uint64_t u;
    wagw_str_t v;
    wagw_tlv_t r = {.in = op->value};
    sqlite3_stmt *st;
    int rc;

    while (wagw_tlv_next(&r, &tag, &u, &v) == WAGW_OK) {
        if (tag == 1) {
            until = wagw_tlv_i(u);
        } else if (tag == 2 && u != 0) {
            spared = WAGW_ROW_STARRED;
        }
    }
    rc = wagw_chat_num(s, inst, op->key, false, &chat);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    wagw_seen_forget(s);
    /* what is not yet sent will be */
    st = wagw_sql(s, "DELETE FROM messages WHERE chat = ?1 AND t_ms <= ?2 AND (flags & ?3) = 0 AND status <> 0");
    wagw_sql_bind(st, "iii", chat, until, spared);
    rc = wagw_sql_run(s, st);
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]) && rc == WAGW_OK; i++) {
        st = wagw_sql(s, rest[i]);
        wagw_sql_bind(st, "i", chat);
        rc = wagw_sql_run(s, st);
    }
    return rc;
}

static int op_apply(wagw_store_t *s, uint32_t inst, const wagw_op_t *op, op_row_t *row, const wagw_key3_t *key)
{
    sqlite3_stmt *st;

    switch (op->op) {
    case WAGW_OP_PUT:
        return op_put(s, inst, op, row, key);
    case WAGW_OP_DEL:
        return op_del(s, inst, op, key);
    case WAGW_OP_WIPE:
        st = wagw_sql(s, "DELETE FROM records WHERE inst = ?1");
        wagw_sql_bind(st, "u", inst);
        return wagw_sql_run(s, st);
    case WAGW_OP_CHAT_MERGE:
        return wagw_chat_merge(s, inst, op->key, op->value);
    case WAGW_OP_CHAT_CLEAR:
        return op_clear(s, inst, op);
    case WAGW_OP_EVENT:
        return wagw_tally(s, inst, op->event->seq, 0);
    case WAGW_OP_DELIVERY:
        row->delivery.instance = inst;
        return wagw_delivery_insert(s, &row->delivery);
    case WAGW_OP_INSTANCE:
        return op_instance(s, inst, &row->instance);
    case WAGW_OP_SENDS:
        return wagw_store_sends_result(s, &row->sends);
    default:
        memcpy(row->idempotency.key, op->key.p, 32);
        row->idempotency.done = true;
        return wagw_store_idempotency_done(s, &row->idempotency);
    }
}

/* Number 0 is the owner's own: opaque records and nothing else. */
static int op_owner(const wagw_op_t *op)
{
    return (op->op == WAGW_OP_PUT || op->op == WAGW_OP_DEL) && !is_own_table(op->kind) ? WAGW_OK : WAGW_MALFORMED;
}

int wagw_late_flush(wagw_store_t *s)
{
    wagw_key3_t key;
    op_row_t row;
    int rc = WAGW_OK;
    unsigned i, late;

    if (s->nlate == 0 && !s->tallied) {
        return WAGW_OK;
    }

    s->applying = true;

    /* what hangs on messages last: receipts, and chats, which take along how many they got */
    for (late = 0; late < 2; late++) {
        for (i = 0; i < s->nlate && rc == WAGW_OK; i++) {
            const wagw_late_t *l = &s->late[i];

            if ((l->op->kind == WAGW_REC_CHAT || l->op->kind == WAGW_REC_RECEIPT) == (late == 1)) {
                op_decode(l->op, &row, &key);
                rc = op_apply(s, l->inst, l->op, &row, &key);
            }
        }
    }

    if (rc == WAGW_OK) {
        rc = wagw_tally_flush(s);
    }

    s->applying = false;
    wagw_late_drop(s);

    if (rc != WAGW_OK) {
        s->failed = true;
    }

    return rc;
}

/* Operations that stand for themselves; the others want to find everything written. */
static bool is_alone(const wagw_op_t *op)
{
    return op->op == WAGW_OP_EVENT || op->op == WAGW_OP_DELIVERY || op->op == WAGW_OP_INSTANCE ||
           op->op == WAGW_OP_IDEMPOTENCY;
}

static int apply_late(wagw_store_t *s, uint32_t inst, const wagw_op_t *op)
{
    wagw_key3_t key = {.bars = 0};
    op_row_t row;
    int rc = WAGW_OK;

    if (op->op == WAGW_OP_PUT || (op->op == WAGW_OP_DEL && !is_own_table(op->kind))) {
        if (wagw_late_put(s, inst, op)) {
            return WAGW_OK;
        }

        rc = wagw_late_flush(s);
        if (rc == WAGW_OK && !wagw_late_put(s, inst, op)) {
            rc = WAGW_ERROR;
        }

        return rc;
    }

    if (!is_alone(op)) {
        rc = wagw_late_flush(s);
    }

    if (rc == WAGW_OK) {
        s->applying = true;
        op_decode(op, &row, &key);
        rc = op_apply(s, inst, op, &row, &key);
        s->applying = false;
    }

    return rc;
}

static int apply_instance(wagw_store_t *s, uint32_t inst)
{
    uint32_t *known = &s->known[inst & (WAGW_TALLY_SLOTS - 1)];
    sqlite3_stmt *st;
    int rc;

    if (inst == 0 || *known == inst) {
        return s->failed ? WAGW_IO : WAGW_OK;
    }

    s->applying = true;
    st = wagw_sql(s, "SELECT 1 FROM instances WHERE num = ?1 AND deleted = 0");
    wagw_sql_bind(st, "u", inst);
    rc = wagw_sql_step(s, st);
    wagw_sql_done(st);
    s->applying = false;

    if (rc == WAGW_OK) {
        *known = inst;
    }

    return rc;
}

static int apply_checked(wagw_store_t *s, const wagw_batch_t *b)
{
    wagw_key3_t key = {.bars = 0};
    const wagw_op_t *op;
    op_row_t row;
    int rc;

    rc = apply_instance(s, b->instance);
    if (rc != WAGW_OK) {
        return rc;
    }

    for (op = b->ops; op != NULL; op = op->next) {
        rc = b->instance != 0 ? WAGW_OK : op_owner(op);
        if (rc == WAGW_OK) {
            rc = op_decode(op, &row, &key);
        }

        if (rc != WAGW_OK) {
            return wagw_store_fail(s, rc, "instance %u: operation %u of kind %u does not decode", b->instance, op->op,
                                   op->kind);
        }
    }

    for (op = b->ops; op != NULL && rc == WAGW_OK; op = op->next) {
        rc = apply_late(s, b->instance, op);
    }

    if (rc != WAGW_OK) {
        s->failed = true;
    }

    return rc;
}

int wagw_store_apply(wagw_store_t *s, const wagw_batch_t *b)
{
    bool own;
    int rc;

    rc = wagw_tx_enter(s, &own);

    return rc != WAGW_OK ? rc : wagw_tx_leave(s, own, apply_checked(s, b));
}
