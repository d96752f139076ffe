#include "ngx_wagw_webhook.h"
#include "ngx_wagw_calls.h"

#include <openssl/rand.h>

/*
 * Hooks live in malloc'ed memory: in their instance's queue or the global one,
 * in the order of their creation, and in a tree by id.
 */

static struct {
    ngx_wagw_main_conf_t *wmcf;
    ngx_log_t *log;
    ngx_queue_t global;
    ngx_queue_t *hint; /* the instance that got a hook last */
    ngx_rbtree_t tree;
    ngx_rbtree_node_t sentinel;
    unsigned ready : 1;
} hooks;

static void ngx_wagw_webhook_options(ngx_wagw_hook_full_t *h);
static void ngx_wagw_webhook_free(ngx_wagw_hook_full_t *h);

static void ngx_wagw_webhook_setup(void)
{
    if (!hooks.ready) {
        ngx_queue_init(&hooks.global);
        ngx_rbtree_init(&hooks.tree, &hooks.sentinel, ngx_str_rbtree_insert_value);
        hooks.ready = 1;
    }
}

ngx_int_t ngx_wagw_webhook_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    hooks.wmcf = wmcf;
    hooks.log = cycle->log;
    ngx_wagw_calls_started();
    ngx_wagw_webhook_setup();

    if (ngx_wagw_http_init(cycle, wmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_wagw_hookq_init(cycle, wmcf);
}

void ngx_wagw_webhook_done(void)
{
    ngx_rbtree_node_t *node;
    ngx_wagw_hook_full_t *h;

    /* first, so that aborted transfers are not taken for failed ones */
    ngx_wagw_hookq_done();
    ngx_wagw_http_done();

    while (hooks.ready && hooks.tree.root != &hooks.sentinel) {
        node = ngx_rbtree_min(hooks.tree.root, &hooks.sentinel);
        h = (ngx_wagw_hook_full_t *)((u_char *)node - offsetof(ngx_wagw_hook_full_t, node));

        ngx_rbtree_delete(&hooks.tree, node);
        ngx_queue_remove(&h->hook.queue);
        ngx_wagw_hookq_detach(h);

        h->removed = 1;
        ngx_wagw_webhook_unref(h);
    }

    ngx_memzero(&hooks, sizeof(hooks));
}

ngx_queue_t *ngx_wagw_webhook_global(void)
{
    ngx_wagw_webhook_setup();

    return &hooks.global;
}

ngx_uint_t ngx_wagw_calls_master_key(void)
{
    return hooks.wmcf == NULL || hooks.wmcf->master_key;
}

ngx_uint_t ngx_wagw_calls_instance_limit(void)
{
    return hooks.wmcf ? hooks.wmcf->owner_connections : 0;
}

ngx_uint_t ngx_wagw_webhook_doc_names(void)
{
    return hooks.wmcf ? hooks.wmcf->event_names : 0;
}

ngx_wagw_hook_full_t *ngx_wagw_webhook_find(wagw_str_t id)
{
    ngx_str_t name;
    ngx_str_node_t *sn;

    if (!hooks.ready) {
        return NULL;
    }

    name.data = (u_char *)id.p;
    name.len = id.n;

    sn = ngx_str_rbtree_lookup(&hooks.tree, &name, ngx_crc32_short(name.data, name.len));
    if (sn == NULL) {
        return NULL;
    }

    return (ngx_wagw_hook_full_t *)((u_char *)sn - offsetof(ngx_wagw_hook_full_t, node));
}

/*
 * Rows come in the order of their instances, so the search begins where the
 * last one ended.  The hint cannot dangle: an instance that has a hook loses
 * it through ngx_wagw_webhook_remove() before it goes.
 */
static ngx_queue_t *ngx_wagw_webhook_place(uint32_t num)
{
    ngx_queue_t *all, *q, *first;
    ngx_wagw_instance_t *in;

    if (num == 0) {
        return &hooks.global;
    }

    all = ngx_wagw_instances();
    first = hooks.hint ? hooks.hint : ngx_queue_head(all);
    q = first;

    do {
        if (q != ngx_queue_sentinel(all)) {
            in = ngx_queue_data(q, ngx_wagw_instance_t, queue);

            if (in->num == num) {
                hooks.hint = q;
                return &in->webhooks;
            }
        }

        q = ngx_queue_next(q);

    } while (q != first);

    return NULL;
}

static ngx_int_t ngx_wagw_webhook_copy(wagw_str_t *out, wagw_str_t s)
{
    char *p;

    p = malloc(s.n + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (s.n) {
        ngx_memcpy(p, s.p, s.n);
    }

    p[s.n] = '\0';
    *out = wagw_str(p, s.n);

    return NGX_OK;
}

static void ngx_wagw_webhook_strings_free(wagw_webhook_t *w)
{
    free((void *)w->id.p);
    free((void *)w->url.p);
    free((void *)w->events.p);
    free((void *)w->headers.p);
    free((void *)w->options.p);

    if (w->secret.p) {
        wagw_wipe((void *)w->secret.p, w->secret.n);
        free((void *)w->secret.p);
    }
}

static void ngx_wagw_webhook_free(ngx_wagw_hook_full_t *h)
{
    ngx_wagw_webhook_strings_free(&h->hook.w);
    cJSON_Delete(h->hook.events);
    cJSON_Delete(h->options);
    cJSON_Delete(h->headers);
    free(h);
}

void ngx_wagw_webhook_unref(ngx_wagw_hook_full_t *h)
{
    if (h->removed && h->nbusy == 0 && h->inflight == 0) {
        ngx_wagw_webhook_free(h);
    }
}

ngx_wagw_hook_t *ngx_wagw_webhook_add(const wagw_webhook_t *w)
{
    ngx_queue_t *place;
    wagw_webhook_t copy;
    ngx_wagw_hook_full_t *h;

    ngx_wagw_webhook_setup();

    copy = *w;
    copy.id = copy.url = copy.events = copy.secret = copy.headers = copy.options = WAGW_STR_NULL;

    if (ngx_wagw_webhook_copy(&copy.id, w->id) != NGX_OK || ngx_wagw_webhook_copy(&copy.url, w->url) != NGX_OK ||
        ngx_wagw_webhook_copy(&copy.events, w->events) != NGX_OK ||
        ngx_wagw_webhook_copy(&copy.secret, w->secret) != NGX_OK ||
        ngx_wagw_webhook_copy(&copy.headers, w->headers) != NGX_OK ||
        ngx_wagw_webhook_copy(&copy.options, w->options) != NGX_OK) {
        goto failed;
    }

    h = ngx_wagw_webhook_find(w->id);

    if (h == NULL) {
        place = ngx_wagw_webhook_place(w->instance);
        if (place == NULL) {
            goto failed;
        }

        h = calloc(1, sizeof(ngx_wagw_hook_full_t));
        if (h == NULL) {
            goto failed;
        }

        h->hook.w = copy;
        h->node.str.data = (u_char *)copy.id.p;
        h->node.str.len = copy.id.n;
        h->node.node.key = ngx_crc32_short(h->node.str.data, h->node.str.len);
        ngx_rbtree_insert(&hooks.tree, &h->node.node);
        ngx_queue_insert_tail(place, &h->hook.queue);
        ngx_wagw_hookq_attach(h);

    } else {
        /* the tree's key is the id's text: that one stays */
        free((void *)copy.id.p);
        copy.id = h->hook.w.id;
        h->hook.w.id = WAGW_STR_NULL;
        ngx_wagw_webhook_strings_free(&h->hook.w);
        h->hook.w = copy;
        h->hook.failures = 0;
        h->probe_ms = 0;
    }

    ngx_wagw_webhook_options(h);
    ngx_wagw_hookq_want(h);

    return &h->hook;

failed:

    ngx_wagw_webhook_strings_free(&copy);

    return NULL;
}

void ngx_wagw_webhook_remove(wagw_str_t id)
{
    ngx_wagw_hook_full_t *h;

    h = ngx_wagw_webhook_find(id);
    if (h == NULL) {
        return;
    }

    hooks.hint = NULL;
    ngx_rbtree_delete(&hooks.tree, &h->node.node);
    ngx_queue_remove(&h->hook.queue);
    ngx_wagw_hookq_detach(h);

    h->removed = 1;
    ngx_wagw_webhook_unref(h);
}

static cJSON *ngx_wagw_webhook_json(wagw_str_t s)
{
    return s.n ? cJSON_ParseWithLength((const char *)s.p, s.n) : NULL;
}

static double ngx_wagw_webhook_num(const cJSON *o, const char *key, double dflt, double min, double max)
{
    double v;
    const cJSON *i;

    i = cJSON_GetObjectItemCaseSensitive(o, key);
    v = cJSON_IsNumber(i) ? i->valuedouble : dflt;

    return v < min ? min : v > max ? max : v;
}

static void ngx_wagw_webhook_options(ngx_wagw_hook_full_t *h)
{
    const char *policy;
    const cJSON *retry, *batch;

    cJSON_Delete(h->hook.events);
    cJSON_Delete(h->options);
    cJSON_Delete(h->headers);

    h->hook.events = ngx_wagw_webhook_json(h->hook.w.events);
    h->options = ngx_wagw_webhook_json(h->hook.w.options);
    h->headers = ngx_wagw_webhook_json(h->hook.w.headers);

    /* no list and an empty list both mean every event */
    if (!cJSON_IsArray(h->hook.events) || cJSON_GetArraySize(h->hook.events) == 0) {
        cJSON_Delete(h->hook.events);
        h->hook.events = NULL;
    }

    retry = cJSON_GetObjectItemCaseSensitive(h->options, "retry");
    policy = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(retry, "policy"));

    h->policy = NGX_WAGW_HOOK_EXPONENTIAL;

    if (policy && ngx_strcmp(policy, "linear") == 0) {
        h->policy = NGX_WAGW_HOOK_LINEAR;

    } else if (policy && ngx_strcmp(policy, "constant") == 0) {
        h->policy = NGX_WAGW_HOOK_CONSTANT;
    }

    h->attempts = (ngx_uint_t)ngx_wagw_webhook_num(retry, "attempts", 10, 1, 100);
    h->delay = (ngx_msec_t)ngx_wagw_webhook_num(retry, "delay", 5000, 10, 3600000);

    batch = cJSON_GetObjectItemCaseSensitive(h->options, "batch");
    h->batch_max = 0;
    h->batch_ms = 0;

    if (cJSON_IsObject(batch)) {
        h->batch_max = (ngx_uint_t)ngx_wagw_webhook_num(batch, "max", 50, 1, NGX_WAGW_HOOK_BATCH);
        h->batch_ms = (ngx_msec_t)ngx_wagw_webhook_num(batch, "ms", 1000, 0, 60000);
    }

    h->ordered = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(h->options, "ordered")) ? 1 : 0;
    h->retry_all = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(h->options, "retryAll")) ? 1 : 0;
}

