/*
 * HTTP/1.1 as far as the admin calls need it, and the upgrade to WebSocket.
 * A request that waits for something is parked and its handler run again when
 * something happened; a handler is written as if it were called once.
 */

#include "sandbox.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SBX_HEAD_MAX 65536
#define SBX_BODY_MAX (256u << 20)

static sbx_req_t *sbx_parked;
static struct event *sbx_rerun_timer;
static struct event *sbx_deadline_timer;

static void sbx_http_run(sbx_req_t *r);

static void sbx_unescape(wagw_buf_t *out, wagw_str_t in)
{
    size_t i;
    uint8_t b;

    for (i = 0; i < in.n; i++) {
        if (in.p[i] == '+') {
            wagw_buf_u8(out, ' ');
        } else if (in.p[i] == '%' && i + 2 < in.n && wagw_hex_fixed(&b, 1, wagw_str(in.p + i + 1, 2)) == WAGW_OK) {
            wagw_buf_u8(out, b);
            i += 2;
        } else {
            wagw_buf_u8(out, in.p[i]);
        }
    }
    wagw_buf_u8(out, 0);
}

static cJSON *sbx_query(wagw_str_t q)
{
    size_t n, eq;
    cJSON *o;
    wagw_buf_t k = {0}, v = {0};

    o = cJSON_CreateObject();
    while (q.n != 0) {
        for (n = 0, eq = q.n; n < q.n && q.p[n] != '&'; n++) {
            if (q.p[n] == '=' && eq == q.n) {
                eq = n;
            }
        }
        wagw_buf_reset(&k);
        wagw_buf_reset(&v);
        sbx_unescape(&k, wagw_str(q.p, eq < n ? eq : n));
        sbx_unescape(&v, eq < n ? wagw_str(q.p + eq + 1, n - eq - 1) : WAGW_STR(""));
        cJSON_DeleteItemFromObjectCaseSensitive(o, (char *)k.p);
        cJSON_AddStringToObject(o, (char *)k.p, (char *)v.p);
        q.p += n < q.n ? n + 1 : n;
        q.n -= n < q.n ? n + 1 : n;
    }
    wagw_buf_free(&k);
    wagw_buf_free(&v);
    return o;
}

static wagw_str_t sbx_header(wagw_str_t head, const char *name)
{
    size_t n, len;
    const uint8_t *p, *end, *line;

    n = strlen(name);
    end = head.p + head.n;
    for (line = head.p; line < end; line = p + 2) {
        for (p = line; p + 1 < end && !(p[0] == '\r' && p[1] == '\n'); p++) {
        }
        len = (size_t)(p - line);
        if (len > n && line[n] == ':' && strncasecmp((const char *)line, name, n) == 0) {
            for (line += n + 1, len -= n + 1; len && (*line == ' ' || *line == '\t'); line++, len--) {
            }
            while (len && (line[len - 1] == ' ' || line[len - 1] == '\t')) {
                len--;
            }
            return wagw_str(line, len);
        }
    }
    return WAGW_STR_NULL;
}

static bool sbx_has_token(wagw_str_t value, const char *token)
{
    size_t i, n;

    n = strlen(token);
    for (i = 0; i + n <= value.n; i++) {
        if (strncasecmp((const char *)value.p + i, token, n) == 0) {
            return true;
        }
    }
    return false;
}

static void sbx_req_free(sbx_req_t *r)
{
    sbx_req_t **p;

    for (p = &sbx_parked; *p != NULL; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            break;
        }
    }
    if (r->data != NULL && r->drop != NULL) {
        r->drop(r->data);
    }
    cJSON_Delete(r->query);
    cJSON_Delete(r->json);
    wagw_buf_free(&r->body);
    wagw_buf_free(&r->out);
    free(r->path);
    free(r);
}

void sbx_http_gone(sbx_conn_t *c)
{
    sbx_req_free(c->req);
    c->req = NULL;
}

static const char *sbx_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 413:
        return "Payload Too Large";
    case 504:
        return "Gateway Timeout";
    default:
        return status < 500 ? "Error" : "Server Error";
    }
}

static void sbx_http_answer(sbx_conn_t *c, int status, const char *type, wagw_str_t body, bool keep)
{
    wagw_buf_t b = {0};

    wagw_buf_printf(&b,
                    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                    "Connection: %s\r\n\r\n",
                    status, sbx_reason(status), type, body.n, keep ? "keep-alive" : "close");
    wagw_buf_str(&b, body);
    bufferevent_write(c->bev, b.p, b.n);
    wagw_buf_free(&b);
    if (!keep) {
        sbx_conn_finish(c);
    }
}

static void sbx_http_refuse(sbx_conn_t *c, int status, const char *text)
{
    wagw_buf_t b = {0};

    wagw_buf_printf(&b, "{\"error\":\"%s\"}\n", text);
    sbx_http_answer(c, status, "application/json", wagw_buf_view(&b), false);
    wagw_buf_free(&b);
}

