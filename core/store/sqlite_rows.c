#include "sqlite.h"

void wagw_key3(wagw_key3_t *k, wagw_str_t key)
{
    wagw_str_t *part[3] = {&k->chat, &k->id, &k->user};
    const uint8_t *bar;

    *k = (wagw_key3_t){.bars = 0};

    for (;;) {
        bar = key.n != 0 && k->bars < 2 ? memchr(key.p, '|', key.n) : NULL;
        if (bar == NULL) {
            *part[k->bars] = key;
            return;
        }

        *part[k->bars++] = wagw_str(key.p, (size_t)(bar - key.p));
        key = wagw_str(bar + 1, key.n - (size_t)(bar + 1 - key.p));
    }
}

void wagw_chat_forget(wagw_store_t *s)
{
    memset(s->chats, 0, sizeof(s->chats));
    wagw_seen_forget(s);
}

static wagw_chat_slot_t *chat_slot(wagw_store_t *s, uint32_t inst, wagw_str_t chat)
{
    uint32_t h = inst * 0x9E3779B9u;
    size_t i;

    if (chat.n >= WAGW_JID_TEXT_MAX) {
        return NULL;
    }

    for (i = 0; i < chat.n; i++) {
        h = (h ^ chat.p[i]) * 16777619u;
    }

    return &s->chats[(h ^ h >> 16) & (WAGW_CHAT_SLOTS - 1)];
}

static int chat_kind(wagw_str_t chat)
{
    if (wagw_str_ends(chat, WAGW_STR("@g.us"))) {
        return 1;
    }

    if (wagw_str_ends(chat, WAGW_STR("@newsletter"))) {
        return 2;
    }

    return wagw_str_ends(chat, WAGW_STR("@broadcast")) ? 3 : 0;
}

int wagw_chat_num(wagw_store_t *s, uint32_t inst, wagw_str_t chat, bool make, int64_t *num)
{
    wagw_chat_slot_t *slot = chat_slot(s, inst, chat);
    sqlite3_stmt *st;
    int rc;

    if (slot != NULL && slot->num != 0 && slot->inst == inst && wagw_str_eq(chat, wagw_str(slot->chat, slot->len))) {
        *num = slot->num;
        return WAGW_OK;
    }

    st = wagw_sql(s, "SELECT num FROM chats WHERE inst = ?1 AND chat = ?2");
    wagw_sql_bind(st, "us", inst, chat);
    rc = wagw_sql_step(s, st);

    if (rc == WAGW_OK) {
        *num = sqlite3_column_int64(st, 0);
        wagw_sql_done(st);

    } else if (rc == WAGW_NOT_FOUND && make) {
        st = wagw_sql(s, "INSERT INTO chats (inst, chat, kind) VALUES (?1, ?2, ?3)");
        wagw_sql_bind(st, "usi", inst, chat, (int64_t)chat_kind(chat));
        rc = wagw_sql_run(s, st);
        *num = sqlite3_last_insert_rowid(s->db);
    }

    if (rc == WAGW_OK && slot != NULL) {
        slot->inst = inst;
        slot->present = false;
        slot->num = *num;
        slot->len = (uint8_t)chat.n;
        memcpy(slot->chat, chat.p, chat.n);
    }

    return rc;
}

/* A sealed column is bound to its message's id.  Neither chat nor sender:
 * CHAT_MERGE gives both their phone form without opening anything. */

static int message_open(wagw_store_t *s, sqlite3_stmt *st, int column, uint8_t kind, uint32_t inst, wagw_str_t id,
                        wagw_arena_t *a, wagw_str_t *v)
{
    wagw_str_t sealed = wagw_sql_str(st, column);
    int rc;

    *v = WAGW_STR_NULL;

    if (sealed.n == 0) {
        return WAGW_OK;
    }

    if (!s->sealed) {
        *v = sealed;
        return WAGW_OK;
    }

    rc = wagw_unseal(s, &s->opened, inst, kind, id, sealed, v);
    if (rc == WAGW_OK) {
        *v = wagw_arena_str(a, *v);
        rc = v->p != NULL ? WAGW_OK : WAGW_NOMEM;
    }

    return rc;
}

