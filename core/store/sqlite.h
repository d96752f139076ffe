/*
 * The SQLite driver's inside, shared by the sqlite*.c files only.
 *
 * SQL text is a string literal at the place of its use; wagw_sql() prepares it
 * once for the life of the handle (found again by the literal's address).
 */

#ifndef WAGW_STORE_SQLITE_H
#define WAGW_STORE_SQLITE_H

#include "store.h"

#include <sqlite3.h>

#define WAGW_SQL_SLOTS 512 /* power of two, far above the number of statements */

/* Chat numbers lately used; a changed row in chats empties it. */
#define WAGW_CHAT_SLOTS 64

typedef struct {
    uint32_t inst;
    uint8_t len;
    bool present; /* the row's, when true */
    char chat[WAGW_JID_TEXT_MAX];
    int64_t num;
} wagw_chat_slot_t;

/* Own messages lately written: where they are.  Forgotten when others work with the database. */
#define WAGW_SEEN_SLOTS 256
#define WAGW_SEEN_ID 48

typedef struct {
    uint32_t age; /* of s->age: valid */
    uint8_t len;
    char id[WAGW_SEEN_ID];
    bool hidden;
    int64_t chat, num, t_ms;
} wagw_seen_slot_t;

/* What waits for the end of the transaction (sqlite_late.c). */
#define WAGW_LATE_MAX 400
#define WAGW_LATE_INDEX 1024 /* power of two */
#define WAGW_TALLY_SLOTS 64  /* power of two */

typedef struct {
    uint32_t hash, inst;
    const wagw_op_t *op;
} wagw_late_t;

typedef struct {
    uint32_t inst;
    uint64_t event_seq;
    int64_t messages;
} wagw_tally_t;

typedef struct {
    int64_t chat, messages;
} wagw_tally_chat_t;

typedef struct wagw_vfs_s wagw_vfs_t;

struct wagw_store_s {
    sqlite3 *db;
    wagw_vfs_t *vfs;
    char *path;
    bool in_tx;
    bool failed; /* an SQL error inside the transaction: it can only be rolled back */
    bool sealed;
    uint8_t key[32];      /* the sealing key, derived */
    uint8_t nonce[12];    /* 8 random bytes, then a counter: never twice under one key */
    uint32_t nonce_count; /* the counter */
    char error[512];

    struct {
        const char *text;
        sqlite3_stmt *st;
    } sql[WAGW_SQL_SLOTS];
    wagw_chat_slot_t chats[WAGW_CHAT_SLOTS];
    wagw_seen_slot_t seen[WAGW_SEEN_SLOTS];
    uint32_t age;

    wagw_late_t late[WAGW_LATE_MAX];
    uint16_t late_at[WAGW_LATE_INDEX]; /* number in late + 1, found by hash */
    unsigned nlate;
    wagw_tally_t tally[WAGW_TALLY_SLOTS];
    wagw_tally_chat_t tally_chat[WAGW_TALLY_SLOTS];
    bool tallied;
    bool applying;                    /* the statements are those of a batch */
    uint32_t known[WAGW_TALLY_SLOTS]; /* instances that are there, in this transaction */
    wagw_buf_t scratch;               /* of the seal functions */
    wagw_buf_t opened;
};

/* ---- the log's writes gathered (sqlite_vfs.c) */

int wagw_vfs_make(wagw_vfs_t **v);
const char *wagw_vfs_name(const wagw_vfs_t *v);
void wagw_vfs_destroy(wagw_vfs_t *v); /* after its last file is closed; takes NULL */

/* ---- statements (sqlite_sql.c) */

/* The cached statement, ready to bind; NULL with s->error set.  Whoever is not
 * applying a batch finds everything written that was put. */
sqlite3_stmt *wagw_sql(wagw_store_t *s, const char *literal);
/*
 * Binds parameters 1..n: i int64_t, u uint32_t, s text, t text or NULL when
 * empty, b blob, c blob or NULL when empty (s t b c: wagw_str_t).  Views must
 * live until the statement is done.  Takes NULL for st.
 */
