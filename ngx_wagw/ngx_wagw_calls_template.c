#include "ngx_wagw_queue.h"
#include "ngx_wagw_template.h"

/*
 * Templates (contract 3.16).  One that names an instance is seen by whoever
 * sees the instance; one that names none by every key that is not bound, and
 * by the one that made it.
 */

typedef struct tpl_s tpl_t;

struct tpl_s {
    wagw_scope_t scope;
    wagw_str_t id, name; /* asked for */
    uint32_t instance;
    wagw_template_t t;
    wagw_arena_t arena;
    char uuid[37];
    void (*then)(ngx_wagw_call_t *call, tpl_t *c); /* it is there */
    ngx_wagw_list_t list;
    wagw_json_t json;
};

static void tpl_free(void *data)
{
    tpl_t *c = data;

    wagw_arena_free(&c->arena);
    ngx_wagw_list_free(&c->list);
}

static void tpl_no_memory(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
}

static tpl_t *tpl_make(ngx_wagw_call_t *call)
{
    tpl_t *c = ngx_wagw_call_ctx(call, sizeof(tpl_t));
    ngx_pool_cleanup_t *cln;

    if (c == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(call->pool, 0);
    if (cln == NULL) {
        tpl_no_memory(call);
        return NULL;
    }

    cln->handler = tpl_free;
    cln->data = c;

    return ngx_wagw_call_scope(call, &c->scope) == NGX_OK ? c : NULL;
}

/* ---- what templates and schedules share --------------------------------------------- */

ngx_int_t ngx_wagw_call_scope(ngx_wagw_call_t *call, wagw_scope_t *scope)
{
    u_char *p;
    cJSON *list;
    const cJSON *id;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    ngx_wagw_instance_t *in;

    *scope = (wagw_scope_t){.key = wagw_str(call->key_id.data, call->key_id.len)};

    if (call->key_instances.len == 0) {
        return NGX_OK;
    }

    list = cJSON_ParseWithLength((const char *)call->key_instances.data, call->key_instances.len);
    wagw_json_open(&j, '[');

    cJSON_ArrayForEach(id, list)
    {
        in = cJSON_IsString(id) ? ngx_wagw_instance_find((u_char *)id->valuestring, ngx_strlen(id->valuestring)) : NULL;
        if (in) {
            wagw_json_int(&j, in->num);
        }
    }

    wagw_json_close(&j);
    cJSON_Delete(list);
    p = b.failed ? NULL : ngx_pnalloc(call->pool, b.n);

    if (p) {
        ngx_memcpy(p, b.p, b.n);
        scope->instances = wagw_str(p, b.n);
    } else {
        tpl_no_memory(call);
    }

    wagw_buf_free(&b);

    return p ? NGX_OK : NGX_ERROR;
}

ngx_int_t ngx_wagw_call_instance_param(ngx_wagw_call_t *call, uint32_t *num)
{
    ngx_str_t id;
    ngx_wagw_instance_t *in;
    wagw_str_t s = ngx_wagw_param_str(call, "instanceId");

    *num = 0;

    if (s.n == 0) {
        return NGX_OK;
    }

    id.data = (u_char *)s.p;
    id.len = s.n;
    in = ngx_wagw_instance_find(id.data, id.len);

    if (in == NULL || !ngx_wagw_call_sees(call, &id)) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return NGX_DECLINED;
    }

    *num = in->num;

    return NGX_OK;
}