int wagw_message_row(wagw_store_t *s, sqlite3_stmt *st, uint32_t inst, wagw_arena_t *a, wagw_row_message_t *m)
{
    int rc;

    *m = (wagw_row_message_t){
        .chat = wagw_sql_str(st, 1),
        .id = wagw_sql_str(st, 2),
        .sender = wagw_sql_str(st, 3),
        .sender_alt = wagw_sql_str(st, 4),
        .from_me = sqlite3_column_int(st, 5) != 0,
        .status = (uint8_t)sqlite3_column_int(st, 6),
        .flags = (uint32_t)sqlite3_column_int64(st, 7),
        .t_ms = sqlite3_column_int64(st, 8),
        .created_ms = sqlite3_column_int64(st, 9),
        .edited_ms = sqlite3_column_int64(st, 10),
        .type = wagw_sql_str(st, 11),
        .body = wagw_sql_str(st, 12),
        .push_name = wagw_sql_str(st, 13),
        .to = wagw_sql_str(st, 14),
        .quoted = wagw_sql_str(st, 15),
        .mentions = wagw_sql_str(st, 16),
        .media = wagw_sql_str(st, 17),
        .ref = wagw_sql_str(st, 20),
        .edit = wagw_sql_str(st, 22),
        .stanza_type = wagw_sql_str(st, 23),
        .error = (uint32_t)sqlite3_column_int64(st, 24),
        .expiration = (uint32_t)sqlite3_column_int64(st, 25),
    };

    rc = message_open(s, st, 18, WAGW_SEAL_CONTENT, inst, m->id, a, &m->content);
    if (rc == WAGW_OK) {
        rc = message_open(s, st, 19, WAGW_SEAL_SECRET, inst, m->id, a, &m->secret);
    }

    if (rc == WAGW_OK) {
        rc = message_open(s, st, 21, WAGW_SEAL_STANZA, inst, m->id, a, &m->stanza);
    }

    return rc;
}

static int message_close(wagw_store_t *s, uint8_t kind, uint32_t inst, wagw_str_t id, wagw_buf_t *buf, wagw_str_t *v)
{
    return v->n == 0 ? WAGW_OK : wagw_seal(s, buf, inst, kind, id, *v, v);
}

#define MESSAGE_SET                                                                                                    \
    "UPDATE messages SET sender_alt = ?5, from_me = ?6, status = ?7, flags = ?8, created_ms = ?11, edited_ms = ?12,"   \
    " type = ?13, body = ?14, push_name = ?15, wire_to = ?16, quoted = ?17, mentions = ?18, media = ?19,"              \
    " content = ?20, secret = ?21, ref = ?22, stanza = ?23, edit = ?24, stanza_type = ?25, error = ?26,"               \
    " expiration = ?27"

#define MESSAGE_INSERT                                                                                                 \
    "INSERT OR IGNORE INTO messages (inst, chat, id, sender, sender_alt, from_me, status, flags, hidden, t_ms,"        \
    " created_ms, edited_ms, type, body, push_name, wire_to, quoted, mentions, media, content, secret, ref, stanza,"   \
    " edit, stanza_type, error, expiration) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15," \
    " ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)"

typedef struct {
    uint32_t inst;
    int64_t chat;
    const wagw_key3_t *key;
    const wagw_row_message_t *m;
    bool hidden;
    wagw_str_t content, secret, stanza; /* as they are stored */
} message_t;

static int message_run(wagw_store_t *s, sqlite3_stmt *st, const message_t *w, int64_t num)
{
    const wagw_row_message_t *m = w->m;

    wagw_sql_bind(st, "uisssiiuiiiisssssssccscssuu", w->inst, w->chat, w->key->id, w->key->user, m->sender_alt,
                  (int64_t)m->from_me, (int64_t)m->status, m->flags, (int64_t)w->hidden, m->t_ms, m->created_ms,
                  m->edited_ms, m->type, m->body, m->push_name, m->to, m->quoted, m->mentions, m->media, w->content,
                  w->secret, m->ref, w->stanza, m->edit, m->stanza_type, m->error, m->expiration);
    if (st != NULL && num != 0) {
        sqlite3_bind_int64(st, 28, num);
    }

    return wagw_sql_run(s, st);
}

