#include "sqlite.h"

#include <stdio.h>

/* Chats, contacts and the LID map, as the contract shows them. */

#define FOREVER_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

/* The name a person reads: what the chat is called, else the contact. */
#define DISPLAY                                                                                                        \
    "coalesce(nullif(k.name, ''), nullif(c.name, ''), nullif(k.verified_name, ''), nullif(k.push_name, ''), '')"

static const wagw_str_t pn_server = {(const uint8_t *)"@s.whatsapp.net", 15};
static const wagw_str_t lid_server = {(const uint8_t *)"@lid", 4};

static wagw_str_t user_of(wagw_str_t jid)
{
    const uint8_t *at = jid.n != 0 ? memchr(jid.p, '@', jid.n) : NULL;

    return at != NULL ? wagw_str(jid.p, (size_t)(at - jid.p)) : jid;
}

void wagw_json_or_null(wagw_json_t *j, const char *key, wagw_str_t text)
{
    if (text.n != 0) {
        wagw_json_kstr(j, key, text);
    } else {
        wagw_json_knull(j, key);
    }
}

void wagw_json_user(wagw_json_t *j, const char *key, wagw_str_t jid)
{
    wagw_json_or_null(j, key, user_of(jid));
}

static int record_get(wagw_store_t *s, uint32_t inst, uint8_t kind, wagw_str_t key, wagw_buf_t *out)
{
    wagw_str_t value;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT value FROM records WHERE inst = ?1 AND kind = ?2 AND key = ?3");
    wagw_sql_bind(st, "uub", inst, (uint32_t)kind, key);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = wagw_unseal(s, &s->opened, inst, kind, key, wagw_sql_str(st, 0), &value);
    if (rc == WAGW_OK) {
        rc = wagw_buf_str(out, value);
    }

    wagw_sql_done(st);

    return rc;
}

int wagw_store_lid_get(wagw_store_t *s, uint32_t num, wagw_str_t lid_user, wagw_buf_t *pn_user)
{
    return record_get(s, num, WAGW_REC_PN_OF, lid_user, pn_user);
}

int wagw_other_form(wagw_store_t *s, uint32_t inst, wagw_str_t jid, wagw_buf_t *other)
{
    int rc;

    if (wagw_str_ends(jid, lid_server)) {
        rc = record_get(s, inst, WAGW_REC_PN_OF, user_of(jid), other);
        return rc == WAGW_OK ? wagw_buf_str(other, pn_server) : rc;
    }

    if (wagw_str_ends(jid, pn_server)) {
        rc = record_get(s, inst, WAGW_REC_LID_OF, user_of(jid), other);
        return rc == WAGW_OK ? wagw_buf_str(other, lid_server) : rc;
    }

    return WAGW_NOT_FOUND;
}

static int chat_present(wagw_store_t *s, uint32_t inst, wagw_str_t chat, bool *present)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT 1 FROM chats WHERE inst = ?1 AND chat = ?2 AND present = 1");
    wagw_sql_bind(st, "us", inst, chat);
    rc = wagw_sql_step(s, st);
    wagw_sql_done(st);

    *present = rc == WAGW_OK;

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

/* A name in any form -> user jid text; other things as they are. */
static wagw_str_t jid_normal(wagw_str_t in, char text[WAGW_JID_TEXT_MAX])
{
    wagw_jid_t jid;

    if (wagw_jid_parse(&jid, in) != WAGW_OK && wagw_jid_from_caller(&jid, in) != WAGW_OK) {
        return in;
    }

    jid = wagw_jid_user(&jid);

    return wagw_str(text, wagw_jid_text(&jid, text));
}

int wagw_store_chat_resolve(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_buf_t *canonical, bool *exists)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_str_t jid = jid_normal(chat, text), first, second = WAGW_STR_NULL;
    wagw_buf_t other = {0};
    int rc;

    *exists = false;

    rc = wagw_other_form(s, num, jid, &other);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        goto done;
    }

    first = jid;

    if (rc == WAGW_OK) {
        second = wagw_buf_view(&other);

        /* the phone form is canonical when it is known */
        if (wagw_str_ends(jid, lid_server)) {
            first = second;
            second = jid;
        }
    }

    rc = chat_present(s, num, first, exists);

    if (rc == WAGW_OK && !*exists && second.n != 0) {
        rc = chat_present(s, num, second, exists);
        if (*exists) {
            first = second;
        }
    }

    if (rc == WAGW_OK) {
        rc = wagw_buf_str(canonical, first);
    }

done:

    wagw_buf_free(&other);

    return rc;
}

#define CHAT_FROM " FROM chats c LEFT JOIN contacts k ON k.inst = c.inst AND k.jid = c.chat"
#define CHAT_SELECT                                                                                                    \
    "SELECT " WAGW_CHAT_COLUMNS ", " DISPLAY ", c.kind,"                                                               \
    " c.messages" CHAT_FROM

