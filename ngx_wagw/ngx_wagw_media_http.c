#include "ngx_wagw_media.h"

/*
 * Blocking requests, one easy handle each, in threads.  Who only trickles is
 * given up after 30 s without progress; the call's end cancels everything.
 */

#define HTTP_STALL 30L
#define HTTP_REDIRECTS 5L
#define HTTP_ANSWER 65536

static int http_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    ngx_wagw_media_t *m = data;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return ngx_wagw_media_cancelled(m) ? 1 : 0;
}

static CURL *http_easy(ngx_wagw_media_t *m, const char *url, char why[CURL_ERROR_SIZE])
{
    CURL *e = curl_easy_init();

    why[0] = '\0';
    if (e == NULL) {
        return NULL;
    }
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(e, CURLOPT_MAXREDIRS, HTTP_REDIRECTS);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, 15L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, HTTP_STALL);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 16384L);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 65536L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, http_progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, m);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, why);
    if (m->cafile) {
        curl_easy_setopt(e, CURLOPT_CAINFO, m->cafile);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    return e;
}

/* ---- addresses of callers ---- */

typedef struct {
    ngx_wagw_media_t *m;
    CURL *easy;
    bool refused;
} http_fetch_t;

static curl_socket_t http_open(void *data, curlsocktype purpose, struct curl_sockaddr *a)
{
    http_fetch_t *f = data;

    if (purpose != CURLSOCKTYPE_IPCXN || ngx_wagw_outbound_allowed(&f->m->policy, &a->addr) != NGX_OK) {
        f->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t http_fetched(char *p, size_t size, size_t n, void *data)
{
    long status = 0;
    http_fetch_t *f = data;

    n *= size;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299) {
        return 0; /* the status says enough */
    }
    return ngx_wagw_media_take(f->m, wagw_str(p, n)) ? n : 0;
}

/* The last word of the path, unescaped. */
static void http_name(ngx_wagw_media_t *m, CURL *e)
{
    int n;
    char *url = NULL, *path = NULL, *name, *plain;
    CURLU *u = curl_url();

    curl_easy_getinfo(e, CURLINFO_EFFECTIVE_URL, &url);
    if (u && url && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK) {
        name = strrchr(path, '/');
        plain = name && name[1] ? curl_easy_unescape(e, name + 1, 0, &n) : NULL;
        if (plain && n > 0 && n < 256 && strlen(plain) == (size_t)n && wagw_utf8_valid(wagw_cstr(plain)) &&
            strchr(plain, '/') == NULL) {
            m->source_name = strdup(plain);
        }
        curl_free(plain);
        curl_free(path);
    }
    curl_url_cleanup(u);
}

void ngx_wagw_media_fetch(ngx_wagw_media_t *m)
{
    char why[CURL_ERROR_SIZE], *type = NULL;
    long status = 0;
    CURL *e = http_easy(m, m->url, why);
    CURLcode rc;
    http_fetch_t f = {m, e, false};

    if (e == NULL) {
        ngx_wagw_media_fail(m, 500, "INTERNAL", "Out of memory");
        return;
    }
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, m->fetch_ms);
    curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)m->limit);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, http_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, &f);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_fetched);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &f);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "wagw/" NGX_WAGW_VERSION);

    rc = curl_easy_perform(e);
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);

    if (rc == CURLE_FILESIZE_EXCEEDED) {
        ngx_wagw_media_fail(m, 413, "MEDIA_TOO_LARGE", "The file has more than %llu bytes",
                            (unsigned long long)m->limit);
    } else if (f.refused) {
        ngx_wagw_media_fail(m, 422, "MEDIA_FETCH_FAILED", "The address is not allowed by the outbound policy");
    } else if (status >= 300 || (rc == CURLE_OK && status < 200)) {
        snprintf(m->details, sizeof(m->details), "{\"status\":%ld}", status);
        ngx_wagw_media_fail(m, 422, "MEDIA_FETCH_FAILED", "The address answered %ld", status);
    } else if (rc != CURLE_OK) {
        ngx_wagw_media_fail(m, 422, "MEDIA_FETCH_FAILED", "The address did not answer: %s",
                            why[0] ? why : curl_easy_strerror(rc));
    } else {
        curl_easy_getinfo(e, CURLINFO_CONTENT_TYPE, &type);
        if (type && strlen(type) < 128) {
            m->source_type = strdup(type);
        }
        http_name(m, e);
    }
    curl_easy_cleanup(e);
}

