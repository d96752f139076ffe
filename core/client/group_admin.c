/*
 * Commands about groups (contract 3.6; 09; 12 section 5): reading, making,
 * joining, naming.  A group that we are in is answered from its record, which
 * the notifications keep true; everything else is asked for.
 */

#include "group_i.h"

#include <stdlib.h>
#include <string.h>

#define INVITE_HOST "chat.whatsapp.com/"
#define CODE_MAX 64

int wagw_group_failed(wagw_turn_t *t, uint64_t command, const wagw_node_t *node)
{
    wagw_str_t why = WAGW_STR_NULL;
    wagw_result_t r;
    int code = node ? wagw_iq_error(node, &why) : 0;

    if (command == 0) {
        return WAGW_OK;
    }
    wagw_iq_result(&r, &t->arena, node && code == 0 ? 500 : code, why);
    if (code == 404) {
        r.code = "GROUP_NOT_FOUND";
        r.error = "Group not found";
    } else if (code == 410) {
        r.status = 410;
        r.code = "INVITE_REVOKED";
        r.error = "This invite was revoked";
    } else if (code == 400) {
        r.status = 400;
        r.code = "VALIDATION_FAILED";
    }
    return wagw_turn_reply(t, command, &r);
}

int wagw_group_ok(wagw_turn_t *t, uint64_t command, int status, wagw_buf_t *data, const char *message)
{
    int rc;
    wagw_result_t r = {0};

    r.status = status;
    r.message = message;
    r.data = data ? wagw_buf_view(data) : WAGW_STR("{}");
    rc = data && data->failed ? WAGW_NOMEM : command ? wagw_turn_reply(t, command, &r) : WAGW_OK;
    if (data) {
        wagw_buf_free(data);
    }
    return rc;
}

int wagw_group_param(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_jid_t *group)
{
    WAGW_TRY(wagw_param_jid(t, command, params, "groupId", NULL, group));
    if (!wagw_jid_empty(group) && !wagw_jid_is_group(group)) {
        memset(group, 0, sizeof(*group));
        return wagw_turn_fail(t, command, 400, "INVALID_JID", "Not the id of a group");
    }
    return WAGW_OK;
}

/* ---- one group ------------------------------------------------------------------------ */

static int group_reply(wagw_turn_t *t, uint64_t command, int status, const wagw_jid_t *id, const wagw_group_t *g,
                       wagw_str_t more, const char *message)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    rc = wagw_group_json(t, &j, id, g, true);
    if (rc != WAGW_OK) {
        wagw_buf_free(&b);
        return rc;
    }
    if (more.n) { /* the object's end gives way to further members */
        b.n--;
        wagw_buf_str(&b, more);
        wagw_buf_cstr(&b, "}");
    }
    return wagw_group_ok(t, command, status, &b, message);
}

static int get_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_jid_t id;
    wagw_group_t g;

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(wagw_group_store(t, wagw_node_find(node, "group"), &id, &g));
    if (wagw_jid_empty(&id)) {
        return wagw_group_failed(t, command, node);
    }
    return command ? group_reply(t, command, 200, &id, &g, WAGW_STR_NULL, NULL) : WAGW_OK;
}

static int command_get(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;
    wagw_group_t g;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_group_get(t, &id, &g));
    /* a record of an older version has no time of creation */
    if (g.fetched_ms && g.created_s && wagw_group_is_member(t, &g)) {
        return group_reply(t, command, 200, &id, &g, WAGW_STR_NULL, NULL);
    }
    if (t->c->conn != WAGW_CONN_OPEN) {
        return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
    }
    return wagw_group_query(t, &id, get_answer, command);
}

/* ---- all groups ------------------------------------------------------------------------- */

typedef struct listed_s listed_t;
struct listed_s {
    wagw_jid_t id;
    listed_t *next;
};

typedef struct {
    wagw_turn_t *t;
    listed_t *all, **last;
} listing_t;

static int list_one(void *data, wagw_str_t key, wagw_str_t value)
{
    listing_t *l = data;
    listed_t *e = wagw_arena_zalloc(&l->t->arena, sizeof(*e));

    (void)value;
    if (e == NULL) {
        return WAGW_NOMEM;
    }
    if (wagw_jid_parse(&e->id, key) == WAGW_OK) {
        *l->last = e;
        l->last = &e->next;
    }
    return 0;
}

