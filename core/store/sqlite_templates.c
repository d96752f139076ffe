#include "sqlite.h"

/* Stored send bodies, and which of them a key sees. */

#define TEMPLATE_COLUMNS                                                                                               \
    "t.id, ifnull(t.inst, 0), t.owner, t.name, t.type, t.language, t.variables, t.created_ms, t.updated_ms, "          \
    "t.content,"                                                                                                       \
    " (SELECT n.id FROM instances n WHERE n.num = t.inst)"
/* ?1 instances, ?2 key */
#define TEMPLATE_SEEN                                                                                                  \
    "(?1 = '' OR t.inst IN (SELECT value FROM json_each(CASE ?1 WHEN '' THEN '[]' ELSE ?1 END))"                       \
    " OR (t.inst IS NULL AND t.owner = ?2))"

static int template_seal(wagw_store_t *s, const wagw_template_t *t, wagw_str_t *content)
{
    return wagw_seal(s, &s->scratch, t->instance, WAGW_SEAL_TEMPLATE, t->id, t->content, content);
}

/* Views until the next step; content until the next unsealing. */
static int template_row(wagw_store_t *s, sqlite3_stmt *st, wagw_template_t *t)
{
    *t = (wagw_template_t){
        .id = wagw_sql_str(st, 0),
        .instance = (uint32_t)sqlite3_column_int64(st, 1),
        .owner = wagw_sql_str(st, 2),
        .name = wagw_sql_str(st, 3),
        .type = wagw_sql_str(st, 4),
        .language = wagw_sql_str(st, 5),
        .variables = wagw_sql_str(st, 6),
        .created_ms = sqlite3_column_int64(st, 7),
        .updated_ms = sqlite3_column_int64(st, 8),
        .instance_id = wagw_sql_str(st, 10),
    };

    return wagw_unseal(s, &s->opened, t->instance, WAGW_SEAL_TEMPLATE, t->id, wagw_sql_str(st, 9), &t->content);
}

int wagw_store_template_create(wagw_store_t *s, const wagw_template_t *t)
{
    int rc;
    wagw_str_t content;
    sqlite3_stmt *st;

    rc = template_seal(s, t, &content);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "INSERT INTO templates (id, inst, owner, name, type, language, variables, created_ms, updated_ms,"
                     " content) VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    wagw_sql_bind(st, "susssssiib", t->id, t->instance, t->owner, t->name, t->type, t->language, t->variables,
                  t->created_ms, t->updated_ms, content);

    return wagw_sql_run(s, st);
}

int wagw_store_template_update(wagw_store_t *s, const wagw_scope_t *scope, const wagw_template_t *t)
{
    int rc;
    wagw_str_t content;
    sqlite3_stmt *st;

    rc = template_seal(s, t, &content);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "UPDATE templates AS t SET inst = nullif(?4, 0), name = ?5, type = ?6, language = ?7,"
                     " variables = ?8, updated_ms = ?9, content = ?10 WHERE t.id = ?3 AND " TEMPLATE_SEEN);
    wagw_sql_bind(st, "sssussssib", scope->instances, scope->key, t->id, t->instance, t->name, t->type, t->language,
                  t->variables, t->updated_ms, content);
    rc = wagw_sql_run(s, st);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

int wagw_store_template_delete(wagw_store_t *s, const wagw_scope_t *scope, wagw_str_t id)
{
    int rc;
    sqlite3_stmt *st;

    st = wagw_sql(s, "DELETE FROM templates AS t WHERE t.id = ?3 AND " TEMPLATE_SEEN);
    wagw_sql_bind(st, "sss", scope->instances, scope->key, id);
    rc = wagw_sql_run(s, st);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

int wagw_store_template_get(wagw_store_t *s, const wagw_scope_t *scope, wagw_str_t id, wagw_str_t name,
                            uint32_t instance, wagw_arena_t *a, wagw_template_t *t)
{
    int rc;
    sqlite3_stmt *st;

    if (id.n) {
        st = wagw_sql(s, "SELECT " TEMPLATE_COLUMNS " FROM templates t WHERE t.id = ?3 AND " TEMPLATE_SEEN);
        wagw_sql_bind(st, "sss", scope->instances, scope->key, id);
    } else {
        st = wagw_sql(s, "SELECT " TEMPLATE_COLUMNS " FROM templates t WHERE t.name = ?3 AND"
                         " (t.inst = ?4 OR t.inst IS NULL) AND " TEMPLATE_SEEN
                         " ORDER BY t.inst IS NULL, t.owner <> ?2, t.num LIMIT 1");
        wagw_sql_bind(st, "sssu", scope->instances, scope->key, name, instance);
    }

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = template_row(s, st, t);
    if (rc == WAGW_OK) {
        t->id = wagw_arena_str(a, t->id);
        t->instance_id = wagw_arena_str(a, t->instance_id);
        t->owner = wagw_arena_str(a, t->owner);
        t->name = wagw_arena_str(a, t->name);
        t->type = wagw_arena_str(a, t->type);
        t->language = wagw_arena_str(a, t->language);
        t->variables = wagw_arena_str(a, t->variables);
        t->content = wagw_arena_str(a, t->content);
        rc = t->id.p && t->owner.p && t->name.p && t->type.p && t->variables.p && t->content.p ? WAGW_OK : WAGW_NOMEM;
    }
    wagw_sql_done(st);

    return rc;
}

int wagw_store_templates(wagw_store_t *s, const wagw_scope_t *scope, uint32_t instance, wagw_str_t q, uint32_t limit,
                         uint32_t offset, wagw_template_pt cb, void *data, uint64_t *total)
{
    int rc;
    wagw_buf_t like = {0};
    wagw_template_t t;
    sqlite3_stmt *st;

    wagw_query_like(&like, q);
    if (like.failed) {
        rc = WAGW_NOMEM;
        goto done;
    }

#define TEMPLATE_WHERE                                                                                                 \
    " FROM templates t WHERE (?3 = 0 OR t.inst = ?3) AND t.name LIKE ?4 ESCAPE '\\' AND " TEMPLATE_SEEN

    if (total) {
        st = wagw_sql(s, "SELECT count(*)" TEMPLATE_WHERE);
        wagw_sql_bind(st, "ssus", scope->instances, scope->key, instance, wagw_buf_view(&like));
        rc = wagw_sql_step(s, st);
        if (rc != WAGW_OK) {
            goto done;
        }
        *total = (uint64_t)sqlite3_column_int64(st, 0);
        wagw_sql_done(st);
    }

    st = wagw_sql(s, "SELECT " TEMPLATE_COLUMNS TEMPLATE_WHERE " ORDER BY t.name, t.num LIMIT ?5 OFFSET ?6");
    wagw_sql_bind(st, "ssusuu", scope->instances, scope->key, instance, wagw_buf_view(&like), limit, offset);

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        rc = template_row(s, st, &t);
        rc = rc == WAGW_OK ? cb(data, &t) : rc;
        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            goto done;
        }
    }
    rc = rc == WAGW_NOT_FOUND ? WAGW_OK : rc;

done:

    wagw_buf_free(&like);

    return rc;
}