typedef struct {
    http_fetch_t fetch; /* first: what http_open() is given */
    bool html, full;
    size_t max;
    wagw_buf_t *out;
} http_page_t;

static size_t http_page(char *p, size_t size, size_t n, void *data)
{
    long status = 0;
    char *type = NULL;
    http_page_t *g = data;

    n *= size;
    curl_easy_getinfo(g->fetch.easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(g->fetch.easy, CURLINFO_CONTENT_TYPE, &type);
    if (status != 200 || (g->html && (type == NULL || strncasecmp(type, "text/html", 9) != 0))) {
        return 0;
    }
    g->full = g->out->n + n > g->max;
    if (g->full && g->html) {
        n = g->max - g->out->n; /* the head is read, the rest is not wanted */
    } else if (g->full) {
        return 0;
    }
    return wagw_buf_add(g->out, p, n) == WAGW_OK && !g->full ? n : 0;
}

bool ngx_wagw_media_page(ngx_wagw_media_t *m, const char *url, long seconds, size_t max, bool html, wagw_buf_t *out)
{
    char why[CURL_ERROR_SIZE];
    CURL *e = http_easy(m, url, why);
    CURLcode rc;
    http_page_t g = {.fetch = {m, e, false}, .html = html, .max = max, .out = out};

    if (e == NULL) {
        return false;
    }
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_TIMEOUT, seconds);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, http_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, &g.fetch);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_page);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &g);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "WhatsApp/2 wagw/" NGX_WAGW_VERSION);

    rc = curl_easy_perform(e);
    curl_easy_cleanup(e);
    return (rc == CURLE_OK || (html && g.full)) && out->n && !out->failed;
}

/* ---- WhatsApp's hosts ---- */

static struct curl_slist *http_headers(void)
{
    struct curl_slist *h = curl_slist_append(NULL, "Origin: https://web.whatsapp.com"), *more;

    more = h ? curl_slist_append(h, "Referer: https://web.whatsapp.com/") : NULL;
    if (more == NULL) {
        curl_slist_free_all(h);
    }
    return more;
}

static size_t http_upload_read(char *p, size_t size, size_t n, void *data)
{
    ssize_t got;
    ngx_wagw_media_t *m = data;

    do {
        got = pread(m->out, p, size * n, m->sent);
    } while (got == -1 && ngx_errno == NGX_EINTR);
    if (got < 0) {
        return CURL_READFUNC_ABORT;
    }
    m->sent += got;
    return (size_t)got;
}

/* A redirect begins the body anew. */
static int http_upload_seek(void *data, curl_off_t offset, int origin)
{
    ngx_wagw_media_t *m = data;

    if (origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    m->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static size_t http_answer(char *p, size_t size, size_t n, void *data)
{
    ngx_wagw_media_t *m = data;

    n *= size;
    if (m->answer.n + n > HTTP_ANSWER || wagw_buf_add(&m->answer, p, n) != WAGW_OK) {
        return 0;
    }
    return n;
}

void ngx_wagw_media_upload(ngx_wagw_task_t *task)
{
    char why[CURL_ERROR_SIZE];
    CURL *e = NULL;
    CURLcode rc;
    wagw_buf_t url = {0};
    ngx_wagw_media_t *m = task->data;
    const char *host = ngx_wagw_media_host(m, m->walk.at);
    struct curl_slist *headers = http_headers(), *more;
    const char *auth = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(m->conn, "auth"));

    m->http = 0;
    m->sent = 0;
    wagw_buf_reset(&m->answer);
    wagw_buf_printf(&url, "https://%s", host ? host : "");
    if (host == NULL || wagw_media_upload_path(&url, m->type, m->sums.enc_sha256, wagw_cstr(auth)) != WAGW_OK ||
        wagw_buf_u8(&url, 0) != WAGW_OK || (e = http_easy(m, (char *)url.p, why)) == NULL || headers == NULL) {
        goto done;
    }
    more = curl_slist_append(headers, "Content-Type: application/octet-stream");
    more = more ? curl_slist_append(headers, "Expect:") : NULL;
    if (more == NULL) {
        goto done;
    }
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)m->sums.enc_size);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, http_upload_read);
    curl_easy_setopt(e, CURLOPT_READDATA, m);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, http_upload_seek);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, m);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_answer);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, m);

    rc = curl_easy_perform(e);
    if (rc == CURLE_OK) {
        curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &m->http);
    } else {
        snprintf(m->error, sizeof(m->error), "%s", why[0] ? why : curl_easy_strerror(rc));
    }

