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

#define SCHEDULE_FIELDS                                                                                         \
    {"to", NGX_WAGW_T_ANY, F_OPT, "chatId", 0, 0, "jid|jids", NULL, "required: one recipient, or up to 1000"},  \
    ISO("sendAt", OPT, "when; 400 when more than a minute in the past"),                                        \
    STR("cron", OPT, NULL, 9, 200, "or again and again: minute hour day month weekday"),                        \
    STR("timezone", OPT, NULL, 1, 64, "of cron, such as Europe/Berlin; default UTC"),                           \
    ISO("until", OPT, "the end of cron"),                                                                       \
    OBJ("content", "any send body, with its type: text, image, poll, location, ..."),                           \
    STR("templateId", OPT, NULL, 1, 64, "or a template, as it is now; 422 when a variable is missing"),         \
    OBJ("variables", "{name: value} of its placeholders"),                                                      \
    {"ttl", NGX_WAGW_T_INT, F_OPT, NULL, 1, 2592000, NULL, NULL,                                                \
     "seconds that a run may wait for its instance, default 86400"},                                            \
    INT("priority", 0, 9, NULL, "in the instance's send queue, default 5")

const ngx_wagw_field_t ngx_wagw_fields_schedule_create[] = {INSTANCE, SCHEDULE_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_schedule_update[] = {SCHEDULE_FIELDS, END};

const ngx_wagw_field_t ngx_wagw_fields_schedule_list[] = {
    STR("instanceId", OPT, NULL, 1, 64, "only of this instance"),
    ENUM("status", OPT, "scheduled|running|done|failed|cancelled", NULL, "only with this status"),
    LIMIT("50"), OFFSET, END};
/* clang-format on */
