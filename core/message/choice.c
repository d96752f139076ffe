#include "draft.h"

/* Clients show only native flow buttons today (05 section 10); a list is a
 * single_select button. */

typedef Wa__Message__InteractiveMessage wagw_im_t;
typedef Wa__Message__InteractiveMessage__NativeFlowMessage wagw_nf_t;
typedef Wa__Message__InteractiveMessage__NativeFlowMessage__NativeFlowButton wagw_nfb_t;

static const char *wagw_choice_member(const cJSON *o, const char *name, const char *alias)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    return s ? s : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, alias));
}

static int wagw_choice_button(const wagw_draft_t *d, const char *name, wagw_buf_t *json, wagw_nfb_t **out)
{
    int rc;
    wagw_nfb_t *b;

    b = WAGW_PB_NEW(d->a, message__interactive_message__native_flow_message__native_flow_button);
    if (b == NULL || json->failed) {
        wagw_buf_free(json);
        return WAGW_NOMEM;
    }

    rc = wagw_draft_dup(d, &b->name, name);

    if (rc == WAGW_OK) {
        b->buttonparamsjson = wagw_pb_dup(d->a, wagw_buf_view(json));
        rc = b->buttonparamsjson ? WAGW_OK : WAGW_NOMEM;
    }

    wagw_buf_free(json);
    *out = b;

    return rc;
}

static int wagw_choice_one(const wagw_draft_t *d, const cJSON *o, wagw_nfb_t **out)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const char *name, *value;
    const char *type = wagw_choice_member(o, "type", "kind");
    const char *text = wagw_choice_member(o, "buttonText", "text");
    const char *id = wagw_choice_member(o, "buttonId", "id");
    const cJSON *nested = cJSON_GetObjectItemCaseSensitive(o, "buttonText");

    if (text == NULL) {
        text = wagw_choice_member(cJSON_IsObject(nested) ? nested : o, "displayText", "title");
    }

    if (text == NULL || *text == '\0') {
        return wagw_draft_bad(d, "buttons");
    }

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "display_text", text);

    if (type == NULL || strcmp(type, "reply") == 0) {
        name = "quick_reply";
        value = id ? id : text;
        wagw_json_kcstr(&j, "id", value);

    } else if (strcmp(type, "url") == 0) {
        name = "cta_url";
        value = wagw_choice_member(o, "url", "link");
        wagw_json_kcstr(&j, "url", value);
        wagw_json_kcstr(&j, "merchant_url", value);

    } else if (strcmp(type, "call") == 0) {
        name = "cta_call";
        value = wagw_choice_member(o, "phoneNumber", "phone");
        wagw_json_kcstr(&j, "phone_number", value);

    } else if (strcmp(type, "copy") == 0) {
        name = "cta_copy";
        value = wagw_choice_member(o, "code", "copyCode");
        wagw_json_kcstr(&j, "copy_code", value);

    } else {
        value = NULL;
        name = NULL;
    }

    wagw_json_close(&j);

    if (value == NULL || *value == '\0') {
        wagw_buf_free(&b);
        return wagw_draft_bad(d, "buttons");
    }

    return wagw_choice_button(d, name, &b, out);
}

static int wagw_choice_buttons(wagw_draft_t *d, wagw_nf_t *nf)
{
    int rc;
    const cJSON *one, *list = wagw_draft_get(d, "buttons", NULL);
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;

    if (n < 1 || n > 3) {
        return wagw_draft_bad(d, "buttons");
    }

    nf->buttons = wagw_arena_zalloc(d->a, (size_t)n * sizeof(*nf->buttons));
    if (nf->buttons == NULL) {
        return WAGW_NOMEM;
    }

    cJSON_ArrayForEach(one, list)
    {
        rc = wagw_choice_one(d, one, &nf->buttons[nf->n_buttons]);
        if (rc != WAGW_OK) {
            return rc;
        }
        nf->n_buttons++;
    }

    return WAGW_OK;
}

static bool wagw_choice_rows(wagw_json_t *j, const cJSON *rows, unsigned *left)
{
    const cJSON *one;

    if (!cJSON_IsArray(rows) || rows->child == NULL) {
        return false;
    }

    wagw_json_key(j, "rows");
    wagw_json_open(j, '[');

    cJSON_ArrayForEach(one, rows)
    {
        const char *title = wagw_choice_member(one, "title", "text");
        const char *id = wagw_choice_member(one, "rowId", "id");
        const char *description = wagw_choice_member(one, "description", "subtitle");

        if (title == NULL || *title == '\0' || *left == 0) {
            return false;
        }

        (*left)--;
        wagw_json_open(j, '{');
        wagw_json_kcstr(j, "header", "");
        wagw_json_kcstr(j, "title", title);
        wagw_json_kcstr(j, "description", description ? description : "");
        wagw_json_kcstr(j, "id", id ? id : title);
        wagw_json_close(j);
    }

    wagw_json_close(j);

    return true;
}