void ngx_wagw_call_missing(ngx_wagw_call_t *call, const cJSON *names)
{
    const cJSON *name;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_key(&j, "fields");
    wagw_json_open(&j, '[');

    cJSON_ArrayForEach(name, names)
    {
        char field[NGX_WAGW_TEMPLATE_NAME + 16];

        snprintf(field, sizeof(field), "variables.%s", cJSON_GetStringValue(name));
        wagw_json_open(&j, '{');
        wagw_json_kcstr(&j, "field", field);
        wagw_json_kcstr(&j, "reason", "required");
        wagw_json_close(&j);
    }

    wagw_json_close(&j);
    wagw_json_close(&j);
    ngx_wagw_call_fail(call, 422, "VALIDATION_FAILED", "A variable of the template is missing", wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static bool content_open(const cJSON *v)
{
    char filter[65];
    cJSON *names = cJSON_CreateArray();
    bool open = v && names && ngx_wagw_template_names(v, names, filter) == WAGW_OK && cJSON_GetArraySize(names) > 0;

    cJSON_Delete(names);

    return open;
}

/* The member of the content that a wrong field is, or is in, has a placeholder. */
static bool content_later(const ngx_wagw_route_t *route, const cJSON *content, const char *field)
{
    char root[64];
    size_t n = strcspn(field, "[.");

    if (n >= sizeof(root)) {
        return false;
    }

    ngx_memcpy(root, field, n);
    root[n] = '\0';

    if (content_open(cJSON_GetObjectItemCaseSensitive(content, root))) {
        return true;
    }

    for (const ngx_wagw_field_t *f = route->fields; f->name; f++) {
        if (f->alias && ngx_strcmp(f->name, root) == 0) {
            return content_open(cJSON_GetObjectItemCaseSensitive(content, f->alias));
        }
    }

    return false;
}

/* What the check found, without the fields whose values are not known yet.  True: something is left. */
static bool content_wrong(const ngx_wagw_route_t *route, const cJSON *content, wagw_buf_t *details)
{
    char *text;
    cJSON *o = cJSON_ParseWithLength((const char *)details->p, details->n), *one, *next;
    cJSON *fields = cJSON_GetObjectItemCaseSensitive(o, "fields");
    bool left;

    for (one = fields ? fields->child : NULL; one; one = next) {
        const char *field = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "field"));

        next = one->next;
        if (field && content_later(route, content, field)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(fields, one));
        }
    }

    left = cJSON_GetArraySize(fields) > 0;
    text = cJSON_PrintUnformatted(o);
    wagw_buf_reset(details);
    wagw_buf_cstr(details, text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);

    return left;
}

ngx_int_t ngx_wagw_call_content(ngx_wagw_call_t *call, const char *type, const cJSON *content, cJSON *names)
{
    int rc;
    char filter[65], text[100];
    cJSON *params = NULL, *found = cJSON_CreateArray();
    ngx_str_t instance = ngx_string("x");
    const char *code = NULL;
    wagw_buf_t details = {0};
    const ngx_wagw_route_t *route = ngx_wagw_queue_route(type);

    if (route == NULL) {
        ngx_wagw_call_invalid(call, "type", "not a kind of message");
        cJSON_Delete(found);
        return NGX_DECLINED;
    }

    rc = ngx_wagw_template_names(content, names ? names : found, filter);
    cJSON_Delete(found);

    if (rc == WAGW_MALFORMED) {
        snprintf(text, sizeof(text), "unknown filter: %s", filter);
        ngx_wagw_call_invalid(call, "content", text);
        return NGX_DECLINED;
    }

    if (rc == WAGW_OK) {
        rc = ngx_wagw_queue_params(route, content, NULL, "15550000000", &instance, &params, &code, &details);
        cJSON_Delete(params);
    } else {
        rc = WAGW_LIMIT;
    }

    if (rc == WAGW_MALFORMED && !content_wrong(route, content, &details)) {
        rc = WAGW_OK;
    }

    if (rc == WAGW_MALFORMED) {
        ngx_wagw_call_fail(call, 400, code, "Validation failed", wagw_buf_view(&details));
    } else if (rc == WAGW_LIMIT) {
        ngx_wagw_call_invalid(call, "content", "too long, or nested too deeply");
    } else if (rc != WAGW_OK) {
        tpl_no_memory(call);
    }

    wagw_buf_free(&details);

    return rc == WAGW_OK ? NGX_OK : NGX_DECLINED;
}

/* ---- answers -------------------------------------------------------------------------- */

static void tpl_json(wagw_json_t *j, const wagw_template_t *t)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", t->id);
    wagw_json_kstr(j, "name", t->name);
    wagw_json_kstr(j, "type", t->type);
    wagw_json_kraw(j, "content", t->content);
    wagw_json_kraw(j, "variables", t->variables);
    if (t->language.n) {
        wagw_json_kstr(j, "language", t->language);
    }
    if (t->instance_id.n) {
        wagw_json_kstr(j, "instanceId", t->instance_id);
    }
    wagw_json_kiso(j, "createdAt", t->created_ms);
    wagw_json_kiso(j, "updatedAt", t->updated_ms);
    wagw_json_close(j);
}

static void tpl_answer(ngx_wagw_call_t *call, tpl_t *c, ngx_uint_t status, const char *message)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    tpl_json(&j, &c->t);
    ngx_wagw_call_data(call, status, &b, message);
}

