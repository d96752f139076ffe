#include "sqlite.h"

/* Instances, API keys, webhooks, idempotency: what the owner itself keeps. */

#define INSTANCE_COLUMNS                                                                                               \
    "num, id, name, phone, settings, metadata, active, auto_connect, created_ms, updated_ms, event_seq, jid, lid,"     \
    " push_name, platform, business_name, status, connected_ms, disconnect_code, disconnect_reason, disconnect_ms,"    \
    " messages, chats"

static wagw_str_t json_or_empty(wagw_str_t json)
{
    return json.n != 0 ? json : WAGW_STR("{}");
}

/* An instance deleted with keepMessages comes back with them under its id. */
static int instance_revive(wagw_store_t *s, wagw_instance_t *i)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "UPDATE instances SET name = ?2, phone = ?3, settings = ?4, metadata = ?5, active = ?6,"
                     " auto_connect = ?7, created_ms = ?8, updated_ms = ?9, deleted = 0"
                     " WHERE id = ?1 AND deleted = 1 RETURNING num, event_seq");
    wagw_sql_bind(st, "sstssiiii", i->id, i->name, i->phone, json_or_empty(i->settings), json_or_empty(i->metadata),
                  (int64_t)i->active, (int64_t)i->auto_connect, i->created_ms, i->updated_ms);
    rc = wagw_sql_step(s, st);

    if (rc == WAGW_OK) {
        i->num = (uint32_t)sqlite3_column_int64(st, 0);
        i->event_seq = (uint64_t)sqlite3_column_int64(st, 1);
        wagw_sql_done(st);
    }

    return rc;
}

int wagw_store_instance_create(wagw_store_t *s, wagw_instance_t *i)
{
    sqlite3_stmt *st;
    int rc;

    rc = instance_revive(s, i);
    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }

    st = wagw_sql(s, "INSERT INTO instances (id, name, phone, settings, metadata, active, auto_connect, created_ms,"
                     " updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    wagw_sql_bind(st, "sstssiiii", i->id, i->name, i->phone, json_or_empty(i->settings), json_or_empty(i->metadata),
                  (int64_t)i->active, (int64_t)i->auto_connect, i->created_ms, i->updated_ms);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK) {
        i->num = (uint32_t)sqlite3_last_insert_rowid(s->db);
        i->event_seq = 0;
    }

    return rc;
}

int wagw_store_instance_update(wagw_store_t *s, const wagw_instance_t *i)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "UPDATE instances SET name = ?2, phone = ?3, settings = ?4, metadata = ?5, active = ?6,"
                     " auto_connect = ?7, updated_ms = ?8 WHERE num = ?1 AND deleted = 0");
    wagw_sql_bind(st, "ustssiii", i->num, i->name, i->phone, json_or_empty(i->settings), json_or_empty(i->metadata),
                  (int64_t)i->active, (int64_t)i->auto_connect, i->updated_ms);
    rc = wagw_sql_run(s, st);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

