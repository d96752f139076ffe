/*
 * The message of a job: its namespace, what it quotes or aims at, and its
 * bytes (05, 12 sections 2 and 3).
 */

#include "send_i.h"

#define EDIT_WINDOW_S 900

int wagw_job_namespace(wagw_turn_t *t, const wagw_job_t *job, wagw_made_t *m)
{
    int rc;
    wagw_jid_t lid, pn;
    const wagw_creds_t *me = wagw_turn_me(t);

    rc = wagw_lid_twin(t, &job->to, wagw_jid_is_lid(&job->to) ? &pn : &lid);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if (wagw_jid_is_lid(&job->to)) {
        lid = job->to;
        if (rc == WAGW_NOT_FOUND) {
            memset(&pn, 0, sizeof(pn));
        }
    } else {
        pn = job->to;
        if (rc == WAGW_NOT_FOUND) {
            memset(&lid, 0, sizeof(lid));
        }
    }
    m->lid = !wagw_jid_empty(&lid) && !wagw_jid_empty(&me->lid) && (me->lid_migrated != 2 || wagw_jid_empty(&pn));
    m->to = m->lid ? lid : pn;
    m->self = wagw_jid_user(m->lid ? &me->lid : &me->jid);
    if (m->lid) {
        m->pn = pn;
    }
    m->canonical = wagw_jid_empty(&pn) ? lid : pn;
    m->chat = wagw_jid_str(&t->arena, &m->canonical);
    return m->chat.p ? WAGW_OK : WAGW_NOMEM;
}

static int author_in(wagw_turn_t *t, const wagw_made_t *m, const wagw_row_message_t *row, wagw_jid_t *out)
{
    wagw_jid_t j;

    if (row->from_me) {
        *out = m->self;
        return WAGW_OK;
    }
    if (wagw_jid_parse(&j, row->sender.n ? row->sender : row->chat.n ? row->chat : m->chat) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    WAGW_TRY(wagw_lid_in(t, &j, m->lid, out));
    *out = wagw_jid_user(out);
    return WAGW_OK;
}

static int build_mentions(wagw_turn_t *t, const cJSON *params, wagw_made_t *m, wagw_build_t *b, const char **field)
{
    size_t n = 0;
    wagw_jid_t *jids, j;
    const cJSON *item, *list = cJSON_GetObjectItemCaseSensitive(params, "mentions");

    if (cJSON_IsString(list)) {
        if (!wagw_jid_is_group(&m->to) || strcmp(list->valuestring, "all") != 0) {
            *field = "mentions"; /* "all" is for groups */
            return WAGW_MALFORMED;
        }
        b->mention_all = true;
        b->mentions = m->group.members;
        b->nmentions = m->group.n;
        return WAGW_OK;
    }
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0) {
        return WAGW_OK;
    }
    jids = wagw_arena_alloc(&t->arena, (size_t)cJSON_GetArraySize(list) * sizeof(*jids));
    if (jids == NULL) {
        return WAGW_NOMEM;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || wagw_jid_from_caller(&j, wagw_cstr(item->valuestring)) != WAGW_OK ||
            !wagw_jid_is_person(&j)) {
            *field = "mentions";
            return WAGW_MALFORMED;
        }
        j = wagw_jid_user(&j);
        WAGW_TRY(wagw_lid_in(t, &j, m->lid, &jids[n]));
        n++;
    }
    b->mentions = jids;
    b->nmentions = n;
    return WAGW_OK;
}

/* quotedMessageId: the stored message, of this chat or (_quotedChat: the owner looked) of another; quoted{}: what the
 * caller says of it. */
static int build_quoted(wagw_turn_t *t, const wagw_job_t *job, wagw_made_t *m, wagw_build_t *b, wagw_row_message_t *row)
{
    int rc;
    wagw_jid_t from;
    wagw_str_t id = wagw_param_str(job->params, "quotedMessageId"), chat = wagw_param_str(job->params, "_quotedChat");

    if (id.n == 0) {
        return WAGW_OK;
    }
    rc = wagw_turn_message_find(t, m->chat, id, row, NULL);
    if (rc == WAGW_NOT_FOUND && chat.n && wagw_jid_parse(&from, chat) == WAGW_OK) {
        WAGW_TRY(wagw_chat_canonical(t, &from, &from));
        chat = wagw_jid_str(&t->arena, &from);
        rc = wagw_turn_message_find(t, chat, id, row, NULL);
        b->quoted_elsewhere = !wagw_str_eq(chat, m->chat);
    }
    if (rc == WAGW_NOT_FOUND) {
        if (cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(job->params, "quoted"))) {
            return WAGW_OK;
        }
        m->refused = true;
        return wagw_turn_fail(t, job->command, 404, "MESSAGE_NOT_FOUND", "The quoted message is not stored");
    }
    WAGW_TRY(rc);
    b->quoted = row;
    return author_in(t, m, row, &b->quoted_author);
}

