/*
 * OpenAPI 3 from the route table (architecture, law 4): what is validated is
 * what is described.  Rows that are not built are left out.
 */

#include "ngx_wagw_http.h"

static void openapi_choices(wagw_json_t *j, const char *choices)
{
    const char *p, *end;

    wagw_json_key(j, "enum");
    wagw_json_open(j, '[');
    for (p = choices; p && *p; p = *end ? end + 1 : NULL) {
        end = p + strcspn(p, "|");
        wagw_json_str(j, wagw_str(p, (size_t)(end - p)));
    }
    wagw_json_close(j);
}

static void openapi_limits(wagw_json_t *j, const ngx_wagw_field_t *f, const char *min, const char *max)
{
    if (f->min == 0 && f->max == 0) {
        return;
    }
    wagw_json_key(j, min);
    wagw_json_num(j, f->min);
    wagw_json_key(j, max);
    wagw_json_num(j, f->max);
}

static void openapi_default(wagw_json_t *j, const ngx_wagw_field_t *f)
{
    if (f->dflt == NULL) {
        return;
    }
    switch (f->type) {
    case NGX_WAGW_T_INT:
    case NGX_WAGW_T_NUM:
    case NGX_WAGW_T_BOOL:
    case NGX_WAGW_T_ARR:
    case NGX_WAGW_T_STRS:
        wagw_json_kraw(j, "default", wagw_cstr(f->dflt));
        break;
    default:
        wagw_json_kcstr(j, "default", f->dflt);
    }
}

static void openapi_list(wagw_json_t *j, const ngx_wagw_field_t *f)
{
    wagw_json_kcstr(j, "type", "array");
    wagw_json_key(j, "items");
    wagw_json_open(j, '{');
    if (f->type != NGX_WAGW_T_ARR) {
        wagw_json_kcstr(j, "type", "string");
        if (f->choices) {
            openapi_choices(j, f->choices);
        }
    }
    wagw_json_close(j);
    openapi_limits(j, f, "minItems", "maxItems");
}

/* Members of a schema object that is open. */
static void openapi_schema(wagw_json_t *j, const ngx_wagw_field_t *f)
{
    switch (f->type) {
    case NGX_WAGW_T_INT:
        wagw_json_kcstr(j, "type", "integer");
        openapi_limits(j, f, "minimum", "maximum");
        break;
    case NGX_WAGW_T_NUM:
        wagw_json_kcstr(j, "type", "number");
        openapi_limits(j, f, "minimum", "maximum");
        break;
    case NGX_WAGW_T_BOOL:
        wagw_json_kcstr(j, "type", "boolean");
        break;
    case NGX_WAGW_T_OBJ:
        wagw_json_kcstr(j, "type", "object");
        break;
    case NGX_WAGW_T_ARR:
    case NGX_WAGW_T_STRS:
    case NGX_WAGW_T_JIDS:
        openapi_list(j, f);
        break;
    case NGX_WAGW_T_ENUM:
        wagw_json_kcstr(j, "type", "string");
        openapi_choices(j, f->choices);
        break;
    case NGX_WAGW_T_URL:
        wagw_json_kcstr(j, "type", "string");
        wagw_json_kcstr(j, "format", "uri");
        break;
    case NGX_WAGW_T_ISO:
        wagw_json_kcstr(j, "type", "string");
        wagw_json_kcstr(j, "format", "date-time");
        break;
    case NGX_WAGW_T_ANY:
        break; /* no type: any */
    case NGX_WAGW_T_STR:
        wagw_json_kcstr(j, "type", "string");
        openapi_limits(j, f, "minLength", "maxLength");
        break;
    default:
        wagw_json_kcstr(j, "type", "string");
    }
    openapi_default(j, f);
    if (f->nullable) {
        wagw_json_kbool(j, "nullable", true);
    }
}

static const ngx_wagw_field_t *openapi_field(const ngx_wagw_route_t *r, const u_char *name, size_t n)
{
    const ngx_wagw_field_t *f;

    for (f = r->fields; f && f->name; f++) {
        if (ngx_strlen(f->name) == n && ngx_strncmp(f->name, name, n) == 0) {
            return f;
        }
    }
    return NULL;
}

static ngx_uint_t openapi_in_path(const ngx_wagw_route_t *r, const char *name)
{
    size_t n = ngx_strlen(name);
    const char *p;

    for (p = r->path; (p = ngx_strchr(p, ':')) != NULL; p++) {
        if (ngx_strncmp(p + 1, name, n) == 0 && (p[n + 1] == '/' || p[n + 1] == '\0')) {
            return 1;
        }
    }
    return 0;
}

static void openapi_parameter(wagw_json_t *j, const char *in, wagw_str_t name, const ngx_wagw_field_t *f)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "name", name);
    wagw_json_kcstr(j, "in", in);
    wagw_json_kbool(j, "required", ngx_strcmp(in, "path") == 0 || (f && f->required));
    if (f) {
        wagw_json_kcstr(j, "description", f->help);
    }
    wagw_json_key(j, "schema");
    wagw_json_open(j, '{');
    if (f) {
        openapi_schema(j, f);
    } else {
        wagw_json_kcstr(j, "type", "string");
    }
    wagw_json_close(j);
    wagw_json_close(j);
}