void ngx_wagw_uuid(char out[37])
{
    u_char r[16];
    u_char hex[32];
    ngx_uint_t i, k;

    if (RAND_bytes(r, sizeof(r)) != 1) {
        /* OpenSSL's generator does not fail once seeded; an id must still be unique */
        ngx_uint_t n = ngx_random() ^ (ngx_uint_t)ngx_wagw_now_ms();
        ngx_memcpy(r, &n, sizeof(n));
    }

    r[6] = (r[6] & 0x0f) | 0x40;
    r[8] = (r[8] & 0x3f) | 0x80;
    ngx_hex_dump(hex, r, sizeof(r));

    for (i = 0, k = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            out[k++] = '-';
        }

        out[k++] = (char)hex[i];
    }

    out[k] = '\0';
}

ngx_uint_t ngx_wagw_webhook_header_ok(const char *name, const char *value)
{
    const u_char *p;
    ngx_uint_t i;
    static const char *reserved[] = {"Content-Length",
                                     "Transfer-Encoding",
                                     "Connection",
                                     "Host",
                                     "Upgrade",
                                     "Expect",
                                     "TE",
                                     "Trailer",
                                     "Keep-Alive",
                                     "Proxy-Connection",
                                     "X-Webhook-ID",
                                     "X-Instance-ID",
                                     "X-Webhook-Event",
                                     "X-Event-ID",
                                     "X-Retry-Attempt",
                                     "X-Webhook-Timestamp",
                                     "X-Webhook-Signature",
                                     "X-Hub-Signature-256",
                                     "X-Webhook-Hmac",
                                     "X-Webhook-Hmac-Algorithm",
                                     NULL};

    if (*name == '\0' || ngx_strlen(name) > 128 || ngx_strlen(value) > 4096) {
        return 0;
    }

    for (p = (const u_char *)name; *p; p++) {
        if ((*p >= '0' && *p <= '9') || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')) {
            continue;
        }

        if (ngx_strchr("!#$%&'*+-.^_`|~", *p) == NULL) {
            return 0;
        }
    }

    for (p = (const u_char *)value; *p; p++) {
        if (*p < 0x20 && *p != '\t') {
            return 0;
        }

        if (*p == 0x7f) {
            return 0;
        }
    }

    for (i = 0; reserved[i]; i++) {
        if (ngx_strcasecmp((u_char *)name, (u_char *)reserved[i]) == 0) {
            return 0;
        }
    }

    return 1;
}

