#include "ngx_wagw_schedule.h"
#include "ngx_wagw_cron.h"
#include "ngx_wagw_template.h"

/*
 * Schedules (contract 3.16).  A template is taken as it is when it is
 * scheduled: what was promised is sent, whatever becomes of the template.
 */

#define SCHEDULE_PAST_MS 60000
#define SCHEDULE_TO_MAX 1000

typedef struct sch_s sch_t;

struct sch_s {
    wagw_scope_t scope;
    wagw_arena_t arena;
    wagw_schedule_t c;
    wagw_template_t t; /* named by templateId */
    char uuid[37];
    int64_t now_ms, was_ms;    /* the due time that was read */
    const char *field, *wrong; /* found out on the store's thread */
    uint32_t instance;
    int status;
    ngx_wagw_list_t list;
    wagw_json_t json;
    void (*then)(ngx_wagw_call_t *call, sch_t *c);
    unsigned changed : 1;   /* when it is due was given */
    unsigned cancelled : 1; /* an end was put to its jobs */
};

static void sch_free(void *data)
{
    sch_t *c = data;

    wagw_arena_free(&c->arena);
    ngx_wagw_list_free(&c->list);
}

static void sch_no_memory(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
}

static sch_t *sch_make(ngx_wagw_call_t *call)
{
    sch_t *c = ngx_wagw_call_ctx(call, sizeof(sch_t));
    ngx_pool_cleanup_t *cln;

    if (c == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(call->pool, 0);
    if (cln == NULL) {
        sch_no_memory(call);
        return NULL;
    }

    cln->handler = sch_free;
    cln->data = c;
    c->now_ms = ngx_wagw_now_ms();

    return ngx_wagw_call_scope(call, &c->scope) == NGX_OK ? c : NULL;
}

static wagw_str_t sch_text(sch_t *c, const cJSON *v)
{
    char *text = cJSON_PrintUnformatted(v);
    wagw_str_t s = text ? wagw_arena_str(&c->arena, wagw_cstr(text)) : WAGW_STR_NULL;

    cJSON_free(text);

    return s;
}

/* ---- answers ---------------------------------------------------------------------------- */

static void sch_json_value(wagw_json_t *j, const char *key, const cJSON *v)
{
    char *text = v ? cJSON_PrintUnformatted(v) : NULL;

    if (text) {
        wagw_json_kraw(j, key, wagw_cstr(text));
    }
    cJSON_free(text);
}

static void sch_json(wagw_json_t *j, const wagw_schedule_t *c)
{
    cJSON *body = cJSON_ParseWithLength((const char *)c->body.p, c->body.n),
          *to = cJSON_ParseWithLength((const char *)c->to.p, c->to.n);

    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", c->id);
    wagw_json_kstr(j, "instanceId", c->instance_id);
    wagw_json_kcstr(j, "status", wagw_schedule_status_name(c->status));
    sch_json_value(j, "to", cJSON_GetArraySize(to) == 1 ? to->child : to);
    if (c->cron.n) {
        wagw_json_kstr(j, "cron", c->cron);
        wagw_json_kstr(j, "timezone", c->time_zone.n ? c->time_zone : WAGW_STR("UTC"));
        wagw_json_kiso(j, "until", c->until_ms);
    } else {
        wagw_json_kiso(j, "sendAt", c->send_ms);
    }
    wagw_json_kiso(j, "nextRunAt", c->next_ms);
    wagw_json_kiso(j, "lastRunAt", c->last_ms);
    wagw_json_kint(j, "ttl", c->ttl_ms / 1000);
    wagw_json_kint(j, "priority", c->priority);
    sch_json_value(j, "type", cJSON_GetObjectItemCaseSensitive(body, "type"));
    sch_json_value(j, "content", cJSON_GetObjectItemCaseSensitive(body, "content"));
    sch_json_value(j, "variables", cJSON_GetObjectItemCaseSensitive(body, "variables"));
    if (c->template_id.n) {
        wagw_json_kstr(j, "templateId", c->template_id);
    }
    wagw_json_kint(j, "runs", c->runs);
    wagw_json_kint(j, "sent", c->sent);
    wagw_json_kint(j, "failed", c->failed);
    if (c->code.n) {
        wagw_json_kstr(j, "code", c->code);
        wagw_json_kstr(j, "error", c->error);
    }
    wagw_json_kiso(j, "createdAt", c->created_ms);
    wagw_json_kiso(j, "updatedAt", c->updated_ms);
    wagw_json_kiso(j, "finishedAt", c->finished_ms);
    wagw_json_close(j);
    cJSON_Delete(body);
    cJSON_Delete(to);
}

static void sch_answer(ngx_wagw_call_t *call, sch_t *c, ngx_uint_t status, const char *message)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    sch_json(&j, &c->c);
    ngx_wagw_call_data(call, status, &b, message);
}

