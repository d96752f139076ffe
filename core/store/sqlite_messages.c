#include "sqlite.h"
#include "../message/message.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * A listing runs in two steps: (t_ms, num) pairs are found, mostly on an index
 * alone, then each row is read by its number.  Pages are anchored at
 * such a pair, so rows that arrive meanwhile move nothing.
 */

#define LISTING_MAX 1000
#define COUNT_MAX 100000 /* a count that would scan more is answered "unknown" */

/* Filters that no index knows read row by row.  All commits wait for this
 * thread, so one call looks at no more rows than this. */
#define SCAN_MAX 20000

#define MESSAGE_SELECT                                                                                                 \
    "SELECT " WAGW_MESSAGE_COLUMNS ", c.kind,"                                                                         \
    " coalesce(nullif(c.name, ''), nullif(k.name, ''), nullif(k.verified_name, ''), nullif(k.push_name, ''), '')"      \
    " FROM messages m JOIN chats c ON c.num = m.chat LEFT JOIN contacts k ON k.inst = c.inst AND k.jid = c.chat"

typedef struct {
    int64_t t_ms, num;
} anchor_t;

/* What every object of a listing has in common. */
typedef struct {
    wagw_store_t *s;
    uint32_t inst;
    wagw_str_t instance_id;
    bool with_chat;
    char pn[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
} shown_t;

static int shown_begin(shown_t *sh, wagw_store_t *s, uint32_t inst, wagw_str_t instance_id, bool with_chat)
{
    sh->s = s;
    sh->inst = inst;
    sh->instance_id = instance_id;
    sh->with_chat = with_chat;

    return wagw_own_jids(s, inst, sh->pn, sh->lid);
}

static void message_chat_json(sqlite3_stmt *st, const wagw_row_message_t *m, wagw_json_t *j)
{
    wagw_str_t name = wagw_sql_str(st, WAGW_MESSAGE_NCOLUMNS + 1);
    const uint8_t *at = memchr(m->chat.p, '@', m->chat.n);

    if (name.n == 0) {
        name = at != NULL ? wagw_str(m->chat.p, (size_t)(at - m->chat.p)) : m->chat;
    }

    wagw_json_key(j, "chat");
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "chatId", m->chat);
    wagw_json_kstr(j, "name", name);
    wagw_json_kbool(j, "isGroup", sqlite3_column_int(st, WAGW_MESSAGE_NCOLUMNS) == 1);
    wagw_json_close(j);
}

static int message_json(const shown_t *sh, int64_t num, wagw_json_t *j)
{
    wagw_arena_t a = {0};
    wagw_row_message_t m;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(sh->s, MESSAGE_SELECT " WHERE m.num = ?1");
    wagw_sql_bind(st, "i", num);

    rc = wagw_sql_step(sh->s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = wagw_message_row(sh->s, st, sh->inst, &a, &m);
    if (rc == WAGW_OK) {
        wagw_json_open(j, '{');
        wagw_message_members(j, &m, sh->instance_id, wagw_cstr(sh->pn[0] != '\0' ? sh->pn : sh->lid));

        if (sh->with_chat) {
            message_chat_json(st, &m, j);
        }

        wagw_json_close(j);
    }

    wagw_sql_done(st);
    wagw_arena_free(&a);

    return rc;
}

/* The chat's number by any form of its id; WAGW_NOT_FOUND when it holds nothing. */
static int chat_by_any(wagw_store_t *s, uint32_t num, wagw_str_t chat, int64_t *chat_num)
{
    wagw_buf_t canonical = {0};
    bool exists;
    int rc;

    rc = wagw_store_chat_resolve(s, num, chat, &canonical, &exists);
    if (rc == WAGW_OK) {
        rc = wagw_chat_num(s, num, wagw_buf_view(&canonical), false, chat_num);
    }

    wagw_buf_free(&canonical);

    return rc;
}

/* Where a message id stands; chat 0: in any chat. */
static int anchor_of(wagw_store_t *s, uint32_t num, int64_t chat, wagw_str_t id, anchor_t *a)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT t_ms, num FROM messages WHERE inst = ?1 AND id = ?2 AND (?3 = 0 OR chat = ?3)"
                     " ORDER BY hidden, num DESC LIMIT 1");
    wagw_sql_bind(st, "usi", num, id, chat);

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        a->t_ms = sqlite3_column_int64(st, 0);
        a->num = sqlite3_column_int64(st, 1);
        wagw_sql_done(st);
    }

    return rc;
}

