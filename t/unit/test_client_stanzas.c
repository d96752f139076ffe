/*
 * stanzas.json: what Baileys sends for each of its calls, the answers it got,
 * and what the server says by itself.  Every row plays in a world of its own:
 * our command must send the recorded stanzas (as the file's "compare" says)
 * and give the recorded result; a pushed stanza must be answered as recorded
 * and lead to our event.
 */

#include "client_sim.h"

#define ME_PN "15550001111"
#define ME_LID "199000000000011"
#define BOB "15550002222@s.whatsapp.net"
#define G1 "\"groupId\":\"120363000000000001@g.us\""

typedef struct world_s {
    sim_t *w;
    sim_engine_t *e;
    const cJSON *row;
    wagw_arena_t a;
    bool ok;
} world_t;

typedef void (*check_pt)(world_t *p, const sim_reply_t *r);

typedef struct {
    const char *name;
    wagw_cmd_t cmd;
    const char *params;
    int status;
    check_pt check;    /* may be NULL */
    const char *first; /* a node that the server sent before, or NULL */
} operation_t;

/* Bob's token, and with it his LID. */
#define TOKEN                                                                                                          \
    "{\"tag\":\"notification\",\"attrs\":{\"id\":\"1\",\"from\":\"15550002222@s.whatsapp.net\",\"type\":\"privacy_"    \
    "token\","                                                                                                         \
    "\"sender_lid\":\"199000000000022@lid\"},\"content\":[{\"tag\":\"tokens\",\"attrs\":{},\"content\":[{\"tag\":"     \
    "\"token\","                                                                                                       \
    "\"attrs\":{\"jid\":\"15550001111:7@s.whatsapp.net\",\"t\":\"1767200000\",\"type\":\"trusted_contact\"},"          \
    "\"content\":{\"hex\":\"0401020304aabbccdd\"}}]}]}"

static void check(world_t *p, bool ok, const char *what)
{
    if (!ok) {
        print_message("%s: %s\n", vec_str(p->row, "name"), what);
        p->ok = false;
    }
}

/* ---- comparing nodes ------------------------------------------------------------- */

static bool placeholder(wagw_str_t v)
{
    return v.n > 4 && memcmp(v.p, "{{", 2) == 0;
}

static bool same_value(const wagw_node_t *have, wagw_str_t key, wagw_str_t want)
{
    char k[64];

    snprintf(k, sizeof(k), "%.*s", (int)key.n, (const char *)key.p);
    if (placeholder(want)) {
        return wagw_node_has(have, k);
    }
    /* the server's own JID has two forms */
    if (wagw_str_is(want, "@s.whatsapp.net") || wagw_str_is(want, "s.whatsapp.net")) {
        return wagw_node_attr_is(have, k, "@s.whatsapp.net") || wagw_node_attr_is(have, k, "s.whatsapp.net");
    }
    return wagw_str_eq(wagw_node_get(have, k), want);
}

static unsigned nattrs(const wagw_node_t *n)
{
    unsigned i = 0;

    for (const wagw_attr_t *x = n->attrs; x; x = x->next) {
        i++;
    }
    return i;
}