static int list_write(wagw_turn_t *t, wagw_json_t *j, const listing_t *l, const cJSON *params, uint32_t *count,
                      uint32_t *total)
{
    int rc, again = WAGW_OK;
    int64_t offset = wagw_param_int(params, "offset", 0), limit = wagw_param_int(params, "limit", 500);
    bool members = wagw_param_bool(params, "participants", true);
    bool only_communities = wagw_param_bool(params, "_communities", false);
    bool count_only = wagw_param_bool(params, "_count", false);
    wagw_group_t g;

    *count = *total = 0;
    wagw_json_open(j, '[');
    for (const listed_t *e = l->all; e; e = e->next) {
        rc = wagw_group_get(t, &e->id, &g);
        if (rc == WAGW_OK) {
            if (!wagw_group_is_member(t, &g) || (only_communities && !g.community)) {
                continue;
            }
            if (!count_only && *total >= offset && *count < limit) {
                (*count)++;
                rc = wagw_group_json(t, j, &e->id, &g, members);
            }
            (*total)++;
        }
        if (rc == WAGW_AGAIN) {
            again = rc;
        } else if (rc != WAGW_OK) {
            return rc;
        }
    }
    wagw_json_close(j);
    return again;
}

static int list_reply(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    uint32_t count, total;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};
    listing_t l = {t, NULL, NULL};

    l.last = &l.all;
    WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_GROUP, WAGW_STR(""), list_one, &l));
    rc = list_write(t, &j, &l, params, &count, &total);
    if (rc == WAGW_OK) {
        r.status = 200;
        r.data = wagw_buf_view(&b);
        r.details = wagw_arena_printf(&t->arena, "{\"count\":%u,\"total\":%u}", count, total);
        rc = b.failed || r.details.p == NULL ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    }
    wagw_buf_free(&b);
    return rc;
}

static int list_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(wagw_group_all_answer(t, node));
    return command ? list_reply(t, command, t->asked) : WAGW_OK;
}

static int command_list(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool known;

    WAGW_TRY(wagw_group_all_known(t, &known));
    if (known && !wagw_param_bool(params, "refresh", false)) {
        return list_reply(t, command, params);
    }
    if (t->c->conn != WAGW_CONN_OPEN) {
        return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
    }
    return wagw_group_all_query(t, list_answer, command, params);
}

/* ---- making one --------------------------------------------------------------------------- */

static int created_reply(wagw_turn_t *t, uint64_t command, const cJSON *params, const wagw_jid_t *id)
{
    wagw_group_t g;
    wagw_str_t failures = wagw_param_str(params, "_failed");

    WAGW_TRY(wagw_group_get(t, id, &g));
    return command ? group_reply(t, command, 201, id, &g, failures, "Group created successfully") : WAGW_OK;
}

static int described(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_jid_t id;

    if (wagw_jid_parse(&id, wagw_param_str(t->asked, "groupId")) != WAGW_OK) {
        return WAGW_OK;
    }
    if (!!wagw_iq_ok(node)) {
        wagw_node_t *n = wagw_node(&t->arena, "description");

        wagw_node_attr(&t->arena, n, "id", wagw_param_str(t->asked, "_descId"));
        wagw_node_bytes(wagw_node_child(&t->arena, n, "body"), wagw_param_str(t->asked, "description"));
        WAGW_TRY(n ? wagw_group_applied(t, &id, n) : WAGW_NOMEM);
    }
    /* the group is there either way; without its text the object says so */
    return created_reply(t, command, t->asked, &id);
}

/* Those who were asked for and are not in: `,"failed":[...]`. */
static int create_failures(wagw_turn_t *t, const wagw_node_t *group, wagw_str_t *out)
{
    int rc = WAGW_OK;
    size_t n = 0;
    cJSON *names = cJSON_CreateArray();
    wagw_jid_t jid;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *p;

    *out = WAGW_STR_NULL;
    for (p = wagw_node_find(group, "participant"); p; p = wagw_node_find_next(p, "participant")) {
        if (wagw_node_has(p, "error") && wagw_node_get_jid(p, "jid", &jid) == WAGW_OK) {
            wagw_str_t s = wagw_jid_str(&t->arena, &jid);

            cJSON_AddItemToArray(names, cJSON_CreateString(s.p ? (const char *)s.p : ""));
            n++;
        }
    }
    if (n) {
        wagw_buf_cstr(&b, ",\"failed\":");
        rc = wagw_group_results(t, &j, names, group);
        if (rc == WAGW_OK) {
            *out = wagw_arena_str(&t->arena, wagw_buf_view(&b));
            rc = out->p ? WAGW_OK : WAGW_NOMEM;
        }
    }
    cJSON_Delete(names);
    wagw_buf_free(&b);
    return rc;
}