static int cursor_make(wagw_buf_t *out, bool newer, const anchor_t *a)
{
    char text[64];
    int n;

    n = snprintf(text, sizeof(text), "%c%lld.%lld", newer ? 'n' : 'o', (long long)a->t_ms, (long long)a->num);

    return wagw_base64url_encode(out, wagw_str(text, (size_t)n));
}

static int cursor_parse(wagw_str_t cursor, bool *newer, anchor_t *a)
{
    wagw_buf_t b = {0};
    const uint8_t *dot;
    int rc = WAGW_MALFORMED;

    if (cursor.n > 88 || wagw_base64_decode(&b, cursor) != WAGW_OK || b.n < 4 || (b.p[0] != 'n' && b.p[0] != 'o')) {
        goto done;
    }

    *newer = b.p[0] == 'n';

    dot = memchr(b.p, '.', b.n);
    if (dot == NULL) {
        goto done;
    }

    if (wagw_str_i64(wagw_str(b.p + 1, (size_t)(dot - b.p) - 1), &a->t_ms) == WAGW_OK &&
        wagw_str_i64(wagw_str(dot + 1, (size_t)(b.p + b.n - dot) - 1), &a->num) == WAGW_OK) {
        rc = WAGW_OK;
    }

done:

    wagw_buf_free(&b);

    return rc;
}

static int status_number(wagw_str_t name)
{
    unsigned i;

    for (i = WAGW_MSG_PENDING; i <= WAGW_MSG_RECEIVED; i++) {
        if (wagw_str_eq(name, wagw_cstr(wagw_msg_status_name(i)))) {
            return (int)i;
        }
    }

    return -1;
}

/* What an index answers. */
static void where_indexed(wagw_query_t *q, uint32_t num, int64_t chat, const wagw_message_filter_t *f)
{
    if (chat != 0) {
        wagw_query_int(q, " WHERE m.chat = ? AND m.hidden = 0", chat);
    } else {
        wagw_query_int(q, " WHERE m.inst = ? AND m.hidden = 0", num);
    }

    if (f->since_ms != 0) {
        wagw_query_int(q, " AND m.t_ms >= ?", f->since_ms);
    }

    if (f->until_ms != 0) {
        wagw_query_int(q, " AND m.t_ms <= ?", f->until_ms);
    }
}

static bool is_filtered(const wagw_message_filter_t *f)
{
    return f->type.n != 0 || f->status.n != 0 || f->from_me >= 0 || f->flags != 0 || f->not_revoked || f->media ||
           f->q.n != 0;
}

/* What only the rows answer. */
static void where_filtered(wagw_query_t *q, const wagw_message_filter_t *f, wagw_str_t like)
{
    if (f->type.n != 0) {
        wagw_query_str(q, " AND m.type = ?", f->type);
    }

    if (f->status.n != 0) {
        wagw_query_int(q, " AND m.status = ?", status_number(f->status));
    }

    if (f->from_me >= 0) {
        wagw_query_int(q, " AND m.from_me = ?", f->from_me != 0);
    }

    if (f->flags != 0) {
        wagw_query_int(q, " AND (m.flags & ?) <> 0", f->flags);
    }

    if (f->media) {
        wagw_query_int(q, " AND m.media <> '' AND ?", 1);
    }

    if (f->not_revoked) {
        wagw_query_int(q, " AND (m.flags & ?) = 0", WAGW_ROW_REVOKED);
    }

    if (f->q.n != 0) {
        wagw_query_str(q, " AND m.body LIKE ? ESCAPE '\\'", like);
    }
}

static int count_up_to(wagw_store_t *s, const wagw_query_t *q, int64_t max, int64_t *n)
{
    char tail[40];

    snprintf(tail, sizeof(tail), " LIMIT %lld)", (long long)max + 1);

    return wagw_query_count(s, "SELECT count(*) FROM (SELECT 1 FROM messages m", q, tail, n);
}

static int messages_total(wagw_store_t *s, uint32_t num, int64_t chat, const wagw_message_filter_t *f, wagw_str_t like,
                          uint64_t *total)
{
    int64_t n = 0, max = is_filtered(f) ? SCAN_MAX : COUNT_MAX;
    wagw_query_t q = {.n = 0};
    int rc;

    where_indexed(&q, num, chat, f);
    rc = count_up_to(s, &q, max, &n);

    if (rc == WAGW_OK && n <= max && is_filtered(f)) {
        where_filtered(&q, f, like);
        rc = count_up_to(s, &q, max, &n);
    }

    *total = n > max ? UINT64_MAX : (uint64_t)n;
    wagw_query_free(&q);

    return rc;
}