void wagw_seen_forget(wagw_store_t *s)
{
    s->age++;

    if (s->age == 0) {
        memset(s->seen, 0, sizeof(s->seen));
        s->age = 1;
    }
}

/* The slot of an own message, empty (num 0) when it is not the one that was
 * seen last; NULL: such messages are not remembered. */
static wagw_seen_slot_t *message_seen(wagw_store_t *s, int64_t chat, const wagw_key3_t *key)
{
    uint32_t h = (uint32_t)chat * 0x9E3779B9u;
    wagw_seen_slot_t *seen;
    size_t i;

    if (key->user.n != 0 || key->id.n > WAGW_SEEN_ID) {
        return NULL;
    }

    for (i = 0; i < key->id.n; i++) {
        h = (h ^ key->id.p[i]) * 16777619u;
    }

    seen = &s->seen[(h ^ h >> 16) & (WAGW_SEEN_SLOTS - 1)];

    if (seen->age != s->age || seen->chat != chat || !wagw_str_eq(key->id, wagw_str(seen->id, seen->len))) {
        *seen = (wagw_seen_slot_t){.age = s->age, .chat = chat, .len = (uint8_t)key->id.n};
        memcpy(seen->id, key->id.p, key->id.n);
    }

    return seen;
}

/*
 * A message is written several times (pending, sent, delivered, read), mostly
 * with nothing new for the indexes of the listings: an UPDATE that does not
 * name their columns leaves them alone, which an upsert cannot.  WAGW_NOT_FOUND:
 * no such row where it was seen.
 */
static int message_update(wagw_store_t *s, const message_t *w, const wagw_seen_slot_t *seen)
{
    sqlite3_stmt *st;
    int rc;

    st = seen->t_ms == w->m->t_ms && seen->hidden == w->hidden
             ? wagw_sql(s, MESSAGE_SET " WHERE num = ?28 AND inst = ?1 AND chat = ?2 AND id = ?3 AND sender = ?4")
             : wagw_sql(s, MESSAGE_SET ", hidden = ?9, t_ms = ?10 WHERE num = ?28 AND inst = ?1 AND chat = ?2"
                                       " AND id = ?3 AND sender = ?4");
    rc = message_run(s, st, w, seen->num);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

static int message_insert(wagw_store_t *s, const message_t *w, wagw_seen_slot_t *seen)
{
    int rc = message_run(s, wagw_sql(s, MESSAGE_INSERT), w, 0);

    if (rc != WAGW_OK || wagw_sql_changes(s) == 0) {
        return rc == WAGW_OK ? WAGW_DUPLICATE : rc;
    }

    seen->num = sqlite3_last_insert_rowid(s->db);

    if (!w->hidden) {
        rc = wagw_tally(s, w->inst, 0, 1);
        if (rc == WAGW_OK) {
            rc = wagw_tally_chat(s, w->chat, 1);
        }
    }

    return rc;
}

static int message_find(wagw_store_t *s, uint32_t inst, int64_t chat, const wagw_key3_t *key, wagw_str_t sender,
                        wagw_seen_slot_t *seen)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT num, t_ms, hidden FROM messages WHERE inst = ?1 AND id = ?2 AND chat = ?3"
                     " AND sender = ?4");
    wagw_sql_bind(st, "usis", inst, key->id, chat, sender);

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        seen->num = sqlite3_column_int64(st, 0);
        seen->t_ms = sqlite3_column_int64(st, 1);
        seen->hidden = sqlite3_column_int(st, 2) != 0;
        wagw_sql_done(st);
    }

    return rc;
}