/* False: the call is answered. */
static bool sch_there(ngx_wagw_call_t *call, int rc)
{
    if (rc == WAGW_OK) {
        return true;
    }

    if (rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "SCHEDULE_NOT_FOUND", "Schedule not found", WAGW_STR_NULL);
    } else if (rc == WAGW_STATE) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
    } else {
        ngx_wagw_call_store_failed(call);
    }

    return false;
}

void ngx_wagw_schedule_not_waiting(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 409, "CONFLICT", "Only a schedule that is still scheduled can be changed or run",
                       WAGW_STR_NULL);
}

static int sch_get_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    return wagw_store_schedule_get(s, &c->scope, ngx_wagw_param_str(call, "id"), &c->arena, &c->c);
}

static void sch_get_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    if (sch_there(call, job->rc)) {
        c->then(call, c);
    }
}

static void sch_get(ngx_wagw_call_t *call, void (*then)(ngx_wagw_call_t *call, sch_t *c))
{
    sch_t *c = sch_make(call);

    if (c) {
        c->then = then;
        ngx_wagw_call_store(call, 0, sch_get_run, sch_get_done);
    }
}

/* ---- list, one ---------------------------------------------------------------------------- */

static int sch_each(void *data, const wagw_schedule_t *row)
{
    sch_t *c = data;

    if (c->list.count == c->list.limit) {
        c->list.more = true;
        return WAGW_OK;
    }

    sch_json(&c->json, row);
    c->list.count++;

    return c->list.json.failed ? WAGW_NOMEM : WAGW_OK;
}

static int sch_list_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    wagw_buf_reset(&c->list.json);
    c->list.count = 0;
    c->json = wagw_json(&c->list.json);
    wagw_json_open(&c->json, '[');
    rc = wagw_store_schedules(s, &c->scope, c->instance, c->status, c->list.limit + 1, c->list.offset, sch_each, c,
                              &c->list.total);
    wagw_json_close(&c->json);

    return rc;
}

static void sch_list_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    if (job->rc == WAGW_OK) {
        ngx_wagw_call_list(call, &c->list, NULL);
    } else {
        ngx_wagw_call_store_failed(call);
    }
}

NGX_WAGW_HANDLER(schedule_list)
{
    sch_t *c = sch_make(call);
    wagw_str_t status = ngx_wagw_param_str(call, "status");

    if (c == NULL || ngx_wagw_call_instance_param(call, &c->instance) != NGX_OK) {
        return;
    }

    c->status = -1;
    for (unsigned i = 0; status.n && i <= WAGW_SCHEDULE_CANCELLED; i++) {
        if (wagw_str_eq(status, wagw_cstr(wagw_schedule_status_name(i)))) {
            c->status = (int)i;
        }
    }

    ngx_wagw_list_page(call, &c->list, 50);
    ngx_wagw_call_store(call, 0, sch_list_run, sch_list_done);
}

static void sch_show(ngx_wagw_call_t *call, sch_t *c)
{
    sch_answer(call, c, 200, c->cancelled ? "Schedule cancelled" : NULL);
}