static void query_beyond(wagw_query_t *q, bool newer, const anchor_t *a)
{
    wagw_query_int(q, newer ? " AND (m.t_ms, m.num) > (?" : " AND (m.t_ms, m.num) < (?", a->t_ms);
    wagw_query_int(q, ", ?)", a->num);
}

/* Restricts q to the page's side of its anchors; newer: the page goes forward. */
static int messages_anchor(wagw_store_t *s, uint32_t num, int64_t chat, const wagw_message_filter_t *f, wagw_query_t *q,
                           bool *newer)
{
    anchor_t a;
    int rc;

    *newer = f->after.n != 0 && f->before.n == 0;

    if (f->after.n != 0) {
        rc = anchor_of(s, num, chat, f->after, &a);
        if (rc != WAGW_OK) {
            return rc;
        }

        query_beyond(q, true, &a);
    }

    if (f->before.n != 0) {
        rc = anchor_of(s, num, chat, f->before, &a);
        if (rc != WAGW_OK) {
            return rc;
        }

        query_beyond(q, false, &a);
    }

    if (f->cursor.n != 0) {
        rc = cursor_parse(f->cursor, newer, &a);
        if (rc != WAGW_OK) {
            return rc;
        }

        query_beyond(q, *newer, &a);
    }

    return WAGW_OK;
}

/* The last row that a filtered page may look at; WAGW_NOT_FOUND: all of them. */
static int scan_end(wagw_store_t *s, const wagw_query_t *q, const char *direction, anchor_t *end)
{
    sqlite3_stmt *st;
    char tail[120];
    int rc;

    snprintf(tail, sizeof(tail), " ORDER BY m.t_ms %s, m.num %s LIMIT 1 OFFSET %d", direction, direction, SCAN_MAX - 1);
    st = wagw_query_prepare(s, "SELECT m.t_ms, m.num FROM messages m", q, tail);

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        end->t_ms = sqlite3_column_int64(st, 0);
        end->num = sqlite3_column_int64(st, 1);
    }

    sqlite3_finalize(st);

    return rc;
}

typedef struct {
    bool newer; /* goes forward in time */
    bool more;
    uint32_t n;
    anchor_t next; /* where the next page begins, when there is more */
    anchor_t *row; /* room for limit + 1 */
} page_t;

