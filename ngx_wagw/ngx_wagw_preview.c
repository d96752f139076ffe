#include "ngx_wagw_preview.h"

#define PREVIEW_PAGE (256 * 1024) /* the head of a page is in its beginning */
#define PREVIEW_IMAGE (64 * 1024)
#define PREVIEW_TITLE 300 /* bytes */
#define PREVIEW_TEXT 600
#define PREVIEW_SECONDS 6L

/* ---- what is in a page ------------------------------------------------------------ */

/* Up to max bytes of text from HTML: entities of the common kind, white space joined. */
static void preview_plain(wagw_buf_t *out, wagw_str_t s, size_t max)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {{"&amp;", '&'},  {"&lt;", '<'},    {"&gt;", '>'},    {"&quot;", '"'},
                    {"&#39;", '\''}, {"&#x27;", '\''}, {"&apos;", '\''}, {"&nbsp;", ' '}};
    bool space = false;
    size_t len;
    uint8_t c;

    for (size_t i = 0; i < s.n && out->n < max;) {
        c = s.p[i];
        len = 1;

        for (size_t k = 0; c == '&' && k < sizeof(entities) / sizeof(entities[0]); k++) {
            size_t n = strlen(entities[k].name);

            if (s.n - i >= n && memcmp(s.p + i, entities[k].name, n) == 0) {
                c = (uint8_t)entities[k].c;
                len = n;
                break;
            }
        }

        i += len;

        if (c <= ' ') {
            space = out->n > 0;
            continue;
        }
        if (space) {
            wagw_buf_u8(out, ' ');
            space = false;
        }
        wagw_buf_u8(out, c);
    }

    /* not in the middle of a character */
    for (unsigned cut = 0; cut < 3 && out->n && !wagw_utf8_valid(wagw_buf_view(out)); cut++) {
        out->n--;
    }
    if (!wagw_utf8_valid(wagw_buf_view(out))) {
        wagw_buf_reset(out);
    }
}

static const uint8_t *preview_find(const uint8_t *p, const uint8_t *end, const char *word)
{
    size_t n = strlen(word);

    for (; p + n <= end; p++) {
        if (strncasecmp((const char *)p, word, n) == 0) {
            return p;
        }
    }

    return NULL;
}

/* The value of an attribute inside a tag. */
static wagw_str_t preview_attribute(const uint8_t *p, const uint8_t *end, const char *name)
{
    size_t n = strlen(name);
    const uint8_t *from;
    uint8_t quote;

    while ((p = preview_find(p, end, name)) != NULL) {
        if (p[-1] <= ' ' && p + n + 1 < end && p[n] == '=' && (p[n + 1] == '"' || p[n + 1] == '\'')) {
            quote = p[n + 1];
            from = p + n + 2;
            p = memchr(from, quote, (size_t)(end - from));

            return p ? wagw_str(from, (size_t)(p - from)) : WAGW_STR_NULL;
        }
        p += n;
    }

    return WAGW_STR_NULL;
}

typedef struct {
    wagw_str_t title, description, image;
} preview_page_t;

static void preview_read(preview_page_t *page, wagw_str_t html)
{
    const uint8_t *p = html.p, *end = html.p + html.n, *close;
    wagw_str_t name, content;
    bool og_title = false, og_text = false;

    while (p < end && (p = memchr(p, '<', (size_t)(end - p))) != NULL) {
        close = memchr(p, '>', (size_t)(end - p));
        if (close == NULL) {
            break;
        }

        if (close - p > 6 && strncasecmp((const char *)p, "<title", 6) == 0 && page->title.n == 0) {
            const uint8_t *stop = preview_find(close, end, "</title");

            if (stop) {
                page->title = wagw_str(close + 1, (size_t)(stop - close - 1));
            }

        } else if (close - p > 5 && strncasecmp((const char *)p, "<meta", 5) == 0) {
            name = preview_attribute(p + 1, close, "property");
            if (name.n == 0) {
                name = preview_attribute(p + 1, close, "name");
            }
            content = preview_attribute(p + 1, close, "content");

            if (content.n && wagw_str_is(name, "og:title") && !og_title) {
                page->title = content;
                og_title = true;
            } else if (content.n && wagw_str_is(name, "og:description") && !og_text) {
                page->description = content;
                og_text = true;
            } else if (content.n && wagw_str_is(name, "description") && page->description.n == 0) {
                page->description = content;
            } else if (content.n && wagw_str_is(name, "og:image") && page->image.n == 0) {
                page->image = content;
            }

        } else if (close - p > 5 && strncasecmp((const char *)p, "<body", 5) == 0) {
            break;
        }

        p = close + 1;
    }
}

/* ---- fetching (thread) ------------------------------------------------------------- */

static void preview_set(cJSON *into, const char *name, wagw_str_t html, size_t max)
{
    wagw_buf_t b = {0};

    if (html.n == 0 || cJSON_HasObjectItem(into, name)) {
        return;
    }

    preview_plain(&b, html, max);

    if (b.n && wagw_buf_u8(&b, 0) == WAGW_OK) {
        cJSON_AddStringToObject(into, name, (const char *)b.p);
    }

    wagw_buf_free(&b);
}