int sbx_error(sbx_req_t *r, int status, const char *fmt, ...)
{
    va_list ap;
    char text[512];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    wagw_buf_reset(&r->out);
    r->type = "application/json";
    r->j = wagw_json(&r->out);
    wagw_json_open(&r->j, '{');
    wagw_json_kcstr(&r->j, "error", text);
    wagw_json_close(&r->j);
    return status;
}

static void sbx_on_deadline(evutil_socket_t fd, short what, void *data)
{
    (void)fd;
    (void)what;
    (void)data;
    sbx_changed();
}

static void sbx_rearm(void)
{
    int64_t first, now;
    sbx_req_t *r;
    struct timeval tv;

    if (sbx_parked == NULL) {
        return;
    }
    if (sbx_deadline_timer == NULL) {
        sbx_deadline_timer = evtimer_new(sbx.base, sbx_on_deadline, NULL);
    }
    for (first = sbx_parked->deadline, r = sbx_parked->next; r != NULL; r = r->next) {
        if (r->deadline < first) {
            first = r->deadline;
        }
    }
    now = sbx_now_ms();
    first = first > now ? first - now : 0;
    tv.tv_sec = first / 1000;
    tv.tv_usec = (first % 1000) * 1000;
    evtimer_add(sbx_deadline_timer, &tv);
}

static void sbx_rerun(evutil_socket_t fd, short what, void *data)
{
    sbx_req_t *r, *next, *list;

    (void)fd;
    (void)what;
    (void)data;

    list = sbx_parked;
    sbx_parked = NULL;
    for (r = list; r != NULL; r = next) {
        next = r->next;
        r->next = NULL;
        sbx_http_run(r);
    }
    sbx_rearm();
}

void sbx_changed(void)
{
    struct timeval now = {0, 0};

    if (sbx_parked == NULL) {
        return;
    }
    if (sbx_rerun_timer == NULL) {
        sbx_rerun_timer = evtimer_new(sbx.base, sbx_rerun, NULL);
    }
    if (!evtimer_pending(sbx_rerun_timer, NULL)) {
        evtimer_add(sbx_rerun_timer, &now);
    }
}

bool sbx_wait(sbx_req_t *r, int64_t ms)
{
    if (r->deadline == 0) {
        r->deadline = sbx_now_ms() + (ms < 0 ? 0 : ms > 600000 ? 600000 : ms);
    }
    return sbx_now_ms() < r->deadline;
}

static void sbx_http_run(sbx_req_t *r)
{
    int status;
    bool keep;
    sbx_conn_t *c;

    c = r->conn;
    wagw_buf_reset(&r->out);
    r->type = "application/json";
    r->j = wagw_json(&r->out);

    status = sbx_admin(r);
    if (status == SBX_WAIT) {
        r->next = sbx_parked;
        sbx_parked = r;
        sbx_rearm();
        return;
    }

    if (strcmp(r->type, "text/plain") != 0) {
        wagw_buf_u8(&r->out, '\n');
    }
    keep = r->keep_alive;
    c->req = NULL;
    sbx_http_answer(c, status, r->type, wagw_buf_view(&r->out), keep);
    sbx_req_free(r);

    /* the next request may be in already */
    if (keep && !c->closing) {
        sbx_http_read(c);
    }
}

static void sbx_http_upgrade(sbx_conn_t *c, wagw_str_t target, wagw_str_t head)
{
    wagw_str_t key;

    if (!wagw_str_starts(target, WAGW_STR("/ws/chat")) || (target.n > 8 && target.p[8] != '?' && target.p[8] != '/')) {
        sbx_http_refuse(c, 404, "the WebSocket is at /ws/chat");
        return;
    }
    if (!wagw_str_is(sbx_header(head, "Origin"), "https://web.whatsapp.com")) {
        sbx_fault(NULL, "WebSocket without Origin https://web.whatsapp.com");
        sbx_http_refuse(c, 403, "Origin must be https://web.whatsapp.com");
        return;
    }
    key = sbx_header(head, "Sec-WebSocket-Key");
    if (key.n == 0 || !wagw_str_is(sbx_header(head, "Sec-WebSocket-Version"), "13")) {
        sbx_http_refuse(c, 400, "not a WebSocket of version 13");
        return;
    }
    sbx_ws_upgrade(c, key);
}