static int chat_identity(wagw_store_t *s, uint32_t inst, const wagw_row_chat_t *c, wagw_json_t *j)
{
    wagw_str_t lid = c->lid, pn = c->pn;
    wagw_buf_t other = {0};
    int rc;

    if (wagw_str_ends(c->id, lid_server)) {
        lid = c->id;
    } else if (wagw_str_ends(c->id, pn_server)) {
        pn = c->id;
    } else {
        return WAGW_OK;
    }

    if (lid.n == 0 || pn.n == 0) {
        rc = wagw_other_form(s, inst, c->id, &other);
        if (rc == WAGW_OK) {
            *(lid.n == 0 ? &lid : &pn) = wagw_buf_view(&other);
        } else if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }

    wagw_json_or_null(j, "lid", lid);
    wagw_json_user(j, "phoneNumber", pn);
    wagw_buf_free(&other);

    return WAGW_OK;
}

static int chat_json(wagw_store_t *s, uint32_t inst, sqlite3_stmt *st, bool overview, wagw_json_t *j)
{
    wagw_str_t name = wagw_sql_str(st, 15);
    wagw_row_chat_t c;
    int rc = WAGW_OK;

    wagw_chat_row(st, &c);

    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", c.id);
    wagw_json_kstr(j, "name", name.n != 0 ? name : user_of(c.id));
    wagw_json_kbool(j, "isGroup", sqlite3_column_int(st, 16) == 1);

    if (!overview) {
        wagw_json_kbool(j, "archived", c.archived);
        wagw_json_kbool(j, "pinned", c.pinned != 0);
        wagw_json_kiso(j, "mutedUntil", c.muted_until < 0 ? FOREVER_MS : c.muted_until);
    }

    wagw_json_kint(j, "unreadCount", c.unread == 0 && c.marked_unread ? 1 : c.unread);
    wagw_json_or_null(j, "lastMessage", c.last_body);
    wagw_json_kiso(j, "lastMessageAt", c.last_ms);

    if (!overview) {
        wagw_json_kint(j, "messageCount", sqlite3_column_int64(st, 17));
        wagw_json_kint(j, "ephemeral", c.ephemeral);
        rc = chat_identity(s, inst, &c, j);
    }

    wagw_json_close(j);

    return rc;
}

static int chats_where(wagw_query_t *q, wagw_buf_t *like, uint32_t num, const wagw_chat_filter_t *f)
{
    wagw_query_int(q, " WHERE c.inst = ? AND c.present = 1", num);

    if (f->archived >= 0) {
        wagw_query_int(q, " AND c.archived = ?", f->archived != 0);
    }

    if (f->unread >= 0) {
        wagw_query_int(q, " AND (c.unread > 0 OR c.marked_unread) = ?", f->unread != 0);
    }

    if (f->type >= 0) {
        wagw_query_int(q, " AND c.kind = ?", f->type);
    }

    if (f->q.n != 0) {
        wagw_query_like(like, f->q);
        wagw_query_str(q, " AND (" DISPLAY " LIKE ? ESCAPE '\\'", wagw_buf_view(like));
        wagw_query_str(q, " OR c.chat LIKE ? ESCAPE '\\')", wagw_buf_view(like));
    }

    return like->failed ? WAGW_NOMEM : WAGW_OK;
}

int wagw_store_chats(wagw_store_t *s, uint32_t num, const wagw_chat_filter_t *f, wagw_buf_t *json, uint32_t *count,
                     uint64_t *total, bool *more)
{
    static const char *const sorts[] = {"c.last_ms", DISPLAY " COLLATE NOCASE", "c.unread"};
    const char *direction = f->ascending ? "ASC" : "DESC";
    wagw_json_t j = wagw_json(json);
    wagw_buf_t like = {0};
    wagw_query_t q = {.n = 0};
    sqlite3_stmt *st = NULL;
    char tail[256];
    int64_t n = 0;
    int rc;

    *count = 0;
    *more = false;

    rc = chats_where(&q, &like, num, f);
    if (rc == WAGW_OK) {
        rc = wagw_query_count(s, "SELECT count(*)" CHAT_FROM, &q, "", &n);
    }

    if (rc != WAGW_OK) {
        goto done;
    }

    *total = (uint64_t)n;

    snprintf(tail, sizeof(tail), " ORDER BY %s %s, c.num %s LIMIT %u OFFSET %u",
             sorts[f->sort >= 0 && f->sort < 3 ? f->sort : 0], direction, direction, f->limit, f->offset);
    st = wagw_query_prepare(s, CHAT_SELECT, &q, tail);

    wagw_json_open(&j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        rc = chat_json(s, num, st, f->overview, &j);
        if (rc != WAGW_OK) {
            goto done;
        }

        (*count)++;
    }

    wagw_json_close(&j);

    *more = *total > (uint64_t)f->offset + *count;
    rc = rc != WAGW_NOT_FOUND ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;

done:

    sqlite3_finalize(st);
    wagw_query_free(&q);
    wagw_buf_free(&like);

    return rc;
}