static int message_write(wagw_store_t *s, const message_t *w)
{
    wagw_seen_slot_t once = {.num = 0}, *seen = message_seen(s, w->chat, w->key);
    int rc;

    if (seen == NULL) {
        seen = &once;
    }

    rc = seen->num != 0 ? message_update(s, w, seen) : WAGW_NOT_FOUND;

    if (rc == WAGW_NOT_FOUND) {
        /* these two are what a message begins as */
        if (w->m->status == WAGW_MSG_PENDING || w->m->status == WAGW_MSG_RECEIVED) {
            rc = message_insert(s, w, seen);
        }

        if (rc == WAGW_NOT_FOUND || rc == WAGW_DUPLICATE) {
            rc = message_find(s, w->inst, w->chat, w->key, w->key->user, seen);
            rc = rc == WAGW_OK ? message_update(s, w, seen) : rc == WAGW_NOT_FOUND ? message_insert(s, w, seen) : rc;
        }
    }

    if (rc == WAGW_OK) {
        seen->t_ms = w->m->t_ms;
        seen->hidden = w->hidden;
    } else {
        seen->num = 0;
    }

    return rc;
}

int wagw_message_num(wagw_store_t *s, uint32_t inst, const wagw_key3_t *key, int64_t *num)
{
    wagw_key3_t own = {.chat = key->chat, .id = key->id, .bars = 2};
    wagw_seen_slot_t once = {.num = 0}, *seen;
    int64_t chat;
    int rc;

    rc = wagw_chat_num(s, inst, key->chat, false, &chat);
    if (rc != WAGW_OK) {
        return rc;
    }

    seen = message_seen(s, chat, &own);
    if (seen == NULL) {
        seen = &once;
    }

    if (seen->num == 0) {
        rc = message_find(s, inst, chat, &own, WAGW_STR(""), seen);
    }

    *num = seen->num;

    return rc;
}

int wagw_message_put(wagw_store_t *s, uint32_t inst, const wagw_key3_t *key, const wagw_row_message_t *m)
{
    message_t w = {.inst = inst,
                   .key = key,
                   .m = m,
                   .hidden = (m->flags & (WAGW_ROW_HIDDEN | WAGW_ROW_UNLISTED)) != 0,
                   .content = m->content,
                   .secret = m->secret,
                   .stanza = m->stanza};
    wagw_buf_t b1 = {0}, b2 = {0}, b3 = {0};
    int rc;

    rc = wagw_chat_num(s, inst, key->chat, true, &w.chat);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = message_close(s, WAGW_SEAL_CONTENT, inst, key->id, &b1, &w.content);
    if (rc == WAGW_OK) {
        rc = message_close(s, WAGW_SEAL_SECRET, inst, key->id, &b2, &w.secret);
    }

    if (rc == WAGW_OK) {
        rc = message_close(s, WAGW_SEAL_STANZA, inst, key->id, &b3, &w.stanza);
    }

    if (rc == WAGW_OK) {
        rc = message_write(s, &w);
    }

    wagw_buf_free(&b1);
    wagw_buf_free(&b2);
    wagw_buf_free(&b3);

    return rc;
}

void wagw_chat_row(sqlite3_stmt *st, wagw_row_chat_t *c)
{
    *c = (wagw_row_chat_t){
        .id = wagw_sql_str(st, 0),
        .name = wagw_sql_str(st, 1),
        .lid = wagw_sql_str(st, 2),
        .pn = wagw_sql_str(st, 3),
        .unread = (uint32_t)sqlite3_column_int64(st, 4),
        .archived = sqlite3_column_int(st, 5) != 0,
        .pinned = (uint32_t)sqlite3_column_int64(st, 6),
        .muted_until = sqlite3_column_int64(st, 7),
        .ephemeral = (uint32_t)sqlite3_column_int64(st, 8),
        .last_ms = sqlite3_column_int64(st, 9),
        .last_id = wagw_sql_str(st, 10),
        .last_body = wagw_sql_str(st, 11),
        .last_type = wagw_sql_str(st, 12),
        .last_from_me = sqlite3_column_int(st, 13) != 0,
        .marked_unread = sqlite3_column_int(st, 14) != 0,
    };
}