static int messages_page(wagw_store_t *s, const wagw_message_filter_t *f, wagw_query_t *q, wagw_str_t like,
                         uint32_t limit, page_t *p)
{
    const char *direction = p->newer ? "ASC" : "DESC";
    sqlite3_stmt *st;
    char tail[120];
    int rc;

    if (is_filtered(f)) {
        rc = scan_end(s, q, direction, &p->next);

        if (rc == WAGW_OK) {
            p->more = true;
            wagw_query_int(q, p->newer ? " AND (m.t_ms, m.num) <= (?" : " AND (m.t_ms, m.num) >= (?", p->next.t_ms);
            wagw_query_int(q, ", ?)", p->next.num);

        } else if (rc != WAGW_NOT_FOUND) {
            return rc;
        }

        where_filtered(q, f, like);
    }

    /* one more than asked tells whether there is a next page */
    snprintf(tail, sizeof(tail), " ORDER BY m.t_ms %s, m.num %s LIMIT %u OFFSET %u", direction, direction, limit + 1,
             f->offset);
    st = wagw_query_prepare(s, "SELECT m.t_ms, m.num FROM messages m", q, tail);

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK && p->n <= limit) {
        p->row[p->n].t_ms = sqlite3_column_int64(st, 0);
        p->row[p->n].num = sqlite3_column_int64(st, 1);
        p->n++;
    }

    sqlite3_finalize(st);

    if (p->n > limit) {
        p->n = limit;
        p->more = limit > 0;
        p->next = p->row[limit > 0 ? limit - 1 : 0];
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_messages(wagw_store_t *s, uint32_t num, const wagw_message_filter_t *f, wagw_buf_t *json,
                        uint32_t *count, uint64_t *total, bool *more, wagw_buf_t *next_cursor)
{
    uint32_t limit = f->limit < LISTING_MAX ? f->limit : LISTING_MAX, i;
    wagw_json_t j = wagw_json(json);
    page_t page = {.newer = false};
    wagw_query_t q = {.n = 0};
    wagw_buf_t like = {0};
    int64_t chat = 0;
    shown_t sh;
    int rc;

    *count = 0;
    *total = 0;
    *more = false;

    if (f->status.n != 0 && status_number(f->status) < 0) {
        return WAGW_MALFORMED;
    }

    rc = shown_begin(&sh, s, num, f->instance_id, f->with_chat);
    if (rc != WAGW_OK) {
        return rc;
    }

    if (f->chat.n != 0) {
        rc = chat_by_any(s, num, f->chat, &chat);

        if (rc == WAGW_NOT_FOUND) {
            return wagw_buf_cstr(json, "[]");
        }
    }

    wagw_query_like(&like, f->q);
    page.row = malloc(((size_t)limit + 1) * sizeof(anchor_t));

    if (like.failed || page.row == NULL) {
        rc = WAGW_NOMEM;
    }

    if (rc == WAGW_OK) {
        rc = messages_total(s, num, chat, f, wagw_buf_view(&like), total);
    }

    if (rc == WAGW_OK) {
        where_indexed(&q, num, chat, f);
        rc = messages_anchor(s, num, chat, f, &q, &page.newer);
    }

    if (rc == WAGW_OK) {
        rc = messages_page(s, f, &q, wagw_buf_view(&like), limit, &page);
    }

    if (rc != WAGW_OK) {
        goto done;
    }

    wagw_json_open(&j, '[');

    for (i = 0; i < page.n && rc == WAGW_OK; i++) {
        rc = message_json(&sh, page.row[page.newer ? page.n - 1 - i : i].num, &j);
    }

    wagw_json_close(&j);
    *count = page.n;
    *more = page.more;

    if (rc == WAGW_OK && page.more && next_cursor != NULL) {
        rc = cursor_make(next_cursor, page.newer, &page.next);
    }

    if (rc == WAGW_OK && json->failed) {
        rc = WAGW_NOMEM;
    }

done:

    free(page.row);
    wagw_query_free(&q);
    wagw_buf_free(&like);

    return rc;
}

static int message_find(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_str_t id, int64_t *found)
{
    int64_t chat_num = 0;
    sqlite3_stmt *st;
    int rc = WAGW_OK;

    if (chat.n != 0) {
        rc = chat_by_any(s, num, chat, &chat_num);
    }

    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "SELECT num FROM messages WHERE inst = ?1 AND id = ?2 AND (?3 = 0 OR chat = ?3) AND hidden = 0"
                     " ORDER BY num DESC LIMIT 1");
    wagw_sql_bind(st, "usi", num, id, chat_num);

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        *found = sqlite3_column_int64(st, 0);
        wagw_sql_done(st);
    }

    return rc;
}

int wagw_store_message_oldest(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_buf_t *id)
{
    sqlite3_stmt *st;
    int64_t chat_num;
    int rc;

    rc = chat_by_any(s, num, chat, &chat_num);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "SELECT id FROM messages WHERE chat = ?1 AND hidden = 0 ORDER BY t_ms LIMIT 1");
    wagw_sql_bind(st, "i", chat_num);

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        rc = wagw_buf_str(id, wagw_sql_str(st, 0));
    }
    wagw_sql_done(st);

    return rc;
}

int wagw_store_message_get(wagw_store_t *s, uint32_t num, wagw_str_t instance_id, wagw_str_t chat, wagw_str_t id,
                           bool with_chat, wagw_buf_t *json)
{
    wagw_json_t j = wagw_json(json);
    int64_t found;
    shown_t sh;
    int rc;

    rc = shown_begin(&sh, s, num, instance_id, with_chat);

    if (rc == WAGW_OK) {
        rc = message_find(s, num, chat, id, &found);
    }

    if (rc != WAGW_OK) {
        return rc;
    }

    rc = message_json(&sh, found, &j);

    return rc == WAGW_OK && json->failed ? WAGW_NOMEM : rc;
}

int wagw_store_message_content(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_str_t id, wagw_buf_t *content,
                               wagw_buf_t *in_chat)
{
    wagw_arena_t a = {0};
    wagw_row_message_t m;
    sqlite3_stmt *st;
    int64_t found;
    int rc;

    rc = message_find(s, num, chat, id, &found);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, MESSAGE_SELECT " WHERE m.num = ?1");
    wagw_sql_bind(st, "i", found);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = wagw_message_row(s, st, num, &a, &m);
    if (rc == WAGW_OK) {
        rc = m.flags & WAGW_ROW_REVOKED ? WAGW_NOT_FOUND : wagw_buf_str(content, m.content);
    }
    if (rc == WAGW_OK && in_chat) {
        rc = wagw_buf_str(in_chat, m.chat);
    }

    wagw_sql_done(st);
    wagw_arena_free(&a);

    return rc;
}