static int delete_all(wagw_store_t *s, uint32_t num, const char *const *literals, size_t n)
{
    sqlite3_stmt *st;
    size_t i;
    int rc = WAGW_OK;

    for (i = 0; i < n && rc == WAGW_OK; i++) {
        st = wagw_sql(s, literals[i]);
        wagw_sql_bind(st, "u", num);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

int wagw_store_instance_delete(wagw_store_t *s, uint32_t num, bool keep_messages)
{
    /* deliveries of global webhooks are still owed to their receivers */
    static const char *const always[] = {
        "DELETE FROM records WHERE inst = ?1",
        "DELETE FROM deliveries WHERE inst = ?1 AND webhook_id IN (SELECT id FROM webhooks WHERE inst = ?1)",
        "DELETE FROM webhooks WHERE inst = ?1",
        "DELETE FROM jobs WHERE inst = ?1",
        "DELETE FROM queues WHERE inst = ?1",
        "DELETE FROM templates WHERE inst = ?1",
        "DELETE FROM schedules WHERE inst = ?1",
    };
    static const char *const messages[] = {
        "DELETE FROM reactions WHERE chat IN (SELECT num FROM chats WHERE inst = ?1)",
        "DELETE FROM votes WHERE chat IN (SELECT num FROM chats WHERE inst = ?1)",
        "DELETE FROM messages WHERE inst = ?1",
        "DELETE FROM chats WHERE inst = ?1",
        "DELETE FROM contacts WHERE inst = ?1",
        "DELETE FROM instances WHERE num = ?1",
    };
    /* what is kept can never be sent: its session is gone */
    static const char *const kept[] = {
        "UPDATE messages SET status = 5, stanza = NULL WHERE inst = ?1 AND status = 0",
        "UPDATE instances SET deleted = 1, phone = NULL, active = 0, jid = '', lid = '', push_name = '', platform = '',"
        " business_name = '', status = '', connected_ms = 0, disconnect_code = 0, disconnect_reason = '',"
        " disconnect_ms = 0, settings = '{}', metadata = '{}' WHERE num = ?1",
    };
    sqlite3_stmt *st;
    bool own;
    int rc;

    rc = wagw_tx_enter(s, &own);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "SELECT 1 FROM instances WHERE num = ?1 AND deleted = 0");
    wagw_sql_bind(st, "u", num);
    rc = wagw_sql_step(s, st);
    wagw_sql_done(st);

    if (rc == WAGW_OK) {
        rc = delete_all(s, num, always, sizeof(always) / sizeof(always[0]));
    }

    if (rc == WAGW_OK && keep_messages) {
        rc = delete_all(s, num, kept, sizeof(kept) / sizeof(kept[0]));

    } else if (rc == WAGW_OK) {
        wagw_chat_forget(s);
        rc = delete_all(s, num, messages, sizeof(messages) / sizeof(messages[0]));
    }

    return wagw_tx_leave(s, own, rc);
}

static void instance_row(sqlite3_stmt *st, wagw_instance_t *i)
{
    *i = (wagw_instance_t){
        .num = (uint32_t)sqlite3_column_int64(st, 0),
        .id = wagw_sql_str(st, 1),
        .name = wagw_sql_str(st, 2),
        .phone = wagw_sql_str(st, 3),
        .settings = wagw_sql_str(st, 4),
        .metadata = wagw_sql_str(st, 5),
        .active = sqlite3_column_int(st, 6) != 0,
        .auto_connect = sqlite3_column_int(st, 7) != 0,
        .created_ms = sqlite3_column_int64(st, 8),
        .updated_ms = sqlite3_column_int64(st, 9),
        .event_seq = (uint64_t)sqlite3_column_int64(st, 10),
        .messages = (uint64_t)sqlite3_column_int64(st, 21),
        .chats = (uint64_t)sqlite3_column_int64(st, 22),
        .engine =
            {
                .jid = wagw_sql_str(st, 11),
                .lid = wagw_sql_str(st, 12),
                .push_name = wagw_sql_str(st, 13),
                .platform = wagw_sql_str(st, 14),
                .business_name = wagw_sql_str(st, 15),
                .status = wagw_sql_str(st, 16),
                .connected_ms = sqlite3_column_int64(st, 17),
                .disconnect_code = sqlite3_column_int(st, 18),
                .disconnect_reason = wagw_sql_str(st, 19),
                .disconnect_ms = sqlite3_column_int64(st, 20),
            },
    };
}

int wagw_store_instance_each(wagw_store_t *s, wagw_instance_pt cb, void *data)
{
    wagw_instance_t i;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT " INSTANCE_COLUMNS " FROM instances WHERE deleted = 0 ORDER BY created_ms, num");

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        instance_row(st, &i);

        rc = cb(data, &i);
        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            return rc;
        }
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_instance_counts(wagw_store_t *s, uint32_t num, uint64_t *messages, uint64_t *chats)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT messages, chats FROM instances WHERE num = ?1");
    wagw_sql_bind(st, "u", num);
    rc = wagw_sql_step(s, st);

    if (rc == WAGW_OK) {
        *messages = (uint64_t)sqlite3_column_int64(st, 0);
        *chats = (uint64_t)sqlite3_column_int64(st, 1);
        wagw_sql_done(st);
    }

    return rc;
}

