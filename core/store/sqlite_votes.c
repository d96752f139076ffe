#include "sqlite.h"
#include "../message/message.h"

#include <cjson/cJSON.h>

/*
 * The tally of a poll: its options in their order, whoever chose them.  Only
 * the message's own content says which options there are, so votes for names
 * that it does not hold (an edited poll) are not counted.
 */

typedef struct {
    int64_t chat;
    wagw_str_t *options;
    size_t n;
} poll_t;

static int votes_poll(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_arena_t *a, poll_t *p)
{
    static const char *const answers[] = {"going", "maybe", "not_going"};
    wagw_buf_t content = {0}, chat = {0};
    wagw_content_t c;
    wagw_str_t none = WAGW_STR_NULL;
    int rc;

    rc = wagw_store_message_content(s, num, none, id, &content, &chat);
    if (rc == WAGW_OK) {
        rc = wagw_chat_num(s, num, wagw_buf_view(&chat), false, &p->chat);
    }

    if (rc == WAGW_OK) {
        rc = wagw_poll_options(a, wagw_buf_view(&content), &p->options, &p->n);
    }

    if (rc == WAGW_STATE && wagw_message_read(&c, a, wagw_buf_view(&content)) == WAGW_OK &&
        wagw_str_is(wagw_cstr(c.type), "event")) {
        p->n = sizeof(answers) / sizeof(answers[0]);
        p->options = wagw_arena_alloc(a, p->n * sizeof(*p->options));
        rc = p->options != NULL ? WAGW_OK : WAGW_NOMEM;

        for (size_t i = 0; i < p->n && rc == WAGW_OK; i++) {
            p->options[i] = wagw_cstr(answers[i]);
        }
    }

    wagw_buf_wipe(&content);
    wagw_buf_free(&chat);

    return rc;
}

static bool votes_has(wagw_str_t options, wagw_str_t name)
{
    cJSON *list = cJSON_ParseWithLength((const char *)options.p, options.n);
    const cJSON *one;
    bool found = false;

    cJSON_ArrayForEach(one, list)
    {
        const char *text = cJSON_GetStringValue(one);

        found = found || (text != NULL && wagw_str_eq(wagw_cstr(text), name));
    }

    cJSON_Delete(list);

    return found;
}

static int votes_of(wagw_store_t *s, const poll_t *p, wagw_str_t id, wagw_str_t option, wagw_str_t own, wagw_json_t *j)
{
    uint32_t n = 0;
    sqlite3_stmt *st;
    wagw_str_t user;
    int rc;

    wagw_json_open(j, '{');
    wagw_json_kstr(j, "option", option);
    wagw_json_key(j, "voters");
    wagw_json_open(j, '[');

    st = wagw_sql(s, "SELECT user, options FROM votes WHERE chat = ?1 AND id = ?2 ORDER BY t_ms, user");
    wagw_sql_bind(st, "is", p->chat, id);

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        if (votes_has(wagw_sql_str(st, 1), option)) {
            user = wagw_sql_str(st, 0);
            wagw_json_str(j, user.n != 0 ? user : own);
            n++;
        }
    }

    wagw_sql_done(st);
    wagw_json_close(j);
    wagw_json_kint(j, "votes", n);
    wagw_json_close(j);

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_message_votes(wagw_store_t *s, uint32_t num, wagw_str_t id, wagw_buf_t *json, uint32_t *count)
{
    char pn[WAGW_JID_TEXT_MAX], lid[WAGW_JID_TEXT_MAX];
    wagw_json_t j = wagw_json(json);
    wagw_arena_t a = {0};
    poll_t p = {.n = 0};
    int rc;

    *count = 0;

    rc = wagw_own_jids(s, num, pn, lid);
    if (rc == WAGW_OK) {
        rc = votes_poll(s, num, id, &a, &p);
    }

    wagw_json_open(&j, '[');

    for (size_t i = 0; i < p.n && rc == WAGW_OK; i++) {
        rc = votes_of(s, &p, id, p.options[i], wagw_cstr(pn[0] != '\0' ? pn : lid), &j);
        (*count)++;
    }

    wagw_json_close(&j);
    wagw_arena_free(&a);

    return rc == WAGW_OK && json->failed ? WAGW_NOMEM : rc;
}

/* ---- views of a status post ---- */

int wagw_store_message_views(wagw_store_t *s, uint32_t num, wagw_str_t chat, wagw_str_t id, wagw_buf_t *json,
                             uint32_t *count)
{
    wagw_json_t j = wagw_json(json);
    sqlite3_stmt *st;
    int64_t own;
    int rc;

    *count = 0;

    st = wagw_sql(s, "SELECT m.num FROM messages m JOIN chats c ON c.num = m.chat"
                     " WHERE m.inst = ?1 AND m.id = ?2 AND c.chat = ?3 AND m.from_me = 1 AND m.hidden = 0");
    wagw_sql_bind(st, "uss", num, id, chat);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    own = sqlite3_column_int64(st, 0);
    wagw_sql_done(st);

    st = wagw_sql(s, "SELECT user, read FROM receipts WHERE msg = ?1 AND read > 0 ORDER BY read, user");
    wagw_sql_bind(st, "i", own);

    wagw_json_open(&j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "jid", wagw_sql_str(st, 0));
        wagw_json_kiso(&j, "viewedAt", sqlite3_column_int64(st, 1));
        wagw_json_close(&j);
        (*count)++;
    }

    wagw_json_close(&j);

    return rc != WAGW_NOT_FOUND ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;
}