static ngx_int_t ngx_wagw_webhook_header(struct curl_slist **list, wagw_buf_t *line)
{
    struct curl_slist *l;

    if (wagw_buf_u8(line, '\0') != WAGW_OK || line->failed) {
        return NGX_ERROR;
    }

    l = curl_slist_append(*list, (const char *)line->p);
    if (l == NULL) {
        return NGX_ERROR;
    }

    *list = l;
    wagw_buf_reset(line);

    return NGX_OK;
}

/* a value of ours in a header line: ids and names never hold control characters, but a caller's test event may */
static void ngx_wagw_webhook_clean(wagw_buf_t *line, wagw_str_t s)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        wagw_buf_u8(line, s.p[i] < 0x20 || s.p[i] == 0x7f ? '_' : s.p[i]);
    }
}

static ngx_int_t ngx_wagw_webhook_sign(ngx_wagw_main_conf_t *wmcf, struct curl_slist **list, wagw_buf_t *line,
                                       wagw_str_t secret, time_t now, wagw_str_t body)
{
    uint8_t mac[64];
    ngx_int_t rc;
    wagw_buf_t signed_;

    rc = NGX_ERROR;
    ngx_memzero(&signed_, sizeof(signed_));

    if (wmcf->webhook_signature & 1) {
        wagw_buf_printf(&signed_, "%lld.", (long long)now);
        wagw_buf_str(&signed_, body);

        if (signed_.failed || wagw_hmac_sha256(mac, secret, wagw_buf_view(&signed_)) != WAGW_OK) {
            goto done;
        }

        wagw_buf_cstr(line, "X-Webhook-Signature: sha256=");
        wagw_hex_encode(line, wagw_str(mac, 32));

        if (ngx_wagw_webhook_header(list, line) != NGX_OK) {
            goto done;
        }
    }

    if (wmcf->webhook_signature & 2) {
        if (wagw_hmac_sha256(mac, secret, body) != WAGW_OK) {
            goto done;
        }

        wagw_buf_cstr(line, "X-Hub-Signature-256: sha256=");
        wagw_hex_encode(line, wagw_str(mac, 32));

        if (ngx_wagw_webhook_header(list, line) != NGX_OK) {
            goto done;
        }
    }

    if (wmcf->webhook_signature & 4) {
        if (wagw_hmac_sha512(mac, secret, body) != WAGW_OK) {
            goto done;
        }

        wagw_buf_cstr(line, "X-Webhook-Hmac: ");
        wagw_hex_encode(line, wagw_str(mac, 64));

        if (ngx_wagw_webhook_header(list, line) != NGX_OK) {
            goto done;
        }

        wagw_buf_cstr(line, "X-Webhook-Hmac-Algorithm: sha512");

        if (ngx_wagw_webhook_header(list, line) != NGX_OK) {
            goto done;
        }
    }

    rc = NGX_OK;

done:

    wagw_buf_free(&signed_);
    wagw_wipe(mac, sizeof(mac));

    return rc;
}