int wagw_store_key_create(wagw_store_t *s, wagw_api_key_t *k)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "INSERT INTO api_keys (id, name, prefix, hash, permissions, instances, ip_allow, active,"
                     " created_ms, last_used_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
    wagw_sql_bind(st, "sssbussiiii", k->id, k->name, k->prefix, wagw_str(k->hash, 32), k->permissions, k->instances,
                  k->ip_allow, (int64_t)k->active, k->created_ms, k->last_used_ms, k->expires_ms);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK) {
        k->num = (uint32_t)sqlite3_last_insert_rowid(s->db);
    }

    return rc;
}

int wagw_store_key_update(wagw_store_t *s, const wagw_api_key_t *k)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "UPDATE api_keys SET name = ?2, permissions = ?3, instances = ?4, ip_allow = ?5, active = ?6,"
                     " last_used_ms = ?7, expires_ms = ?8 WHERE id = ?1");
    wagw_sql_bind(st, "ssussiii", k->id, k->name, k->permissions, k->instances, k->ip_allow, (int64_t)k->active,
                  k->last_used_ms, k->expires_ms);
    rc = wagw_sql_run(s, st);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

int wagw_store_key_delete(wagw_store_t *s, wagw_str_t id)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "DELETE FROM api_keys WHERE id = ?1");
    wagw_sql_bind(st, "s", id);
    rc = wagw_sql_run(s, st);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

int wagw_store_key_used(wagw_store_t *s, wagw_str_t id, int64_t at_ms)
{
    sqlite3_stmt *st;

    st = wagw_sql(s, "UPDATE api_keys SET last_used_ms = max(last_used_ms, ?2) WHERE id = ?1");
    wagw_sql_bind(st, "si", id, at_ms);

    return wagw_sql_run(s, st);
}

int wagw_store_key_each(wagw_store_t *s, wagw_api_key_pt cb, void *data)
{
    wagw_api_key_t k;
    sqlite3_stmt *st;
    wagw_str_t hash;
    int rc;

    st = wagw_sql(s, "SELECT num, id, name, prefix, hash, permissions, instances, ip_allow, active, created_ms,"
                     " last_used_ms, expires_ms FROM api_keys ORDER BY num");

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        hash = wagw_sql_str(st, 4);
        if (hash.n != 32) {
            wagw_sql_done(st);
            return wagw_store_fail(s, WAGW_MALFORMED, "%s: an API key's hash is damaged", s->path);
        }

        k = (wagw_api_key_t){
            .num = (uint32_t)sqlite3_column_int64(st, 0),
            .id = wagw_sql_str(st, 1),
            .name = wagw_sql_str(st, 2),
            .prefix = wagw_sql_str(st, 3),
            .permissions = (uint32_t)sqlite3_column_int64(st, 5),
            .instances = wagw_sql_str(st, 6),
            .ip_allow = wagw_sql_str(st, 7),
            .active = sqlite3_column_int(st, 8) != 0,
            .created_ms = sqlite3_column_int64(st, 9),
            .last_used_ms = sqlite3_column_int64(st, 10),
            .expires_ms = sqlite3_column_int64(st, 11),
        };
        memcpy(k.hash, hash.p, 32);

        rc = cb(data, &k);
        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            return rc;
        }
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

/* options.ordered of the options bound as ?7 */
#define ORDERED "iif(json_valid(?7), coalesce(json_extract(?7, '$.ordered') = 1, 0), 0)"

