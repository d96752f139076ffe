#include "sqlite.h"

/* Old messages go in steps, each short enough not to hold up the others. */

#define SPARED (WAGW_ROW_STARRED | WAGW_ROW_KEPT)

static int retention_one(wagw_store_t *s, int64_t num, int64_t chat, wagw_str_t id)
{
    static const char *const rest[] = {
        "DELETE FROM reactions WHERE chat = ?1 AND id = ?2",
        "DELETE FROM votes WHERE chat = ?1 AND id = ?2",
    };
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "DELETE FROM messages WHERE num = ?1");
    wagw_sql_bind(st, "i", num);
    rc = wagw_sql_run(s, st);

    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]) && rc == WAGW_OK; i++) {
        st = wagw_sql(s, rest[i]);
        wagw_sql_bind(st, "is", chat, id);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

static int retention_step(wagw_store_t *s, uint32_t num, int64_t before_ms, bool unlisted, uint32_t limit,
                          wagw_arena_t *a, uint32_t *deleted)
{
    struct old_s {
        int64_t num, chat;
        wagw_str_t id;
        struct old_s *next;
    } *old = NULL, *e;
    sqlite3_stmt *st;
    int rc = WAGW_OK;

    /* what waits to be sent (status 0) will be; both halves go by the index of the listings */
    for (int64_t hidden = unlisted ? 1 : 0; hidden < 2 && rc == WAGW_OK; hidden++) {
        st = wagw_sql(s, "SELECT num, chat, id FROM messages WHERE inst = ?1 AND hidden = ?2 AND t_ms < ?3"
                         " AND status <> 0 AND (flags & ?4) = 0 AND (?5 = 0 OR (flags & ?5) <> 0) LIMIT ?6");
        wagw_sql_bind(st, "uiiiiu", num, hidden, before_ms, (int64_t)SPARED,
                      (int64_t)(unlisted ? WAGW_ROW_UNLISTED : 0), limit);

        while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
            e = wagw_arena_alloc(a, sizeof(*e));
            if (e == NULL) {
                wagw_sql_done(st);
                return WAGW_NOMEM;
            }

            e->num = sqlite3_column_int64(st, 0);
            e->chat = sqlite3_column_int64(st, 1);
            e->id = wagw_arena_str(a, wagw_sql_str(st, 2));
            e->next = old;
            old = e;
        }

        rc = rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    for (e = old; e != NULL && rc == WAGW_OK && *deleted < limit; e = e->next) {
        rc = retention_one(s, e->num, e->chat, e->id);
        *deleted += rc == WAGW_OK;
    }

    return rc;
}

int wagw_store_retention(wagw_store_t *s, uint32_t num, int64_t before_ms, bool unlisted, uint32_t limit,
                         uint32_t *deleted)
{
    wagw_arena_t a = {0};
    bool own;
    int rc;

    *deleted = 0;

    rc = wagw_tx_enter(s, &own);
    if (rc == WAGW_OK) {
        rc = wagw_tx_leave(s, own, retention_step(s, num, before_ms, unlisted, limit, &a, deleted));
    }

    wagw_arena_free(&a);

    return rc;
}