NGX_WAGW_HANDLER(schedule_get)
{
    sch_get(call, sch_show);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* The parameter `to` or chatId as an array of canonical ids. */
static ngx_int_t sch_to(ngx_wagw_call_t *call, sch_t *c)
{
    char text[WAGW_JID_TEXT_MAX + 1];
    int n;
    wagw_jid_t jid;
    cJSON *list;
    const cJSON *to = ngx_wagw_param(call, "to"), *one;

    if (to == NULL && c->c.to.n) {
        return NGX_OK;
    }

    if (to == NULL) {
        ngx_wagw_call_invalid(call, "to", "required");
        return NGX_DECLINED;
    }

    n = cJSON_IsArray(to) ? cJSON_GetArraySize(to) : 1;
    if (n < 1 || n > SCHEDULE_TO_MAX) {
        ngx_wagw_call_invalid(call, "to", "1 to 1000 recipients");
        return NGX_DECLINED;
    }

    list = cJSON_CreateArray();

    for (int i = 0; i < n; i++) {
        one = cJSON_IsArray(to) ? cJSON_GetArrayItem(to, i) : to;

        if (!cJSON_IsString(one) || wagw_jid_from_caller(&jid, wagw_cstr(one->valuestring)) != WAGW_OK) {
            cJSON_Delete(list);
            ngx_wagw_call_fail(
                call, 400, "INVALID_JID", "Validation failed",
                WAGW_STR("{\"fields\":[{\"field\":\"to\",\"reason\":\"not a recipient\"}],\"field\":\"to\"}"));
            return NGX_DECLINED;
        }

        jid = wagw_jid_is_person(&jid) ? wagw_jid_user(&jid) : jid;
        text[wagw_jid_text(&jid, text)] = '\0';
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }

    c->c.to = sch_text(c, list);
    cJSON_Delete(list);

    if (c->c.to.p == NULL) {
        sch_no_memory(call);
        return NGX_DECLINED;
    }

    return NGX_OK;
}

/* sendAt, or cron with timezone and until. */
static ngx_int_t sch_when(ngx_wagw_call_t *call, sch_t *c)
{
    ngx_wagw_cron_t cron;
    wagw_str_t at = ngx_wagw_param_str(call, "sendAt"), text = ngx_wagw_param_str(call, "cron"),
               zone = ngx_wagw_param_str(call, "timezone"), until = ngx_wagw_param_str(call, "until");

    if (at.n && text.n) {
        ngx_wagw_call_invalid(call, "cron", "either sendAt or cron");
        return NGX_DECLINED;
    }

    if (at.n == 0 && text.n == 0 && c->c.send_ms == 0 && c->c.cron.n == 0) {
        ngx_wagw_call_invalid(call, "sendAt", "required, or cron");
        return NGX_DECLINED;
    }

    if (text.n && ngx_wagw_cron_parse(&cron, text) != WAGW_OK) {
        ngx_wagw_call_invalid(call, "cron", "must be five fields: minute hour day month weekday");
        return NGX_DECLINED;
    }

    if (at.n) {
        c->c.send_ms = c->c.next_ms = ngx_wagw_param_time(call, "sendAt");
        c->c.cron = c->c.time_zone = WAGW_STR_NULL;
        c->c.until_ms = 0;

        if (c->c.send_ms < c->now_ms - SCHEDULE_PAST_MS) {
            ngx_wagw_call_invalid(call, "sendAt", "in the past");
            return NGX_DECLINED;
        }
    }

    if (text.n) {
        c->c.cron = text;
        c->c.send_ms = 0;
    }

    if (c->c.cron.n == 0 && (zone.n || until.n)) {
        ngx_wagw_call_invalid(call, zone.n ? "timezone" : "until", "only with cron");
        return NGX_DECLINED;
    }

    if (zone.n && !ngx_wagw_tz_name_ok(zone)) {
        ngx_wagw_call_invalid(call, "timezone", "not a time zone");
        return NGX_DECLINED;
    }

    c->c.time_zone = zone.n ? zone : c->c.time_zone;
    c->c.until_ms = until.n ? ngx_wagw_param_time(call, "until") : c->c.until_ms;
    c->changed = at.n || text.n || zone.n || until.n;

    return NGX_OK;
}

static ngx_int_t sch_body(ngx_wagw_call_t *call, sch_t *c, const char *type, const cJSON *content)
{
    cJSON *body = cJSON_CreateObject();
    const cJSON *variables = ngx_wagw_param(call, "variables");

    cJSON_AddStringToObject(body, "type", type);
    cJSON_AddItemToObject(body, "content", cJSON_Duplicate(content, 1));
    if (variables) {
        cJSON_AddItemToObject(body, "variables", cJSON_Duplicate(variables, 1));
    }
    cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(body, "content"), "type");
    c->c.body = sch_text(c, body);
    cJSON_Delete(body);

    if (c->c.body.p == NULL) {
        sch_no_memory(call);
        return NGX_DECLINED;
    }

    return NGX_OK;
}

/* The content with its values, as it will be sent. */
static ngx_int_t sch_check(ngx_wagw_call_t *call, const char *type, const cJSON *content)
{
    int rc;
    cJSON *params = NULL;
    const char *code = NULL;
    wagw_buf_t details = {0};
    ngx_str_t id = ngx_string("x");
    const ngx_wagw_route_t *route = ngx_wagw_queue_route(type);

    if (route == NULL) {
        ngx_wagw_call_invalid(call, "content.type", "not a kind of message");
        return NGX_DECLINED;
    }

    rc = ngx_wagw_queue_params(route, content, ngx_wagw_param(call, "variables"), "15550000000", &id, &params, &code,
                               &details);
    cJSON_Delete(params);

    if (rc == WAGW_MALFORMED) {
        ngx_wagw_call_fail(call, 400, code, "Validation failed", wagw_buf_view(&details));
    } else if (rc == WAGW_LIMIT) {
        ngx_wagw_call_invalid(call, "content", "too long, or nested too deeply");
    } else if (rc != WAGW_OK) {
        sch_no_memory(call);
    }
    wagw_buf_free(&details);

    return rc == WAGW_OK ? NGX_OK : NGX_DECLINED;
}