/* optional: attributes of the outer stanza that may be missing. */
static bool same(const wagw_node_t *have, const wagw_node_t *want, bool superset, bool shape, const cJSON *optional)
{
    unsigned missing = 0;
    const wagw_node_t *w, *h;
    const cJSON *o;
    bool found;

    if (!wagw_str_eq(have->tag, want->tag)) {
        return false;
    }
    for (const wagw_attr_t *x = want->attrs; x; x = x->next) {
        if (same_value(have, x->key, x->value)) {
            continue;
        }
        found = false;
        cJSON_ArrayForEach(o, optional)
        {
            found |= wagw_str_eq(x->key, wagw_cstr(o->valuestring));
        }
        if (!found) {
            return false;
        }
        missing++;
    }
    if (!superset && nattrs(have) + missing != nattrs(want)) {
        return false;
    }
    if (shape) {
        return true;
    }
    if (want->content != WAGW_CONTENT_NODES || have->content != WAGW_CONTENT_NODES) {
        wagw_str_t x = have->content == WAGW_CONTENT_NODES ? WAGW_STR_NULL : wagw_node_data(have);
        wagw_str_t y = want->content == WAGW_CONTENT_NODES ? WAGW_STR_NULL : wagw_node_data(want);

        return (have->content == WAGW_CONTENT_NODES ? have->nchildren == 0 : true) &&
               (want->content == WAGW_CONTENT_NODES ? want->nchildren == 0 : true) && wagw_str_eq(x, y);
    }
    if (!superset && have->nchildren != want->nchildren) {
        return false;
    }
    for (w = want->child; w; w = w->next) {
        for (h = have->child; h && !same(h, w, superset, shape, NULL); h = h->next) { /* void */
        }
        if (h == NULL) {
            return false;
        }
    }
    return true;
}

static void show(const char *what, const wagw_node_t *n)
{
    wagw_buf_t b = {0};

    wagw_node_dump(&b, n);
    print_message("  %s %.*s\n", what, (int)b.n, (const char *)b.p);
    wagw_buf_free(&b);
}

/* ---- the world of a row ------------------------------------------------------------ */

static void world_open(world_t *p, const cJSON *row, uint64_t seed)
{
    sim_account_t *own;

    memset(p, 0, sizeof(*p));
    p->row = row;
    p->ok = true;
    p->w = sim_new(seed);
    own = sim_account(p->w, ME_PN, ME_LID);
    own->next_device = 7;
    p->e = sim_engine(p->w, "own");
    sim_link(p->e, own);
    sim_expect_status(p->e, WAGW_STATUS_CONNECTED);
    p->w->orders.silent = true;
}

static void world_close(world_t *p)
{
    wagw_arena_free(&p->a);
    sim_free(p->w);
}

static void push(world_t *p, const cJSON *node, wagw_str_t id)
{
    wagw_node_t *n = sim_node_of(&p->a, node);

    for (wagw_attr_t *x = n->attrs; x; x = x->next) {
        if (wagw_str_is(x->value, "{{SAME_AS_REQUEST}}")) {
            x->value = id;
        }
    }
    sim_push(p->e, n);
    sim_run(p->w);
}

/* The exchange as it is recorded; what we must send comes in this order. */
static void exchange(world_t *p, const cJSON *list, sim_log_t *mark)
{
    unsigned i, at = 0, index = 0;
    const char *how = vec_str(vec_get(p->row, "compare"), "stanza");
    /* we ask whether they are businesses in the same query */
    bool superset = (how && strcmp(how, "superset") == 0) || strcmp(vec_str(p->row, "name"), "onWhatsApp") == 0,
         shape = how && strcmp(how, "shape") == 0, found, may;
    const cJSON *x, *o;
    const wagw_node_t *have = NULL;
    wagw_node_t *want;

    cJSON_ArrayForEach(x, list)
    {
        want = sim_node_of(&p->a, vec_get(x, "out"));
        may = false;
        cJSON_ArrayForEach(o, vec_get(vec_get(p->row, "compare"), "optional_exchange"))
        {
            may |= o->valueint == (int)index;
        }
        index++;
        found = false;
        for (i = at; (have = sim_sent(p->e, mark, vec_str(vec_get(x, "out"), "tag"), i)) != NULL; i++) {
            if (same(have, want, superset, shape, vec_get(vec_get(p->row, "compare"), "optional_attrs"))) {
                found = true;
                break;
            }
        }
        if (!found && may) {
            continue;
        }
        check(p, found, "the recorded stanza was not sent");
        if (!found) {
            show("want", want);
            for (i = 0; (have = sim_sent(p->e, mark, vec_str(vec_get(x, "out"), "tag"), i)) != NULL; i++) {
                show("have", have);
            }
            return;
        }
        if (vec_get(x, "reply")) {
            push(p, vec_get(x, "reply"), wagw_node_get(have, "id"));
        }
    }
}