int wagw_store_webhook_put(wagw_store_t *s, wagw_webhook_t *w)
{
    wagw_str_t secret = w->secret, headers = w->headers;
    wagw_buf_t b1 = {0}, b2 = {0};
    sqlite3_stmt *st;
    int rc = WAGW_OK;

    /* bound to the webhook's id, its row number is not known yet */
    if (secret.n != 0) {
        rc = wagw_seal(s, &b1, w->instance, WAGW_SEAL_WEBHOOK_SECRET, w->id, secret, &secret);
    }

    if (rc == WAGW_OK && headers.n != 0) {
        rc = wagw_seal(s, &b2, w->instance, WAGW_SEAL_WEBHOOK_HEADERS, w->id, headers, &headers);
    }

    if (rc != WAGW_OK) {
        goto done;
    }

    if (w->num == 0) {
        st = wagw_sql(s,
                      "INSERT INTO webhooks (id, inst, url, events, secret, headers, options, enabled, created_ms,"
                      " updated_ms, ordered) VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, " ORDERED ")");
        wagw_sql_bind(st, "sussccsiii", w->id, w->instance, w->url, w->events, secret, headers, w->options,
                      (int64_t)w->enabled, w->created_ms, w->updated_ms);
        rc = wagw_sql_run(s, st);

        if (rc == WAGW_OK) {
            w->num = (uint32_t)sqlite3_last_insert_rowid(s->db);
        } else if (rc == WAGW_STATE) {
            rc = WAGW_NOT_FOUND; /* no such instance */
        }

    } else {
        st = wagw_sql(s, "UPDATE webhooks SET url = ?3, events = ?4, secret = ?5, headers = ?6, options = ?7,"
                         " enabled = ?8, updated_ms = ?9, ordered = " ORDERED " WHERE id = ?1 AND num = ?2");
        wagw_sql_bind(st, "sussccsii", w->id, w->num, w->url, w->events, secret, headers, w->options,
                      (int64_t)w->enabled, w->updated_ms);
        rc = wagw_sql_run(s, st);

        if (rc == WAGW_OK && wagw_sql_changes(s) == 0) {
            rc = WAGW_NOT_FOUND;
        }
    }

done:

    wagw_buf_free(&b1);
    wagw_buf_free(&b2);

    return rc;
}

int wagw_store_webhook_delete(wagw_store_t *s, wagw_str_t id)
{
    sqlite3_stmt *st;
    bool own;
    int rc;

    rc = wagw_tx_enter(s, &own);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "DELETE FROM webhooks WHERE id = ?1");
    wagw_sql_bind(st, "s", id);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK && wagw_sql_changes(s) == 0) {
        rc = WAGW_NOT_FOUND;
    }

    if (rc == WAGW_OK) {
        st = wagw_sql(s, "UPDATE deliveries SET status = 3, next_ms = 0, error = 'the webhook was deleted'"
                         " WHERE webhook_id = ?1 AND status = 0");
        wagw_sql_bind(st, "s", id);
        rc = wagw_sql_run(s, st);
    }

    return wagw_tx_leave(s, own, rc);
}