wagw_build_kind_t wagw_job_kind(wagw_cmd_t cmd, const cJSON *params)
{
    switch (cmd) {
    case WAGW_CMD_REACTION:
        return WAGW_BUILD_REACTION;
    case WAGW_CMD_EDIT:
        return WAGW_BUILD_EDIT;
    case WAGW_CMD_REVOKE:
        return WAGW_BUILD_REVOKE;
    case WAGW_CMD_FORWARD:
        return WAGW_BUILD_FORWARD;
    default:
        return cJSON_HasObjectItem(params, "_media")
                   ? WAGW_BUILD_MEDIA
                   : (wagw_build_kind_t)wagw_param_int(params, "_kind", WAGW_BUILD_TEXT);
    }
}

bool wagw_job_aims(wagw_build_kind_t kind)
{
    switch (kind) {
    case WAGW_BUILD_REACTION:
    case WAGW_BUILD_EDIT:
    case WAGW_BUILD_REVOKE:
    case WAGW_BUILD_FORWARD:
    case WAGW_BUILD_POLL_VOTE:
    case WAGW_BUILD_EVENT_RESPONSE:
    case WAGW_BUILD_EVENT_CANCEL:
    case WAGW_BUILD_PIN:
    case WAGW_BUILD_KEEP:
        return true;
    default:
        return false;
    }
}

static bool own_admin(wagw_turn_t *t, const wagw_made_t *m)
{
    for (size_t i = 0; i < m->group.n; i++) {
        if (m->group.roles[i] && wagw_is_me(t->c, &m->group.members[i])) {
            return true;
        }
    }
    return false;
}

static int build_target(wagw_turn_t *t, wagw_job_t *job, wagw_made_t *m, wagw_build_t *b, wagw_row_message_t *row)
{
    int rc;
    int64_t age;
    wagw_jid_t from;
    wagw_str_t id = wagw_param_str(job->params, "messageId"), from_chat, chat = m->chat;

    from_chat = wagw_param_str(job->params, "fromChatId");
    if (job->kind == WAGW_BUILD_FORWARD) {
        chat = WAGW_STR_NULL;
        if (from_chat.n && wagw_jid_from_caller(&from, from_chat) == WAGW_OK) {
            WAGW_TRY(wagw_chat_canonical(t, &from, &from));
            chat = wagw_jid_str(&t->arena, &from);
        } else {
            /* the owner looked the chat up by the message's id */
            chat = wagw_param_str(job->params, "_chat");
        }
    }
    rc = chat.n ? wagw_turn_message_find(t, chat, id, row, NULL) : WAGW_NOT_FOUND;
    if (rc == WAGW_NOT_FOUND && job->kind == WAGW_BUILD_REACTION &&
        cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(job->params, "fromMe"))) {
        memset(row, 0, sizeof(*row));
        row->chat = m->chat;
        row->id = id;
        row->from_me = wagw_param_bool(job->params, "fromMe", false);
        row->sender = row->from_me ? WAGW_STR_NULL : m->chat;
        rc = WAGW_OK;
    }
    if (rc == WAGW_NOT_FOUND) {
        m->refused = true;
        return wagw_turn_fail(t, job->command, 404, "MESSAGE_NOT_FOUND", "Message not found");
    }
    WAGW_TRY(rc);

    /* what is sealed under the target's secret cannot be made without it */
    if ((job->kind == WAGW_BUILD_EVENT_RESPONSE || job->kind == WAGW_BUILD_EVENT_CANCEL ||
         job->kind == WAGW_BUILD_POLL_VOTE) &&
        row->secret.n != 32) {
        m->refused = true;
        return wagw_turn_fail(t, job->command, 404, "MESSAGE_NOT_FOUND", "The message's secret is not stored");
    }

    /* a group's admin may revoke for others */
    if (!row->from_me && (job->kind == WAGW_BUILD_EDIT || job->kind == WAGW_BUILD_EVENT_CANCEL ||
                          (job->kind == WAGW_BUILD_REVOKE && !own_admin(t, m)))) {
        m->refused = true;
        return wagw_turn_fail(t, job->command, 403, "WA_FORBIDDEN", "Only own messages can be changed for everyone");
    }
    age = (t->now - row->t_ms) / 1000;
    if (job->kind == WAGW_BUILD_EDIT && age > EDIT_WINDOW_S) {
        wagw_result_t r = {0};

        m->refused = true;
        r.status = 422;
        r.code = "EDIT_EXPIRED";
        r.error = "The message is too old to be edited";
        r.details = wagw_arena_printf(&t->arena, "{\"ageSeconds\":%lld}", (long long)age);
        return wagw_turn_reply(t, job->command, &r);
    }
    if (id.n < sizeof(job->target)) {
        memcpy(job->target, id.p, id.n);
        job->target[id.n] = '\0';
    }
    b->target = row;
    if (job->kind == WAGW_BUILD_FORWARD) {
        return WAGW_OK;
    }
    return author_in(t, m, row, &b->target_author);
}