static void preview_image(ngx_wagw_media_t *m, const char *url)
{
    wagw_buf_t image = {0}, text = {0};

    if (ngx_wagw_media_page(m, url, PREVIEW_SECONDS, PREVIEW_IMAGE, false, &image) && image.n > 3 &&
        memcmp(image.p, "\xff\xd8\xff", 3) == 0 && wagw_base64_encode(&text, wagw_buf_view(&image)) == WAGW_OK &&
        wagw_buf_u8(&text, 0) == WAGW_OK) {
        cJSON_AddStringToObject(m->conn, "thumbnail", (const char *)text.p);
    }

    wagw_buf_free(&image);
    wagw_buf_free(&text);
}

/* m->url is the page, m->path the caller's picture, m->conn what is known of it. */
static void preview_run(ngx_wagw_task_t *task)
{
    wagw_buf_t html = {0}, image = {0};
    preview_page_t page = {.title = WAGW_STR_NULL};
    ngx_wagw_media_t *m = task->data;

    if (!cJSON_HasObjectItem(m->conn, "title") &&
        ngx_wagw_media_page(m, m->url, PREVIEW_SECONDS, PREVIEW_PAGE, true, &html)) {
        preview_read(&page, wagw_buf_view(&html));
        preview_set(m->conn, "title", page.title, PREVIEW_TITLE);
        preview_set(m->conn, "description", page.description, PREVIEW_TEXT);
    }

    if (m->path == NULL && page.image.n && page.image.n < 2048) {
        preview_plain(&image, page.image, 2048);
        wagw_buf_u8(&image, 0);
    }

    if (m->path) {
        preview_image(m, m->path);
    } else if (image.n && !image.failed && ngx_wagw_fields_url_ok((const char *)image.p)) {
        preview_image(m, (const char *)image.p);
    }

    wagw_buf_free(&html);
    wagw_buf_free(&image);
}

/* ---- the calls --------------------------------------------------------------------- */

static void preview_text_done(ngx_wagw_media_t *m)
{
    ngx_wagw_call_t *call = m->call;

    if (cJSON_HasObjectItem(m->conn, "title")) {
        cJSON_AddStringToObject(m->conn, "url", m->url);
        cJSON_AddItemToObject(call->params, "linkPreview", m->conn);
        m->conn = NULL;
    }

    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

/* The first address in the text, as written: it ends at white space and
 * without the punctuation of a sentence. */
static char *preview_url(const char *text)
{
    size_t n;
    char *url;
    const char *p = strstr(text, "http");

    while (p && strncmp(p, "http://", 7) != 0 && strncmp(p, "https://", 8) != 0) {
        p = strstr(p + 4, "http");
    }

    if (p == NULL || (p > text && ngx_strchr("abcdefghijklmnopqrstuvwxyz0123456789", p[-1]))) {
        return NULL;
    }

    n = strcspn(p, " \t\r\n<>\"");
    while (n > 8 && strchr(".,;:!?)]}'", p[n - 1])) {
        n--;
    }

    url = n < 2048 ? strndup(p, n) : NULL;
    if (url && !ngx_wagw_fields_url_ok(url)) {
        free(url);
        url = NULL;
    }

    return url;
}

void ngx_wagw_preview_text(ngx_wagw_call_t *call)
{
    char *url = NULL;
    const cJSON *setting;
    ngx_wagw_media_t *m;

    if (ngx_wagw_param_bool(call, "linkPreview") != 0) {
        setting = cJSON_GetObjectItemCaseSensitive(ngx_wagw_call_instance(call)->settings, "linkPreview");
        url = cJSON_IsFalse(setting) ? NULL : preview_url((const char *)ngx_wagw_param_str(call, "message").p);
    }

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "linkPreview");

    if (url == NULL) {
        ngx_wagw_call_command(call, WAGW_CMD_SEND);
        return;
    }

    m = ngx_wagw_media_new(call);
    if (m == NULL) {
        free(url);
        return;
    }

    m->url = url;
    m->conn = cJSON_CreateObject();
    ngx_wagw_media_run(m, preview_run, preview_text_done);
}

static void preview_link_done(ngx_wagw_media_t *m)
{
    static const char *const names[] = {"title", "description", "thumbnail"};
    cJSON *item;
    ngx_wagw_call_t *call = m->call;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        item = cJSON_DetachItemFromObjectCaseSensitive(m->conn, names[i]);
        if (item) {
            cJSON_DeleteItemFromObjectCaseSensitive(call->params, names[i]);
            cJSON_AddItemToObject(call->params, names[i], item);
        }
    }

    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

void ngx_wagw_preview_link(ngx_wagw_call_t *call)
{
    wagw_str_t image, url = ngx_wagw_param_str(call, "url");
    ngx_wagw_media_t *m;
    const char *names[] = {"title", "description"};

    /* only what is fetched here is a thumbnail */
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "thumbnail");

    if (url.n == 0) {
        ngx_wagw_call_command(call, WAGW_CMD_SEND);
        return;
    }

    m = ngx_wagw_media_new(call);
    if (m == NULL) {
        return;
    }

    image = ngx_wagw_param_str(call, "thumbnailUrl");
    m->url = strdup((const char *)url.p);
    m->path = image.n ? strdup((const char *)image.p) : NULL;
    m->conn = cJSON_CreateObject();

    for (size_t i = 0; i < 2; i++) {
        if (ngx_wagw_param_str(call, names[i]).n) {
            cJSON_AddStringToObject(m->conn, names[i], (const char *)ngx_wagw_param_str(call, names[i]).p);
        }
    }

    if (m->url == NULL || m->conn == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_media_run(m, preview_run, preview_link_done);
}