static int fresh_id(wagw_turn_t *t, char id[68])
{
    uint8_t random[16];
    const wagw_creds_t *me = wagw_turn_me(t);

    wagw_turn_random(t, random, sizeof(random));
    return wagw_message_id(id, t->now / 1000, wagw_str(me->jid.user, me->jid.user_len), random);
}

static int create_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int rc;
    char desc[68];
    cJSON *params;
    wagw_jid_t id;
    wagw_str_t text, failures;
    wagw_node_t *iq, *d;
    const wagw_node_t *group = wagw_node_find(node, "group");

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(wagw_group_store(t, group, &id, NULL));
    if (wagw_jid_empty(&id)) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(create_failures(t, group, &failures));
    WAGW_TRY(fresh_id(t, desc));
    params = cJSON_Duplicate(t->asked, true);
    cJSON_AddStringToObject(params, "groupId", (const char *)wagw_jid_str(&t->arena, &id).p);
    cJSON_AddStringToObject(params, "_descId", desc);
    if (failures.n) {
        cJSON_AddStringToObject(params, "_failed", (const char *)failures.p);
    }
    text = wagw_param_str(params, "description");
    if (text.n == 0) {
        rc = created_reply(t, command, params, &id);
    } else {
        iq = wagw_group_iq(t, "set", &id, "description", &d);
        wagw_node_attr(&t->arena, d, "id", wagw_arena_str(&t->arena, wagw_cstr(desc)));
        wagw_node_bytes(wagw_node_child(&t->arena, d, "body"), wagw_arena_str(&t->arena, text));
        rc = wagw_iq_send_params(t, iq, described, command, params);
    }
    cJSON_Delete(params);
    return rc;
}

static int command_create(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    char key[68];
    int64_t ephemeral = wagw_param_int(params, "ephemeral", 0);
    wagw_jid_t community;
    wagw_node_t *iq, *c, *k;

    WAGW_TRY(fresh_id(t, key));
    iq = wagw_group_iq(t, "set", NULL, "create", &c);
    wagw_node_attr(&t->arena, c, "subject", wagw_param_str(params, "name"));
    wagw_node_attr(&t->arena, c, "key", wagw_arena_str(&t->arena, wagw_cstr(key)));
    WAGW_TRY(wagw_group_name_members(t, c, cJSON_GetObjectItemCaseSensitive(params, "participants"), NULL,
                                     WAGW_GROUP_AS_GIVEN));
    k = wagw_node_child(&t->arena, c, "member_add_mode");
    wagw_node_bytes(k, wagw_str_is(wagw_param_str(params, "memberAddMode"), "admin") ? WAGW_STR("admin_add")
                                                                                     : WAGW_STR("all_member_add"));
    if (wagw_param_str(params, "communityId").n) {
        WAGW_TRY(wagw_param_jid(t, command, params, "communityId", NULL, &community));
        if (wagw_jid_empty(&community)) {
            return WAGW_OK;
        }
        wagw_node_attr_jid(&t->arena, wagw_node_child(&t->arena, c, "linked_parent"), "jid", &community);
    }
    if (wagw_param_bool(params, "locked", false)) {
        wagw_node_child(&t->arena, c, "locked");
    }
    if (wagw_param_bool(params, "announcement", false)) {
        wagw_node_child(&t->arena, c, "announcement");
    }
    k = wagw_node_child(&t->arena, c, "ephemeral");
    wagw_node_attr_int(&t->arena, k, "expiration", ephemeral);
    if (ephemeral) {
        wagw_node_attrc(&t->arena, k, "trigger", "1");
    }
    k = wagw_node_child(&t->arena, wagw_node_child(&t->arena, c, "membership_approval_mode"), "group_join");
    wagw_node_attrc(&t->arena, k, "state", wagw_param_bool(params, "joinApproval", false) ? "on" : "off");
    return wagw_iq_send_params(t, iq, create_answer, command, params);
}

/* ---- by invitation -------------------------------------------------------------------------- */