int wagw_store_chats_pinned(wagw_store_t *s, uint32_t num, wagw_str_t but, uint32_t *n)
{
    wagw_buf_t canonical = {0};
    sqlite3_stmt *st;
    bool exists;
    int rc;

    *n = 0;
    rc = wagw_store_chat_resolve(s, num, but, &canonical, &exists);

    if (rc == WAGW_OK || rc == WAGW_NOT_FOUND) {
        st = wagw_sql(s, "SELECT COUNT(*) FROM chats WHERE inst = ?1 AND present = 1 AND pinned <> 0 AND chat <> ?2");
        wagw_sql_bind(st, "us", num, canonical.n != 0 ? wagw_buf_view(&canonical) : but);

        rc = wagw_sql_step(s, st);
        if (rc == WAGW_OK) {
            *n = (uint32_t)sqlite3_column_int64(st, 0);
        }
        wagw_sql_done(st);
    }

    wagw_buf_free(&canonical);

    return rc;
}

int wagw_store_chat_get(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_buf_t *json)
{
    wagw_json_t j = wagw_json(json);
    wagw_buf_t canonical = {0};
    sqlite3_stmt *st;
    bool exists;
    int rc;

    rc = wagw_store_chat_resolve(s, num, chat, &canonical, &exists);

    if (rc == WAGW_OK && !exists) {
        rc = WAGW_NOT_FOUND;
    }

    if (rc == WAGW_OK) {
        st = wagw_sql(s, CHAT_SELECT " WHERE c.inst = ?1 AND c.chat = ?2");
        wagw_sql_bind(st, "us", num, wagw_buf_view(&canonical));

        rc = wagw_sql_step(s, st);
        if (rc == WAGW_OK) {
            rc = chat_json(s, num, st, false, &j);
            wagw_sql_done(st);
        }
    }

    wagw_buf_free(&canonical);

    return rc == WAGW_OK && json->failed ? WAGW_NOMEM : rc;
}

/* Own jids (user forms) of the instance, for isMe and own reactions. */
int wagw_own_jids(wagw_store_t *s, uint32_t inst, char pn[WAGW_JID_TEXT_MAX], char lid[WAGW_JID_TEXT_MAX])
{
    char *out[2] = {pn, lid};
    wagw_jid_t jid;
    sqlite3_stmt *st;
    int i, rc;

    pn[0] = lid[0] = '\0';

    st = wagw_sql(s, "SELECT jid, lid FROM instances WHERE num = ?1");
    wagw_sql_bind(st, "u", inst);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    for (i = 0; i < 2; i++) {
        if (wagw_jid_parse(&jid, wagw_sql_str(st, i)) == WAGW_OK) {
            jid = wagw_jid_user(&jid);
            wagw_jid_text(&jid, out[i]);
        }
    }

    wagw_sql_done(st);

    return WAGW_OK;
}

static int contact_json(wagw_store_t *s, uint32_t inst, sqlite3_stmt *st, const char *own_pn, const char *own_lid,
                        wagw_json_t *j)
{
    wagw_buf_t other = {0};
    wagw_row_contact_t c;
    int rc;

    wagw_contact_row(st, &c);

    if (wagw_str_ends(c.jid, lid_server)) {
        c.lid = c.jid;
    } else if (wagw_str_ends(c.jid, pn_server)) {
        c.pn = c.jid;
    }

    if (c.lid.n == 0 || c.pn.n == 0) {
        rc = wagw_other_form(s, inst, c.jid, &other);
        if (rc == WAGW_OK) {
            *(c.lid.n == 0 ? &c.lid : &c.pn) = wagw_buf_view(&other);
        } else if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }

    wagw_json_open(j, '{');
    wagw_json_kstr(j, "jid", c.jid);
    wagw_json_or_null(j, "lid", c.lid);
    wagw_json_user(j, "phoneNumber", c.pn);
    wagw_json_or_null(j, "name", c.name);
    wagw_json_or_null(j, "pushName", c.push_name);
    wagw_json_or_null(j, "verifiedName", c.verified_name);
    wagw_json_kbool(j, "isBusiness", c.business);
    wagw_json_kbool(j, "isBlocked", c.blocked);
    wagw_json_kbool(j, "isMe",
                    (c.pn.n != 0 && wagw_str_eq(c.pn, wagw_cstr(own_pn))) ||
                        (c.lid.n != 0 && wagw_str_eq(c.lid, wagw_cstr(own_lid))));
    wagw_json_close(j);
    wagw_buf_free(&other);

    return WAGW_OK;
}

