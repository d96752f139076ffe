/*
 * One item of a job:
 *
 *     READ (store) -> SEND (a call of ours) -> TELL (a turn of the engine that
 *     stores the result and tells of it)
 *
 * The answers come from the store thread's done, or from within an op of the
 * engine; what follows is always a turn of the loop of its own.
 */

#include "ngx_wagw_queue.h"
#include "ngx_wagw_routes.h"
#include "ngx_wagw_template.h"

#define WORK_RETRY_MS 1000      /* after the first failure; doubled */
#define WORK_RETRY_MAX_MS 60000 /* up to this */

typedef enum { WORK_READ = 0, WORK_SEND, WORK_TELL } work_state_t;

struct ngx_wagw_work_s {
    ngx_wagw_job_t job;
    ngx_event_t event;
    ngx_queue_t queue; /* all works, by serial of their event */
    uint64_t serial;
    ngx_wagw_sendq_t *q;
    ngx_wagw_sends_t *sends;
    work_state_t state;
    wagw_arena_t arena;
    wagw_sends_t row;
    wagw_sends_item_t item;
    uint32_t n; /* items that have this result */
    unsigned rest : 1;
    unsigned again : 1;  /* no result: another try */
    unsigned pauses : 1; /* WhatsApp was asked: the job's delay follows */
    unsigned in_flight : 1;
    unsigned looks : 1;    /* whether it begins a chat */
    unsigned new_chat : 1; /* it does */
    uint8_t status;
    char code[40];
    char error[200];
};

static struct {
    ngx_queue_t told; /* works whose event is with an engine */
    uint64_t serial;
    unsigned ready : 1;
} works;

static void work_send(ngx_wagw_work_t *w);
static void work_tell(ngx_wagw_work_t *w);

static void work_end(ngx_wagw_work_t *w, int64_t again_ms)
{
    ngx_wagw_sendq_t *q = w->q;
    ngx_wagw_sends_t *j = w->sends;

    if (w->in_flight) {
        q->in_flight--;
    }

    q->works--;
    wagw_arena_free(&w->arena);
    free(w);
    ngx_wagw_queue_worked(q, j, again_ms);
}

static void work_retry(ngx_wagw_work_t *w)
{
    int64_t wait = WORK_RETRY_MS;

    for (uint32_t i = 0; i < w->sends->tries && wait < WORK_RETRY_MAX_MS; i++) {
        wait *= 2;
    }

    w->sends->tries++;
    work_end(w, ngx_wagw_now_ms() + wait);
}

static void work_event(ngx_event_t *ev)
{
    ngx_wagw_work_t *w = ev->data;

    if (w->q->in == NULL || w->again) {
        work_retry(w);
    } else if (w->state == WORK_SEND) {
        work_tell(w);
    } else {
        /* told: it is committed */
        ngx_wagw_sends_t *j = w->sends;
        int64_t next = ngx_wagw_now_ms();

        j->tries = 0;
        j->pending -= ngx_min(w->n, j->pending);
        j->sent += w->status == WAGW_ITEM_SENT ? w->n : 0;
        j->failed += w->status == WAGW_ITEM_FAILED ? w->n : 0;

        if (w->pauses) {
            next += j->delay_ms + (j->jitter_ms ? (uint64_t)ngx_random() % (j->jitter_ms + 1) : 0);
        }
        work_end(w, next);
    }
}

static void work_later(ngx_wagw_work_t *w)
{
    if (!w->event.posted) {
        ngx_post_event(&w->event, &ngx_posted_events);
    }
}

static ngx_wagw_work_t *work_make(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j)
{
    ngx_wagw_work_t *w;

    if (!works.ready) {
        ngx_queue_init(&works.told);
        works.ready = 1;
    }

    w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }

    w->q = q;
    w->sends = j;
    w->event.handler = work_event;
    w->event.data = w;
    w->event.log = ngx_cycle->log;
    j->work = w;
    q->works++;

    return w;
}

/* ---- read --------------------------------------------------------------------------- */