struct curl_slist *ngx_wagw_webhook_headers(ngx_wagw_main_conf_t *wmcf, wagw_str_t delivery_id, wagw_str_t instance_id,
                                            wagw_str_t event, wagw_str_t event_id, ngx_uint_t attempt,
                                            wagw_str_t secret, wagw_str_t body, const cJSON *custom)
{
    time_t now;
    ngx_uint_t i, type, agent;
    wagw_buf_t line;
    const cJSON *h;
    struct curl_slist *list;
    struct {
        const char *name;
        wagw_str_t value;
    } own[4];

    list = NULL;
    ngx_memzero(&line, sizeof(line));
    now = (time_t)(ngx_wagw_now_ms() / 1000);
    type = 0;
    agent = 0;

    cJSON_ArrayForEach(h, custom)
    {
        if (!cJSON_IsString(h) || !ngx_wagw_webhook_header_ok(h->string, h->valuestring)) {
            continue;
        }

        type |= ngx_strcasecmp((u_char *)h->string, (u_char *)"Content-Type") == 0;
        agent |= ngx_strcasecmp((u_char *)h->string, (u_char *)"User-Agent") == 0;

        /* curl's spelling of a header without a value */
        wagw_buf_printf(&line, h->valuestring[0] ? "%s: %s" : "%s;", h->string, h->valuestring);

        if (ngx_wagw_webhook_header(&list, &line) != NGX_OK) {
            goto failed;
        }
    }

    if (!type) {
        wagw_buf_cstr(&line, "Content-Type: application/json");
        if (ngx_wagw_webhook_header(&list, &line) != NGX_OK) {
            goto failed;
        }
    }

    if (!agent) {
        wagw_buf_cstr(&line, "User-Agent: wagw/" NGX_WAGW_VERSION);
        if (ngx_wagw_webhook_header(&list, &line) != NGX_OK) {
            goto failed;
        }
    }

    own[0].name = "X-Webhook-ID: ";
    own[0].value = delivery_id;
    own[1].name = "X-Instance-ID: ";
    own[1].value = instance_id;
    own[2].name = "X-Webhook-Event: ";
    own[2].value = event;
    own[3].name = "X-Event-ID: ";
    own[3].value = event_id;

    for (i = 0; i < 4; i++) {
        if (own[i].value.n == 0) {
            continue;
        }

        wagw_buf_cstr(&line, own[i].name);
        ngx_wagw_webhook_clean(&line, own[i].value);
        if (ngx_wagw_webhook_header(&list, &line) != NGX_OK) {
            goto failed;
        }
    }

    wagw_buf_printf(&line, "X-Retry-Attempt: %lu", (unsigned long)attempt);
    if (ngx_wagw_webhook_header(&list, &line) != NGX_OK) {
        goto failed;
    }

    wagw_buf_printf(&line, "X-Webhook-Timestamp: %lld", (long long)now);
    if (ngx_wagw_webhook_header(&list, &line) != NGX_OK) {
        goto failed;
    }

    /* curl would wait for a 100 answer before a long body */
    wagw_buf_cstr(&line, "Expect:");
    if (ngx_wagw_webhook_header(&list, &line) != NGX_OK) {
        goto failed;
    }

    if (secret.n && ngx_wagw_webhook_sign(wmcf, &list, &line, secret, now, body) != NGX_OK) {
        goto failed;
    }

    wagw_buf_free(&line);

    return list;

failed:

    wagw_buf_free(&line);
    curl_slist_free_all(list);

    return NULL;
}