int wagw_chat_put(wagw_store_t *s, uint32_t inst, wagw_str_t chat, const wagw_row_chat_t *c)
{
    wagw_chat_slot_t *slot = chat_slot(s, inst, chat);
    sqlite3_stmt *st;
    int64_t num, messages;
    int rc;

    rc = wagw_chat_num(s, inst, chat, true, &num);
    if (rc != WAGW_OK) {
        return rc;
    }

    /* `present` has a trigger: named only when it changes */
    messages = wagw_tally_chat_take(s, num);
    st = wagw_sql(s, "UPDATE chats SET name = ?3, lid = ?4, pn = ?5, unread = ?6, archived = ?7, pinned = ?8,"
                     " muted_until = ?9, ephemeral = ?10, last_ms = ?11, last_id = ?12, last_body = ?13,"
                     " last_type = ?14, last_from_me = ?15, marked_unread = ?16, messages = messages + ?2"
                     " WHERE num = ?1");
    wagw_sql_bind(st, "iisssuiuiuisssii", num, messages, c->name, c->lid, c->pn, c->unread, (int64_t)c->archived,
                  c->pinned, c->muted_until, c->ephemeral, c->last_ms, c->last_id, c->last_body, c->last_type,
                  (int64_t)c->last_from_me, (int64_t)c->marked_unread);

    rc = wagw_sql_run(s, st);
    if (rc != WAGW_OK || (slot != NULL && slot->present)) {
        return rc;
    }

    st = wagw_sql(s, "UPDATE chats SET present = 1 WHERE num = ?1 AND present = 0");
    wagw_sql_bind(st, "i", num);

    rc = wagw_sql_run(s, st);
    if (rc == WAGW_OK && slot != NULL) {
        slot->present = true;
    }

    return rc;
}

