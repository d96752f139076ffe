/*
 * Jobs: from a command to the server's ack (04 section 8, 16).
 *
 * Messages of one instance are encrypted one after the other: the first job of
 * the queue may wait for device lists and bundles, the others wait behind it.
 * Once its stanza is stored and on its way a job only waits for the ack, next
 * to any number of others.  A job that a rerun may see again is never changed
 * in run(); what a step decided is written back by step_then().
 */

#include "client_i.h"

#include <stdio.h>
#include <stdlib.h>

#define ACK_TIMEOUT_MS      75000
#define DEVICES_FRESH_MS    3600000
#define EDIT_WINDOW_S       900
#define TYPE_MAX_MS         10000
#define JOBS_MAX            10000


typedef enum { STEP_OVER = 0, STEP_PARKED, STEP_SENT } step_outcome_t;

typedef struct {
    wagw_job_t       job;           /* as it shall be from now on */
    bool             queued;        /* it is in c->jobs already */
    step_outcome_t   outcome;
} step_t;


static int job_step(wagw_turn_t *t, step_t *s);


/* ---- the two lists ----------------------------------------------------------- */

wagw_job_t *
wagw_job_find(wagw_client_t *c, uint64_t serial)
{
    for (wagw_job_t *j = c->jobs; j; j = j->next) {
        if (j->serial == serial) {
            return j;
        }
    }
    return NULL;
}


static void
job_free(wagw_client_t *c, wagw_job_t *j)
{
    c->njobs--;
    cJSON_Delete(j->params);
    free(j);
}


static wagw_job_t *
job_unlink(wagw_client_t *c, uint64_t serial)
{
    wagw_job_t  **at, *j;

    for (at = &c->jobs; *at; at = &(*at)->next) {
        if ((*at)->serial == serial) {
            j = *at;
            *at = j->next;
            if (*at == NULL) {
                c->jobs_last = at;
            }
            j->next = NULL;
            return j;
        }
    }
    return NULL;
}


void
wagw_job_drop(wagw_client_t *c, uint64_t serial)
{
    wagw_job_t  *j = job_unlink(c, serial);

    if (j) {
        job_free(c, j);
    }
}


static wagw_job_t *
unacked_find(wagw_client_t *c, wagw_str_t id)
{
    for (wagw_job_t *j = c->unacked; j; j = j->next) {
        if (wagw_str_eq(wagw_cstr(j->id), id)) {
            return j;
        }
    }
    return NULL;
}


static wagw_job_t *
unacked_unlink(wagw_client_t *c, wagw_str_t id)
{
    wagw_job_t  **at, *j;

    for (at = &c->unacked; *at; at = &(*at)->next) {
        j = *at;
        if (wagw_str_eq(wagw_cstr(j->id), id)) {
            *at = j->next;
            if (*at == NULL) {
                c->unacked_last = at;
            }
            j->next = NULL;
            return j;
        }
    }
    return NULL;
}


static void
unacked_add(wagw_client_t *c, wagw_job_t *j)
{
    j->state = WAGW_JOB_WAIT_ACK;
    j->deadline = c->now + ACK_TIMEOUT_MS;
    j->next = NULL;
    *c->unacked_last = j;
    c->unacked_last = &j->next;
}


/* Behind the first, which may be half done, by priority, else in order. */
static void
job_queue(wagw_client_t *c, wagw_job_t *j)
{
    wagw_job_t  **at = &c->jobs;

    if (*at) {
        at = &(*at)->next;
    }
    while (*at && (*at)->priority >= j->priority) {
        at = &(*at)->next;
    }
    j->next = *at;
    *at = j;
    if (j->next == NULL) {
        c->jobs_last = &j->next;
    }
}


void
wagw_send_free(wagw_client_t *c)
{
    wagw_job_t  *j;

    while ((j = c->jobs) != NULL) {
        c->jobs = j->next;
        job_free(c, j);
    }
    while ((j = c->unacked) != NULL) {
        c->unacked = j->next;
        job_free(c, j);
    }
    c->jobs_last = &c->jobs;
    c->unacked_last = &c->unacked;
}


void
wagw_send_abort(wagw_client_t *c, const wagw_result_t *r)
{
    for (int i = 0; i < 2; i++) {
        for (wagw_job_t *j = i ? c->unacked : c->jobs; j; j = j->next) {
            if (j->command && !j->accepted) {
                c->ops->reply(c->driver, j->command, r);
            }
        }
    }
    wagw_send_free(c);
}


/* No ack on a living connection: unconfirmed, a late ack still counts (04 section 8.6). */
void
wagw_send_expire(wagw_client_t *c, int64_t now)
{
    wagw_job_t     *j;
    wagw_result_t   r = { 0 };

    r.status = 504;
    r.code = "WA_TIMEOUT";
    r.error = "WhatsApp did not confirm the message in time";
    r.details = WAGW_STR("{\"sent\":true}");
    while ((j = c->unacked) != NULL && j->deadline <= now) {
        c->unacked = j->next;
        if (c->unacked == NULL) {
            c->unacked_last = &c->unacked;
        }
        if (j->command && !j->accepted) {
            r.message_id = wagw_cstr(j->id);
            c->ops->reply(c->driver, j->command, &r);
        }
        job_free(c, j);
    }
}