int wagw_job_build(wagw_turn_t *t, wagw_job_t *job, wagw_made_t *m)
{
    int rc;
    const char *field = NULL;
    wagw_build_t b;
    wagw_row_chat_t chat;
    wagw_row_message_t *quoted = wagw_arena_alloc(&t->arena, sizeof(*quoted));
    wagw_row_message_t *target = wagw_arena_alloc(&t->arena, sizeof(*target));

    if (quoted == NULL || target == NULL) {
        return WAGW_NOMEM;
    }
    memset(&b, 0, sizeof(b));
    b.kind = job->kind;
    b.params = job->params;
    b.chat = m->to;
    b.self = m->self;
    b.now_ms = t->now;
    wagw_turn_random(t, m->secret, sizeof(m->secret));
    b.secret = m->secret;

    rc = wagw_turn_chat(t, m->chat, &chat);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    b.expiration = (uint32_t)wagw_param_int(job->params, "expiration",
                                            m->group.fetched_ms ? m->group.ephemeral
                                            : rc == WAGW_OK     ? chat.ephemeral
                                                                : 0);
    m->expiration = b.expiration;

    WAGW_TRY(build_quoted(t, job, m, &b, quoted));
    if (!m->refused && wagw_job_aims(job->kind)) {
        WAGW_TRY(build_target(t, job, m, &b, target));
    }
    if (m->refused) {
        return WAGW_OK;
    }
    rc = build_mentions(t, job->params, m, &b, &field);
    if (rc == WAGW_OK) {
        rc = wagw_message_build(&m->built, &t->arena, &b, &field);
    }
    if (rc == WAGW_MALFORMED) {
        m->refused = true;
        return wagw_job_field_error(t, job->command, field ? field : "message", "invalid");
    }
    if (rc == WAGW_STATE) {
        m->refused = true;
        return wagw_job_field_error(t, job->command, "messageId", "this message cannot be used so");
    }
    return rc;
}

/* Once more, from what is stored (a rebuild after an ack error). */
void wagw_job_from_row(wagw_arena_t *a, wagw_made_t *m, const wagw_row_message_t *row)
{
    static const char *const types[] = {"text", "media", "reaction", "poll", "event"};
    static const char *const edits[] = {"1", "2", "3", "7", "8"};

    memset(&m->built, 0, sizeof(m->built));
    m->built.bytes = row->content;
    m->built.stanza_type = "text";
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (wagw_str_eq(row->stanza_type, wagw_cstr(types[i]))) {
            m->built.stanza_type = types[i];
        }
    }
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        if (wagw_str_eq(row->edit, wagw_cstr(edits[i]))) {
            m->built.edit = edits[i];
        }
    }
    wagw_message_attributes(a, row->content, &m->built);
    m->built.hide_fail = m->built.edit != NULL || wagw_str_is(row->stanza_type, "reaction") ||
                         (m->built.polltype && strcmp(m->built.polltype, "vote") == 0);
}