int wagw_store_contacts(wagw_store_t *s, uint32_t num, wagw_str_t q, int blocked, uint32_t limit, uint32_t offset,
                        wagw_buf_t *json, uint32_t *count, bool *more)
{
    char pn[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX], tail[80];
    wagw_json_t j = wagw_json(json);
    wagw_query_t query = {.n = 0};
    wagw_buf_t like = {0};
    sqlite3_stmt *st = NULL;
    int rc;

    *count = 0;
    *more = false;

    rc = wagw_own_jids(s, num, pn, lid);
    if (rc != WAGW_OK) {
        return rc;
    }

    wagw_query_int(&query, " WHERE inst = ?", num);

    if (blocked >= 0) {
        wagw_query_int(&query, " AND blocked = ?", blocked != 0);
    }

    if (q.n != 0) {
        wagw_query_like(&like, q);
        wagw_query_str(&query,
                       " AND (jid || char(10) || name || char(10) || push_name || char(10) || verified_name)"
                       " LIKE ? ESCAPE '\\'",
                       wagw_buf_view(&like));
    }

    snprintf(tail, sizeof(tail), " ORDER BY jid LIMIT %llu OFFSET %u", (unsigned long long)limit + 1, offset);
    st = like.failed ? NULL : wagw_query_prepare(s, "SELECT " WAGW_CONTACT_COLUMNS " FROM contacts", &query, tail);

    wagw_json_open(&j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        if (*count == limit) {
            *more = true;
            rc = WAGW_NOT_FOUND;
            break;
        }

        rc = contact_json(s, num, st, pn, lid, &j);
        if (rc != WAGW_OK) {
            break;
        }

        (*count)++;
    }

    wagw_json_close(&j);
    sqlite3_finalize(st);
    wagw_query_free(&query);
    wagw_buf_free(&like);

    return rc != WAGW_NOT_FOUND ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;
}

static int contact_find(wagw_store_t *s, uint32_t num, wagw_str_t jid, wagw_json_t *j)
{
    char pn[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
    sqlite3_stmt *st;
    int rc;

    rc = wagw_own_jids(s, num, pn, lid);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "SELECT " WAGW_CONTACT_COLUMNS " FROM contacts WHERE inst = ?1 AND jid = ?2");
    wagw_sql_bind(st, "us", num, jid);

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        rc = contact_json(s, num, st, pn, lid, j);
        wagw_sql_done(st);
    }

    return rc;
}

int wagw_store_contact_get(wagw_store_t *s, uint32_t num, wagw_str_t jid, wagw_buf_t *json)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_json_t j = wagw_json(json);
    wagw_buf_t other = {0};
    int rc;

    jid = jid_normal(jid, text);
    rc = contact_find(s, num, jid, &j);

    if (rc == WAGW_NOT_FOUND && wagw_other_form(s, num, jid, &other) == WAGW_OK) {
        rc = contact_find(s, num, wagw_buf_view(&other), &j);
    }

    wagw_buf_free(&other);

    return rc == WAGW_OK && json->failed ? WAGW_NOMEM : rc;
}

int wagw_store_lids(wagw_store_t *s, uint32_t num, uint32_t limit, uint32_t offset, wagw_buf_t *json, uint32_t *count,
                    uint64_t *total)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_json_t j = wagw_json(json);
    wagw_str_t key, value;
    sqlite3_stmt *st;
    int rc, n;

    *count = 0;

    st = wagw_sql(s, "SELECT count(*) FROM records WHERE inst = ?1 AND kind = ?2");
    wagw_sql_bind(st, "uu", num, (uint32_t)WAGW_REC_PN_OF);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    *total = (uint64_t)sqlite3_column_int64(st, 0);
    wagw_sql_done(st);

    st = wagw_sql(s, "SELECT key, value FROM records WHERE inst = ?1 AND kind = ?2 ORDER BY key LIMIT ?3 OFFSET ?4");
    wagw_sql_bind(st, "uuuu", num, (uint32_t)WAGW_REC_PN_OF, limit, offset);

    wagw_json_open(&j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        key = wagw_sql_str(st, 0);

        rc = wagw_unseal(s, &s->opened, num, WAGW_REC_PN_OF, key, wagw_sql_str(st, 1), &value);
        if (rc != WAGW_OK) {
            break;
        }

        n = snprintf(text, sizeof(text), "%.*s@lid", (int)key.n, (const char *)key.p);

        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "lid", wagw_str(text, n > 0 && (size_t)n < sizeof(text) ? (size_t)n : 0));
        wagw_json_user(&j, "phoneNumber", value);
        wagw_json_close(&j);
        (*count)++;
    }

    wagw_json_close(&j);
    wagw_sql_done(st);

    return rc != WAGW_NOT_FOUND ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;
}