/* ---- answers --------------------------------------------------------------------- */

static void
result_json(wagw_json_t *j, const wagw_row_message_t *m, const char *status)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "messageId", m->id);
    wagw_json_kcstr(j, "status", status);
    wagw_json_kint(j, "statusCode", m->status);
    wagw_json_kint(j, "timestamp", m->t_ms / 1000);
    wagw_json_kiso(j, "sentAt", m->t_ms);
    wagw_json_kstr(j, "to", m->chat);
    wagw_json_kstr(j, "chatId", m->chat);
    if (m->ref.n) {
        wagw_json_kstr(j, "ref", m->ref);
    }
    wagw_json_key(j, "key");
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "remoteJid", m->chat);
    wagw_json_kbool(j, "fromMe", true);
    wagw_json_kstr(j, "id", m->id);
    wagw_json_close(j);
    wagw_json_close(j);
}


int
wagw_send_result(wagw_turn_t *t, const wagw_row_message_t *m, uint64_t command, int status, const char *text)
{
    int            rc;
    wagw_buf_t     b = { 0 };
    wagw_json_t    j = wagw_json(&b);
    wagw_result_t  r = { 0 };

    if (command == 0) {
        return WAGW_OK;
    }
    result_json(&j, m, status == 202 ? "queued" : wagw_msg_status_name(m->status));
    r.status = status;
    r.message = text;
    r.data = wagw_buf_view(&b);
    r.message_id = m->id;
    rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    wagw_buf_free(&b);
    return rc;
}


static const char *
success_text(wagw_build_kind_t kind)
{
    switch (kind) {
    case WAGW_BUILD_TEXT: return "Text message sent successfully";
    case WAGW_BUILD_REACTION: return "Reaction added successfully";
    case WAGW_BUILD_EDIT: return "Message edited successfully";
    case WAGW_BUILD_REVOKE: return "Message deleted for everyone";
    case WAGW_BUILD_FORWARD: return "Message forwarded successfully";
    default: return "Message sent successfully";
    }
}


/* What an acknowledged job answers. */
static int
job_answer(wagw_turn_t *t, const wagw_job_t *job, const wagw_row_message_t *m)
{
    int            rc;
    wagw_buf_t     b = { 0 };
    wagw_json_t    j = wagw_json(&b);
    wagw_result_t  r = { 0 };

    if (job->kind != WAGW_BUILD_EDIT) {
        return wagw_send_result(t, m, job->command, 200, success_text(job->kind));
    }
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "messageId", job->target);
    wagw_json_kiso(&j, "editedAt", m->t_ms);
    wagw_json_close(&j);
    r.status = 200;
    r.message = success_text(job->kind);
    r.data = wagw_buf_view(&b);
    r.message_id = m->id;
    rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, job->command, &r);
    wagw_buf_free(&b);
    return rc;
}


static int
field_error(wagw_turn_t *t, uint64_t command, const char *field, const char *reason)
{
    int            rc;
    wagw_buf_t     b = { 0 };
    wagw_result_t  r = { 0 };

    wagw_buf_printf(&b, "{\"fields\":[{\"field\":\"%s\",\"reason\":\"%s\"}]}", field, reason);
    r.status = 400;
    r.code = "VALIDATION_FAILED";
    r.error = "A field is not valid";
    r.details = wagw_buf_view(&b);
    rc = wagw_turn_reply(t, command, &r);
    wagw_buf_free(&b);
    return rc;
}


static int
not_connected(wagw_turn_t *t, uint64_t command)
{
    return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
}


/* ---- from the command to the queue --------------------------------------------------- */

static void
step_then(wagw_client_t *c, void *arg)
{
    step_t      *s = *(step_t **) arg;
    wagw_job_t  *j;

    j = s->queued ? wagw_job_find(c, s->job.serial) : NULL;
    if (s->queued && j == NULL) {
        return;         /* dropped meanwhile */
    }

    if (s->outcome == STEP_OVER) {
        if (j) {
            wagw_job_drop(c, s->job.serial);
        }
    } else {
        if (j == NULL) {
            j = malloc(sizeof(*j));
            if (j == NULL) {
                return;
            }
            *j = s->job;
            j->next = NULL;
            c->njobs++;
            if (s->outcome == STEP_PARKED) {
                j->params = j->params ? cJSON_Duplicate(j->params, 1) : NULL;
                job_queue(c, j);
            } else {
                j->params = NULL;
                unacked_add(c, j);
            }
        } else {
            wagw_job_t  *next = j->next;
            cJSON       *params = j->params;
            uint64_t     command = j->command;      /* the caller may have gone */

            *j = s->job;
            j->next = next;
            j->params = params;
            if (command == 0) {
                j->command = 0;
            }
            if (s->outcome == STEP_SENT) {
                (void) job_unlink(c, j->serial);
                cJSON_Delete(j->params);
                j->params = NULL;
                unacked_add(c, j);
            }
        }
        if (j->due_ms > c->now && s->outcome == STEP_PARKED) {
            wagw_client_timer(c, WAGW_TIMER_JOB, j->due_ms);
        }
    }
    if (s->outcome != STEP_PARKED && s->queued && c->jobs) {
        (void) wagw_turn_later(c, wagw_send_pump, 0, true);
    }
}