static int merge_move(wagw_store_t *s, const char *move, const char *drop, int64_t from, int64_t to)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, move);
    wagw_sql_bind(st, "ii", from, to);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK) {
        st = wagw_sql(s, drop);
        wagw_sql_bind(st, "i", from);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

/* In a direct chat the other side is also the author: one person, one name. */
static int merge_author(wagw_store_t *s, int64_t chat, wagw_str_t from, wagw_str_t to)
{
    static const char *const names[] = {
        "UPDATE OR IGNORE messages SET sender = ?3, sender_alt = ?2 WHERE chat = ?1 AND sender = ?2",
        "UPDATE OR IGNORE receipts SET user = ?3 WHERE user = ?2 AND msg IN (SELECT num FROM messages WHERE chat = ?1)",
        "UPDATE OR IGNORE reactions SET user = ?3 WHERE chat = ?1 AND user = ?2",
        "UPDATE OR IGNORE votes SET user = ?3 WHERE chat = ?1 AND user = ?2",
    };
    sqlite3_stmt *st;
    size_t i;
    int rc = WAGW_OK;

    for (i = 0; i < sizeof(names) / sizeof(names[0]) && rc == WAGW_OK; i++) {
        st = wagw_sql(s, names[i]);
        wagw_sql_bind(st, "iss", chat, from, to);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

/* What is in both chats stays as the new chat has it. */
static int merge_into(wagw_store_t *s, int64_t from, int64_t to)
{
    sqlite3_stmt *st;
    int rc;

    /* receipts go with their messages, those of a message that is in both to the one that stays */
    st = wagw_sql(s, "UPDATE OR IGNORE messages SET chat = ?2 WHERE chat = ?1");
    wagw_sql_bind(st, "ii", from, to);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK) {
        rc = merge_move(s,
                        "UPDATE OR IGNORE receipts SET msg = (SELECT n.num FROM messages o JOIN messages n"
                        " ON n.inst = o.inst AND n.id = o.id AND n.chat = ?2 AND n.sender = o.sender"
                        " WHERE o.num = receipts.msg) WHERE msg IN (SELECT num FROM messages WHERE chat = ?1)",
                        "DELETE FROM messages WHERE chat = ?1", from, to);
    }

    if (rc == WAGW_OK) {
        rc = merge_move(s, "UPDATE OR IGNORE reactions SET chat = ?2 WHERE chat = ?1",
                        "DELETE FROM reactions WHERE chat = ?1", from, to);
    }

    if (rc == WAGW_OK) {
        rc = merge_move(s, "UPDATE OR IGNORE votes SET chat = ?2 WHERE chat = ?1", "DELETE FROM votes WHERE chat = ?1",
                        from, to);
    }

    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "UPDATE chats AS c SET present = max(c.present, o.present), unread = c.unread + o.unread,"
                     " name = CASE c.name WHEN '' THEN o.name ELSE c.name END,"
                     " archived = CASE WHEN c.present THEN c.archived ELSE o.archived END,"
                     " pinned = max(c.pinned, o.pinned),"
                     " muted_until = CASE c.muted_until WHEN 0 THEN o.muted_until ELSE c.muted_until END,"
                     " ephemeral = CASE WHEN c.present THEN c.ephemeral ELSE o.ephemeral END,"
                     " marked_unread = max(c.marked_unread, o.marked_unread),"
                     " last_ms = max(c.last_ms, o.last_ms),"
                     " last_id = CASE WHEN o.last_ms > c.last_ms THEN o.last_id ELSE c.last_id END,"
                     " last_body = CASE WHEN o.last_ms > c.last_ms THEN o.last_body ELSE c.last_body END,"
                     " last_type = CASE WHEN o.last_ms > c.last_ms THEN o.last_type ELSE c.last_type END,"
                     " last_from_me = CASE WHEN o.last_ms > c.last_ms THEN o.last_from_me ELSE c.last_from_me END"
                     " FROM (SELECT * FROM chats WHERE num = ?1) AS o WHERE c.num = ?2");
    wagw_sql_bind(st, "ii", from, to);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK) {
        st = wagw_sql(s, "DELETE FROM chats WHERE num = ?1");
        wagw_sql_bind(st, "i", from);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

int wagw_chat_merge(wagw_store_t *s, uint32_t inst, wagw_str_t from, wagw_str_t to)
{
    int64_t from_num, to_num;
    sqlite3_stmt *st;
    int rc;

    if (wagw_str_eq(from, to)) {
        return WAGW_OK;
    }

    rc = wagw_chat_num(s, inst, from, false, &from_num);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    rc = merge_author(s, from_num, from, to);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = wagw_chat_num(s, inst, to, false, &to_num);
    wagw_chat_forget(s);

    if (rc == WAGW_OK) {
        rc = merge_into(s, from_num, to_num);

    } else if (rc == WAGW_NOT_FOUND) {
        /* nothing is there yet: the chat only gets its new name */
        st = wagw_sql(s, "UPDATE chats SET chat = ?2, kind = ?3 WHERE num = ?1");
        wagw_sql_bind(st, "isi", from_num, to, (int64_t)chat_kind(to));
        rc = wagw_sql_run(s, st);
        to_num = from_num;
    }

    if (rc == WAGW_OK && wagw_str_ends(from, WAGW_STR("@lid")) && !wagw_str_ends(to, WAGW_STR("@lid"))) {
        st = wagw_sql(s, "UPDATE chats SET lid = ?2, pn = ?3 WHERE num = ?1");
        wagw_sql_bind(st, "iss", to_num, from, to);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

void wagw_contact_row(sqlite3_stmt *st, wagw_row_contact_t *c)
{
    *c = (wagw_row_contact_t){
        .jid = wagw_sql_str(st, 0),
        .lid = wagw_sql_str(st, 1),
        .pn = wagw_sql_str(st, 2),
        .name = wagw_sql_str(st, 3),
        .push_name = wagw_sql_str(st, 4),
        .verified_name = wagw_sql_str(st, 5),
        .business = sqlite3_column_int(st, 6) != 0,
        .blocked = sqlite3_column_int(st, 7) != 0,
    };
}
