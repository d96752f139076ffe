/*
 * Message and chat rows as the engine uses them.
 */

#include "client_i.h"

#define LAST_BODY_MAX 200

static int key_of(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, wagw_str_t sender, wagw_str_t *key)
{
    char text[WAGW_KEY_MAX];
    size_t n = wagw_msgkey(text, chat, id, sender);

    if (n == 0) {
        return WAGW_LIMIT;
    }
    *key = wagw_arena_str(&t->arena, wagw_str(text, n));
    return key->p ? WAGW_OK : WAGW_NOMEM;
}

/* The row's views live in the turn's arena. */
int wagw_turn_message(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, wagw_str_t sender, wagw_row_message_t *m)
{
    int rc;
    wagw_str_t key, v, copy;

    rc = key_of(t, chat, id, sender, &key);
    if (rc == WAGW_LIMIT) {
        return WAGW_NOT_FOUND; /* none is stored under a name that no key can hold */
    }
    WAGW_TRY(rc);
    WAGW_TRY(wagw_txn_get(&t->txn, WAGW_REC_MESSAGE, key, &v));
    copy = wagw_arena_str(&t->arena, v);
    if (copy.p == NULL) {
        return WAGW_NOMEM;
    }
    return wagw_row_message_decode(m, copy);
}

/*
 * The message of an author.  A chat that was the LID's until the number was
 * learnt holds rows whose author is still written as LID: both forms are
 * looked for, and asked for in one load.
 */
int wagw_turn_message_by(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, const wagw_jid_t *author,
                         wagw_row_message_t *m)
{
    int rc, rc2;
    wagw_jid_t twin;

    rc = wagw_turn_message(t, chat, id, wagw_jid_str(&t->arena, author), m);
    if (rc != WAGW_NOT_FOUND && rc != WAGW_AGAIN) {
        return rc;
    }
    rc2 = wagw_lid_twin(t, author, &twin);
    if (rc2 == WAGW_NOT_FOUND) {
        return rc;
    }
    WAGW_TRY(rc2);
    twin = wagw_jid_user(&twin);
    rc2 = wagw_turn_message(t, chat, id, wagw_jid_str(&t->arena, &twin), m);
    return rc == WAGW_AGAIN && (rc2 == WAGW_OK || rc2 == WAGW_NOT_FOUND) ? rc : rc2;
}

int wagw_turn_message_put(wagw_turn_t *t, const wagw_row_message_t *m)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_str_t key;
    wagw_row_message_t row = *m;

    row.flags |= t->c->conf.no_messages ? WAGW_ROW_UNLISTED : 0;
    WAGW_TRY(key_of(t, m->chat, m->id, m->from_me ? WAGW_STR("") : m->sender, &key));
    rc = wagw_row_message_encode(&b, &row);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_MESSAGE, key, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

typedef struct {
    wagw_turn_t *t;
    wagw_str_t key, value;
} found_t;

static int first_found(void *data, wagw_str_t key, wagw_str_t value)
{
    found_t *f = data;

    f->key = wagw_arena_str(&f->t->arena, key);
    f->value = wagw_arena_str(&f->t->arena, value);
    return 1;
}

/*
 * By chat and id alone, whoever wrote it.  In a direct chat there are two
 * possible authors, so the row is found by its key; elsewhere the prefix is
 * asked for.
 */
int wagw_turn_message_find(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, wagw_row_message_t *m, wagw_str_t *key)
{
    int rc, rc2;
    found_t f = {t, WAGW_STR_NULL, WAGW_STR_NULL};
    wagw_jid_t j;
    wagw_str_t prefix;

    if (key) {
        *key = WAGW_STR_NULL;
    }
    if (wagw_jid_parse(&j, chat) == WAGW_OK && wagw_jid_is_person(&j)) {
        rc = wagw_turn_message(t, chat, id, WAGW_STR(""), m);
        if (rc == WAGW_NOT_FOUND) {
            return wagw_turn_message_by(t, chat, id, &j, m);
        }
        if (rc == WAGW_AGAIN) {
            /* all of them are asked for in one load */
            rc2 = wagw_turn_message_by(t, chat, id, &j, m);
            return rc2 == WAGW_NOT_FOUND || rc2 == WAGW_OK ? rc : rc2;
        }
        return rc;
    }
    WAGW_TRY(key_of(t, chat, id, WAGW_STR(""), &prefix));
    rc = wagw_txn_scan(&t->txn, WAGW_REC_MESSAGE, prefix, first_found, &f);
    if (rc != WAGW_OK && rc != 1) {
        return rc;
    }
    if (f.value.p == NULL) {
        return WAGW_NOT_FOUND;
    }
    if (key) {
        *key = f.key;
    }
    return wagw_row_message_decode(m, f.value);
}