/* ---- results ---------------------------------------------------------------------------- */

static void same_member(world_t *p, const cJSON *have, const char *a, const cJSON *want, const char *b)
{
    const cJSON *x = vec_get(have, a), *y = vec_get(want, b);

    if (y) {
        check(p, x && cJSON_Compare(x, y, true), a);
    }
}

static void group_object(world_t *p, const cJSON *have, const cJSON *want)
{
    static const char *const names[] = {"id",
                                        "subject",
                                        "size",
                                        "creation",
                                        "desc",
                                        "descId",
                                        "announce",
                                        "restrict",
                                        "ownerPn",
                                        "isCommunity",
                                        "linkedParent",
                                        "memberAddMode",
                                        "joinApprovalMode",
                                        "isCommunityAnnounce",
                                        "ephemeralDuration",
                                        NULL};

    for (unsigned i = 0; names[i]; i++) {
        /* Baileys counts those who could not be added, too */
        if (strcmp(names[i], "size") != 0 || vec_get(have, "failed") == NULL) {
            same_member(p, have, names[i], want, names[i]);
        }
    }
    check(p,
          cJSON_GetArraySize(vec_get(have, "participants")) == cJSON_GetArraySize(vec_get(want, "participants")) ||
              vec_get(have, "failed"),
          "participants");
}

static void is_group(world_t *p, const sim_reply_t *r)
{
    group_object(p, r->data, vec_get(p->row, "result"));
}

static void is_preview(world_t *p, const sim_reply_t *r)
{
    const cJSON *want = vec_get(p->row, "result");

    same_member(p, r->data, "id", want, "id");
    same_member(p, r->data, "subject", want, "subject");
    same_member(p, r->data, "size", want, "size");
    same_member(p, r->data, "creation", want, "creation");
    same_member(p, r->data, "isCommunity", want, "isCommunity");
}

static void is_groups(world_t *p, const sim_reply_t *r)
{
    const cJSON *g, *want = vec_get(p->row, "result"), *one;

    check(p, cJSON_GetArraySize(r->data) == cJSON_GetArraySize(want), "number of groups");
    cJSON_ArrayForEach(g, r->data)
    {
        one = vec_get(want, vec_str(g, "id"));
        check(p, one != NULL, "a group that is not in the result");
        group_object(p, g, one);
    }
}

static void are_results(world_t *p, const sim_reply_t *r)
{
    const cJSON *want = vec_get(p->row, "result"), *x;
    int i = 0;

    check(p, cJSON_GetArraySize(r->data) == cJSON_GetArraySize(want), "number of results");
    cJSON_ArrayForEach(x, want)
    {
        const cJSON *have = cJSON_GetArrayItem(r->data, i++);
        const cJSON *add = NULL, *c;

        same_member(p, have, "status", x, "status");
        cJSON_ArrayForEach(c, vec_get(vec_get(x, "content"), "content"))
        {
            add = strcmp(vec_str(c, "tag"), "add_request") == 0 ? vec_get(c, "attrs") : add;
        }
        if (add) {
            same_member(p, have, "inviteCode", add, "code");
        }
    }
}

static void are_requests(world_t *p, const sim_reply_t *r)
{
    const cJSON *one = cJSON_GetArrayItem(r->data, 0), *want = cJSON_GetArrayItem(vec_get(p->row, "result"), 0);

    check(p, cJSON_GetArraySize(r->data) == 1, "number of requests");
    same_member(p, one, "jid", want, "phone_number");
    same_member(p, one, "lid", want, "jid");
    same_member(p, one, "via", want, "request_method");
}

static void is_code(world_t *p, const sim_reply_t *r)
{
    same_member(p, r->data, "inviteCode", p->row, "result");
}

static void is_joined(world_t *p, const sim_reply_t *r)
{
    same_member(p, r->data, "groupId", p->row, "result");
}

