/*
 * Field tables of contract 3.16: a part of ngx_wagw_routes_fields.c, whose
 * macros it uses; nobody else includes it.
 */

/* clang-format off */
#define VARIABLES OBJ("variables", "{name: value} of the template's placeholders")
#define TEMPLATE_TYPES "text|image|video|document|buttons|list|poll|location"

const ngx_wagw_field_t ngx_wagw_fields_send_template[] = {
    INSTANCE,
    STR("templateId", OPT, NULL, 1, 64, "the template"),
    STR("templateName", OPT, NULL, 1, 100, "or its name: the instance's own goes before one of no instance"),
    VARIABLES,
    SEND_FIELDS,
    END};

const ngx_wagw_field_t ngx_wagw_fields_template_send[] = {INSTANCE, VARIABLES, SEND_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_template_render[] = {VARIABLES, END};

const ngx_wagw_field_t ngx_wagw_fields_template_list[] = {
    STR("instanceId", OPT, NULL, 1, 64, "only of this instance"),
    STR("q", OPT, NULL, 1, 100, "part of the name"),
    LIMIT("50"), OFFSET, END};

const ngx_wagw_field_t ngx_wagw_fields_template_create[] = {
    STR("name", REQ, NULL, 1, 100, "its name, once for each instance, or each key where there is no instance"),
    ENUM("type", REQ, TEMPLATE_TYPES, NULL, "what it sends"),
    {"content", NGX_WAGW_T_OBJ, F_REQ, NULL, 0, 0, NULL, NULL,
     "the fields of that send call; {{name}} is a variable, with filters {{name|default:\"friend\"}}, upper, lower, date:\"%d/%m/%Y\""},
    STR("instanceId", OPT, NULL, 1, 64, "of this instance; default: of the key"),
    STRS("variables", OPT, 0, 100, "further names; those found in the content are listed by themselves"),
    STR("language", OPT, NULL, 0, 16, "a mark of yours, such as pt-BR"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_template_update[] = {
    STR("name", OPT, NULL, 1, 100, "its name"),
    ENUM("type", OPT, TEMPLATE_TYPES, NULL, "what it sends"),
    OBJ("content", "the fields of that send call"),
    STR("instanceId", OPT, NULL, 1, 64, "of this instance"),
    STRS("variables", OPT, 0, 100, "further names"),
    STR("language", OPT, NULL, 0, 16, "a mark of yours"),
    END};
/* clang-format on */
