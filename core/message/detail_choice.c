#include "detail.h"

typedef Wa__Message__InteractiveMessage__NativeFlowMessage__NativeFlowButton wagw_flow_button_t;

void wagw_detail_list(wagw_json_t *j, const Wa__Message__ListMessage *l)
{
    wagw_json_key(j, "list");
    wagw_json_open(j, '{');
    wagw_detail_str(j, "title", l->title);
    wagw_detail_str(j, "text", l->description);
    wagw_detail_str(j, "buttonText", l->buttontext);
    wagw_detail_str(j, "footer", l->footertext);
    wagw_json_key(j, "sections");
    wagw_json_open(j, '[');

    for (size_t i = 0; i < l->n_sections && i < WAGW_DETAIL_LIST; i++) {
        wagw_json_open(j, '{');
        wagw_detail_str(j, "title", l->sections[i]->title);
        wagw_json_key(j, "rows");
        wagw_json_open(j, '[');

        for (size_t k = 0; k < l->sections[i]->n_rows && k < WAGW_DETAIL_LIST; k++) {
            wagw_json_open(j, '{');
            wagw_detail_str(j, "title", l->sections[i]->rows[k]->title);
            wagw_detail_str(j, "description", l->sections[i]->rows[k]->description);
            wagw_detail_str(j, "rowId", l->sections[i]->rows[k]->rowid);
            wagw_json_close(j);
        }

        wagw_json_close(j);
        wagw_json_close(j);
    }

    wagw_json_close(j);
    wagw_json_close(j);
}

static void wagw_detail_buttons_open(wagw_json_t *j, const char *header, const char *text, const char *footer)
{
    wagw_json_key(j, "buttons");
    wagw_json_open(j, '{');
    wagw_detail_str(j, "header", header);
    wagw_detail_str(j, "text", text);
    wagw_detail_str(j, "footer", footer);
    wagw_json_key(j, "buttons");
    wagw_json_open(j, '[');
}

static void wagw_detail_button(wagw_json_t *j, const char *type, const char *id, const char *text, const char *key,
                               const char *value)
{
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "type", type);
    wagw_detail_str(j, "id", id);
    wagw_detail_str(j, "text", text);

    if (key) {
        wagw_detail_str(j, key, value);
    }

    wagw_json_close(j);
}

void wagw_detail_template(wagw_json_t *j, const Wa__Message__TemplateMessage__HydratedFourRowTemplate *h)
{
    const char *title =
        h->title_case == WA__MESSAGE__TEMPLATE_MESSAGE__HYDRATED_FOUR_ROW_TEMPLATE__TITLE_HYDRATED_TITLE_TEXT
            ? h->hydratedtitletext
            : NULL;

    wagw_detail_buttons_open(j, title, h->hydratedcontenttext, h->hydratedfootertext);

    for (size_t i = 0; i < h->n_hydratedbuttons && i < WAGW_DETAIL_LIST; i++) {
        const Wa__HydratedTemplateButton *b = h->hydratedbuttons[i];

        switch (b->hydrated_button_case) {
        case WA__HYDRATED_TEMPLATE_BUTTON__HYDRATED_BUTTON_QUICK_REPLY_BUTTON:
            wagw_detail_button(j, "reply", b->quickreplybutton->id, b->quickreplybutton->displaytext, NULL, NULL);
            break;

        case WA__HYDRATED_TEMPLATE_BUTTON__HYDRATED_BUTTON_URL_BUTTON:
            wagw_detail_button(j, "url", NULL, b->urlbutton->displaytext, "url", b->urlbutton->url);
            break;

        case WA__HYDRATED_TEMPLATE_BUTTON__HYDRATED_BUTTON_CALL_BUTTON:
            wagw_detail_button(j, "call", NULL, b->callbutton->displaytext, "phoneNumber", b->callbutton->phonenumber);
            break;

        default:
            break;
        }
    }

    wagw_json_close(j);
    wagw_json_close(j);
}

/* Parameters come from the sender: NULL unless they are JSON of bearable size. */
static cJSON *wagw_detail_parse(const char *text)
{
    if (text == NULL || strlen(text) > WAGW_DETAIL_BYTES || !wagw_utf8_valid(wagw_cstr(text))) {
        return NULL;
    }

    return cJSON_ParseWithOpts(text, NULL, true);
}

static void wagw_detail_params(wagw_json_t *j, const char *key, const char *text)
{
    cJSON *json = wagw_detail_parse(text);
    char *out = json ? cJSON_PrintUnformatted(json) : NULL;

    if (out) {
        wagw_json_kraw(j, key, wagw_cstr(out));
    } else {
        wagw_detail_str(j, key, text);
    }

    cJSON_free(out);
    cJSON_Delete(json);
}

static const char *wagw_detail_param(const cJSON *params, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, name));
}

/* The four kinds that wagw sends read as they were given; others keep their
 * name and parameters. */
