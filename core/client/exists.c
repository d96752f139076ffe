/*
 * Who is on WhatsApp, and under which LID (11 section 7).
 */

#include "client_i.h"

#include <stdio.h>

#define NUMBERS_MAX 50

int wagw_usync(wagw_turn_t *t, const char *context, wagw_node_t **iq, wagw_node_t **query, wagw_node_t **list)
{
    uint32_t sid;
    wagw_node_t *u;

    *iq = wagw_iq(t, "get", "usync");
    wagw_turn_random(t, &sid, sizeof(sid));
    u = wagw_node_child(&t->arena, *iq, "usync");
    wagw_node_attr(&t->arena, u, "sid",
                   wagw_arena_printf(&t->arena, "%u.%u-%u", sid >> 16, sid & 0xffff, t->c->iq_num + 1));
    wagw_node_attrc(&t->arena, u, "mode", "query");
    wagw_node_attrc(&t->arena, u, "last", "true");
    wagw_node_attrc(&t->arena, u, "index", "0");
    wagw_node_attrc(&t->arena, u, "context", context);
    *query = wagw_node_child(&t->arena, u, "query");
    *list = wagw_node_child(&t->arena, u, "list");
    return *list ? WAGW_OK : WAGW_NOMEM;
}

const wagw_node_t *wagw_usync_user(const wagw_node_t *answer)
{
    return wagw_node_find(wagw_node_find(wagw_node_find(answer, "usync"), "list"), "user");
}

int wagw_usync_ask_lid(wagw_turn_t *t, const wagw_jid_t *pn, wagw_iq_pt handler, uint64_t command)
{
    wagw_node_t *iq, *query, *list;

    WAGW_TRY(wagw_usync(t, "background", &iq, &query, &list));
    wagw_node_child(&t->arena, query, "lid");
    wagw_node_attr_jid(&t->arena, wagw_node_child(&t->arena, list, "user"), "jid", pn);
    return command ? wagw_iq_send_for(t, iq, handler, command) : wagw_iq_send(t, iq, handler, 0);
}

int wagw_usync_lid(wagw_turn_t *t, const wagw_node_t *answer, wagw_jid_t *pn, wagw_jid_t *lid)
{
    const wagw_node_t *u = wagw_usync_user(answer);
    wagw_str_t val = wagw_node_get(wagw_node_find(u, "lid"), "val");

    if (val.n == 0 || wagw_node_get_jid(u, "jid", pn) != WAGW_OK || wagw_jid_parse(lid, val) != WAGW_OK ||
        !wagw_jid_is_lid(lid)) {
        return WAGW_NOT_FOUND;
    }
    return wagw_lid_learn(t, pn, lid, "usync");
}

/* Digits of what a caller calls a phone number; 0 when it is none. */
static size_t digits(char out[32], wagw_str_t s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n && s.p[i] != '@' && s.p[i] != ':'; i++) {
        if (s.p[i] >= '0' && s.p[i] <= '9') {
            if (n >= 20) {
                return 0;
            }
            out[n++] = (char)s.p[i];
        }
    }
    out[n] = '\0';
    return n > 4 ? n : 0;
}

typedef struct {
    bool exists;
    bool business; /* has a verified name */
    wagw_jid_t jid, lid;
} exists_t;

static int exists_user(wagw_turn_t *t, const wagw_node_t *u, char phone[32], exists_t *e)
{
    wagw_jid_t jid, pn;
    const wagw_node_t *c = wagw_node_find(u, "contact");

    memset(e, 0, sizeof(*e));
    if (c == NULL || !wagw_node_attr_is(c, "type", "in")) {
        return WAGW_OK;
    }
    if (digits(phone, wagw_node_data(c)) == 0) {
        phone[0] = '\0';
    }
    if (wagw_node_get_jid(u, "jid", &jid) != WAGW_OK || !wagw_jid_is_person(&jid)) {
        return WAGW_OK;
    }
    jid = wagw_jid_user(&jid);
    if (wagw_node_get_jid(u, "pn_jid", &pn) == WAGW_OK) {
        WAGW_TRY(wagw_lid_learn(t, &jid, &pn, "usync"));
    }
    WAGW_TRY(wagw_lid_in(t, &jid, false, &e->jid));
    WAGW_TRY(wagw_lid_in(t, &jid, true, &e->lid));
    if (!wagw_jid_is_lid(&e->lid)) {
        memset(&e->lid, 0, sizeof(e->lid));
    }
    if (phone[0] == '\0' && wagw_jid_is_pn(&e->jid)) {
        snprintf(phone, 32, "%.31s", e->jid.user);
    }
    e->exists = true;
    e->business = wagw_node_find(wagw_node_find(u, "business"), "verified_name") != NULL;
    return WAGW_OK;
}