/* Of a template: nothing may be missing. */
static ngx_int_t sch_template(ngx_wagw_call_t *call, sch_t *c)
{
    int rc;
    ngx_int_t ok = NGX_DECLINED;
    cJSON *out = NULL, *missing = NULL, *content = cJSON_ParseWithLength((const char *)c->t.content.p, c->t.content.n);

    rc = content ? ngx_wagw_template_render(content, ngx_wagw_param(call, "variables"), false, &out, &missing)
                 : WAGW_NOMEM;
    cJSON_Delete(out);

    if (rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_missing(call, missing);
    } else if (rc == WAGW_LIMIT) {
        ngx_wagw_call_invalid(call, "variables", "the rendered message is too long");
    } else if (rc != WAGW_OK) {
        sch_no_memory(call);
    } else {
        ok = sch_check(call, (const char *)c->t.type.p, content);
        ok = ok == NGX_OK ? sch_body(call, c, (const char *)c->t.type.p, content) : ok;
        c->c.template_id = c->t.id;
    }

    cJSON_Delete(missing);
    cJSON_Delete(content);

    return ok;
}

static int sch_template_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    return wagw_store_template_get(s, &c->scope, ngx_wagw_param_str(call, "templateId"), WAGW_STR_NULL, 0, &c->arena,
                                   &c->t);
}

static void sch_template_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "TEMPLATE_NOT_FOUND", "Template not found", WAGW_STR_NULL);
    } else if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
    } else if (sch_template(call, c) == NGX_OK) {
        c->then(call, c);
    }
}

/* Other variables for what is scheduled already. */
static ngx_int_t sch_variables(ngx_wagw_call_t *call, sch_t *c)
{
    ngx_int_t rc = NGX_DECLINED;
    cJSON *body = cJSON_ParseWithLength((const char *)c->c.body.p, c->c.body.n);
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(body, "content");
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "type"));

    if (content == NULL || type == NULL) {
        sch_no_memory(call);
    } else if (c->c.template_id.n) {
        c->t.id = c->c.template_id;
        c->t.type = wagw_arena_str(&c->arena, wagw_cstr(type));
        c->t.content = sch_text(c, content);
        rc = sch_template(call, c);
    } else {
        rc = sch_check(call, type, content);
        rc = rc == NGX_OK ? sch_body(call, c, type, content) : rc;
    }
    cJSON_Delete(body);

    return rc;
}

/* Everything but who it is; then `then`. */
static void sch_take(ngx_wagw_call_t *call, sch_t *c, void (*then)(ngx_wagw_call_t *call, sch_t *c))
{
    const cJSON *content = ngx_wagw_param(call, "content");
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(content, "type"));
    wagw_str_t template = ngx_wagw_param_str(call, "templateId");

    c->c.ttl_ms = 1000 * ngx_wagw_param_int(call, "ttl", c->c.ttl_ms / 1000);
    c->c.priority = (uint8_t)ngx_wagw_param_int(call, "priority", c->c.priority);
    c->c.updated_ms = c->now_ms;
    c->then = then;

    if (sch_to(call, c) != NGX_OK || sch_when(call, c) != NGX_OK) {
        return;
    }

    if (content && template.n) {
        ngx_wagw_call_invalid(call, "templateId", "either content or templateId");
        return;
    }

    if (template.n) {
        ngx_wagw_call_store(call, 0, sch_template_run, sch_template_done);
        return;
    }

    if (content == NULL && c->c.body.n) {
        if (ngx_wagw_param(call, "variables") == NULL || sch_variables(call, c) == NGX_OK) {
            then(call, c);
        }
        return;
    }

    if (content == NULL) {
        ngx_wagw_call_invalid(call, "content", "required, or templateId");
        return;
    }

    if (sch_check(call, type ? type : "", content) == NGX_OK && sch_body(call, c, type, content) == NGX_OK) {
        c->c.template_id = WAGW_STR_NULL;
        then(call, c);
    }
}

/* ---- create, change, cancel ---------------------------------------------------------------------- */

/* On the store's thread: when cron is due first; false: never, or not here. */
static bool sch_first(sch_t *c)
{
    int rc;

    if (!c->changed || c->c.cron.n == 0) {
        return true;
    }

    rc = ngx_wagw_schedule_due(&c->c, c->now_ms, &c->c.next_ms);

    if (rc == WAGW_NOT_FOUND) {
        c->field = "timezone";
        c->wrong = "there is no such time zone";
    } else if (rc != WAGW_OK || c->c.next_ms == 0) {
        c->field = "cron";
        c->wrong = "is never due";
    }

    return c->field == NULL;
}