int wagw_store_message_place(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_str_t id, wagw_buf_t *in_chat,
                             wagw_buf_t *last)
{
    wagw_json_t j = wagw_json(last);
    sqlite3_stmt *st;
    int64_t found, chat_num;
    wagw_str_t body;
    int rc;

    rc = message_find(s, num, chat, id, &found);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "SELECT c.chat, c.num FROM messages m JOIN chats c ON c.num = m.chat WHERE m.num = ?1");
    wagw_sql_bind(st, "i", found);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    wagw_buf_str(in_chat, wagw_sql_str(st, 0));
    chat_num = sqlite3_column_int64(st, 1);
    wagw_sql_done(st);

    st = wagw_sql(s, "SELECT t_ms, id, body, type, from_me FROM messages WHERE chat = ?1 AND hidden = 0 AND id <> ?2"
                     " ORDER BY t_ms DESC, num DESC LIMIT 1");
    wagw_sql_bind(st, "is", chat_num, id);

    rc = wagw_sql_step(s, st);
    wagw_json_open(&j, '{');

    if (rc == WAGW_OK) {
        body = wagw_sql_str(st, 2);

        if (body.n > 200) {
            for (body.n = 200; body.n > 196 && (body.p[body.n] & 0xC0) == 0x80; body.n--) { /* void */
            }
        }

        wagw_json_kint(&j, "ms", sqlite3_column_int64(st, 0));
        wagw_json_kstr(&j, "id", wagw_sql_str(st, 1));
        wagw_json_kstr(&j, "body", body);
        wagw_json_kstr(&j, "type", wagw_sql_str(st, 3));
        wagw_json_kbool(&j, "fromMe", sqlite3_column_int64(st, 4) != 0);
        wagw_sql_done(st);
    }

    wagw_json_close(&j);

    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }

    return in_chat->failed || last->failed ? WAGW_NOMEM : WAGW_OK;
}

int wagw_store_message_receipts(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_buf_t *json, uint32_t *count)
{
    wagw_json_t j = wagw_json(json);
    sqlite3_stmt *st;
    int rc;

    *count = 0;

    st = wagw_sql(s, "SELECT r.user, r.delivered, r.read, r.played FROM messages m JOIN receipts r ON r.msg = m.num"
                     " WHERE m.inst = ?1 AND m.id = ?2 ORDER BY r.user");
    wagw_sql_bind(st, "us", num, id);

    wagw_json_open(&j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "jid", wagw_sql_str(st, 0));
        wagw_json_kiso(&j, "delivered", sqlite3_column_int64(st, 1));
        wagw_json_kiso(&j, "read", sqlite3_column_int64(st, 2));
        wagw_json_kiso(&j, "played", sqlite3_column_int64(st, 3));
        wagw_json_close(&j);
        (*count)++;
    }

    wagw_json_close(&j);

    return rc != WAGW_NOT_FOUND ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;
}

int wagw_store_message_reactions(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_buf_t *json, uint32_t *count)
{
    char pn[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
    wagw_json_t j = wagw_json(json);
    wagw_str_t user;
    sqlite3_stmt *st;
    int rc;

    *count = 0;

    rc = wagw_own_jids(s, num, pn, lid);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "SELECT r.user, r.emoji, r.t_ms FROM reactions r WHERE r.id = ?2 AND r.emoji <> '' AND r.chat IN"
                     " (SELECT chat FROM messages WHERE inst = ?1 AND id = ?2) ORDER BY r.t_ms, r.user");
    wagw_sql_bind(st, "us", num, id);

    wagw_json_open(&j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        user = wagw_sql_str(st, 0);

        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "jid", user.n != 0 ? user : wagw_cstr(pn[0] != '\0' ? pn : lid));
        wagw_json_kstr(&j, "emoji", wagw_sql_str(st, 1));
        wagw_json_kiso(&j, "timestamp", sqlite3_column_int64(st, 2));
        wagw_json_close(&j);
        (*count)++;
    }

    wagw_json_close(&j);

    return rc != WAGW_NOT_FOUND ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;
}