int wagw_turn_chat(wagw_turn_t *t, wagw_str_t chat, wagw_row_chat_t *c)
{
    int rc;
    wagw_str_t v, copy;

    memset(c, 0, sizeof(*c));
    rc = wagw_txn_get(&t->txn, WAGW_REC_CHAT, chat, &v);
    if (rc != WAGW_OK) {
        return rc;
    }
    copy = wagw_arena_str(&t->arena, v);
    if (copy.p == NULL) {
        return WAGW_NOMEM;
    }
    return wagw_row_chat_decode(c, copy);
}

int wagw_turn_chat_name(wagw_turn_t *t, const wagw_row_chat_t *c, wagw_str_t *name)
{
    int rc;
    wagw_str_t v, names[4];
    const uint8_t *at;
    wagw_row_contact_t k = {0};

    rc = wagw_txn_get(&t->txn, WAGW_REC_CONTACT, c->id, &v);
    if (rc == WAGW_OK) {
        v = wagw_arena_str(&t->arena, v);
        rc = wagw_row_contact_decode(&k, v);
    }
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    names[0] = k.name;
    names[1] = c->name;
    names[2] = k.verified_name;
    names[3] = k.push_name;
    for (unsigned i = 0; i < 4; i++) {
        if (names[i].n) {
            *name = names[i];
            return WAGW_OK;
        }
    }
    at = c->id.n ? memchr(c->id.p, '@', c->id.n) : NULL;
    *name = at ? wagw_str(c->id.p, (size_t)(at - c->id.p)) : c->id;
    return WAGW_OK;
}

int wagw_turn_chat_put(wagw_turn_t *t, const wagw_row_chat_t *c)
{
    int rc;
    wagw_buf_t b = {0};

    rc = wagw_row_chat_encode(&b, c);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_CHAT, c->id, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

int wagw_turn_chat_touch(wagw_turn_t *t, const wagw_row_message_t *m, const wagw_jid_t *chat, unsigned unread)
{
    int rc;
    size_t n;
    wagw_jid_t twin;
    wagw_group_t g;
    wagw_row_chat_t c;

    rc = wagw_turn_chat(t, m->chat, &c);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    c.id = m->chat;
    if (wagw_jid_is_person(chat) && (c.lid.n == 0 || c.pn.n == 0)) {
        if (wagw_jid_is_lid(chat)) {
            c.lid = m->chat;
        } else {
            c.pn = m->chat;
            rc = wagw_lid_twin(t, chat, &twin);
            if (rc == WAGW_OK) {
                twin = wagw_jid_user(&twin);
                c.lid = wagw_jid_str(&t->arena, &twin);
            } else if (rc != WAGW_NOT_FOUND) {
                return rc;
            }
        }
    }
    if (!m->from_me && m->push_name.n && wagw_jid_is_person(chat) && m->t_ms >= c.last_ms) {
        c.name = m->push_name;
    } else if (c.name.n == 0 && wagw_jid_is_group(chat)) {
        WAGW_TRY(wagw_group_get(t, chat, &g));
        c.name = g.subject;
    }
    c.unread += unread;
    if (m->t_ms >= c.last_ms) {
        n = m->body.n < LAST_BODY_MAX ? m->body.n : LAST_BODY_MAX;
        while (n < m->body.n && n > 0 && (m->body.p[n] & 0xc0) == 0x80) {
            n--; /* not in the middle of a character */
        }
        c.last_ms = m->t_ms;
        c.last_id = m->id;
        c.last_type = m->type;
        c.last_body = wagw_str(m->body.p, t->c->conf.no_messages ? 0 : n);
        c.last_from_me = m->from_me;
    }
    if (m->expiration) {
        c.ephemeral = m->expiration;
    }
    return wagw_turn_chat_put(t, &c);
}