static int sch_create_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;
    wagw_schedule_t old;

    if (!sch_first(c)) {
        return WAGW_OK;
    }

    rc = wagw_store_schedule_create(s, &c->c);

    /* an earlier try of this call made it */
    if (rc == WAGW_DUPLICATE && call->idempotency_key.len &&
        wagw_store_schedule_get(s, &c->scope, c->c.id, &c->arena, &old) == WAGW_OK) {
        c->c = old;
        rc = WAGW_OK;
    }

    return rc;
}

static void sch_create_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    if (!sch_there(call, job->rc)) {
        return;
    }

    if (c->field) {
        ngx_wagw_call_invalid(call, c->field, c->wrong);
        return;
    }

    ngx_wagw_schedule_wake(c->c.next_ms);
    sch_answer(call, c, 201, "Message scheduled successfully");
}

static void sch_create(ngx_wagw_call_t *call, sch_t *c)
{
    (void)c;
    ngx_wagw_call_store(call, 1, sch_create_run, sch_create_done);
}

NGX_WAGW_HANDLER(schedule_create)
{
    sch_t *c = sch_make(call);

    if (c == NULL) {
        return;
    }

    if (!ngx_wagw_call_uuid(call, "schedule", c->uuid)) {
        sch_no_memory(call);
        return;
    }

    c->c.id = wagw_cstr(c->uuid);
    c->c.instance = ngx_wagw_call_instance(call)->num;
    c->c.instance_id = wagw_str(call->instance_id.data, call->instance_id.len);
    c->c.created_ms = c->now_ms;
    c->c.priority = 5;
    c->c.ttl_ms = NGX_WAGW_QUEUE_TTL_MS;
    sch_take(call, c, sch_create);
}

static int sch_update_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    return sch_first(c) ? wagw_store_schedule_update(s, &c->c, c->was_ms) : WAGW_OK;
}

static void sch_update_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_schedule_not_waiting(call);
    } else if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
    } else if (c->field) {
        ngx_wagw_call_invalid(call, c->field, c->wrong);
    } else {
        ngx_wagw_schedule_wake(c->c.next_ms);
        sch_answer(call, c, 200, "Schedule updated successfully");
    }
}

static void sch_update(ngx_wagw_call_t *call, sch_t *c)
{
    (void)c;
    ngx_wagw_call_store(call, 1, sch_update_run, sch_update_done);
}

static void sch_change(ngx_wagw_call_t *call, sch_t *c)
{
    if (c->c.status != WAGW_SCHEDULED) {
        ngx_wagw_schedule_not_waiting(call);
    } else {
        c->was_ms = c->c.next_ms;
        sch_take(call, c, sch_update);
    }
}

NGX_WAGW_HANDLER(schedule_update)
{
    sch_get(call, sch_change);
}

static int sch_cancel_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;

    rc = wagw_store_schedule_cancel(s, c->c.id, c->now_ms);

    return rc == WAGW_OK ? wagw_store_schedule_get(s, &c->scope, c->c.id, &c->arena, &c->c) : rc;
}

static void sch_cancel_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    sch_t *c = call->data;
    ngx_queue_t *at;
    ngx_wagw_sends_t *j;
    ngx_wagw_instance_t *in;
    ngx_wagw_sendq_t *q;

    if (!sch_there(call, job->rc)) {
        return;
    }

    in = ngx_wagw_instance_find((u_char *)c->c.instance_id.p, c->c.instance_id.n);
    q = in && c->c.status == WAGW_SCHEDULE_CANCELLED ? in->sends : NULL;

    for (at = q ? ngx_queue_head(&q->jobs) : NULL; q && at != ngx_queue_sentinel(&q->jobs); at = ngx_queue_next(at)) {
        j = ngx_queue_data(at, ngx_wagw_sends_t, queue);

        if (j->schedule && wagw_str_eq(c->c.id, wagw_cstr(j->schedule))) {
            ngx_wagw_queue_cancel(q, j);
        }
    }

    c->cancelled = 1;
    sch_show(call, c);
}

static void sch_cancel(ngx_wagw_call_t *call, sch_t *c)
{
    (void)c;
    ngx_wagw_call_store(call, 1, sch_cancel_run, sch_cancel_done);
}

NGX_WAGW_HANDLER(schedule_delete)
{
    sch_get(call, sch_cancel);
}