static void sbx_http_request(sbx_conn_t *c, wagw_str_t method, wagw_str_t target, wagw_str_t head, wagw_str_t body)
{
    size_t n;
    sbx_req_t *r;

    r = sbx_alloc(sizeof(sbx_req_t));
    r->conn = c;
    c->req = r;
    memcpy(r->method, method.p, method.n < 7 ? method.n : 7);
    for (n = 0; n < target.n && target.p[n] != '?'; n++) {
    }
    r->path = sbx_strndup(wagw_str(target.p, n));
    r->query = sbx_query(n < target.n ? wagw_str(target.p + n + 1, target.n - n - 1) : WAGW_STR(""));
    r->keep_alive = !sbx_has_token(sbx_header(head, "Connection"), "close");
    if (sbx_media(c, method, r->path, r->query, sbx_header(head, "Range"), body, r->keep_alive)) {
        c->req = NULL;
        sbx_req_free(r);
        if (!c->closing) {
            sbx_http_read(c);
        }
        return;
    }
    wagw_buf_str(&r->body, body);
    if (body.n != 0 && (body.p[0] == '{' || body.p[0] == '[')) {
        r->json = cJSON_ParseWithLength((const char *)body.p, body.n);
    }
    sbx_http_run(r);
}

void sbx_http_read(sbx_conn_t *c)
{
    size_t have, i, m, t;
    uint64_t n;
    uint8_t *p;
    wagw_str_t head, method, target, v;
    struct evbuffer *in;
    struct evbuffer_ptr end;

    in = bufferevent_get_input(c->bev);
    if (c->req != NULL || c->closing) {
        return; /* one at a time; the rest waits in the buffer */
    }

    end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    if (end.pos < 0) {
        if (evbuffer_get_length(in) > SBX_HEAD_MAX) {
            sbx_http_refuse(c, 413, "request head too large");
        }
        return;
    }

    p = evbuffer_pullup(in, end.pos + 4);
    for (m = 0; m < (size_t)end.pos && p[m] != ' '; m++) {
    }
    for (t = m + 1; t < (size_t)end.pos && p[t] != ' ' && p[t] != '\r'; t++) {
    }
    for (i = t; i < (size_t)end.pos && p[i] != '\r'; i++) {
    }
    if (t >= (size_t)end.pos || m == 0 || m > 7 || t == m + 1 || p[m + 1] != '/') {
        sbx_http_refuse(c, 400, "not an HTTP request");
        return;
    }
    head = wagw_str(p + i + 2, (size_t)end.pos + 4 - i - 2);

    n = 0;
    v = sbx_header(head, "Content-Length");
    if (v.p != NULL && (wagw_str_u64(v, &n) != WAGW_OK || n > SBX_BODY_MAX)) {
        sbx_http_refuse(c, 413, "request body too large");
        return;
    }
    if (sbx_header(head, "Transfer-Encoding").p != NULL) {
        sbx_http_refuse(c, 400, "send a Content-Length");
        return;
    }

    have = evbuffer_get_length(in);
    if (have < (size_t)end.pos + 4 + n) {
        if (have == (size_t)end.pos + 4 && sbx_has_token(sbx_header(head, "Expect"), "100-continue") && !c->pinged) {
            c->pinged = true;
            bufferevent_write(c->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        }
        return;
    }
    c->pinged = false;

    /* a copy: the handler may read the next request from the same buffer */
    p = sbx_alloc((size_t)end.pos + 4 + n);
    evbuffer_remove(in, p, (size_t)end.pos + 4 + n);
    head.p = p + i + 2;
    method = wagw_str(p, m);
    target = wagw_str(p + m + 1, t - m - 1);

    if (sbx_has_token(sbx_header(head, "Upgrade"), "websocket")) {
        sbx_http_upgrade(c, target, head);
    } else {
        sbx_http_request(c, method, target, head, wagw_str(p + end.pos + 4, (size_t)n));
    }
    free(p);
}

const char *sbx_arg(sbx_req_t *r, const char *name, char buf[64])
{
    const cJSON *v;

    v = cJSON_GetObjectItemCaseSensitive(r->query, name);
    if (v == NULL && r->json != NULL) {
        v = cJSON_GetObjectItemCaseSensitive(r->json, name);
    }
    if (cJSON_IsString(v)) {
        return v->valuestring;
    }
    if (cJSON_IsNumber(v)) {
        snprintf(buf, 64, "%.0f", v->valuedouble);
        return buf;
    }
    if (cJSON_IsBool(v)) {
        return cJSON_IsTrue(v) ? "true" : "false";
    }
    return NULL;
}

int64_t sbx_arg_int(sbx_req_t *r, const char *name, int64_t otherwise)
{
    char buf[64];
    int64_t n;
    const char *s;

    s = sbx_arg(r, name, buf);
    return s != NULL && wagw_str_i64(wagw_cstr(s), &n) == WAGW_OK ? n : otherwise;
}

bool sbx_arg_bool(sbx_req_t *r, const char *name, bool otherwise)
{
    char buf[64];
    const char *s;

    s = sbx_arg(r, name, buf);
    if (s == NULL) {
        return otherwise;
    }
    return strcmp(s, "true") == 0 || strcmp(s, "1") == 0 || *s == '\0';
}

const cJSON *sbx_arg_json(sbx_req_t *r, const char *name)
{
    return r->json ? cJSON_GetObjectItemCaseSensitive(r->json, name) : NULL;
}