static int wagw_choice_list(wagw_draft_t *d, wagw_nf_t *nf)
{
    unsigned left = 100;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const cJSON *one, *list = wagw_draft_get(d, "sections", NULL);
    const char *button = wagw_draft_str(d, "buttonText", NULL);

    if (button == NULL || *button == '\0') {
        return wagw_draft_bad(d, "buttonText");
    }

    if (!cJSON_IsArray(list) || list->child == NULL) {
        return wagw_draft_bad(d, "sections");
    }

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "title", button);
    wagw_json_key(&j, "sections");
    wagw_json_open(&j, '[');

    cJSON_ArrayForEach(one, list)
    {
        const char *title = wagw_choice_member(one, "title", "name");

        wagw_json_open(&j, '{');
        wagw_json_kcstr(&j, "title", title ? title : "");

        if (!wagw_choice_rows(&j, cJSON_GetObjectItemCaseSensitive(one, "rows"), &left)) {
            wagw_buf_free(&b);
            return wagw_draft_bad(d, "sections");
        }

        wagw_json_close(&j);
    }

    wagw_json_close(&j);
    wagw_json_close(&j);

    nf->buttons = wagw_arena_zalloc(d->a, sizeof(*nf->buttons));
    if (nf->buttons == NULL) {
        wagw_buf_free(&b);
        return WAGW_NOMEM;
    }

    nf->n_buttons = 1;

    return wagw_choice_button(d, "single_select", &b, &nf->buttons[0]);
}

const char *wagw_choice_biz(const wagw_open_t *o)
{
    const wagw_im_t *im = (const wagw_im_t *)o->sub;
    const wagw_nf_t *nf;

    if (o->kind != WAGW_KIND_INTERACTIVE ||
        im->interactive_message_case != WA__MESSAGE__INTERACTIVE_MESSAGE__INTERACTIVE_MESSAGE_NATIVE_FLOW_MESSAGE) {
        return NULL;
    }

    nf = im->nativeflowmessage;

    /* a single button that opens something keeps its own name in <biz> */
    return nf->n_buttons == 1 && nf->buttons[0]->name && strcmp(nf->buttons[0]->name, "cta_url") == 0 ? "cta_url"
                                                                                                      : "mixed";
}

int wagw_compose_choice(wagw_draft_t *d)
{
    int rc;
    bool list = d->b->kind == WAGW_BUILD_LIST;
    const char *header = wagw_draft_str(d, list ? "title" : "header", NULL);
    const char *text = wagw_draft_str(d, "text", list ? "title" : "message");
    const char *footer = wagw_draft_str(d, "footer", NULL);
    wagw_im_t *im;
    wagw_nf_t *nf;
    Wa__MessageContextInfo *info;

    if (text == NULL || *text == '\0') {
        return wagw_draft_bad(d, list ? "title" : "text");
    }

    WAGW_DRAFT_NEW(d, im, message__interactive_message);
    WAGW_DRAFT_NEW(d, nf, message__interactive_message__native_flow_message);
    WAGW_DRAFT_NEW(d, im->body, message__interactive_message__body);
    WAGW_DRAFT_NEW(d, im->header, message__interactive_message__header);

    rc = wagw_draft_text(d, text, &im->body->text);

    if (rc == WAGW_OK) {
        rc = wagw_draft_dup(d, &im->header->title, header && header != text ? header : "");
    }

    if (rc == WAGW_OK && footer) {
        WAGW_DRAFT_NEW(d, im->footer, message__interactive_message__footer);
        rc = wagw_draft_dup(d, &im->footer->text, footer);
    }

    if (rc == WAGW_OK) {
        rc = list ? wagw_choice_list(d, nf) : wagw_choice_buttons(d, nf);
    }

    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &im->contextinfo);
    }

    if (rc != WAGW_OK) {
        return rc;
    }

    im->header->has_hasmediaattachment = 1;
    nf->has_messageversion = 1;
    nf->messageversion = 1;
    im->interactive_message_case = WA__MESSAGE__INTERACTIVE_MESSAGE__INTERACTIVE_MESSAGE_NATIVE_FLOW_MESSAGE;
    im->nativeflowmessage = nf;
    d->m->interactivemessage = im;

    WAGW_DRAFT_NEW(d, info, message_context_info);
    WAGW_DRAFT_NEW(d, info->devicelistmetadata, device_list_metadata);
    info->has_devicelistmetadataversion = 1;
    info->devicelistmetadataversion = 2;
    d->m->messagecontextinfo = info;

    return WAGW_OK;
}