/* False: the call is answered. */
static bool tpl_there(ngx_wagw_call_t *call, int rc)
{
    if (rc == WAGW_OK) {
        return true;
    }

    if (rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "TEMPLATE_NOT_FOUND", "Template not found", WAGW_STR_NULL);
    } else if (rc == WAGW_DUPLICATE) {
        ngx_wagw_call_fail(call, 409, "DUPLICATE", "A template of this name exists", WAGW_STR_NULL);
    } else if (rc == WAGW_STATE) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
    } else {
        ngx_wagw_call_store_failed(call);
    }

    return false;
}

static int tpl_get_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    tpl_t *c = call->data;

    return wagw_store_template_get(s, &c->scope, c->id, c->name, c->instance, &c->arena, &c->t);
}

static void tpl_get_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    tpl_t *c = call->data;

    if (tpl_there(call, job->rc)) {
        c->then(call, c);
    }
}

/* The template that the call names, then `then`. */
static void tpl_get(ngx_wagw_call_t *call, tpl_t *c, void (*then)(ngx_wagw_call_t *call, tpl_t *c))
{
    c->id = ngx_wagw_param_str(call, "templateId");
    c->then = then;
    ngx_wagw_call_store(call, 0, tpl_get_run, tpl_get_done);
}

/* ---- list, one ------------------------------------------------------------------------- */

static int tpl_each(void *data, const wagw_template_t *t)
{
    tpl_t *c = data;

    if (c->list.count == c->list.limit) {
        c->list.more = true;
        return WAGW_OK;
    }

    tpl_json(&c->json, t);
    c->list.count++;

    return c->list.json.failed ? WAGW_NOMEM : WAGW_OK;
}

static int tpl_list_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    tpl_t *c = call->data;
    int rc;

    wagw_buf_reset(&c->list.json);
    c->list.count = 0;
    c->json = wagw_json(&c->list.json);
    wagw_json_open(&c->json, '[');
    rc = wagw_store_templates(s, &c->scope, c->instance, ngx_wagw_param_str(call, "q"), c->list.limit + 1,
                              c->list.offset, tpl_each, c, &c->list.total);
    wagw_json_close(&c->json);

    return rc;
}

static void tpl_list_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    tpl_t *c = call->data;

    if (job->rc == WAGW_OK) {
        ngx_wagw_call_list(call, &c->list, NULL);
    } else {
        ngx_wagw_call_store_failed(call);
    }
}

NGX_WAGW_HANDLER(template_list)
{
    tpl_t *c = tpl_make(call);

    if (c && ngx_wagw_call_instance_param(call, &c->instance) == NGX_OK) {
        ngx_wagw_list_page(call, &c->list, 50);
        ngx_wagw_call_store(call, 0, tpl_list_run, tpl_list_done);
    }
}

static void tpl_show(ngx_wagw_call_t *call, tpl_t *c)
{
    tpl_answer(call, c, 200, NULL);
}

NGX_WAGW_HANDLER(template_get)
{
    tpl_t *c = tpl_make(call);

    if (c) {
        tpl_get(call, c, tpl_show);
    }
}

/* ---- create, change, delete --------------------------------------------------------------- */

static wagw_str_t tpl_text(tpl_t *c, const cJSON *v)
{
    char *text = cJSON_PrintUnformatted(v);
    wagw_str_t s = text ? wagw_arena_str(&c->arena, wagw_cstr(text)) : WAGW_STR_NULL;

    cJSON_free(text);

    return s;
}

/* type, content and variables of the row, from the parameters or as they were. */
static ngx_int_t tpl_content(ngx_wagw_call_t *call, tpl_t *c)
{
    char *type;
    ngx_int_t rc = NGX_DECLINED;
    cJSON *old = NULL, *names = cJSON_CreateArray();
    wagw_str_t s = ngx_wagw_param_str(call, "type");
    const cJSON *content = ngx_wagw_param(call, "content"), *declared = ngx_wagw_param(call, "variables"), *name, *one;

    c->t.type = s.n ? wagw_arena_str(&c->arena, s) : c->t.type;
    type = (char *)c->t.type.p;

    if (content == NULL) {
        content = old = cJSON_ParseWithLength((const char *)c->t.content.p, c->t.content.n);
    }

    if (names == NULL || content == NULL || type == NULL) {
        tpl_no_memory(call);
        goto done;
    }

    rc = ngx_wagw_call_content(call, type, content, names);
    if (rc != NGX_OK) {
        goto done;
    }

    cJSON_ArrayForEach(name, declared)
    {
        bool known = false;

        cJSON_ArrayForEach(one, names)
        {
            known = known || ngx_strcmp(one->valuestring, name->valuestring) == 0;
        }
        if (!known) {
            cJSON_AddItemToArray(names, cJSON_CreateString(name->valuestring));
        }
    }

    c->t.variables = tpl_text(c, names);
    if (old == NULL) {
        c->t.content = tpl_text(c, content);
    }

    if (c->t.variables.p == NULL || c->t.content.p == NULL) {
        tpl_no_memory(call);
        rc = NGX_DECLINED;
    }

done:

    cJSON_Delete(names);
    cJSON_Delete(old);

    return rc;
}