static int work_read_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_work_t *w = job->data;
    bool exists = true;
    wagw_buf_t chat = {0};
    int rc = wagw_store_sends_next(s, w->sends->num, &w->arena, &w->row, &w->item);

    if (rc == WAGW_OK && w->looks && w->item.known < 0) {
        rc = wagw_store_chat_resolve(s, w->row.instance, w->item.to, &chat, &exists);
        w->new_chat = !exists;
        wagw_buf_free(&chat);
    }

    return rc;
}

static void work_read_done(ngx_wagw_job_t *job)
{
    ngx_wagw_work_t *w = job->data;

    int64_t at_ms;

    if (w->q->in && job->rc == WAGW_OK) {
        if (w->new_chat && !ngx_wagw_queue_new_chat(w->q, &at_ms)) {
            w->sends->tries = 1; /* its place in the other windows is taken */
            work_end(w, at_ms);
            return;
        }
        work_send(w);
        return;
    }

    if (w->q->in && job->rc == WAGW_NOT_FOUND) {
        /* the store says that it has ended */
        w->sends->pending = 0;
        work_end(w, 0);
        return;
    }

    work_retry(w);
}

ngx_int_t ngx_wagw_work_begin(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j)
{
    ngx_wagw_work_t *w = work_make(q, j);

    if (w == NULL) {
        return NGX_ERROR;
    }

    w->in_flight = 1;
    w->looks = q->pacing.limit[NGX_WAGW_PACE_CHATS] != 0;
    q->in_flight++;
    w->n = 1;
    w->job.data = w;
    w->job.run = work_read_run;
    w->job.done = work_read_done;
    ngx_wagw_store_post(&w->job);

    return NGX_OK;
}

/* ---- send --------------------------------------------------------------------------- */

const ngx_wagw_route_t *ngx_wagw_queue_route(const char *type)
{
    /* not sends of a message, or none that a content can describe */
    static const char *const others[] = {"bulk", "raw", "poll-vote", "media", "template", NULL};
    char path[64], *p;
    const ngx_wagw_route_t *r;

    for (size_t i = 0; others[i]; i++) {
        if (ngx_strcmp(type, others[i]) == 0) {
            return NULL;
        }
    }

    if (snprintf(path, sizeof(path), "/api/message/send/%s", type) >= (int)sizeof(path) || strchr(type, '/') ||
        *type == '\0') {
        return NULL;
    }

    for (p = path; *p; p++) {
        *p = *p == '_' ? '-' : *p;
    }

    r = ngx_wagw_route_find("POST", path);

    return r && r->handler ? r : NULL;
}

int ngx_wagw_queue_types(const ngx_wagw_route_t *route, const cJSON *content, cJSON *params)
{
    cJSON *v, *typed;
    const cJSON *was;

    cJSON_ArrayForEach(was, content)
    {
        v = cJSON_GetObjectItemCaseSensitive(params, was->string);

        if (!cJSON_IsString(was) || strncmp(was->valuestring, "{{", 2) != 0 || !cJSON_IsString(v)) {
            continue;
        }

        typed = ngx_wagw_fields_value(route->fields, was->string, v->valuestring);
        if (typed == NULL || !cJSON_ReplaceItemInObjectCaseSensitive(params, was->string, typed)) {
            cJSON_Delete(typed);
            return WAGW_NOMEM;
        }
    }

    return WAGW_OK;
}

int ngx_wagw_queue_rendered(const ngx_wagw_route_t *route, cJSON *params, const char *to, ngx_str_t *instance_id,
                            const char **code, wagw_buf_t *details)
{
    /* of the job, not of its messages */
    static const char *const not_mine[] = {"type",      "to",    "chatId",   "instanceId",
                                           "messageId", "async", "priority", NULL};
    const char *id = (const char *)instance_id->data;

    for (size_t i = 0; not_mine[i]; i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(params, not_mine[i]);
    }

    if (!cJSON_AddStringToObject(params, "to", to) || !cJSON_AddStringToObject(params, "instanceId", id)) {
        return WAGW_NOMEM;
    }

    return ngx_wagw_fields_check(route->fields, params, code, details);
}

