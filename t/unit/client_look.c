/*
 * Commands of tests, and what can be seen of an engine: replies, events, rows.
 */

#include "client_sim.h"

uint64_t sim_command(sim_engine_t *e, wagw_cmd_t cmd, const char *json)
{
    cJSON *params = cJSON_Parse(json ? json : "{}");

    if (params == NULL) {
        fail_msg("not JSON: %s", json);
    }
    wagw_client_command(e->c, ++e->command, cmd, params, e->w->now);
    cJSON_Delete(params);
    return e->command;
}

sim_reply_t *sim_reply(sim_engine_t *e, uint64_t command)
{
    for (sim_reply_t *r = e->replies; r; r = r->next) {
        if (r->command == command) {
            return r;
        }
    }
    return NULL;
}

sim_reply_t *sim_expect(sim_engine_t *e, uint64_t command, int status, const char *code)
{
    sim_reply_t *r = sim_reply(e, command);

    if (r == NULL) {
        fail_msg("%s: command %llu is not answered; last log: %s", e->name, (unsigned long long)command, e->last_log);
        return NULL;
    }
    if (r->status != status || (code && strcmp(r->code, code) != 0)) {
        fail_msg("%s: command %llu: %d %s (%s) where %d %s is expected; last log: %s", e->name,
                 (unsigned long long)command, r->status, r->code, r->text, status, code ? code : "", e->last_log);
    }
    return r;
}

sim_reply_t *sim_do(sim_engine_t *e, wagw_cmd_t cmd, const char *json, int status)
{
    uint64_t id = sim_command(e, cmd, json);

    sim_run(e->w);
    return sim_expect(e, id, status, NULL);
}

wagw_client_info_t sim_info(sim_engine_t *e)
{
    wagw_client_info_t i;

    wagw_client_info(e->c, &i);
    return i;
}

sim_event_t *sim_event(sim_engine_t *e, const char *name, unsigned n)
{
    for (sim_event_t *ev = e->events; ev; ev = ev->next) {
        if (strcmp(ev->name, name) == 0 && n-- == 0) {
            return ev;
        }
    }
    return NULL;
}

unsigned sim_events(sim_engine_t *e, const char *name)
{
    unsigned n = 0;

    while (sim_event(e, name, n)) {
        n++;
    }
    return n;
}

sim_event_t *sim_last_event(sim_engine_t *e, const char *name)
{
    unsigned n = sim_events(e, name);

    if (n == 0) {
        fail_msg("%s: no event %s", e->name, name);
    }
    return sim_event(e, name, n - 1);
}

const char *sim_str(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsString(v) ? v->valuestring : "";
}

bool sim_message(sim_engine_t *e, const char *chat, const char *id, const char *sender, wagw_row_message_t *m)
{
    char key[WAGW_KEY_MAX];
    size_t n = wagw_msgkey(key, wagw_cstr(chat), wagw_cstr(id), wagw_cstr(sender));
    wagw_str_t v = sim_mem_get(&e->mem, WAGW_REC_MESSAGE, wagw_str(key, n));

    if (v.p == NULL) {
        return false;
    }
    assert_int_equal(wagw_row_message_decode(m, v), WAGW_OK);
    return true;
}

bool sim_chat(sim_engine_t *e, const char *chat, wagw_row_chat_t *c)
{
    wagw_str_t v = sim_mem_get(&e->mem, WAGW_REC_CHAT, wagw_cstr(chat));

    if (v.p == NULL) {
        return false;
    }
    assert_int_equal(wagw_row_chat_decode(c, v), WAGW_OK);
    return true;
}

void sim_creds(sim_engine_t *e, wagw_creds_t *c)
{
    wagw_str_t v = sim_mem_get(&e->mem, WAGW_REC_CREDS, WAGW_STR(""));

    assert_non_null(v.p);
    assert_int_equal(wagw_creds_decode(c, v), WAGW_OK);
}