/* A code, or the link that holds it. */
static wagw_str_t invite_code(const cJSON *params)
{
    size_t i;
    wagw_str_t s = wagw_param_str(params, "code");
    const char *at = s.n ? strstr((const char *)s.p, INVITE_HOST) : NULL;

    if (at) {
        at += sizeof(INVITE_HOST) - 1;
        s = wagw_cstr(strncmp(at, "invite/", 7) == 0 ? at + 7 : at);
    }
    for (i = 0; i < s.n && s.p[i] != '?' && s.p[i] != '/'; i++) {
        bool word = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
                    (s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '_' || s.p[i] == '-';
        if (!word) {
            return WAGW_STR_NULL;
        }
    }
    return i == 0 || i > CODE_MAX ? WAGW_STR_NULL : wagw_str(s.p, i);
}

static int bad_code(wagw_turn_t *t, uint64_t command)
{
    wagw_result_t r = {0};

    r.status = 400;
    r.code = "VALIDATION_FAILED";
    r.error = "Neither an invite code nor an invite link";
    r.details = WAGW_STR("{\"fields\":[{\"field\":\"code\",\"reason\":\"not an invite code\"}]}");
    return wagw_turn_reply(t, command, &r);
}

static int look_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int rc;
    uint64_t size;
    wagw_jid_t id;
    wagw_group_t g;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_group_person_t owner;
    const wagw_node_t *n = wagw_node_find(node, "group");

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    rc = wagw_group_read(t, n, &id, &g);
    if (rc != WAGW_OK || command == 0) {
        return rc;
    }
    if (wagw_jid_empty(&id)) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(wagw_group_person(t, &g.owner, &owner));
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "id", wagw_jid_str(&t->arena, &id));
    wagw_json_kstr(&j, "subject", g.subject);
    if (g.desc.n) {
        wagw_json_kstr(&j, "desc", g.desc);
    } else {
        wagw_json_knull(&j, "desc");
    }
    wagw_json_kint(&j, "size", wagw_node_get_u64(n, "size", &size) == WAGW_OK ? (int64_t)size : (int64_t)g.n);
    if (wagw_jid_empty(&owner.jid)) {
        wagw_json_knull(&j, "owner");
    } else {
        wagw_json_kstr(&j, "owner", wagw_jid_str(&t->arena, &owner.jid));
    }
    wagw_json_kint(&j, "creation", g.created_s);
    wagw_json_kbool(&j, "isCommunity", g.community);
    wagw_json_kbool(&j, "joinApprovalMode", g.approval);
    wagw_json_close(&j);
    return wagw_group_ok(t, command, 200, &b, NULL);
}

static int command_look(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_node_t *iq, *k;
    wagw_str_t code = invite_code(params);

    if (code.n == 0) {
        return bad_code(t, command);
    }
    iq = wagw_group_iq(t, "get", NULL, "invite", &k);
    wagw_node_attr(&t->arena, k, "code", wagw_arena_str(&t->arena, code));
    return wagw_iq_send_for(t, iq, look_answer, command);
}

static int join_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    bool pending;
    wagw_jid_t id;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *n = wagw_node_find(node, "group");

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    pending = n == NULL && wagw_node_find(node, "membership_approval_request") != NULL;
    n = pending ? wagw_node_find(node, "membership_approval_request") : n;
    if (wagw_node_get_jid(n, "jid", &id) != WAGW_OK && wagw_node_get_jid(node, "from", &id) != WAGW_OK) {
        return wagw_group_failed(t, command, node);
    }
    if (!wagw_jid_is_group(&id) || id.user_len == 0) {
        return wagw_group_failed(t, command, node);
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "groupId", wagw_jid_str(&t->arena, &id));
    wagw_json_kbool(&j, "pending", pending);
    wagw_json_close(&j);
    WAGW_TRY(pending ? WAGW_OK : wagw_group_forget(t, &id)); /* what was known was known from outside */
    return wagw_group_ok(t, command, 200, &b, pending ? "An admin must approve this" : "Joined the group");
}

static int command_join(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_node_t *iq, *k;
    wagw_str_t code = invite_code(params);

    if (code.n == 0) {
        return bad_code(t, command);
    }
    iq = wagw_group_iq(t, "set", NULL, "invite", &k);
    wagw_node_attr(&t->arena, k, "code", wagw_arena_str(&t->arena, code));
    return wagw_iq_send_for(t, iq, join_answer, command);
}