static void not_found(world_t *p, const sim_reply_t *r)
{
    check(p, strcmp(r->code, "GROUP_NOT_FOUND") == 0, r->code);
}

static void forbidden(world_t *p, const sim_reply_t *r)
{
    check(p, strcmp(r->code, "WA_FORBIDDEN") == 0, r->code);
}

static void is_picture(world_t *p, const sim_reply_t *r)
{
    same_member(p, r->data, "pictureUrl", p->row, "result");
}

static void no_picture(world_t *p, const sim_reply_t *r)
{
    check(p, cJSON_IsNull(vec_get(r->data, "pictureUrl")), "a picture");
}

static void is_found(world_t *p, const sim_reply_t *r)
{
    check(p, cJSON_GetArraySize(r->data) == 1, "number of those found");
    same_member(p, cJSON_GetArrayItem(r->data, 0), "jid", cJSON_GetArrayItem(vec_get(p->row, "result"), 0), "jid");
}

static void is_business(world_t *p, const sim_reply_t *r)
{
    const cJSON *want = vec_get(p->row, "result");

    same_member(p, r->data, "address", want, "address");
    same_member(p, r->data, "description", want, "description");
    same_member(p, r->data, "email", want, "email");
}

static void is_privacy(world_t *p, const sim_reply_t *r)
{
    const cJSON *want = vec_get(p->row, "result");

    same_member(p, r->data, "lastSeen", want, "last");
    same_member(p, r->data, "online", want, "online");
    same_member(p, r->data, "profilePicture", want, "profile");
    same_member(p, r->data, "groupAdd", want, "groupadd");
}

static void is_blocklist(world_t *p, const sim_reply_t *r)
{
    check(p, cJSON_GetArraySize(r->data) == cJSON_GetArraySize(vec_get(p->row, "result")), "number of those blocked");
}

#define PARTICIPANTS(list) "{" G1 ",\"participants\":[" list "]"