static void wagw_detail_flow(wagw_json_t *j, const wagw_flow_button_t *b, const cJSON *params)
{
    const char *name = b->name ? b->name : "";
    const char *text = wagw_detail_param(params, "display_text");

    if (strcmp(name, "quick_reply") == 0) {
        wagw_detail_button(j, "reply", wagw_detail_param(params, "id"), text, NULL, NULL);

    } else if (strcmp(name, "cta_url") == 0) {
        wagw_detail_button(j, "url", NULL, text, "url", wagw_detail_param(params, "url"));

    } else if (strcmp(name, "cta_call") == 0) {
        wagw_detail_button(j, "call", NULL, text, "phoneNumber", wagw_detail_param(params, "phone_number"));

    } else if (strcmp(name, "cta_copy") == 0) {
        wagw_detail_button(j, "copy", NULL, text, "code", wagw_detail_param(params, "copy_code"));

    } else {
        wagw_json_open(j, '{');
        wagw_json_kcstr(j, "type", name);
        wagw_detail_params(j, "params", b->buttonparamsjson);
        wagw_json_close(j);
    }
}

static void wagw_detail_single_select(wagw_json_t *j, const Wa__Message__InteractiveMessage *im, const cJSON *params)
{
    const cJSON *sections = cJSON_GetObjectItemCaseSensitive(params, "sections");
    char *text = cJSON_IsArray(sections) ? cJSON_PrintUnformatted(sections) : NULL;

    wagw_json_key(j, "list");
    wagw_json_open(j, '{');
    wagw_detail_str(j, "title", im->header ? im->header->title : NULL);
    wagw_detail_str(j, "text", im->body ? im->body->text : NULL);
    wagw_detail_str(j, "buttonText", wagw_detail_param(params, "title"));
    wagw_detail_str(j, "footer", im->footer ? im->footer->text : NULL);
    wagw_json_kraw(j, "sections", wagw_cstr(text ? text : "[]"));
    wagw_json_close(j);

    cJSON_free(text);
}

void wagw_detail_interactive(wagw_json_t *j, const Wa__Message__InteractiveMessage *im)
{
    cJSON *params;
    const Wa__Message__InteractiveMessage__NativeFlowMessage *nf = NULL;

    if (im->interactive_message_case == WA__MESSAGE__INTERACTIVE_MESSAGE__INTERACTIVE_MESSAGE_NATIVE_FLOW_MESSAGE) {
        nf = im->nativeflowmessage;
    }

    if (nf && nf->n_buttons == 1 && nf->buttons[0]->name && strcmp(nf->buttons[0]->name, "single_select") == 0) {
        params = wagw_detail_parse(nf->buttons[0]->buttonparamsjson);
        wagw_detail_single_select(j, im, params);
        cJSON_Delete(params);
        return;
    }

    wagw_detail_buttons_open(j, im->header ? im->header->title : NULL, im->body ? im->body->text : NULL,
                             im->footer ? im->footer->text : NULL);

    for (size_t i = 0; nf && i < nf->n_buttons && i < WAGW_DETAIL_LIST; i++) {
        params = wagw_detail_parse(nf->buttons[i]->buttonparamsjson);
        wagw_detail_flow(j, nf->buttons[i], params);
        cJSON_Delete(params);
    }

    wagw_json_close(j);
    wagw_json_close(j);
}

void wagw_detail_button_list(wagw_json_t *j, const Wa__Message__ButtonsMessage *b)
{
    const char *title = b->header_case == WA__MESSAGE__BUTTONS_MESSAGE__HEADER_TEXT ? b->text : NULL;

    wagw_detail_buttons_open(j, title, b->contenttext, b->footertext);

    for (size_t i = 0; i < b->n_buttons && i < WAGW_DETAIL_LIST; i++) {
        const Wa__Message__ButtonsMessage__Button *one = b->buttons[i];

        wagw_detail_button(j, "reply", one->buttonid, one->buttontext ? one->buttontext->displaytext : NULL, NULL,
                           NULL);
    }

    wagw_json_close(j);
    wagw_json_close(j);
}

void wagw_detail_reply(wagw_json_t *j, const wagw_open_t *o)
{
    wagw_json_key(j, "reply");
    wagw_json_open(j, '{');

    switch (o->kind) {
    case WAGW_KIND_LIST_REPLY:
        wagw_detail_str(j, "id", wagw_pb_str(wagw_pb_sub(o->sub, "singleSelectReply"), "selectedRowId"));
        wagw_detail_str(j, "text", wagw_pb_str(o->sub, "title"));
        wagw_detail_str(j, "description", wagw_pb_str(o->sub, "description"));
        break;

    case WAGW_KIND_BUTTON_REPLY:
        wagw_detail_str(j, "id", wagw_pb_str(o->sub, "selectedButtonId"));
        wagw_detail_str(j, "text", wagw_pb_str(o->sub, "selectedDisplayText"));
        break;

    case WAGW_KIND_TEMPLATE_REPLY:
        wagw_detail_str(j, "id", wagw_pb_str(o->sub, "selectedId"));
        wagw_detail_str(j, "text", wagw_pb_str(o->sub, "selectedDisplayText"));
        wagw_detail_uint(j, "index", o->sub, "selectedIndex");
        break;

    default: {
        ProtobufCMessage *nf = wagw_pb_sub(o->sub, "nativeFlowResponseMessage");
        const char *params = wagw_pb_str(nf, "paramsJson");
        cJSON *json = wagw_detail_parse(params);
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(json, "id");

        wagw_detail_str(j, "id", cJSON_GetStringValue(id));
        wagw_detail_str(j, "text", wagw_pb_str(wagw_pb_sub(o->sub, "body"), "text"));
        wagw_detail_str(j, "name", wagw_pb_str(nf, "name"));
        wagw_detail_params(j, "params", params);
        cJSON_Delete(json);
    }
    }

    wagw_json_close(j);
}