void wagw_sql_bind(sqlite3_stmt *st, const char *form, ...);
/* WAGW_OK: a row is there.  WAGW_NOT_FOUND: no more; the statement is reset.
 * WAGW_DUPLICATE: a uniqueness constraint; WAGW_STATE: a foreign key.  Otherwise WAGW_IO, WAGW_NOMEM. */
int wagw_sql_step(wagw_store_t *s, sqlite3_stmt *st);
/* Runs a statement without result rows: WAGW_OK instead of WAGW_NOT_FOUND. */
int wagw_sql_run(wagw_store_t *s, sqlite3_stmt *st);
/* Ends a statement before its last row. */
void wagw_sql_done(sqlite3_stmt *st);
int wagw_sql_exec(wagw_store_t *s, const char *text);
wagw_str_t wagw_sql_str(sqlite3_stmt *st, int column); /* until the next step */
int64_t wagw_sql_changes(wagw_store_t *s);
/* Sets s->error from SQLite and answers the rc that belongs to it. */
int wagw_sql_failed(wagw_store_t *s, int sqlite_rc);
int wagw_store_fail(wagw_store_t *s, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Statements put together from a caller's filters.  The texts are literals of
 * ours with one '?' each; values are bound, never pasted.
 */
typedef struct {
    wagw_buf_t text;
    unsigned n;
    struct {
        bool is_int;
        int64_t i;
        wagw_str_t s;
    } v[24];
} wagw_query_t;

void wagw_query(wagw_query_t *q, const char *literal);
void wagw_query_int(wagw_query_t *q, const char *literal, int64_t v);
void wagw_query_str(wagw_query_t *q, const char *literal, wagw_str_t v);
/* head + q + tail, bound; the caller finalises it.  NULL on failure. */
sqlite3_stmt *wagw_query_prepare(wagw_store_t *s, const char *head, const wagw_query_t *q, const char *tail);
void wagw_query_free(wagw_query_t *q);
/* One integer: the first column of the first row. */
int wagw_query_count(wagw_store_t *s, const char *head, const wagw_query_t *q, const char *tail, int64_t *v);
/* `%text%` for LIKE ... ESCAPE '\\' */
void wagw_query_like(wagw_buf_t *out, wagw_str_t text);

/* For functions of several statements: a transaction of their own when none
 * is open.  leave(rc) commits on WAGW_OK and answers the final rc. */
int wagw_tx_enter(wagw_store_t *s, bool *own);
int wagw_tx_leave(wagw_store_t *s, bool own, int rc);

/* ---- encryption at rest (sqlite_seal.c) */

/* Checks the key against the database, or lets a new database begin with it. */
int wagw_seal_open(wagw_store_t *s, const uint8_t *key);
/*
 * Without a key the value itself.  The result lives until the next call of
 * the same function with the same buffer.  id: what binds it to its row.
 */
int wagw_seal(wagw_store_t *s, wagw_buf_t *out, uint32_t inst, uint8_t kind, wagw_str_t id, wagw_str_t value,
              wagw_str_t *sealed);
int wagw_unseal(wagw_store_t *s, wagw_buf_t *out, uint32_t inst, uint8_t kind, wagw_str_t id, wagw_str_t sealed,
                wagw_str_t *value);

/* Kinds of sealed things that are no records: beside wagw_rec_kind_t. */
#define WAGW_SEAL_CONTENT 128
#define WAGW_SEAL_SECRET 129
#define WAGW_SEAL_STANZA 130
#define WAGW_SEAL_WEBHOOK_SECRET 131
#define WAGW_SEAL_WEBHOOK_HEADERS 132
#define WAGW_SEAL_IDEMPOTENCY 133
#define WAGW_SEAL_SENDS 134
#define WAGW_SEAL_VARIABLES 135
#define WAGW_SEAL_TEMPLATE 136
#define WAGW_SEAL_SCHEDULE 137

/* ---- rows (sqlite_rows.c) */

/* The three parts of a message, receipt or reaction key. */
typedef struct {
    wagw_str_t chat, id, user;
    unsigned bars; /* how many '|' there were */
} wagw_key3_t;

void wagw_key3(wagw_key3_t *k, wagw_str_t key);

/* chats.num of a chat; make: insert a row that only holds the number. */
int wagw_chat_num(wagw_store_t *s, uint32_t inst, wagw_str_t chat, bool make, int64_t *num);
void wagw_chat_forget(wagw_store_t *s); /* and what was seen of messages */

/* The columns every reader of messages selects, m = messages, c = chats. */
#define WAGW_MESSAGE_COLUMNS                                                                                           \
    "m.num, c.chat, m.id, m.sender, m.sender_alt, m.from_me, m.status, m.flags, m.t_ms, m.created_ms, m.edited_ms, "   \
    "m.type, m.body, m.push_name, m.wire_to, m.quoted, m.mentions, m.media, m.content, m.secret, m.ref, m.stanza, "    \
    "m.edit, m.stanza_type, m.error, m.expiration"
#define WAGW_MESSAGE_NCOLUMNS 26

/* The sealed columns are copied to `a`; the rest are views until the next step. */
int wagw_message_row(wagw_store_t *s, sqlite3_stmt *st, uint32_t inst, wagw_arena_t *a, wagw_row_message_t *m);
/* messages.num of an own message; WAGW_NOT_FOUND. */
int wagw_message_num(wagw_store_t *s, uint32_t inst, const wagw_key3_t *key, int64_t *num);
void wagw_seen_forget(wagw_store_t *s);
int wagw_message_put(wagw_store_t *s, uint32_t inst, const wagw_key3_t *key, const wagw_row_message_t *m);

#define WAGW_CHAT_COLUMNS                                                                                              \
    "c.chat, c.name, c.lid, c.pn, c.unread, c.archived, c.pinned, c.muted_until, c.ephemeral, c.last_ms, c.last_id, "  \
    "c.last_body, c.last_type, c.last_from_me, c.marked_unread"
void wagw_chat_row(sqlite3_stmt *st, wagw_row_chat_t *c);
int wagw_chat_put(wagw_store_t *s, uint32_t inst, wagw_str_t chat, const wagw_row_chat_t *c);
int wagw_chat_merge(wagw_store_t *s, uint32_t inst, wagw_str_t from, wagw_str_t to);

#define WAGW_CONTACT_COLUMNS "jid, lid, pn, name, push_name, verified_name, business, blocked"
void wagw_contact_row(sqlite3_stmt *st, wagw_row_contact_t *c);

int wagw_delivery_insert(wagw_store_t *s, const wagw_delivery_t *d);

/* ---- what is written at the end of a transaction (sqlite_late.c) */

/* Takes a PUT, or the DEL of an opaque record; false: no room, flush first.
 * op lives until the end of the transaction. */
bool wagw_late_put(wagw_store_t *s, uint32_t inst, const wagw_op_t *op);
void wagw_late_drop(wagw_store_t *s);
/* Writes it all (sqlite_apply.c).  An error is one of the whole transaction. */
int wagw_late_flush(wagw_store_t *s);
/* Numbers of an instance and of a chat that grow: written once. */
int wagw_tally(wagw_store_t *s, uint32_t inst, uint64_t event_seq, int64_t messages);
int wagw_tally_chat(wagw_store_t *s, int64_t chat, int64_t messages);
int64_t wagw_tally_chat_take(wagw_store_t *s, int64_t chat); /* the caller adds them */
int wagw_tally_flush(wagw_store_t *s);

/* ---- identities (sqlite_chats.c) */

/* The other form of a user's jid by the LID records; WAGW_NOT_FOUND. */
int wagw_other_form(wagw_store_t *s, uint32_t inst, wagw_str_t jid, wagw_buf_t *other);
/* Own user jids, or empty texts while not linked; WAGW_NOT_FOUND: no such instance. */
int wagw_own_jids(wagw_store_t *s, uint32_t inst, char pn[WAGW_JID_TEXT_MAX], char lid[WAGW_JID_TEXT_MAX]);
void wagw_json_user(wagw_json_t *j, const char *key, wagw_str_t jid);     /* digits of a jid, or null */
void wagw_json_or_null(wagw_json_t *j, const char *key, wagw_str_t text); /* text, or null when empty */

#endif