static const operation_t operations[] = {
    {"groupMetadata (LID group)", WAGW_CMD_GROUP, "{" G1 "}", 200, is_group, NULL},
    {"groupMetadata error 404", WAGW_CMD_GROUP, "{" G1 "}", 404, not_found, NULL},
    {"groupFetchAllParticipating", WAGW_CMD_GROUPS, "{}", 200, is_groups, NULL},
    {"groupCreate", WAGW_CMD_GROUP_CREATE,
     "{\"name\":\"Team Alpha\",\"participants\":[\"15550002222\",\"15550003333\"]}", 201, is_group, NULL},
    {"groupLeave", WAGW_CMD_GROUP_LEAVE, "{" G1 "}", 200, NULL, NULL},
    {"groupUpdateSubject", WAGW_CMD_GROUP_SUBJECT, "{" G1 ",\"subject\":\"\u00c9quipe \u00e9t\u00e9\"}", 200, NULL,
     NULL},
    {"groupUpdateDescription (replace)", WAGW_CMD_GROUP_DESCRIPTION, "{" G1 ",\"description\":\"New description\"}",
     200, NULL, NULL},
    {"groupParticipantsUpdate add", WAGW_CMD_GROUP_MEMBERS,
     PARTICIPANTS("\"15550002222\",\"15550003333\",\"15550004444\"") ",\"action\":\"add\"}", 200, are_results, NULL},
    {"groupParticipantsUpdate promote", WAGW_CMD_GROUP_MEMBERS,
     PARTICIPANTS("\"199000000000022@lid\"") ",\"action\":\"promote\"}", 200, are_results, NULL},
    {"groupParticipantsUpdate as non-admin", WAGW_CMD_GROUP_MEMBERS, NULL, 403, forbidden, NULL},
    {"groupRequestParticipantsList", WAGW_CMD_GROUP_REQUESTS, "{" G1 "}", 200, are_requests, NULL},
    {"groupRequestParticipantsUpdate approve", WAGW_CMD_GROUP_DECIDE,
     PARTICIPANTS("\"199000000000044@lid\"") ",\"approve\":true}", 200, are_results, NULL},
    {"groupInviteCode", WAGW_CMD_GROUP_CODE, "{" G1 "}", 200, is_code, NULL},
    {"groupInviteCode not allowed", WAGW_CMD_GROUP_CODE, "{" G1 "}", 403, forbidden, NULL},
    {"groupAcceptInvite", WAGW_CMD_GROUP_JOIN,
     "{\"code\":\"https://chat.whatsapp.com/AbCdEfGh12345678IjKlMn?mode=r_t\"}", 200, is_joined, NULL},
    {"groupGetInviteInfo", WAGW_CMD_GROUP_LOOK, "{\"code\":\"AbCdEfGh12345678IjKlMn\"}", 200, is_preview, NULL},
    {"groupAcceptInviteV4", WAGW_CMD_GROUP_ACCEPT,
     "{" G1 ",\"_admin\":\"" BOB "\",\"_code\":\"InV1teC0de\",\"_expiration\":1767484800}", 200, is_joined, NULL},
    {"groupToggleEphemeral on", WAGW_CMD_GROUP_SETTINGS, "{" G1 ",\"ephemeral\":604800}", 200, NULL, NULL},
    {"groupSettingUpdate announcement", WAGW_CMD_GROUP_SETTINGS, "{" G1 ",\"announcement\":true}", 200, NULL, NULL},
    {"groupSettingUpdate locked", WAGW_CMD_GROUP_SETTINGS, "{" G1 ",\"locked\":true}", 200, NULL, NULL},
    {"groupMemberAddMode", WAGW_CMD_GROUP_SETTINGS, "{" G1 ",\"memberAddMode\":\"all\"}", 200, NULL, NULL},
    {"groupJoinApprovalMode", WAGW_CMD_GROUP_SETTINGS, "{" G1 ",\"joinApproval\":true}", 200, NULL, NULL},
    {"profilePictureUrl preview, with tctoken", WAGW_CMD_PICTURE, "{\"chatId\":\"" BOB "\",\"type\":\"preview\"}", 200,
     is_picture, TOKEN},
    {"profilePictureUrl of self", WAGW_CMD_PICTURE, "{\"_self\":true,\"type\":\"image\"}", 200, is_picture, NULL},
    {"profilePictureUrl hidden (contact without known LID: a LID lookup comes first)", WAGW_CMD_PICTURE,
     "{\"chatId\":\"15550005555\",\"type\":\"image\"}", 200, no_picture, NULL},
    {"profilePictureUrl not set", WAGW_CMD_PICTURE, "{\"chatId\":\"120363000000000001@g.us\",\"type\":\"preview\"}",
     200, no_picture, NULL},
    {"updateProfilePicture self", WAGW_CMD_PICTURE_SET, "{\"_picture\":\"/9j/2Q==\"}", 200, NULL, NULL},
    {"removeProfilePicture self", WAGW_CMD_PICTURE_SET, "{}", 200, NULL, NULL},
    {"updateProfileStatus", WAGW_CMD_ABOUT_SET, "{\"status\":\"At the beach \xf0\x9f\x8f\x96\"}", 200, NULL, NULL},
    {"onWhatsApp", WAGW_CMD_CHECK_EXISTS, "{\"phoneNumbers\":[\"15550002222\",\"15550009999\"]}", 200, is_found, NULL},
    {"getBusinessProfile", WAGW_CMD_BUSINESS, "{\"jid\":\"15550003333@s.whatsapp.net\"}", 200, is_business, NULL},
    {"updateBussinesProfile", WAGW_CMD_BUSINESS_SET, NULL, 200, NULL, NULL},
    {"fetchPrivacySettings", WAGW_CMD_PRIVACY, "{}", 200, is_privacy, NULL},
    {"updateLastSeenPrivacy", WAGW_CMD_PRIVACY_SET, "{\"name\":\"last\",\"value\":\"contacts\"}", 200, NULL, NULL},
    {"updateCallPrivacy", WAGW_CMD_PRIVACY_SET, "{\"name\":\"calladd\",\"value\":\"known\"}", 200, NULL, NULL},
    {"updateReadReceiptsPrivacy", WAGW_CMD_PRIVACY_SET, "{\"name\":\"readreceipts\",\"value\":\"none\"}", 200, NULL,
     NULL},
    {"updateProfilePicturePrivacy", WAGW_CMD_PRIVACY_SET, "{\"name\":\"profile\",\"value\":\"contact_blacklist\"}", 200,
     NULL, NULL},
    {"updateDefaultDisappearingMode", WAGW_CMD_PRIVACY_SET, "{\"name\":\"defaultDisappearing\",\"duration\":86400}",
     200, NULL, NULL},
    {"fetchBlocklist", WAGW_CMD_BLOCKLIST, "{}", 200, is_blocklist, NULL},
    {"updateBlockStatus block by phone jid", WAGW_CMD_BLOCK, "{\"phoneNumber\":\"15550002222\",\"block\":true}", 200,
     NULL, TOKEN},
    {"presenceSubscribe with token", WAGW_CMD_PRESENCE_SUBSCRIBE, "{\"chatId\":\"" BOB "\"}", 200, NULL, TOKEN},
    {"rejectCall", WAGW_CMD_CALL_REJECT, "{\"callId\":\"CALLID0001\",\"from\":\"199000000000022@lid\"}", 200, NULL,
     NULL},
    {"sendPresenceUpdate composing (phone jid)", WAGW_CMD_CHATSTATE, NULL, 200, NULL, NULL},
    {"sendPresenceUpdate recording (group)", WAGW_CMD_CHATSTATE, NULL, 200, NULL, NULL},
};

