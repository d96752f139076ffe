/*
 * The client version that we claim.  WhatsApp refuses old ones with 405; then,
 * with `wagw_whatsapp_version auto` and WhatsApp's own host, the page that
 * browsers load is asked once for the current revision.  What was learned is
 * stored for the next owner.
 */

#include "ngx_wagw_owner.h"

#include <curl/curl.h>

#define VERSION_URL "https://web.whatsapp.com/sw.js"
#define VERSION_HOST "web.whatsapp.com"
#define VERSION_AGENT                                                                                                  \
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
#define VERSION_PAGE_MAX (4 * 1024 * 1024)
#define VERSION_AGAIN_MS (3600 * 1000) /* a page that knew nothing newer is not asked again before */

typedef struct {
    ngx_wagw_job_t job;
    wagw_batch_t *batch;
} keep_t;

static struct {
    ngx_wagw_main_conf_t *wmcf;
    wagw_client_shared_t *sh;
    ngx_wagw_task_t task;
    wagw_buf_t page;
    char trusted[NGX_MAX_PATH];
    char why[CURL_ERROR_SIZE];
    uint32_t found;
    int64_t next_ms;
    unsigned asking : 1;
} version;

static void version_run(ngx_wagw_task_t *task);
static void version_done(ngx_wagw_task_t *task);

ngx_int_t ngx_wagw_version_init(ngx_wagw_main_conf_t *wmcf, wagw_client_shared_t *sh)
{
    ngx_memzero(&version, sizeof(version));

    version.wmcf = wmcf;
    version.sh = sh;
    version.task.run = version_run;
    version.task.done = version_done;

    if (wmcf->trusted_certificate.len && wmcf->trusted_certificate.len < sizeof(version.trusted)) {
        ngx_memcpy(version.trusted, wmcf->trusted_certificate.data, wmcf->trusted_certificate.len);
    }

    return NGX_OK;
}

void ngx_wagw_version_stored(wagw_str_t text)
{
    uint64_t n;

    if (!version.wmcf->whatsapp_version_auto || wagw_str_u64(text, &n) != WAGW_OK || n > UINT32_MAX) {
        return;
    }

    if (n > version.sh->version[2]) {
        version.sh->version[2] = (uint32_t)n;
    }
}

static size_t version_body(char *p, size_t size, size_t n, void *data)
{
    wagw_buf_t *b = data;

    if (b->n + size * n > VERSION_PAGE_MAX || wagw_buf_add(b, p, size * n) != WAGW_OK) {
        return 0;
    }

    return size * n;
}

/* `"client_revision":123`, the quotes perhaps behind backslashes. */
static uint32_t version_find(wagw_str_t page)
{
    static const char key[] = "client_revision";
    const uint8_t *p, *end = page.p + page.n;
    uint64_t n = 0;

    p = page.n ? memmem(page.p, page.n, key, sizeof(key) - 1) : NULL;
    if (p == NULL) {
        return 0;
    }

    for (p += sizeof(key) - 1; p < end && (*p == '\\' || *p == '"' || *p == ':' || *p == ' '); p++) {
    }

    for (; p < end && *p >= '0' && *p <= '9' && n <= UINT32_MAX; p++) {
        n = n * 10 + (*p - '0');
    }

    return n <= UINT32_MAX ? (uint32_t)n : 0;
}

static void version_run(ngx_wagw_task_t *task)
{
    struct curl_slist *headers;
    CURL *c;
    long status = 0;
    CURLcode rc;

    (void)task;

    version.found = 0;
    version.why[0] = '\0';

    c = curl_easy_init();
    headers = curl_slist_append(NULL, "Sec-Fetch-Site: none");

    if (c == NULL || headers == NULL) {
        snprintf(version.why, sizeof(version.why), "out of memory");
        goto done;
    }

    curl_easy_setopt(c, CURLOPT_URL, VERSION_URL);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, VERSION_AGENT);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, version_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &version.page);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, version.why);

    if (version.trusted[0]) {
        curl_easy_setopt(c, CURLOPT_CAINFO, version.trusted);
    }

    rc = curl_easy_perform(c);

    if (rc != CURLE_OK) {
        if (version.why[0] == '\0') {
            snprintf(version.why, sizeof(version.why), "%s", curl_easy_strerror(rc));
        }

        goto done;
    }

    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);

    if (status == 200) {
        version.found = version_find(wagw_buf_view(&version.page));
    }

    if (version.found == 0) {
        snprintf(version.why, sizeof(version.why), "status %ld without a client_revision", status);
    }