static ngx_uint_t openapi_has_body(const ngx_wagw_route_t *r)
{
    return ngx_strcmp(r->method, "GET") != 0 && ngx_strcmp(r->method, "DELETE") != 0;
}

static void openapi_parameters(wagw_json_t *j, const ngx_wagw_route_t *r)
{
    size_t n;
    const char *p;
    const ngx_wagw_field_t *f;

    wagw_json_key(j, "parameters");
    wagw_json_open(j, '[');
    for (p = r->path; (p = ngx_strchr(p, ':')) != NULL; p += n) {
        p++;
        n = strcspn(p, "/");
        openapi_parameter(j, "path", wagw_str(p, n), openapi_field(r, (u_char *)p, n));
    }
    for (f = openapi_has_body(r) ? NULL : r->fields; f && f->name; f++) {
        if (!openapi_in_path(r, f->name)) {
            openapi_parameter(j, "query", wagw_cstr(f->name), f);
        }
    }
    if (r->flags & NGX_WAGW_R_IDEMPOTENT) {
        wagw_json_open(j, '{');
        wagw_json_kcstr(j, "name", "Idempotency-Key");
        wagw_json_kcstr(j, "in", "header");
        wagw_json_kraw(j, "schema", WAGW_STR("{\"type\":\"string\",\"minLength\":1,\"maxLength\":128}"));
        wagw_json_close(j);
    }
    wagw_json_close(j);
}

/* type NULL is JSON; a file is a part of its own in multipart bodies. */
static void openapi_body_as(wagw_json_t *j, const ngx_wagw_route_t *r, const char *type)
{
    ngx_uint_t n = 0;
    const ngx_wagw_field_t *f;

    wagw_json_key(j, type ? type : "application/json");
    wagw_json_open(j, '{');
    wagw_json_key(j, "schema");
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "type", "object");
    wagw_json_key(j, "properties");
    wagw_json_open(j, '{');
    if ((r->flags & NGX_WAGW_R_INSTANCE) && !openapi_in_path(r, "instanceId") &&
        openapi_field(r, (u_char *)"instanceId", 10) == NULL) {
        wagw_json_kraw(j, "instanceId", WAGW_STR("{\"type\":\"string\",\"description\":\"the instance\"}"));
    }
    if (type) {
        wagw_json_kraw(j, "file", WAGW_STR("{\"type\":\"string\",\"format\":\"binary\"}"));
    }
    for (f = r->fields; f && f->name; f++) {
        if (openapi_in_path(r, f->name)) {
            continue;
        }
        n += f->required;
        wagw_json_key(j, f->name);
        wagw_json_open(j, '{');
        openapi_schema(j, f);
        wagw_json_kcstr(j, "description", f->help);
        wagw_json_close(j);
    }
    wagw_json_close(j);
    if (n) {
        wagw_json_key(j, "required");
        wagw_json_open(j, '[');
        for (f = r->fields; f->name; f++) {
            if (f->required && !openapi_in_path(r, f->name)) {
                wagw_json_cstr(j, f->name);
            }
        }
        wagw_json_close(j);
    }
    wagw_json_close(j);
    wagw_json_close(j);
}

static const char *openapi_permission(ngx_uint_t perm)
{
    return perm == NGX_WAGW_PERM_ADMIN     ? "admin"
           : perm == NGX_WAGW_PERM_CONTROL ? "control"
           : perm == NGX_WAGW_PERM_WRITE   ? "write"
           : perm == NGX_WAGW_PERM_SEND    ? "send"
                                           : "read";
}

/* "post" + path words: unique, since paths are. */
static void openapi_id(wagw_json_t *j, const ngx_wagw_route_t *r)
{
    u_char id[256], *p = id, *last = id + sizeof(id) - 1;
    const char *s;

    for (s = r->method; *s && p < last; s++) {
        *p++ = ngx_tolower(*s);
    }
    for (s = r->path; *s && p < last; s++) {
        if (*s == '/') {
            *p++ = '_';
        } else if (*s != ':') {
            *p++ = *s == '-' || *s == '.' ? '_' : (u_char)*s;
        }
    }
    wagw_json_kstr(j, "operationId", wagw_str(id, (size_t)(p - id)));
}