done:
    curl_easy_cleanup(e);
    curl_slist_free_all(headers);
    wagw_buf_free(&url);
}

typedef struct {
    ngx_wagw_media_t *m;
    CURL *easy;
} http_get_t;

static size_t http_downloaded(char *p, size_t size, size_t n, void *data)
{
    long status = 0;
    size_t at = 0;
    ssize_t put;
    http_get_t *g = data;
    ngx_wagw_media_t *m = g->m;

    n *= size;
    curl_easy_getinfo(g->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        return 0;
    }
    m->sent += (off_t)n;
    if ((uint64_t)m->sent > m->limit) {
        ngx_wagw_media_fail(m, 413, "MEDIA_TOO_LARGE", "The file has more than %llu bytes",
                            (unsigned long long)m->limit);
        return 0;
    }
    if (wagw_media_check_add(m->check, wagw_str(p, n)) != WAGW_OK) {
        return 0;
    }
    while (at < n) {
        put = write(m->out, p + at, n - at);
        if (put == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }
        if (put <= 0) {
            ngx_wagw_media_fail(m, 503, "CAPACITY", "The file cannot be kept: %s", strerror(ngx_errno));
            return 0;
        }
        at += (size_t)put;
    }
    return n;
}

void ngx_wagw_media_download(ngx_wagw_task_t *task)
{
    char why[CURL_ERROR_SIZE];
    long status = 0;
    CURL *e = NULL;
    CURLcode rc;
    wagw_buf_t url = {0};
    ngx_wagw_media_t *m = task->data;
    const char *host = ngx_wagw_media_host(m, m->walk.at);
    http_get_t g;
    struct curl_slist *headers = http_headers();
    wagw_media_verdict_t v;

    m->http = 0;
    m->sent = 0;
    wagw_media_check_free(m->check);
    m->check = wagw_media_check(m->file.key.n ? &m->keys : NULL, m->file.enc_sha256, m->file.sha256);
    wagw_buf_printf(&url, "https://%s", host ? host : "");
    if (m->check == NULL || ftruncate(m->out, 0) == -1 || lseek(m->out, 0, SEEK_SET) == -1 || host == NULL ||
        wagw_media_download_path(&url, m->type, m->file.direct_path, m->file.enc_sha256) != WAGW_OK ||
        wagw_buf_u8(&url, 0) != WAGW_OK || (e = http_easy(m, (char *)url.p, why)) == NULL || headers == NULL) {
        goto done;
    }
    g.m = m;
    g.easy = e;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_downloaded);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &g);

    rc = curl_easy_perform(e);
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    if (rc == CURLE_OK || status != 200) {
        m->http = status;
    }
    if (rc == CURLE_OK && status == 200) {
        v = wagw_media_check_end(m->check, &m->size);
        if (v != WAGW_MEDIA_GOOD) {
            ngx_wagw_media_fail(m, 502, "WA_ERROR", "The media is damaged: %s", wagw_media_verdict_name(v));
        }
    }

done:
    curl_easy_cleanup(e);
    curl_slist_free_all(headers);
    wagw_buf_free(&url);
}

#define HTTP_TRIES 3 /* of one host, for what may pass */

ngx_wagw_get_t ngx_wagw_media_got(ngx_wagw_media_t *m)
{
    if (m->status) {
        return NGX_WAGW_GET_FAILED;
    }
    if (m->http == 200) {
        return NGX_WAGW_GET_DONE;
    }
    if (m->http == 403 || m->http == 404 || m->http == 410) {
        return NGX_WAGW_GET_GONE;
    }
    if (m->http == 0 || m->http == 429 || m->http >= 500) {
        if (++m->tries < HTTP_TRIES) {
            m->wait = m->tries * 1000;
            return NGX_WAGW_GET_AGAIN;
        }
    }
    m->tries = 0;
    m->wait = 1;
    if (++m->walk.at < ngx_wagw_media_nhosts(m)) {
        return NGX_WAGW_GET_AGAIN;
    }
    snprintf(m->details, sizeof(m->details), "{\"code\":%ld,\"text\":\"download failed on all hosts\"}", m->http);
    ngx_wagw_media_fail(m, 502, "WA_ERROR", "The media could not be downloaded");
    return NGX_WAGW_GET_FAILED;
}
