#include "ngx_wagw_preview.h"
#include "ngx_wagw_media_text.h"

#define PREVIEW_PAGE (256 * 1024) /* the head of a page is in its beginning */
#define PREVIEW_IMAGE (64 * 1024)
#define PREVIEW_TITLE 300 /* bytes */
#define PREVIEW_TEXT 600
#define PREVIEW_SECONDS 6L

/* ---- fetching (thread) ------------------------------------------------------------- */

static void preview_set(cJSON *into, const char *name, wagw_str_t html, size_t max)
{
    wagw_buf_t b = {0};

    if (html.n == 0 || cJSON_HasObjectItem(into, name)) {
        return;
    }

    ngx_wagw_html_plain(&b, html, max);

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
    ngx_wagw_html_t page = {.title = WAGW_STR_NULL};
    ngx_wagw_media_t *m = task->data;

    if (!cJSON_HasObjectItem(m->conn, "title") &&
        ngx_wagw_media_page(m, m->url, PREVIEW_SECONDS, PREVIEW_PAGE, true, &html)) {
        ngx_wagw_html_read(&page, wagw_buf_view(&html));
        preview_set(m->conn, "title", page.title, PREVIEW_TITLE);
        preview_set(m->conn, "description", page.description, PREVIEW_TEXT);
    }

    if (m->path == NULL && page.image.n && page.image.n < 2048) {
        ngx_wagw_html_plain(&image, page.image, 2048);
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