int ngx_wagw_queue_params(const ngx_wagw_route_t *route, const cJSON *content, const cJSON *variables, const char *to,
                          ngx_str_t *instance_id, cJSON **params, const char **code, wagw_buf_t *details)
{
    int rc;

    rc = ngx_wagw_template_render(content, variables, true, params, NULL);

    if (rc == WAGW_OK) {
        rc = ngx_wagw_queue_types(route, content, *params);
    }

    if (rc == WAGW_OK) {
        rc = ngx_wagw_queue_rendered(route, *params, to, instance_id, code, details);
    }

    if (rc != WAGW_OK) {
        cJSON_Delete(*params);
        *params = NULL;
    }

    return rc;
}

/* What another try may do better. */
static bool work_worth_another(const char *code)
{
    static const char *const codes[] = {
        "INSTANCE_NOT_CONNECTED", "WA_TIMEOUT",        "DB_UNAVAILABLE",        "DRAINING",
        "OWNER_UNAVAILABLE",      "WA_RATE_OVERLIMIT", "INSTANCE_RATE_LIMITED", NULL};

    for (size_t i = 0; codes[i]; i++) {
        if (ngx_strcmp(code, codes[i]) == 0) {
            return true;
        }
    }

    return false;
}

static void work_failed(ngx_wagw_work_t *w, const char *code, const char *error)
{
    w->status = WAGW_ITEM_FAILED;
    snprintf(w->code, sizeof(w->code), "%s", code);
    snprintf(w->error, sizeof(w->error), "%s", error);
}

static void work_taken(void *maker, ngx_uint_t status, wagw_str_t body)
{
    cJSON *o;
    ngx_wagw_work_t *w = maker;
    const char *code, *error;

    o = cJSON_ParseWithLength((const char *)body.p, body.n);
    code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "code"));
    error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "error"));

    if (status < 400) {
        w->status = WAGW_ITEM_SENT;
    } else if (code && work_worth_another(code)) {
        w->again = 1;
    } else {
        work_failed(w, code ? code : "INTERNAL", error ? error : "Error");
    }

    w->pauses = status < 400 || status >= 402;

    if (w->sends->kind == WAGW_SENDS_ONE && !w->again) {
        cJSON_Delete(w->sends->answer);
        w->sends->answer = o;
        w->sends->answer_status = status;
    } else {
        cJSON_Delete(o);
    }
    work_later(w);
}

/* What is stored under the id goes on; its content is not needed again. */
static void work_go_on(ngx_wagw_call_t *call)
{
    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

static const ngx_wagw_route_t work_route = {
    .method = "POST",
    .path = "",
    .group = "message",
    .perm = NGX_WAGW_PERM_SEND,
    .handler = work_go_on,
    .flags = NGX_WAGW_R_INSTANCE | NGX_WAGW_R_CONNECTED,
};

/* The command of a single message, as it was when it was queued. */
static void work_command(ngx_wagw_call_t *call)
{
    wagw_cmd_t cmd = (wagw_cmd_t)ngx_wagw_param_int(call, "_cmd", WAGW_CMD_SEND);

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_cmd");
    ngx_wagw_call_command(call, cmd);
}

static const ngx_wagw_route_t work_command_route = {
    .method = "POST",
    .path = "",
    .group = "message",
    .perm = NGX_WAGW_PERM_SEND,
    .handler = work_command,
    .flags = NGX_WAGW_R_INSTANCE | NGX_WAGW_R_CONNECTED,
};

static cJSON *work_json(wagw_str_t text)
{
    return text.n ? cJSON_ParseWithLength((const char *)text.p, text.n) : NULL;
}

static void work_send(ngx_wagw_work_t *w)
{
    int rc = WAGW_MALFORMED;
    cJSON *content = work_json(w->row.content), *variables = work_json(w->item.variables), *params = NULL;
    wagw_buf_t details = {0};
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(content, "type")), *code = NULL;
    ngx_wagw_call_t *call;
    const ngx_wagw_route_t *route = type ? ngx_wagw_queue_route(type) : NULL;

    w->state = WORK_SEND;

    if (w->item.known >= 0) {
        route = &work_route;
        params = cJSON_CreateObject();
        rc = params && cJSON_AddStringToObject(params, "to", (const char *)w->item.to.p) ? WAGW_OK : WAGW_NOMEM;
    } else if (w->row.kind == WAGW_SENDS_ONE) {
        route = &work_command_route;
        params = cJSON_DetachItemFromObjectCaseSensitive(content, "params");
        rc = params && cJSON_AddNumberToObject(params, "_cmd",
                                               cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(content, "cmd")))
                 ? WAGW_OK
                 : WAGW_MALFORMED;
    } else if (route) {
        rc = ngx_wagw_queue_params(route, content, variables, (const char *)w->item.to.p, &w->q->in->id, &params, &code,
                                   &details);
    }

    cJSON_Delete(content);
    cJSON_Delete(variables);
    wagw_buf_free(&details);

    if (rc == WAGW_OK) {
        call = ngx_wagw_call_make(route, &w->q->in->id, params, (const char *)w->item.message_id.p, work_taken, w);
        if (call) {
            ngx_wagw_owner_call(call);
            return;
        }
    } else {
        cJSON_Delete(params);
    }

    if (rc == WAGW_MALFORMED) {
        work_failed(w, code ? code : "VALIDATION_FAILED",
                    code && ngx_strcmp(code, "INVALID_JID") == 0 ? "Not a recipient" : "Validation failed");
    } else if (rc == WAGW_LIMIT) {
        work_failed(w, "VALIDATION_FAILED", "The rendered message is too long");
    } else {
        w->again = 1;
    }

    work_later(w);
}