static int exists_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    char phone[32];
    exists_t e;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *u;

    if (command == 0) {
        return WAGW_OK; /* the caller went away */
    }
    if (node == NULL || wagw_iq_error(node, NULL)) {
        return wagw_iq_failed(t, command, node);
    }
    /* found ones by number; who asked completes the rest */
    wagw_json_open(&j, '[');
    for (u = wagw_usync_user(node); u; u = wagw_node_find_next(u, "user")) {
        int rc = exists_user(t, u, phone, &e);

        if (rc != WAGW_OK) {
            wagw_buf_free(&b);
            return rc;
        }
        if (!e.exists) {
            continue;
        }
        wagw_json_open(&j, '{');
        wagw_json_kcstr(&j, "phoneNumber", phone);
        wagw_json_kbool(&j, "exists", true);
        wagw_json_kstr(&j, "jid", wagw_jid_str(&t->arena, &e.jid));
        if (wagw_jid_empty(&e.lid)) {
            wagw_json_knull(&j, "lid");
        } else {
            wagw_json_kstr(&j, "lid", wagw_jid_str(&t->arena, &e.lid));
        }
        wagw_json_kbool(&j, "isBusiness", e.business);
        wagw_json_close(&j);
    }
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

/*
 * Answers [{phoneNumber, exists:true, jid, lid}] of those found, phoneNumber
 * being digits; numbers that are not on WhatsApp are missing from the list.
 */
int wagw_exists_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    char phone[32];
    size_t n = 0;
    wagw_node_t *iq, *query, *list, *u, *c;
    const cJSON *item, *many = cJSON_GetObjectItemCaseSensitive(params, "phoneNumbers");

    WAGW_TRY(wagw_usync(t, "interactive", &iq, &query, &list));
    wagw_node_child(&t->arena, query, "contact");

    if (cJSON_IsArray(many)) {
        wagw_node_child(&t->arena, wagw_node_child(&t->arena, query, "business"), "verified_name");
        cJSON_ArrayForEach(item, many)
        {
            if (cJSON_IsString(item) && digits(phone, wagw_cstr(item->valuestring)) && n < NUMBERS_MAX) {
                u = wagw_node_child(&t->arena, list, "user");
                c = wagw_node_child(&t->arena, u, "contact");
                wagw_node_bytes(c, wagw_arena_printf(&t->arena, "+%s", phone));
                n++;
            }
        }
    } else if (digits(phone, wagw_param_str(params, "phoneNumber"))) {
        u = wagw_node_child(&t->arena, list, "user");
        c = wagw_node_child(&t->arena, u, "contact");
        wagw_node_bytes(c, wagw_arena_printf(&t->arena, "+%s", phone));
        n++;
    }
    if (n == 0) {
        wagw_result_t r = {0};

        r.status = 400;
        r.code = "INVALID_JID";
        r.error = "Not a phone number";
        r.details = WAGW_STR("{\"field\":\"phoneNumber\"}");
        return wagw_turn_reply(t, command, &r);
    }
    return wagw_iq_send_for(t, iq, exists_answer, command);
}

static int lid_reply(wagw_turn_t *t, uint64_t command, const wagw_jid_t *pn, const wagw_jid_t *lid)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "lid", wagw_jid_str(&t->arena, lid));
    wagw_json_kstr(&j, "pn", wagw_jid_str(&t->arena, pn));
    wagw_json_kcstr(&j, "phoneNumber", pn->user);
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

static int lid_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int rc;
    wagw_jid_t pn, lid;

    if (node == NULL || wagw_iq_error(node, NULL)) {
        return wagw_iq_failed(t, command, node);
    }
    rc = wagw_usync_lid(t, node, &pn, &lid);
    if (rc == WAGW_NOT_FOUND) {
        return wagw_turn_fail(t, command, 404, "LID_NOT_FOUND", "WhatsApp has no LID for this number");
    }
    WAGW_TRY(rc);
    return command ? lid_reply(t, command, &pn, &lid) : WAGW_OK;
}

int wagw_lid_of_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    char phone[32];
    wagw_jid_t pn, lid;

    if (digits(phone, wagw_param_str(params, "phoneNumber")) == 0) {
        return wagw_turn_fail(t, command, 400, "INVALID_JID", "Not a phone number");
    }
    pn = wagw_jid_make(phone, WAGW_SRV_USER, 0);
    rc = wagw_lid_twin(t, &pn, &lid);
    if (rc == WAGW_OK) {
        return lid_reply(t, command, &pn, &lid);
    }
    if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (t->c->conn != WAGW_CONN_OPEN) {
        return wagw_turn_fail(t, command, 404, "LID_NOT_FOUND", "The LID of this number is not known");
    }
    return wagw_usync_ask_lid(t, &pn, lid_answer, command);
}
