#include "draft.h"

static bool wagw_compose_is_url(const char *s)
{
    return strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0;
}

/* A preview that the caller made: shown under the text, beside its URL. */
static int wagw_compose_preview(wagw_draft_t *d, const cJSON *p, Wa__Message__ExtendedTextMessage *x)
{
    int rc;
    const char *url, *title, *description;

    url = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "matchedText"));
    if (url == NULL) {
        url = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "url"));
    }

    title = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "title"));
    description = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "description"));

    if (url == NULL && title == NULL) {
        return WAGW_OK;
    }

    /* clients look for the matched text inside the text and show no card else */
    if (url && strstr(x->text, url)) {
        rc = wagw_draft_dup(d, &x->matchedtext, url);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    if (title) {
        rc = wagw_draft_dup(d, &x->title, title);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    if (description) {
        rc = wagw_draft_dup(d, &x->description, description);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    x->has_previewtype = 1;
    x->previewtype = 0;

    rc = wagw_draft_base64(d, cJSON_GetObjectItemCaseSensitive(p, "thumbnail"), "linkPreview.thumbnail",
                           &x->has_jpegthumbnail, &x->jpegthumbnail);
    p = cJSON_GetObjectItemCaseSensitive(p, "_media");

    return rc == WAGW_OK && p ? wagw_compose_thumbnail(d, p, x) : rc;
}

int wagw_compose_colour(const wagw_draft_t *d, const char *s, uint32_t *argb)
{
    uint8_t c[4] = {0, 0, 0, 255};
    size_t n;

    if (*s == '#') {
        s++;
    }

    n = strlen(s) == 8 ? 4 : 3;
    if (wagw_hex_fixed(c, n, wagw_cstr(s)) != WAGW_OK) {
        return wagw_draft_bad(d, "backgroundColor");
    }

    *argb = (uint32_t)c[3] << 24 | (uint32_t)c[0] << 16 | (uint32_t)c[1] << 8 | c[2];

    return WAGW_OK;
}

static int wagw_compose_text(wagw_draft_t *d)
{
    int rc;
    uint32_t argb = 0;
    const char *text = wagw_draft_str(d, "message", "text");
    const char *colour = wagw_draft_str(d, "backgroundColor", NULL);
    const cJSON *preview = wagw_draft_get(d, "linkPreview", NULL);
    const cJSON *font = wagw_draft_get(d, "font", NULL);
    Wa__Message__ExtendedTextMessage *x;

    if (text == NULL || *text == '\0') {
        return wagw_draft_bad(d, "message");
    }

    WAGW_DRAFT_NEW(d, x, message__extended_text_message);

    rc = wagw_draft_text(d, text, &x->text);
    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &x->contextinfo);
    }

    if (rc == WAGW_OK && cJSON_IsObject(preview)) {
        rc = wagw_compose_preview(d, preview, x);
    }

    if (rc == WAGW_OK && colour) {
        rc = wagw_compose_colour(d, colour, &argb);
        if (rc == WAGW_OK) {
            x->has_backgroundargb = 1;
            x->backgroundargb = argb;
        }
    }

    if (cJSON_IsNumber(font)) {
        if (font->valuedouble < 0 || font->valuedouble > 255) {
            return wagw_draft_bad(d, "font");
        }
        x->has_font = 1;
        x->font = font->valueint;
    }

    d->m->extendedtextmessage = x;

    return rc;
}

static int wagw_compose_link(wagw_draft_t *d)
{
    int rc;
    char *joined;
    wagw_str_t s;
    const char *text = wagw_draft_str(d, "text", "message");
    const char *url = wagw_draft_str(d, "url", NULL);
    Wa__Message__ExtendedTextMessage *x;

    if (text == NULL && url == NULL) {
        return wagw_draft_bad(d, "text");
    }

    if (url && !wagw_compose_is_url(url)) {
        return wagw_draft_bad(d, "url");
    }

    WAGW_DRAFT_NEW(d, x, message__extended_text_message);

    if (text == NULL || *text == '\0') {
        joined = (char *)url;

    } else if (url && strstr(text, url) == NULL) {
        s = wagw_arena_printf(d->a, "%s\n%s", text, url);
        joined = (char *)s.p;

    } else {
        joined = (char *)text;
    }

    if (joined == NULL) {
        return WAGW_NOMEM;
    }

    rc = wagw_draft_text(d, joined, &x->text);
    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &x->contextinfo);
    }

    if (rc == WAGW_OK && url) {
        rc = wagw_compose_preview(d, d->b->params, x);
    }

    d->m->extendedtextmessage = x;

    return rc;
}

int wagw_compose(wagw_draft_t *d)
{
    switch (d->b->kind) {
    case WAGW_BUILD_TEXT:
        return wagw_compose_text(d);

    case WAGW_BUILD_LINK_PREVIEW:
        return wagw_compose_link(d);

    case WAGW_BUILD_MEDIA:
        return wagw_compose_media(d);

    case WAGW_BUILD_ALBUM:
        return wagw_compose_album(d);

    default:
        return wagw_compose_special(d);
    }
}