static int
step_run(wagw_turn_t *t, step_t *s)
{
    WAGW_TRY(job_step(t, s));
    return wagw_turn_then(t, step_then, &s, sizeof(s));
}


int
wagw_send_command(wagw_turn_t *t, uint64_t command, wagw_build_kind_t kind, const cJSON *params)
{
    char                 id[24];
    uint8_t              random[16];
    step_t              *s;
    wagw_jid_t           to;
    wagw_str_t           given;
    const wagw_creds_t  *me = wagw_turn_me(t);

    if (t->c->conn != WAGW_CONN_OPEN || me == NULL) {
        return not_connected(t, command);
    }
    if (t->c->njobs >= JOBS_MAX) {
        wagw_result_t  r = { 0 };

        r.status = 429;
        r.code = "INSTANCE_RATE_LIMITED";
        r.error = "Too many messages are waiting in this instance";
        r.retry_after = 1;
        return wagw_turn_reply(t, command, &r);
    }
    WAGW_TRY(wagw_param_jid(t, command, params, "to", "chatId", &to));
    if (wagw_jid_empty(&to)) {
        return WAGW_OK;             /* answered */
    }
    if (!wagw_jid_is_person(&to)) {
        return wagw_turn_fail(t, command, 501, "NOT_SUPPORTED", "Sending to groups, channels and status is not built yet");
    }

    s = wagw_arena_zalloc(&t->arena, sizeof(*s));
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    s->job.serial = ++t->c->job_serial;
    s->job.command = command;
    s->job.kind = kind;
    s->job.params = (cJSON *) params;
    s->job.to = wagw_jid_user(&to);
    s->job.priority = (uint8_t) wagw_param_int(params, "priority", 5);

    given = wagw_param_str(params, "_id");
    if (given.n == 0 && kind == WAGW_BUILD_TEXT) {
        given = wagw_param_str(params, "messageId");
    }
    if (given.n) {
        if (given.n >= sizeof(s->job.id)) {
            return field_error(t, command, "messageId", "too long");
        }
        memcpy(s->job.id, given.p, given.n);
    } else {
        wagw_turn_random(t, random, sizeof(random));
        WAGW_TRY(wagw_message_id(id, t->now / 1000, wagw_str(me->jid.user, me->jid.user_len), random));
        memcpy(s->job.id, id, strlen(id));
        /* the same one when this turn runs again: else its row is missed each time anew */
        if (cJSON_AddStringToObject((cJSON *) params, "_id", id) == NULL) {
            return WAGW_NOMEM;
        }
    }

    if (t->c->jobs) {
        s->outcome = STEP_PARKED;
        return wagw_turn_then(t, step_then, &s, sizeof(s));
    }
    return step_run(t, s);
}


int
wagw_send_pump(wagw_turn_t *t, uint64_t unused)
{
    step_t      *s;
    wagw_job_t  *j = t->c->jobs;

    (void) unused;
    if (j == NULL || t->c->conn != WAGW_CONN_OPEN || j->state == WAGW_JOB_WAIT_DEVICES || j->state == WAGW_JOB_WAIT_BUNDLES
        || j->due_ms > t->now)
    {
        return WAGW_OK;
    }
    s = wagw_arena_zalloc(&t->arena, sizeof(*s));
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    s->job = *j;
    s->queued = true;
    return step_run(t, s);
}


/* ---- waiting for lists and bundles --------------------------------------------------------- */

typedef struct {
    uint64_t  serial;
    bool      failed;
} woken_t;


static void
woken_then(wagw_client_t *c, void *arg)
{
    woken_t     *w = arg;
    wagw_job_t  *j = wagw_job_find(c, w->serial);

    if (j == NULL) {
        return;
    }
    j->state = WAGW_JOB_NEW;
    if (w->failed) {
        /* the connection went: asked again on the next one */
        j->devices_asked = j->bundles_asked = false;
    }
    (void) wagw_turn_later(c, wagw_send_pump, 0, true);
}


static void
drop_then(wagw_client_t *c, void *arg)
{
    wagw_job_drop(c, *(uint64_t *) arg);
    if (c->jobs) {
        (void) wagw_turn_later(c, wagw_send_pump, 0, true);
    }
}