/* What the vector's own arguments say. */
static char *params_of(const operation_t *op, const cJSON *row)
{
    const cJSON *args = vec_get(row, "args");
    cJSON *o;
    char *text;

    if (op->params) {
        return strdup(op->params);
    }
    o = cJSON_CreateObject();
    if (op->cmd == WAGW_CMD_BUSINESS_SET) {
        cJSON_Delete(o);
        o = cJSON_Duplicate(cJSON_GetArrayItem(args, 0), 1);
    } else if (op->cmd == WAGW_CMD_CHATSTATE) {
        cJSON_AddStringToObject(o, "state", cJSON_GetArrayItem(args, 0)->valuestring);
        cJSON_AddStringToObject(o, "chatId", cJSON_GetArrayItem(args, 1)->valuestring);
    } else {
        cJSON_AddStringToObject(o, "groupId", cJSON_GetArrayItem(args, 0)->valuestring);
        cJSON_AddItemToObject(o, "participants", cJSON_Duplicate(cJSON_GetArrayItem(args, 1), 1));
        cJSON_AddStringToObject(o, "action", cJSON_GetArrayItem(args, 2)->valuestring);
    }
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

static bool play_operation(const operation_t *op, const cJSON *row)
{
    char *params;
    uint64_t id;
    world_t p;
    sim_log_t *mark;
    sim_reply_t *r;

    world_open(&p, row, 1000 + (uint64_t)(op - operations));
    if (op->first) {
        cJSON *first = cJSON_Parse(op->first);

        assert_non_null(first);
        push(&p, first, WAGW_STR_NULL);
        cJSON_Delete(first);
    }
    mark = sim_mark(p.w);
    params = params_of(op, row);
    id = sim_command(p.e, op->cmd, params);
    free(params);
    sim_run(p.w);
    exchange(&p, vec_get(row, "exchange"), mark);
    r = sim_reply(p.e, id);
    check(&p, r != NULL, "no answer");
    if (r) {
        if (r->status != op->status) {
            print_message("%s: %d %s\n", vec_str(row, "name"), r->status, r->text ? r->text : "");
            p.ok = false;
        } else if (op->check) {
            op->check(&p, r);
        }
    }
    world_close(&p);
    return p.ok;
}

/* ---- what the server says by itself ----------------------------------------------------------- */

typedef struct {
    const char *name;
    const char *event; /* ours; NULL: none */
    const char *data;  /* members that it must have */
} pushed_t;

#define GROUP_UPDATE(u) "{" G1 ",\"updates\":{" u "},\"updatedBy\":\"" BOB "\"}"
#define GROUP_MEMBERS(action, who)                                                                                     \
    "{" G1 ",\"action\":\"" action "\",\"participants\":[\"" who "\"],\"actor\":\"" BOB "\"}"

static const pushed_t pushes[] = {
    {"group created / added to group", "group.v2.join",
     "{" G1 ",\"groupName\":\"Team Alpha\",\"addedBy\":\"" BOB "\"}"},
    {"group subject", "group.v2.update", GROUP_UPDATE("\"subject\":\"Renamed\"")},
    {"group description", "group.v2.update", GROUP_UPDATE("\"desc\":\"Hello\"")},
    {"group add", "group.v2.participants", GROUP_MEMBERS("add", "15550004444@s.whatsapp.net")},
    {"group remove", "group.v2.participants", GROUP_MEMBERS("remove", "15550003333@s.whatsapp.net")},
    {"group promote", "group.v2.participants", GROUP_MEMBERS("promote", "15550003333@s.whatsapp.net")},
    {"group announcement on", "group.v2.update", GROUP_UPDATE("\"announce\":true")},
    {"group locked", "group.v2.update", GROUP_UPDATE("\"restrict\":true")},
    {"group ephemeral on", "group.v2.update", GROUP_UPDATE("\"ephemeral\":86400")},
    {"group new invite code", "group.v2.update", GROUP_UPDATE("\"inviteCode\":\"NewCode123\"")},
    {"group member_add_mode", "group.v2.update", GROUP_UPDATE("\"memberAddMode\":false")},
    {"group join request", "group.join.request",
     "{" G1 ",\"jid\":\"15550004444@s.whatsapp.net\",\"action\":\"requested\"}"},
    {"devices add", NULL, NULL},
    {"encrypt count (enough keys)", NULL, NULL},
    {"privacy_token", NULL, NULL},
    {"group picture changed", "group.v2.update", "{" G1 ",\"updatedBy\":\"199000000000022@lid\"}"},
    {"contact picture changed", "contact.update", "{\"jid\":\"" BOB "\"}"},
    {"account_sync disappearing_mode", NULL, NULL},
    {"server_sync", NULL, NULL},
    {"mex reachout timelock", "account.restricted",
     "{\"isActive\":true,\"type\":\"BIZ_QUALITY\",\"endsAt\":\"2026-01-01T20:40:00.000Z\"}"},
    {"chatstate composing in group", "presence.update", "{\"jid\":\"199000000000022@lid\",\"presence\":\"composing\"}"},
    {"call offer", "call.received",
     "{\"callId\":\"CALLID0002\",\"from\":\"" BOB "\",\"isVideo\":true,\"isGroup\":false}"},
    {"receipt read with list", NULL, NULL},
    {"presence available", "presence.update", "{\"jid\":\"" BOB "\",\"presence\":\"available\",\"lastSeen\":null}"},
    {"presence unavailable with last seen", "presence.update",
     "{\"jid\":\"" BOB "\",\"presence\":\"unavailable\",\"lastSeen\":\"2025-12-31T22:26:40.000Z\"}"},
    {"dirty groups", NULL, NULL},
};

/* Every member of want is in have, objects by the same rule. */
static bool within(const cJSON *want, const cJSON *have)
{
    const cJSON *x;

    if (!cJSON_IsObject(want)) {
        return have && cJSON_Compare(want, have, true);
    }
    cJSON_ArrayForEach(x, want)
    {
        if (!within(x, vec_get(have, x->string))) {
            return false;
        }
    }
    return true;
}

static bool play_push(const pushed_t *u, const cJSON *row, uint64_t seed)
{
    world_t p;
    cJSON *want;
    char *have;
    sim_event_t *ev;
    sim_log_t *mark;
    const cJSON *acks = vec_get(row, "client_sends");

    world_open(&p, row, seed);
    mark = sim_mark(p.w);
    push(&p, vec_get(row, "in"), WAGW_STR_NULL);
    exchange(&p, acks, mark);
    if (u->event) {
        ev = sim_last_event(p.e, u->event);
        check(&p, ev != NULL, "no event");
        want = cJSON_Parse(u->data);
        assert_non_null(want);
        if (ev && !within(want, ev->data)) {
            have = cJSON_PrintUnformatted(ev->data);
            print_message("%s: %s\n", vec_str(row, "name"), have);
            free(have);
            p.ok = false;
        }
        cJSON_Delete(want);
    }
    world_close(&p);
    return p.ok;
}

/* ---- all rows -------------------------------------------------------------------------------------- */

/* Rows of rooms that are not built yet: communities, channels, bots, business. */
static const char *const later[] = {
    "communityCreate",
    "communityLinkGroup",
    "communityFetchLinkedGroups",
    "newsletterCreate",
    "newsletterMetadata by invite",
    "newsletterFollow",
    "newsletterMute",
    "newsletterUpdateName",
    "newsletterRemovePicture",
    "newsletterSubscribers",
    "newsletterChangeOwner",
    "newsletterDelete",
    "newsletterReactMessage set",
    "newsletterFetchMessages",
    "subscribeNewsletterUpdates",
    "newsletterFollow GraphQL error",
    "sendMessage text to channel",
    "channel message",
    "getCollections",
    "getOrderDetails",
    "getBotListV2",
    /* played by other tests, in other forms */
    "fetchStatus",
    "getUSyncDevices",
    "sendPresenceUpdate available",
    "readMessages (2 from one sender in a group, 1 direct)",
    "sendReceipt played",
    "sendReceipt inactive delivery in group",
    "issuePrivacyTokens",
    "fetchAccountReachoutTimelock",
    "cleanDirtyBits account_sync",
    "resyncAppState",
    "updateProfileName",
    "chatModify pin",
    NULL,
};

static bool is_later(const char *name)
{
    for (unsigned i = 0; later[i]; i++) {
        if (strcmp(later[i], name) == 0) {
            return true;
        }
    }
    return false;
}

typedef enum { ROW_FAILED, ROW_PASSED, ROW_LATER, ROWS } verdict_t;

static verdict_t play(const cJSON *row, uint64_t seed)
{
    const char *name = vec_str(row, "name");

    for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (strcmp(operations[i].name, name) == 0) {
            return play_operation(&operations[i], row) ? ROW_PASSED : ROW_FAILED;
        }
    }
    for (unsigned i = 0; i < sizeof(pushes) / sizeof(pushes[0]); i++) {
        if (strcmp(pushes[i].name, name) == 0) {
            return play_push(&pushes[i], row, seed) ? ROW_PASSED : ROW_FAILED;
        }
    }
    if (is_later(name)) {
        vec_later("stanzas", name);
        return ROW_LATER;
    }
    print_message("%s: a row that nobody knows\n", name);
    return ROW_FAILED;
}

static void stanzas(void **state)
{
    static const char *const lists[] = {"operations", "incoming"};
    unsigned n[ROWS] = {0};
    uint64_t seed = 1;
    cJSON *root = vec_load("stanzas");
    const cJSON *row;

    (void)state;
    if (root == NULL) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        cJSON_ArrayForEach(row, vec_get(root, lists[i]))
        {
            n[play(row, ++seed)]++;
        }
    }
    vec_count("stanzas", n[ROW_PASSED], n[ROW_FAILED], n[ROW_LATER]);
    cJSON_Delete(root);
    assert_int_equal(n[ROW_FAILED], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stanzas)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
