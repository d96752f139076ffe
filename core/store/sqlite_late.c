#include "sqlite.h"

/*
 * What a transaction puts is written at its end, each row once however many
 * of its turns have changed it: a burst of texts steps the same sessions and
 * the same chat over and over.  Only the order among different rows changes,
 * and nothing reads in between: wagw_sql() writes everything first.
 */

static uint32_t late_hash(uint32_t inst, const wagw_op_t *op)
{
    uint64_t h = ((uint64_t)inst << 8 | op->kind) * 0x9E3779B97F4A7C15u, w;
    const uint8_t *p = op->key.p;
    size_t n;

    for (n = op->key.n; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }

    w = n;
    while (n-- != 0) {
        w = w << 8 | p[n];
    }

    h = (h ^ w) * 0xD6E8FEB86659FD93u;

    return (uint32_t)(h >> 32);
}

bool wagw_late_put(wagw_store_t *s, uint32_t inst, const wagw_op_t *op)
{
    uint32_t hash = late_hash(inst, op);
    size_t i = hash & (WAGW_LATE_INDEX - 1);
    wagw_late_t *l;

    for (; s->late_at[i] != 0; i = (i + 1) & (WAGW_LATE_INDEX - 1)) {
        l = &s->late[s->late_at[i] - 1];

        if (l->hash == hash && l->inst == inst && l->op->kind == op->kind && wagw_str_eq(l->op->key, op->key)) {
            l->op = op;
            return true;
        }
    }

    if (s->nlate == WAGW_LATE_MAX) {
        return false;
    }

    s->late[s->nlate++] = (wagw_late_t){.hash = hash, .inst = inst, .op = op};
    s->late_at[i] = (uint16_t)s->nlate;

    return true;
}

void wagw_late_drop(wagw_store_t *s)
{
    if (s->nlate != 0) {
        memset(s->late_at, 0, sizeof(s->late_at));
        s->nlate = 0;
    }

    if (s->tallied) {
        memset(s->tally, 0, sizeof(s->tally));
        memset(s->tally_chat, 0, sizeof(s->tally_chat));
        s->tallied = false;
    }
}

static int tally_write(wagw_store_t *s, wagw_tally_t *t)
{
    sqlite3_stmt *st;

    if (t->inst == 0) {
        return WAGW_OK;
    }

    st = wagw_sql(s, "UPDATE instances SET event_seq = max(event_seq, ?2), messages = messages + ?3 WHERE num = ?1");
    wagw_sql_bind(st, "uii", t->inst, (int64_t)t->event_seq, t->messages);
    *t = (wagw_tally_t){.inst = 0};

    return wagw_sql_run(s, st);
}

int wagw_tally(wagw_store_t *s, uint32_t inst, uint64_t event_seq, int64_t messages)
{
    wagw_tally_t *t = &s->tally[inst & (WAGW_TALLY_SLOTS - 1)];
    int rc = t->inst != inst ? tally_write(s, t) : WAGW_OK;

    t->inst = inst;
    t->messages += messages;
    t->event_seq = event_seq > t->event_seq ? event_seq : t->event_seq;
    s->tallied = true;

    return rc;
}

static int tally_chat_write(wagw_store_t *s, wagw_tally_chat_t *t)
{
    sqlite3_stmt *st;

    if (t->messages == 0) {
        return WAGW_OK;
    }

    st = wagw_sql(s, "UPDATE chats SET messages = messages + ?2 WHERE num = ?1");
    wagw_sql_bind(st, "ii", t->chat, t->messages);
    t->messages = 0;

    return wagw_sql_run(s, st);
}

int wagw_tally_chat(wagw_store_t *s, int64_t chat, int64_t messages)
{
    wagw_tally_chat_t *t = &s->tally_chat[chat & (WAGW_TALLY_SLOTS - 1)];
    int rc = t->chat != chat ? tally_chat_write(s, t) : WAGW_OK;

    t->chat = chat;
    t->messages += messages;
    s->tallied = true;

    return rc;
}

int64_t wagw_tally_chat_take(wagw_store_t *s, int64_t chat)
{
    wagw_tally_chat_t *t = &s->tally_chat[chat & (WAGW_TALLY_SLOTS - 1)];
    int64_t n = t->chat == chat ? t->messages : 0;

    if (n != 0) {
        t->messages = 0;
    }

    return n;
}

int wagw_tally_flush(wagw_store_t *s)
{
    int rc = WAGW_OK;

    for (size_t i = 0; i < WAGW_TALLY_SLOTS && rc == WAGW_OK && s->tallied; i++) {
        rc = tally_write(s, &s->tally[i]);
        if (rc == WAGW_OK) {
            rc = tally_chat_write(s, &s->tally_chat[i]);
        }
    }

    s->tallied = false;

    return rc;
}