/* By an invite message: _code, _expiration, _admin are what it said. */
static int command_accept(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id, admin;
    wagw_node_t *iq, *k;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_param_jid(t, command, params, "_admin", NULL, &admin));
    if (wagw_jid_empty(&admin)) {
        return WAGW_OK;
    }
    iq = wagw_group_iq(t, "set", &id, "accept", &k);
    wagw_node_attr(&t->arena, k, "code", wagw_param_str(params, "_code"));
    wagw_node_attr_int(&t->arena, k, "expiration", wagw_param_int(params, "_expiration", 0));
    wagw_node_attr_jid(&t->arena, k, "admin", &admin);
    return wagw_iq_send_for(t, iq, join_answer, command);
}

static int code_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_str_t code = wagw_node_get(wagw_node_find(node, "invite"), "code");

    if (!wagw_iq_ok(node) || code.n == 0) {
        return wagw_group_failed(t, command, node);
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "inviteCode", code);
    wagw_json_key(&j, "inviteUrl");
    wagw_json_str(&j, wagw_arena_printf(&t->arena, "https://" INVITE_HOST "%.*s", (int)code.n, (const char *)code.p));
    wagw_json_close(&j);
    return wagw_group_ok(t, command, 200, &b, NULL);
}

static int command_code(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;
    wagw_node_t *k;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id)) {
        return WAGW_OK;
    }
    return wagw_iq_send_for(
        t, wagw_group_iq(t, wagw_param_bool(params, "_reset", false) ? "set" : "get", &id, "invite", &k), code_answer,
        command);
}

/* ---- its name --------------------------------------------------------------------------------- */

static int subject_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_jid_t id;
    wagw_node_t *k;

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    if (wagw_jid_parse(&id, wagw_param_str(t->asked, "groupId")) == WAGW_OK) {
        k = wagw_node(&t->arena, "subject");
        wagw_node_bytes(k, wagw_param_str(t->asked, "subject"));
        WAGW_TRY(k ? wagw_group_applied(t, &id, k) : WAGW_NOMEM);
    }
    return wagw_group_ok(t, command, 200, NULL,
                         wagw_param_bool(t->asked, "_named", false) ? "Group name updated"
                                                                    : "Group subject updated successfully");
}

static int command_subject(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;
    wagw_node_t *iq, *k;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id)) {
        return WAGW_OK;
    }
    iq = wagw_group_iq(t, "set", &id, "subject", &k);
    wagw_node_bytes(k, wagw_param_str(params, "subject"));
    return wagw_iq_send_params(t, iq, subject_answer, command, params);
}

/* ---- all of them -------------------------------------------------------------------------------- */

int wagw_group_command(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params)
{
    if (wagw_turn_me(t) == NULL || !wagw_turn_me(t)->paired ||
        (t->c->conn != WAGW_CONN_OPEN && cmd != WAGW_CMD_GROUPS && cmd != WAGW_CMD_GROUP)) {
        return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
    }
    switch (cmd) {
    case WAGW_CMD_GROUPS:
        return command_list(t, command, params);
    case WAGW_CMD_GROUP:
        return command_get(t, command, params);
    case WAGW_CMD_GROUP_CREATE:
        return command_create(t, command, params);
    case WAGW_CMD_GROUP_LOOK:
        return command_look(t, command, params);
    case WAGW_CMD_GROUP_JOIN:
        return command_join(t, command, params);
    case WAGW_CMD_GROUP_ACCEPT:
        return command_accept(t, command, params);
    case WAGW_CMD_GROUP_CODE:
        return command_code(t, command, params);
    case WAGW_CMD_GROUP_SUBJECT:
        return command_subject(t, command, params);
    case WAGW_CMD_GROUP_DESCRIPTION:
        return wagw_group_description(t, command, params);
    case WAGW_CMD_GROUP_MEMBERS:
        return wagw_group_members_command(t, command, params);
    case WAGW_CMD_GROUP_SETTINGS:
        return wagw_group_settings_command(t, command, params);
    case WAGW_CMD_GROUP_LEAVE:
        return wagw_group_leave_command(t, command, params);
    case WAGW_CMD_GROUP_REQUESTS:
        return wagw_group_requests_command(t, command, params);
    default:
        return wagw_group_decide_command(t, command, params);
    }
}