/* ---- tell --------------------------------------------------------------------------- */

static const char *work_event_name(ngx_wagw_work_t *w)
{
    ngx_wagw_sends_t *j = w->sends;
    uint32_t done = j->total - j->pending + w->n, step = j->total / 20 ? j->total / 20 : 1;

    /* of what the engine has had it tells itself */
    if (j->kind == WAGW_SENDS_ONE) {
        return w->rest ? "message.failed" : NULL;
    }

    if (j->kind == WAGW_SENDS_SCHEDULE) {
        return w->status == WAGW_ITEM_SENT ? "schedule.sent" : w->status == WAGW_ITEM_FAILED ? "schedule.failed" : NULL;
    }

    return done >= j->total ? "job.done" : done % step == 0 ? "job.progress" : NULL;
}

/* Of one message of a schedule, or of all that are left of a run. */
static void work_event_schedule(ngx_wagw_work_t *w, cJSON *d)
{
    char text[32];
    ngx_wagw_sends_t *j = w->sends;
    const char *to = w->rest ? j->whom : (const char *)w->item.to.p;

    cJSON_AddStringToObject(d, "scheduleId", j->schedule ? j->schedule : "");

    if (to) {
        cJSON_AddStringToObject(d, "to", to);
    } else {
        cJSON_AddNumberToObject(d, "recipients", w->n);
    }

    if (w->status == WAGW_ITEM_SENT) {
        cJSON_AddStringToObject(d, "messageId", (const char *)w->item.message_id.p);
    } else {
        cJSON_AddStringToObject(d, "error", w->error);
        cJSON_AddStringToObject(d, "code", w->code);
    }

    wagw_iso_text(ngx_wagw_now_ms(), text);
    cJSON_AddStringToObject(d, "timestamp", text);
}