done:
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    wagw_buf_free(&version.page);
}

static int keep_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    return wagw_store_apply(s, ((keep_t *)job->data)->batch);
}

static void keep_done(ngx_wagw_job_t *job)
{
    keep_t *k = job->data;

    if (job->rc != WAGW_OK) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "wagw: WhatsApp's version was not stored: %s",
                      wagw_rc_name(job->rc));
    }

    wagw_batch_destroy(k->batch);
    free(k);
}

static void version_keep(uint32_t n)
{
    char text[16];
    int len = snprintf(text, sizeof(text), "%u", (unsigned)n);
    keep_t *k = calloc(1, sizeof(*k));

    if (k == NULL) {
        return;
    }

    k->batch = wagw_batch_create(0, 1);

    if (k->batch == NULL || wagw_batch_add(k->batch, WAGW_OP_PUT, WAGW_REC_META, WAGW_STR(NGX_WAGW_VERSION_KEY),
                                           wagw_str(text, (size_t)len)) != WAGW_OK) {
        if (k->batch) {
            wagw_batch_destroy(k->batch);
        }

        free(k);
        return;
    }

    k->job.data = k;
    k->job.run = keep_run;
    k->job.done = keep_done;
    k->job.write = 1;
    k->job.again = 1;
    ngx_wagw_store_post(&k->job);
}

/* Those that were refused with an older one try again. */
static void version_reconnect(void)
{
    ngx_wagw_instance_t *in;
    wagw_client_info_t info;
    ngx_queue_t *q, *list = ngx_wagw_instances();

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = ngx_queue_next(q)) {
        in = ngx_queue_data(q, ngx_wagw_instance_t, queue);
        wagw_client_info(in->client, &info);

        if (info.status == WAGW_STATUS_FAILED && info.disconnect_code == 405) {
            ngx_wagw_instance_autostart(in);
        }
    }
}

static void version_done(ngx_wagw_task_t *task)
{
    (void)task;

    version.asking = 0;
    version.next_ms = ngx_wagw_now_ms() + VERSION_AGAIN_MS;

    if (version.found == 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw: " VERSION_URL " did not tell WhatsApp's version: %s",
                      version.why);
        return;
    }

    if (version.found <= version.sh->version[2]) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "wagw: WhatsApp refused client version %uD.%uD.%uD, and there is no newer one",
                      version.sh->version[0], version.sh->version[1], version.sh->version[2]);
        return;
    }

    version.sh->version[2] = version.found;
    version.next_ms = 0;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "wagw: WhatsApp's client version is now %uD.%uD.%uD",
                  version.sh->version[0], version.sh->version[1], version.sh->version[2]);

    version_keep(version.found);
    version_reconnect();
}

void ngx_wagw_version_refused(ngx_wagw_instance_t *in)
{
    ngx_wagw_main_conf_t *wmcf = version.wmcf;

    if (!wmcf->whatsapp_version_auto || version.asking || ngx_wagw_now_ms() < version.next_ms) {
        return;
    }

    if (wmcf->whatsapp_host.len != sizeof(VERSION_HOST) - 1 ||
        ngx_strncasecmp(wmcf->whatsapp_host.data, (u_char *)VERSION_HOST, sizeof(VERSION_HOST) - 1) != 0) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "wagw instance %V: client version refused (405), asking " VERSION_URL " for the current one",
                  &in->id);

    version.asking = 1;
    ngx_wagw_task_post(&version.task);
}