static int
asked_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial, bool bundles)
{
    int            code;
    size_t         n;
    woken_t        w = { serial, false };
    wagw_jid_t    *dead;
    wagw_str_t     text = WAGW_STR_NULL;
    wagw_job_t    *j = wagw_job_find(t->c, serial);
    wagw_result_t  r;

    if (j == NULL) {
        return WAGW_OK;
    }
    if (node == NULL && t->c->conn != WAGW_CONN_OPEN) {
        w.failed = true;
        return wagw_turn_then(t, woken_then, &w, sizeof(w));
    }
    code = node ? wagw_iq_error(node, &text) : 0;
    if (node == NULL || code) {
        wagw_iq_result(&r, &t->arena, code, text);
        if (code == 0) {
            r.details = WAGW_STR("{\"sent\":false}");
        }
        WAGW_TRY(wagw_turn_reply(t, j->command, &r));
        return wagw_turn_then(t, drop_then, &serial, sizeof(serial));
    }
    WAGW_TRY(bundles ? wagw_bundles_answer(t, node, &dead, &n) : wagw_devices_answer(t, node));
    return wagw_turn_then(t, woken_then, &w, sizeof(w));
}


static int
devices_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial)
{
    return asked_answer(t, node, serial, false);
}


static int
bundles_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial)
{
    return asked_answer(t, node, serial, true);
}


/* ---- building ---------------------------------------------------------------------------------- */

typedef struct {
    bool          lid;                  /* namespace of the stanza */
    wagw_jid_t    to;                   /* wire chat */
    wagw_jid_t    self;
    wagw_jid_t    canonical;
    wagw_str_t    chat;                 /* its text */
    wagw_jid_t    pn;                   /* peer_recipient_pn */
    wagw_built_t  built;
    uint32_t      expiration;
    uint8_t       secret[32];
    bool          refused;              /* answered already */
} made_t;