static cJSON *work_event_data(ngx_wagw_work_t *w)
{
    ngx_wagw_sends_t *j = w->sends;
    uint32_t pending = j->pending - w->n;
    const char *ref;
    cJSON *d = cJSON_CreateObject(), *content;

    cJSON_AddStringToObject(d, "jobId", j->id);

    if (j->kind == WAGW_SENDS_SCHEDULE) {
        work_event_schedule(w, d);
        return d;
    }

    if (j->kind == WAGW_SENDS_ONE) {
        cJSON_AddStringToObject(d, "messageId", j->message_id);
        cJSON_AddStringToObject(d, "to", j->to ? j->to : "");
        cJSON_AddStringToObject(d, "error", w->error);
        cJSON_AddStringToObject(d, "code", w->code);
        content = work_json(w->row.content);
        ref = cJSON_GetStringValue(
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(content, "params"), "ref"));
        if (ref) {
            cJSON_AddStringToObject(d, "ref", ref);
        }
        cJSON_Delete(content);
        return d;
    }

    cJSON_AddStringToObject(d, "status",
                            pending                            ? "running"
                            : !w->rest                         ? "done"
                            : w->status == WAGW_ITEM_CANCELLED ? "cancelled"
                                                               : "failed");
    cJSON_AddNumberToObject(d, "total", j->total);
    cJSON_AddNumberToObject(d, "sent", j->sent + (w->status == WAGW_ITEM_SENT ? w->n : 0));
    cJSON_AddNumberToObject(d, "failed", j->failed + (w->status == WAGW_ITEM_FAILED ? w->n : 0));
    cJSON_AddNumberToObject(d, "pending", pending);

    if (w->rest) {
        cJSON_AddStringToObject(d, "code", w->code);
    } else if (pending) {
        cJSON_AddStringToObject(d, "to", (const char *)w->item.to.p);
    }

    return d;
}

static void work_tell(ngx_wagw_work_t *w)
{
    cJSON *params = cJSON_CreateObject(), *s;
    const char *name = work_event_name(w);

    w->state = WORK_TELL;
    w->serial = NGX_WAGW_QUEUE_SERIAL | ++works.serial;

    s = cJSON_AddObjectToObject(params, "_sends");
    cJSON_AddNumberToObject(s, "num", (double)w->sends->num);
    cJSON_AddNumberToObject(s, "at", w->item.at);
    cJSON_AddNumberToObject(s, "status", w->status);
    cJSON_AddStringToObject(s, "code", w->code);
    cJSON_AddStringToObject(s, "error", w->error);

    if (w->rest) {
        cJSON_AddTrueToObject(s, "rest");
    }

    if (name) {
        cJSON_AddStringToObject(params, "_event", name);
        cJSON_AddItemToObject(params, "_data", work_event_data(w));
    }

    ngx_queue_insert_tail(&works.told, &w->queue);
    wagw_client_command(w->q->in->client, w->serial, WAGW_CMD_EVENT, params, ngx_wagw_now_ms());
    cJSON_Delete(params);
}

void ngx_wagw_queue_told(uint64_t serial, const wagw_result_t *r)
{
    ngx_queue_t *at;
    ngx_wagw_work_t *w;

    for (at = ngx_queue_head(&works.told); at != ngx_queue_sentinel(&works.told); at = ngx_queue_next(at)) {
        w = ngx_queue_data(at, ngx_wagw_work_t, queue);

        if (w->serial == serial) {
            ngx_queue_remove(&w->queue);
            w->again = r->code != NULL;
            work_later(w);
            return;
        }
    }
}

static void work_rest_done(ngx_wagw_job_t *job)
{
    ngx_wagw_work_t *w = job->data;

    if (w->q->in && job->rc == WAGW_OK) {
        work_tell(w);
    } else if (w->q->in && job->rc == WAGW_NOT_FOUND) {
        w->sends->pending = 0;
        work_end(w, 0);
    } else {
        work_retry(w);
    }
}

ngx_int_t ngx_wagw_work_rest(ngx_wagw_sendq_t *q, ngx_wagw_sends_t *j, wagw_item_status_t status, const char *code,
                             const char *error)
{
    ngx_wagw_work_t *w = work_make(q, j);

    if (w == NULL) {
        return NGX_ERROR;
    }

    w->rest = 1;
    w->n = j->pending;
    w->status = (uint8_t)status;
    snprintf(w->code, sizeof(w->code), "%s", code);
    snprintf(w->error, sizeof(w->error), "%s", error);

    if (j->kind == WAGW_SENDS_ONE) {
        /* its event has the caller's reference */
        w->job.data = w;
        w->job.run = work_read_run;
        w->job.done = work_rest_done;
        ngx_wagw_store_post(&w->job);
    } else {
        work_tell(w);
    }

    return NGX_OK;
}