int wagw_store_webhook_each(wagw_store_t *s, wagw_webhook_pt cb, void *data)
{
    wagw_buf_t b1 = {0}, b2 = {0};
    wagw_webhook_t w;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT num, id, inst, url, events, secret, headers, options, enabled, created_ms, updated_ms"
                     " FROM webhooks ORDER BY num");

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        w = (wagw_webhook_t){
            .num = (uint32_t)sqlite3_column_int64(st, 0),
            .id = wagw_sql_str(st, 1),
            .instance = (uint32_t)sqlite3_column_int64(st, 2),
            .url = wagw_sql_str(st, 3),
            .events = wagw_sql_str(st, 4),
            .secret = wagw_sql_str(st, 5),
            .headers = wagw_sql_str(st, 6),
            .options = wagw_sql_str(st, 7),
            .enabled = sqlite3_column_int(st, 8) != 0,
            .created_ms = sqlite3_column_int64(st, 9),
            .updated_ms = sqlite3_column_int64(st, 10),
        };

        if (w.secret.n != 0) {
            rc = wagw_unseal(s, &b1, w.instance, WAGW_SEAL_WEBHOOK_SECRET, w.id, w.secret, &w.secret);
        }

        if (rc == WAGW_OK && w.headers.n != 0) {
            rc = wagw_unseal(s, &b2, w.instance, WAGW_SEAL_WEBHOOK_HEADERS, w.id, w.headers, &w.headers);
        }

        if (rc == WAGW_OK) {
            rc = cb(data, &w);
        }

        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            break;
        }
    }

    wagw_buf_wipe(&b1);
    wagw_buf_wipe(&b2);

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_idempotency_begin(wagw_store_t *s, const wagw_idempotency_t *i, wagw_arena_t *a, wagw_idempotency_t *old)
{
    wagw_str_t key = wagw_str(i->key, 32), hash, body = WAGW_STR_NULL;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "INSERT INTO idempotency (key, body_hash, done, status, body, message_id, created_ms)"
                     " VALUES (?1, ?2, 0, 0, NULL, ?3, ?4) ON CONFLICT (key) DO NOTHING");
    wagw_sql_bind(st, "bbsi", key, wagw_str(i->body_hash, 32), i->message_id, i->created_ms);
    rc = wagw_sql_run(s, st);

    if (rc != WAGW_OK || wagw_sql_changes(s) != 0) {
        return rc;
    }

    memset(old, 0, sizeof(wagw_idempotency_t));
    memcpy(old->key, i->key, 32);

    st = wagw_sql(s, "SELECT body_hash, done, status, body, message_id, created_ms FROM idempotency WHERE key = ?1");
    wagw_sql_bind(st, "b", key);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    hash = wagw_sql_str(st, 0);
    if (hash.n == 32) {
        memcpy(old->body_hash, hash.p, 32);
    }

    old->done = sqlite3_column_int(st, 1) != 0;
    old->status = sqlite3_column_int(st, 2);
    old->created_ms = sqlite3_column_int64(st, 5);
    old->message_id = wagw_arena_str(a, wagw_sql_str(st, 4));

    body = wagw_sql_str(st, 3);
    if (body.n != 0) {
        rc = wagw_unseal(s, &s->opened, 0, WAGW_SEAL_IDEMPOTENCY, key, body, &body);
    }

    if (rc == WAGW_OK) {
        old->body = wagw_arena_str(a, body);
        rc = old->body.p == NULL || old->message_id.p == NULL ? WAGW_NOMEM : WAGW_DUPLICATE;
    }

    wagw_sql_done(st);

    return rc;
}

int wagw_store_idempotency_done(wagw_store_t *s, const wagw_idempotency_t *i)
{
    wagw_str_t key = wagw_str(i->key, 32), body = i->body;
    sqlite3_stmt *st;
    int rc = WAGW_OK;

    if (body.n != 0) {
        rc = wagw_seal(s, &s->scratch, 0, WAGW_SEAL_IDEMPOTENCY, key, body, &body);
    }

    if (rc == WAGW_OK) {
        st = wagw_sql(s, "UPDATE idempotency SET done = 1, status = ?2, body = ?3 WHERE key = ?1");
        wagw_sql_bind(st, "bic", key, (int64_t)i->status, body);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

int wagw_store_idempotency_prune(wagw_store_t *s, int64_t before_ms)
{
    sqlite3_stmt *st;

    st = wagw_sql(s, "DELETE FROM idempotency WHERE created_ms < ?1");
    wagw_sql_bind(st, "i", before_ms);

    return wagw_sql_run(s, st);
}