static int
author_in(wagw_turn_t *t, const made_t *m, const wagw_row_message_t *row, wagw_jid_t *out)
{
    wagw_jid_t  j;

    if (row->from_me) {
        *out = m->self;
        return WAGW_OK;
    }
    if (wagw_jid_parse(&j, row->sender.n ? row->sender : m->chat) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    WAGW_TRY(wagw_lid_in(t, &j, m->lid, out));
    *out = wagw_jid_user(out);
    return WAGW_OK;
}


static int
build_mentions(wagw_turn_t *t, const cJSON *params, made_t *m, wagw_build_t *b, const char **field)
{
    size_t        n = 0;
    wagw_jid_t   *jids, j;
    const cJSON  *item, *list = cJSON_GetObjectItemCaseSensitive(params, "mentions");

    if (cJSON_IsString(list)) {
        *field = "mentions";        /* "all" is for groups */
        return WAGW_MALFORMED;
    }
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0) {
        return WAGW_OK;
    }
    jids = wagw_arena_alloc(&t->arena, (size_t) cJSON_GetArraySize(list) * sizeof(*jids));
    if (jids == NULL) {
        return WAGW_NOMEM;
    }
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsString(item) || wagw_jid_from_caller(&j, wagw_cstr(item->valuestring)) != WAGW_OK
            || !wagw_jid_is_person(&j))
        {
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


/* quotedMessageId: the stored message; quoted{}: what the caller says of it. */
static int
build_quoted(wagw_turn_t *t, const wagw_job_t *job, made_t *m, wagw_build_t *b, wagw_row_message_t *row)
{
    int         rc;
    wagw_str_t  id = wagw_param_str(job->params, "quotedMessageId");

    if (id.n == 0) {
        return WAGW_OK;
    }
    rc = wagw_turn_message_find(t, m->chat, id, row, NULL);
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


static int
build_target(wagw_turn_t *t, wagw_job_t *job, made_t *m, wagw_build_t *b, wagw_row_message_t *row)
{
    int         rc;
    int64_t     age;
    wagw_jid_t  from;
    wagw_str_t  id = wagw_param_str(job->params, "messageId"), from_chat, chat = m->chat;

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
    if (rc == WAGW_NOT_FOUND && job->kind == WAGW_BUILD_REACTION
        && cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(job->params, "fromMe")))
    {
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

    if ((job->kind == WAGW_BUILD_EDIT || job->kind == WAGW_BUILD_REVOKE) && !row->from_me) {
        m->refused = true;
        return wagw_turn_fail(t, job->command, 403, "WA_FORBIDDEN", "Only own messages can be changed for everyone");
    }
    age = (t->now - row->t_ms) / 1000;
    if (job->kind == WAGW_BUILD_EDIT && age > EDIT_WINDOW_S) {
        wagw_result_t  r = { 0 };

        m->refused = true;
        r.status = 422;
        r.code = "EDIT_EXPIRED";
        r.error = "The message is too old to be edited";
        r.details = wagw_arena_printf(&t->arena, "{\"ageSeconds\":%lld}", (long long) age);
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


static int
job_build(wagw_turn_t *t, wagw_job_t *job, made_t *m)
{
    int                  rc;
    const char          *field = NULL;
    wagw_build_t         b;
    wagw_row_chat_t      chat;
    wagw_row_message_t  *quoted = wagw_arena_alloc(&t->arena, sizeof(*quoted));
    wagw_row_message_t  *target = wagw_arena_alloc(&t->arena, sizeof(*target));

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
    b.expiration = (uint32_t) wagw_param_int(job->params, "expiration", rc == WAGW_OK ? chat.ephemeral : 0);
    m->expiration = b.expiration;

    WAGW_TRY(build_quoted(t, job, m, &b, quoted));
    if (!m->refused && job->kind != WAGW_BUILD_TEXT) {
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
        return field_error(t, job->command, field ? field : "message", "invalid");
    }
    if (rc == WAGW_STATE) {
        m->refused = true;
        return field_error(t, job->command, "messageId", "this message cannot be used so");
    }
    return rc;
}


/* Once more, from what is stored (a rebuild after an ack error). */
static void
job_from_row(made_t *m, const wagw_row_message_t *row)
{
    static const char *const types[] = { "text", "media", "reaction", "poll", "event" };
    static const char *const edits[] = { "1", "2", "3", "7", "8" };

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
    m->built.hide_fail = m->built.edit != NULL || wagw_str_is(row->stanza_type, "reaction");
}


/* ---- one step of a job ---------------------------------------------------------------------------- */

static int
resume_or_refuse(wagw_turn_t *t, step_t *s, const wagw_row_message_t *row)
{
    wagw_job_t  *job = &s->job, *old;

    s->outcome = STEP_OVER;
    if (!wagw_param_bool(job->params, "_resume", false)) {
        return wagw_turn_fail(t, job->command, 409, "DUPLICATE", "A message with this id exists");
    }
    if (row->status == WAGW_MSG_FAILED) {
        return wagw_turn_fail(t, job->command, 502, "WA_ERROR", "WhatsApp refused the message");
    }
    if (row->status != WAGW_MSG_PENDING) {
        return job_answer(t, job, row);
    }
    /* stored by an earlier life of this request: its ack is awaited */
    old = unacked_find(t->c, row->id);
    if (old) {
        old->command = job->command;
        return WAGW_OK;
    }
    s->outcome = STEP_SENT;
    return WAGW_OK;
}


static int
job_namespace(wagw_turn_t *t, const wagw_job_t *job, made_t *m)
{
    int                  rc;
    wagw_jid_t           lid, pn;
    const wagw_creds_t  *me = wagw_turn_me(t);

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


static int
typing_first(wagw_turn_t *t, step_t *s, const made_t *m)
{
    double        ms = 0;
    wagw_str_t    text;
    wagw_node_t  *n;
    const cJSON  *v = cJSON_GetObjectItemCaseSensitive(s->job.params, "simulateTyping");

    if (cJSON_IsNumber(v)) {
        ms = v->valuedouble;
    } else if (cJSON_IsTrue(v)) {
        text = wagw_param_str(s->job.params, "message");
        ms = 1000 + 30.0 * (double) (text.n < 200 ? text.n : 200);
    }
    if (ms <= 0) {
        return WAGW_OK;
    }
    s->job.typed = true;
    s->job.due_ms = t->now + (int64_t) (ms < TYPE_MAX_MS ? ms : TYPE_MAX_MS);
    s->outcome = STEP_PARKED;
    n = wagw_node(&t->arena, "chatstate");
    wagw_node_attr_jid(&t->arena, n, "to", &m->to);
    wagw_node_child(&t->arena, n, "composing");
    return wagw_turn_send(t, n);
}


static int
job_store(wagw_turn_t *t, wagw_job_t *job, const made_t *m, const wagw_row_message_t *old, wagw_str_t stanza)
{
    wagw_row_message_t  row;

    if (old) {
        row = *old;
    } else {
        memset(&row, 0, sizeof(row));
        row.chat = m->chat;
        row.id = wagw_cstr(job->id);
        row.from_me = true;
        row.t_ms = row.created_ms = t->now;
        row.type = wagw_cstr(m->built.type ? m->built.type : "unknown");
        row.body = m->built.body;
        row.quoted = m->built.quoted;
        row.mentions = m->built.mentions;
        row.media = m->built.media;
        row.content = m->built.bytes;
        row.secret = wagw_str(m->secret, m->built.hidden ? 0 : 32);
        row.ref = wagw_param_str(job->params, "ref");
        row.edit = wagw_cstr(m->built.edit);
        row.stanza_type = wagw_cstr(m->built.stanza_type);
        row.expiration = m->expiration;
        row.flags = (m->built.hidden ? WAGW_ROW_HIDDEN : 0) | (m->expiration ? WAGW_ROW_EPHEMERAL : 0)
            | m->built.flags;
    }
    row.to = wagw_jid_str(&t->arena, &m->to);
    row.status = WAGW_MSG_PENDING;
    row.stanza = stanza;
    WAGW_TRY(wagw_turn_message_put(t, &row));
    if (!(row.flags & WAGW_ROW_HIDDEN) && old == NULL) {
        WAGW_TRY(wagw_turn_chat_touch(t, &row, &m->canonical, 0));
    }
    if (wagw_param_bool(job->params, "async", false) && !job->accepted) {
        job->accepted = true;
        return wagw_send_result(t, &row, job->command, 202, "Message accepted");
    }
    return WAGW_OK;
}


static int
job_step(wagw_turn_t *t, step_t *s)
{
    int                  rc;
    size_t               n = 0, nmiss = 0, nask = 0;
    made_t               m;
    wagw_jid_t           ask[2], *all, *miss, own;
    wagw_buf_t           out = { 0 };
    wagw_job_t          *job = &s->job;
    wagw_stanza_t        st;
    wagw_signal_t       *sig;
    wagw_devices_t       peer, mine;
    wagw_row_message_t   old;
    wagw_signal_addr_t   addr;
    const wagw_creds_t  *me = wagw_turn_me(t);

    s->outcome = STEP_OVER;
    memset(&m, 0, sizeof(m));
    WAGW_TRY(job_namespace(t, job, &m));

    /* the id must be new, unless this is a rebuild */
    rc = wagw_turn_message(t, m.chat, wagw_cstr(job->id), WAGW_STR(""), &old);
    if (rc == WAGW_OK && !job->rebuilt) {
        return resume_or_refuse(t, s, &old);
    }
    if (rc != WAGW_OK && (rc != WAGW_NOT_FOUND || job->rebuilt)) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    /* device lists of both sides */
    own = wagw_jid_user(m.lid ? &me->lid : &me->jid);
    WAGW_TRY(wagw_devices_get(t, &m.to, m.lid, &peer));
    WAGW_TRY(wagw_devices_get(t, &own, m.lid, &mine));
    if (!job->devices_asked) {
        if (peer.fetched_ms == 0 || t->now - peer.fetched_ms > DEVICES_FRESH_MS) {
            ask[nask++] = m.to;
        }
        if ((mine.fetched_ms == 0 || t->now - mine.fetched_ms > DEVICES_FRESH_MS) && !wagw_is_me(t->c, &m.to)) {
            ask[nask++] = own;
        }
        if (nask) {
            job->devices_asked = true;
            job->state = WAGW_JOB_WAIT_DEVICES;
            s->outcome = STEP_PARKED;
            return wagw_devices_query(t, ask, nask, devices_asked, job->serial);
        }
    }
    if (peer.n == 0) {
        return t->c->conf.check_number
            ? wagw_turn_fail(t, job->command, 422, "NOT_ON_WHATSAPP", "The recipient is not on WhatsApp")
            : wagw_turn_fail(t, job->command, 422, "RECIPIENT_NO_DEVICES", "The recipient has no device to encrypt for");
    }

    /* sessions */
    all = wagw_arena_alloc(&t->arena, (peer.n + mine.n) * 2 * sizeof(*all));
    sig = wagw_turn_signal(t);
    if (all == NULL || sig == NULL) {
        return WAGW_NOMEM;
    }
    miss = all + peer.n + mine.n;
    memcpy(all, peer.jids, peer.n * sizeof(*all));
    n = peer.n;
    if (!wagw_is_me(t->c, &m.to) && mine.n) {
        memcpy(all + n, mine.jids, mine.n * sizeof(*all));
        n += mine.n;
    }
    rc = WAGW_OK;
    for (size_t i = 0; i < n; i++) {
        int  r;

        if (wagw_is_this_device(t->c, &all[i])) {
            continue;
        }
        r = wagw_lid_signal(t, &all[i], &addr);
        if (r == WAGW_OK) {
            r = wagw_signal_has_session(sig, &addr);
        }
        if (r == WAGW_NOT_FOUND) {
            miss[nmiss++] = all[i];
        } else if (r != WAGW_OK) {
            rc = r;         /* all that is missing is asked for in one load */
            if (r != WAGW_AGAIN) {
                return r;
            }
        }
    }
    WAGW_TRY(rc);
    if (nmiss && !job->bundles_asked) {
        job->bundles_asked = true;
        job->state = WAGW_JOB_WAIT_BUNDLES;
        s->outcome = STEP_PARKED;
        return wagw_bundles_query(t, miss, nmiss, bundles_asked, job->serial);
    }

    if (job->rebuilt) {
        job_from_row(&m, &old);
    } else {
        WAGW_TRY(job_build(t, job, &m));
        if (m.refused) {
            return WAGW_OK;
        }
        if (!job->typed && job->params) {
            WAGW_TRY(typing_first(t, s, &m));
            if (s->outcome == STEP_PARKED) {
                return WAGW_OK;
            }
        }
    }

    memset(&st, 0, sizeof(st));
    st.id = wagw_cstr(job->id);
    st.to = m.to;
    st.type = m.built.stanza_type;
    st.mediatype = m.built.mediatype;
    st.edit = m.built.edit;
    st.hide_fail = m.built.hide_fail;
    st.polltype = m.built.polltype;
    st.message = m.built.bytes;
    st.pn = m.pn;
    rc = wagw_stanza_message(t, &st, all, n, &out);
    if (rc == WAGW_OK) {
        rc = job_store(t, job, &m, job->rebuilt ? &old : NULL, wagw_buf_view(&out));
    }
    if (rc == WAGW_OK) {
        rc = wagw_turn_send_bytes(t, wagw_buf_view(&out));
        s->outcome = STEP_SENT;
    } else if (rc == WAGW_NOT_FOUND) {
        rc = wagw_turn_fail(t, job->command, 422, "RECIPIENT_NO_DEVICES", "No device of the recipient could be reached");
    }
    wagw_buf_free(&out);
    return rc;
}


/* ---- the ack ------------------------------------------------------------------------------------------ */

typedef struct {
    char  id[68];
    bool  again;
} acked_t;


static void
acked_then(wagw_client_t *c, void *arg)
{
    acked_t     *a = arg;
    wagw_job_t  *j = unacked_unlink(c, wagw_cstr(a->id));

    if (j == NULL) {
        return;
    }
    if (!a->again) {
        job_free(c, j);
        return;
    }
    /* once more, ahead of the others */
    j->rebuilt = true;
    j->state = WAGW_JOB_NEW;
    j->devices_asked = j->bundles_asked = false;
    j->next = c->jobs;
    c->jobs = j;
    if (j->next == NULL) {
        c->jobs_last = &j->next;
    }
    (void) wagw_turn_later(c, wagw_send_pump, 0, true);
}


static void
count_then(wagw_client_t *c, void *arg)
{
    if (*(bool *) arg) {
        c->sent++;
    } else {
        c->failed++;
    }
    c->ops->changed(c->driver);
}


static int
ack_error(wagw_turn_t *t, wagw_job_t *job, wagw_row_message_t *row, int code)
{
    bool            again = false, no = false;
    wagw_jid_t      to, twin;
    wagw_buf_t      b = { 0 };
    wagw_json_t     j;
    wagw_creds_t   *creds;
    wagw_result_t   r = { 0 };

    if (wagw_jid_parse(&to, row->to) != WAGW_OK) {
        return WAGW_OK;
    }
    if (job && !job->rebuilt) {
        switch (code) {
        case 479:
        case 475:
            again = true;
            break;
        case 400:
            again = wagw_jid_is_lid(&to) && wagw_turn_me(t)->lid_migrated == 0;
            if (again && (creds = wagw_turn_creds(t)) != NULL) {
                creds->lid_migrated = 2;
            }
            break;
        case 463:
            again = wagw_jid_is_pn(&to) && wagw_lid_twin(t, &to, &twin) == WAGW_OK;
            if (again && (creds = wagw_turn_creds(t)) != NULL) {
                creds->lid_migrated = 1;
            }
            break;
        default:
            break;
        }
    }
    if (again) {
        acked_t     a = { .again = true };
        wagw_jid_t  own = wagw_jid_user(&t->c->creds->jid);

        memcpy(a.id, job->id, sizeof(a.id));
        WAGW_TRY(wagw_devices_forget(t, &to));
        WAGW_TRY(wagw_devices_forget(t, &own));
        return wagw_turn_then(t, acked_then, &a, sizeof(a));
    }

    row->status = WAGW_MSG_FAILED;
    row->error = (uint32_t) code;
    row->stanza = WAGW_STR_NULL;
    WAGW_TRY(wagw_turn_message_put(t, row));

    wagw_iq_result(&r, &t->arena, code, WAGW_STR_NULL);
    if (code == 463) {
        r.status = 429;
        r.code = "WA_ACCOUNT_RESTRICTED";
        r.error = "WhatsApp does not let this account open new chats now";
    } else if (code != 403 && code != 401 && code != 429) {
        r.status = 502;
        r.code = "WA_ERROR";
        r.error = "WhatsApp refused the message";
    }
    r.message_id = row->id;
    if (job && !job->accepted) {
        WAGW_TRY(wagw_turn_reply(t, job->command, &r));
    }

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", row->id);
    wagw_json_kstr(&j, "to", row->chat);
    wagw_json_kstr(&j, "chatId", row->chat);
    wagw_json_kcstr(&j, "error", r.error);
    wagw_json_kint(&j, "code", code);
    if (row->ref.n) {
        wagw_json_kstr(&j, "ref", row->ref);
    }
    wagw_json_close(&j);
    WAGW_TRY(wagw_event_emit(t, "message.failed", row->chat, &b));
    WAGW_TRY(wagw_turn_then(t, count_then, &no, sizeof(no)));
    if (job) {
        acked_t  a = { .again = false };

        memcpy(a.id, job->id, sizeof(a.id));
        return wagw_turn_then(t, acked_then, &a, sizeof(a));
    }
    return WAGW_OK;
}


int
wagw_send_ack(wagw_turn_t *t, const wagw_node_t *ack)
{
    int                  rc;
    bool                 yes = true;
    acked_t              a = { .again = false };
    uint64_t             at, error;
    wagw_str_t           id = wagw_node_get(ack, "id");
    wagw_jid_t           from, chat;
    wagw_job_t          *job;
    wagw_incoming_t      in;
    wagw_row_message_t   row;

    if (id.n == 0 || id.n >= sizeof(a.id) || wagw_node_get_jid(ack, "from", &from) != WAGW_OK) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &from, &chat));
    rc = wagw_turn_message(t, wagw_jid_str(&t->arena, &chat), id, WAGW_STR(""), &row);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;             /* a peer message, a retry: nothing waits */
    }
    WAGW_TRY(rc);
    if (row.status != WAGW_MSG_PENDING) {
        return WAGW_OK;
    }
    job = unacked_find(t->c, id);
    if (wagw_node_get_u64(ack, "error", &error) == WAGW_OK && error > 0 && error < 100000) {
        return ack_error(t, job, &row, (int) error);
    }

    row.status = WAGW_MSG_SENT;
    row.stanza = WAGW_STR_NULL;
    if (wagw_node_get_u64(ack, "t", &at) == WAGW_OK && at && at < (1ull << 40)) {
        row.t_ms = (int64_t) at * 1000;
    }
    WAGW_TRY(wagw_turn_message_put(t, &row));

    if (row.flags & WAGW_ROW_HIDDEN) {
        /* a reaction, an edit, a revoke: now it is true here too */
        memset(&in, 0, sizeof(in));
        in.id = row.id;
        in.from_me = true;
        in.chat = chat;
        in.wire_chat = from;
        in.sender = wagw_jid_user(wagw_jid_is_lid(&from) ? &t->c->creds->lid : &t->c->creds->jid);
        in.t_ms = row.t_ms;
        WAGW_TRY(wagw_apply_content(t, &in, row.content));
    } else {
        WAGW_TRY(wagw_event_message(t, "message.sent", &row, "api"));
    }
    if (wagw_node_has(ack, "phash")) {
        /* the server knows another device list */
        wagw_jid_t  own = wagw_jid_user(&t->c->creds->jid);

        WAGW_TRY(wagw_devices_forget(t, &from));
        WAGW_TRY(wagw_devices_forget(t, &own));
    }
    if (job && !job->accepted) {
        WAGW_TRY(job_answer(t, job, &row));
    }
    WAGW_TRY(wagw_turn_then(t, count_then, &yes, sizeof(yes)));
    memcpy(a.id, id.p, id.n);
    return wagw_turn_then(t, acked_then, &a, sizeof(a));
}


/* ---- after a login --------------------------------------------------------------------------------------- */

typedef struct {
    wagw_turn_t  *t;
    int           rc;
} pending_t;


static void
pending_then(wagw_client_t *c, void *arg)
{
    wagw_job_t  *j;

    if (unacked_find(c, wagw_cstr(arg))) {
        return;
    }
    j = calloc(1, sizeof(*j));
    if (j == NULL) {
        return;
    }
    j->serial = ++c->job_serial;
    snprintf(j->id, sizeof(j->id), "%s", (char *) arg);
    c->njobs++;
    unacked_add(c, j);
}


static int
pending_row(void *data, wagw_str_t key, wagw_str_t value)
{
    char                 id[68] = { 0 };
    pending_t           *p = data;
    wagw_row_message_t   row;

    (void) key;
    if (wagw_row_message_decode(&row, value) != WAGW_OK || row.stanza.n == 0 || row.id.n >= sizeof(id)) {
        return 0;
    }
    memcpy(id, row.id.p, row.id.n);
    p->rc = wagw_turn_send_bytes(p->t, row.stanza);
    if (p->rc == WAGW_OK) {
        p->rc = wagw_turn_then(p->t, pending_then, id, sizeof(id));
    }
    return p->rc;
}


int
wagw_send_pending(wagw_turn_t *t, uint64_t unused)
{
    int        rc;
    pending_t  p = { t, WAGW_OK };

    (void) unused;
    rc = wagw_txn_scan(&t->txn, WAGW_REC_PENDING, WAGW_STR(""), pending_row, &p);
    return p.rc != WAGW_OK ? p.rc : rc;
}