static void tpl_instance(ngx_wagw_call_t *call, tpl_t *c, uint32_t num)
{
    if (num) {
        c->t.instance = num;
        c->t.instance_id = wagw_arena_str(&c->arena, ngx_wagw_param_str(call, "instanceId"));
    }
}

static int tpl_create_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    tpl_t *c = call->data;
    wagw_template_t old;
    int rc = wagw_store_template_create(s, &c->t);

    /* an earlier try of this call made it */
    if (rc == WAGW_DUPLICATE && call->idempotency_key.len &&
        wagw_store_template_get(s, &c->scope, c->t.id, WAGW_STR_NULL, 0, &c->arena, &old) == WAGW_OK) {
        c->t = old;
        rc = WAGW_OK;
    }

    return rc;
}

static void tpl_create_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (tpl_there(call, job->rc)) {
        tpl_answer(call, call->data, 201, "Template created successfully");
    }
}

NGX_WAGW_HANDLER(template_create)
{
    uint32_t num;
    tpl_t *c = tpl_make(call);

    if (c == NULL || ngx_wagw_call_instance_param(call, &num) != NGX_OK || tpl_content(call, c) != NGX_OK) {
        return;
    }

    if (!ngx_wagw_call_uuid(call, "template", c->uuid)) {
        tpl_no_memory(call);
        return;
    }

    tpl_instance(call, c, num);
    c->t.id = wagw_cstr(c->uuid);
    c->t.owner = c->scope.key;
    c->t.name = ngx_wagw_param_str(call, "name");
    c->t.language = ngx_wagw_param_str(call, "language");
    c->t.created_ms = c->t.updated_ms = ngx_wagw_now_ms();
    ngx_wagw_call_store(call, 1, tpl_create_run, tpl_create_done);
}

static int tpl_update_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    tpl_t *c = call->data;

    return wagw_store_template_update(s, &c->scope, &c->t);
}

static void tpl_update_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (tpl_there(call, job->rc)) {
        tpl_answer(call, call->data, 200, "Template updated successfully");
    }
}

static void tpl_change(ngx_wagw_call_t *call, tpl_t *c)
{
    uint32_t num;
    wagw_str_t name = ngx_wagw_param_str(call, "name");

    if (ngx_wagw_call_instance_param(call, &num) != NGX_OK) {
        return;
    }

    tpl_instance(call, c, num);
    c->t.name = name.n ? name : c->t.name;
    if (ngx_wagw_param(call, "language")) {
        c->t.language = ngx_wagw_param_str(call, "language");
    }
    c->t.updated_ms = ngx_wagw_now_ms();

    if (tpl_content(call, c) == NGX_OK) {
        ngx_wagw_call_store(call, 1, tpl_update_run, tpl_update_done);
    }
}

NGX_WAGW_HANDLER(template_update)
{
    tpl_t *c = tpl_make(call);

    if (c) {
        tpl_get(call, c, tpl_change);
    }
}

static int tpl_delete_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    tpl_t *c = call->data;

    return wagw_store_template_delete(s, &c->scope, c->t.id);
}

static void tpl_delete_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (tpl_there(call, job->rc)) {
        tpl_answer(call, call->data, 200, "Template deleted successfully");
    }
}

static void tpl_drop(ngx_wagw_call_t *call, tpl_t *c)
{
    (void)c;
    ngx_wagw_call_store(call, 1, tpl_delete_run, tpl_delete_done);
}

NGX_WAGW_HANDLER(template_delete)
{
    tpl_t *c = tpl_make(call);

    if (c) {
        tpl_get(call, c, tpl_drop);
    }
}

/* ---- render, send --------------------------------------------------------------------------- */