static void openapi_operation(wagw_json_t *j, const ngx_wagw_route_t *r)
{
    u_char name[8], text[160], *p;

    ngx_strlow(name, (u_char *)r->method, ngx_strlen(r->method));
    name[ngx_strlen(r->method)] = '\0';
    wagw_json_key(j, (char *)name);
    wagw_json_open(j, '{');
    openapi_id(j, r);
    wagw_json_kcstr(j, "summary", r->summary);
    wagw_json_key(j, "tags");
    wagw_json_open(j, '[');
    wagw_json_cstr(j, r->group);
    wagw_json_close(j);

    if (r->perm == NGX_WAGW_PERM_PUBLIC) {
        wagw_json_kraw(j, "security", WAGW_STR("[]"));
    } else {
        p = ngx_snprintf(text, sizeof(text), "Permission: %s.%s", openapi_permission(r->perm),
                         r->flags & NGX_WAGW_R_CONNECTED ? " The instance must be connected." : "");
        wagw_json_kstr(j, "description", wagw_str(text, (size_t)(p - text)));
    }
    openapi_parameters(j, r);

    if (openapi_has_body(r)) {
        wagw_json_key(j, "requestBody");
        wagw_json_open(j, '{');
        wagw_json_key(j, "content");
        wagw_json_open(j, '{');
        openapi_body_as(j, r, NULL);
        if (r->flags & NGX_WAGW_R_MEDIA) {
            openapi_body_as(j, r, "multipart/form-data");
        }
        wagw_json_close(j);
        wagw_json_close(j);
    }
    wagw_json_kraw(j, "responses",
                   WAGW_STR("{\"2XX\":{\"description\":\"done\",\"content\":{\"application/json\":{\"schema\":"
                            "{\"$ref\":\"#/components/schemas/Answer\"}}}},"
                            "\"default\":{\"description\":\"refused or failed\",\"content\":{\"application/json\":"
                            "{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}}}"));
    wagw_json_close(j);
}

/* "/api/chats/:instanceId" -> "/api/chats/{instanceId}" */
static void openapi_path(wagw_json_t *j, const char *path)
{
    wagw_buf_t b = {0};
    const char *p;
    size_t n;

    for (p = path; *p; p += n) {
        n = strcspn(p + 1, "/") + 1;
        if (p[1] == ':') {
            wagw_buf_cstr(&b, "/{");
            wagw_buf_add(&b, p + 2, n - 2);
            wagw_buf_cstr(&b, "}");
        } else {
            wagw_buf_add(&b, p, n);
        }
    }
    wagw_json_key_str(j, wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static ngx_uint_t openapi_built(const ngx_wagw_route_t *r)
{
    return r->handler != NULL || (r->flags & NGX_WAGW_R_LOCAL);
}

static const char openapi_components[] =
    "{\"securitySchemes\":{\"key\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\"},"
    "\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}},"
    "\"schemas\":{\"Answer\":{\"type\":\"object\",\"required\":[\"success\",\"requestId\"],\"properties\":{"
    "\"success\":{\"type\":\"boolean\"},\"data\":{},\"message\":{\"type\":\"string\"},"
    "\"count\":{\"type\":\"integer\"},\"total\":{\"type\":\"integer\"},\"pagination\":{\"type\":\"object\"},"
    "\"note\":{\"type\":\"string\"},\"requestId\":{\"type\":\"string\"}}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"success\",\"error\",\"code\",\"requestId\"],\"properties\":{"
    "\"success\":{\"type\":\"boolean\"},\"error\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},\"details\":{},"
    "\"hint\":{\"type\":\"string\"},\"retryAfter\":{\"type\":\"integer\"},\"requestId\":{\"type\":\"string\"}}}}}";

int ngx_wagw_openapi(wagw_buf_t *out)
{
    ngx_uint_t i, k;
    wagw_json_t j = wagw_json(out);
    const ngx_wagw_route_t *r;

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "openapi", "3.0.3");
    wagw_json_kraw(&j, "info",
                   WAGW_STR("{\"title\":\"wagw\",\"version\":\"" NGX_WAGW_VERSION "\","
                            "\"description\":\"WhatsApp gateway inside nginx\",\"license\":{\"name\":"
                            "\"GPL-3.0-or-later\"}}"));
    wagw_json_kraw(&j, "servers", WAGW_STR("[{\"url\":\"/\"}]"));
    wagw_json_kraw(&j, "security", WAGW_STR("[{\"key\":[]},{\"bearer\":[]}]"));
    wagw_json_kraw(&j, "components", wagw_cstr(openapi_components));
    wagw_json_key(&j, "paths");
    wagw_json_open(&j, '{');
    for (i = 0; i < ngx_wagw_nroutes; i++) {
        r = &ngx_wagw_routes[i];
        /* all methods of a path stand together, at its first built row */
        for (k = 0; k < i; k++) {
            if (ngx_strcmp(ngx_wagw_routes[k].path, r->path) == 0 && openapi_built(&ngx_wagw_routes[k])) {
                break;
            }
        }
        if (k < i || !openapi_built(r)) {
            continue;
        }
        openapi_path(&j, r->path);
        wagw_json_open(&j, '{');
        for (k = i; k < ngx_wagw_nroutes; k++) {
            if (ngx_strcmp(ngx_wagw_routes[k].path, r->path) == 0 && openapi_built(&ngx_wagw_routes[k])) {
                openapi_operation(&j, &ngx_wagw_routes[k]);
            }
        }
        wagw_json_close(&j);
    }
    wagw_json_close(&j);
    wagw_json_close(&j);
    return out->failed ? WAGW_NOMEM : WAGW_OK;
}