/* With its values; NULL: the call is answered. */
static cJSON *tpl_rendered(ngx_wagw_call_t *call, tpl_t *c, const ngx_wagw_route_t *route)
{
    int rc;
    cJSON *out = NULL, *missing = NULL, *content = cJSON_ParseWithLength((const char *)c->t.content.p, c->t.content.n);

    rc = content ? ngx_wagw_template_render(content, ngx_wagw_param(call, "variables"), false, &out, &missing)
                 : WAGW_NOMEM;

    if (rc == WAGW_OK) {
        rc = ngx_wagw_queue_types(route, content, out);
    }

    if (rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_missing(call, missing);
    } else if (rc == WAGW_LIMIT) {
        ngx_wagw_call_invalid(call, "variables", "the rendered message is too long");
    } else if (rc != WAGW_OK) {
        tpl_no_memory(call);
    }

    cJSON_Delete(missing);
    cJSON_Delete(content);

    if (rc != WAGW_OK) {
        cJSON_Delete(out);
        return NULL;
    }

    return out;
}

/* The row of its type, or NULL: answered; a row can only go with another version. */
static const ngx_wagw_route_t *tpl_route(ngx_wagw_call_t *call, tpl_t *c)
{
    const ngx_wagw_route_t *route = ngx_wagw_queue_route((const char *)c->t.type.p);

    if (route == NULL) {
        ngx_wagw_call_fail(call, 501, "NOT_SUPPORTED", "This kind of message cannot be sent", WAGW_STR_NULL);
    }

    return route;
}

static void tpl_render(ngx_wagw_call_t *call, tpl_t *c)
{
    char *text;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const ngx_wagw_route_t *route = tpl_route(call, c);
    cJSON *out = route ? tpl_rendered(call, c, route) : NULL;

    if (out == NULL) {
        return;
    }

    text = cJSON_PrintUnformatted(out);
    cJSON_Delete(out);
    if (text == NULL) {
        tpl_no_memory(call);
        return;
    }

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "type", c->t.type);
    wagw_json_kraw(&j, "content", wagw_cstr(text));
    wagw_json_close(&j);
    cJSON_free(text);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(template_render)
{
    tpl_t *c = tpl_make(call);

    if (c) {
        tpl_get(call, c, tpl_render);
    }
}

/* What the caller says beside the template goes before what the template says. */
static int tpl_overlay(ngx_wagw_call_t *call, cJSON *params)
{
    static const char *const names[] = {"quotedMessageId", "quoted",   "mentions", "messageId", "expiration",
                                        "simulateTyping",  "priority", "async",    "ref",       NULL};
    cJSON *v;

    for (size_t i = 0; names[i]; i++) {
        v = cJSON_DetachItemFromObjectCaseSensitive(call->params, names[i]);
        if (v) {
            cJSON_DeleteItemFromObjectCaseSensitive(params, names[i]);
            if (!cJSON_AddItemToObject(params, names[i], v)) {
                cJSON_Delete(v);
                return WAGW_NOMEM;
            }
        }
    }

    return WAGW_OK;
}

static void tpl_send(ngx_wagw_call_t *call, tpl_t *c)
{
    int rc;
    cJSON *out, *params = NULL;
    const char *code = NULL;
    wagw_buf_t details = {0};
    wagw_client_info_t info;
    const ngx_wagw_route_t *route = tpl_route(call, c);
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    if (route == NULL) {
        return;
    }

    out = tpl_rendered(call, c, route);
    if (out == NULL) {
        return;
    }

    if (in == NULL) {
        cJSON_Delete(out);
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    /* checked like a caller's; braces that a variable brought are text */
    rc = ngx_wagw_queue_rendered(route, out, (const char *)ngx_wagw_param_str(call, "to").p, &in->id, &code, &details);
    params = out;
    rc = rc == WAGW_OK ? tpl_overlay(call, params) : rc;
    wagw_client_info(in->client, &info);

    if (rc == WAGW_MALFORMED) {
        ngx_wagw_call_fail(call, 400, code, "Validation failed", wagw_buf_view(&details));
    } else if (rc != WAGW_OK) {
        tpl_no_memory(call);
    } else if ((route->flags & NGX_WAGW_R_CONNECTED) && info.status != WAGW_STATUS_CONNECTED) {
        ngx_wagw_call_fail(call, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected", WAGW_STR_NULL);
    } else {
        cJSON_Delete(call->params);
        call->params = params;
        params = NULL;
        route->handler(call);
    }

    cJSON_Delete(params);
    wagw_buf_free(&details);
}

NGX_WAGW_HANDLER(send_template)
{
    tpl_t *c = tpl_make(call);

    if (c == NULL) {
        return;
    }

    c->name = ngx_wagw_param_str(call, "templateName");
    c->instance = ngx_wagw_call_instance(call)->num;

    if (c->name.n == 0 && ngx_wagw_param_str(call, "templateId").n == 0) {
        ngx_wagw_call_invalid(call, "templateId", "required, or templateName");
        return;
    }

    tpl_get(call, c, tpl_send);
}
