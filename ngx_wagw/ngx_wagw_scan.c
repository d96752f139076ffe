#include "ngx_wagw_scan.h"

#include "../core/crypto/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define SCAN_PARTS 100
#define SCAN_HEAD 4096   /* of a multipart part */
#define SCAN_VALUE 65536 /* a field of multipart that is no file */
#define SCAN_FILES 8
#define SCAN_BOUNDARY 70
#define SCAN_MULTIPART (sizeof("multipart/form-data") - 1)

static int scan_refuse(ngx_wagw_scan_t *s, const char *field, const char *reason)
{
    s->field = field;
    s->reason = reason;
    return WAGW_MALFORMED;
}

/* Up to n bytes at `at` into p; their number, -1. */
static ssize_t scan_pread(const ngx_wagw_scan_t *s, void *p, size_t n, off_t at)
{
    ssize_t got;

    do {
        got = pread(s->fd, p, n, at);
    } while (got == -1 && errno == EINTR);
    return got;
}

static int scan_read(ngx_wagw_scan_t *s, off_t at)
{
    ssize_t n = scan_pread(s, s->buf, sizeof(s->buf), at);

    s->n = n > 0 ? (size_t)n : 0;
    return n > 0 ? WAGW_OK : WAGW_IO;
}

/* Offset of the needle at or behind `from`; -1: none, -2: cannot read. */
static off_t scan_find(ngx_wagw_scan_t *s, off_t from, wagw_str_t needle)
{
    uint8_t *p;

    while (from + (off_t)needle.n <= s->size) {
        if (scan_read(s, from) != WAGW_OK || s->n < needle.n) {
            return -2;
        }
        p = memmem(s->buf, s->n, needle.p, needle.n);
        if (p) {
            return from + (p - s->buf);
        }
        from += (off_t)(s->n - needle.n + 1);
    }
    return -1;
}

static cJSON *scan_part(cJSON *parts, const char *name, off_t offset, off_t length, bool base64)
{
    cJSON *part = cJSON_AddObjectToObject(parts, name);

    if (part == NULL || cJSON_AddNumberToObject(part, "offset", (double)offset) == NULL ||
        cJSON_AddNumberToObject(part, "length", (double)length) == NULL ||
        cJSON_AddBoolToObject(part, "base64", base64) == NULL) {
        return NULL;
    }
    return part;
}

/* ---- JSON ---- */

typedef struct {
    off_t offset, length;
} scan_string_t;

typedef struct {
    const char *nonce;
    scan_string_t strings[SCAN_FILES];
    unsigned n;
} scan_json_t;

/* Copies the text, long strings left out: "NONCE:index" stands for them. */
static int scan_shorten(ngx_wagw_scan_t *s, scan_json_t *j, wagw_buf_t *out)
{
    uint8_t c;
    off_t at, start = 0;
    size_t i, before = 0;
    bool in_string = false, escaped = false, left_out = false;

    for (at = 0; at < s->size; at += (off_t)s->n) {
        if (scan_read(s, at) != WAGW_OK) {
            return WAGW_IO;
        }
        for (i = 0; i < s->n; i++) {
            c = s->buf[i];
            if (!in_string) {
                wagw_buf_u8(out, c);
                if (c == '"') {
                    in_string = true;
                    start = at + (off_t)i + 1;
                    before = out->n;
                }
                continue;
            }
            if (!escaped && c == '"') {
                in_string = false;
                if (left_out) {
                    j->strings[j->n].offset = start;
                    j->strings[j->n].length = at + (off_t)i - start;
                    wagw_buf_printf(out, "%s:%u", j->nonce, j->n);
                    j->n++;
                    left_out = false;
                }
            } else {
                escaped = !escaped && c == '\\';
                if (left_out) {
                    continue;
                }
                if (out->n - before >= NGX_WAGW_SCAN_STRING) {
                    if (j->n == SCAN_FILES) {
                        return WAGW_LIMIT;
                    }
                    out->n = before;
                    left_out = true;
                    continue;
                }
            }
            wagw_buf_u8(out, c);
        }
        if (out->n > NGX_WAGW_SCAN_TEXT) {
            return WAGW_LIMIT;
        }
        if (out->failed) {
            return WAGW_NOMEM;
        }
    }
    return WAGW_OK;
}

/* Which left-out string a value stands for; -1: it is an ordinary one. */
static int scan_index(const scan_json_t *j, const cJSON *item)
{
    uint64_t n;
    const char *s = cJSON_GetStringValue(item);

    if (s == NULL || strncmp(s, j->nonce, 32) != 0 || s[32] != ':') {
        return -1;
    }
    return wagw_str_u64(wagw_cstr(s + 33), &n) == WAGW_OK && n < j->n ? (int)n : -1;
}

static int scan_place(const scan_json_t *j, cJSON *item, const char *name, cJSON *parts, unsigned *found)
{
    int k = scan_index(j, item);

    if (k < 0) {
        return WAGW_OK;
    }
    if (scan_part(parts, name, j->strings[k].offset, j->strings[k].length, true) == NULL) {
        return WAGW_NOMEM;
    }
    item->valuestring[0] = '\0';
    (*found)++;
    return WAGW_OK;
}

/* Places where a file may stand: a member, or a member of a member. */
static int scan_places(ngx_wagw_scan_t *s, const scan_json_t *j, cJSON *params, cJSON *parts)
{
    int rc = WAGW_OK;
    char name[128];
    cJSON *item, *sub;
    unsigned found = 0;

    for (item = params->child; item && rc == WAGW_OK; item = item->next) {
        rc = scan_place(j, item, item->string, parts, &found);
        for (sub = cJSON_IsObject(item) ? item->child : NULL; sub && rc == WAGW_OK; sub = sub->next) {
            snprintf(name, sizeof(name), "%s.%s", item->string, sub->string);
            rc = scan_place(j, sub, name, parts, &found);
        }
    }
    if (rc == WAGW_OK && found < j->n) {
        return scan_refuse(s, "body", "a string is too long");
    }
    return rc;
}

int ngx_wagw_scan_json(ngx_wagw_scan_t *s, const char nonce[33], cJSON **params, cJSON *parts)
{
    int rc;
    wagw_buf_t text = {0};
    scan_json_t j = {.nonce = nonce};

    *params = NULL;
    rc = scan_shorten(s, &j, &text);
    if (rc != WAGW_OK) {
        goto done;
    }
    s->json = ngx_wagw_json_check(text.p, text.n);
    if (s->json == NGX_WAGW_JSON_OK) {
        *params = cJSON_ParseWithLength((char *)text.p, text.n);
        s->json = *params ? NGX_WAGW_JSON_OK : NGX_WAGW_JSON_SYNTAX;
    }
    if (s->json != NGX_WAGW_JSON_OK) {
        rc = WAGW_MALFORMED;
    } else if (!cJSON_IsObject(*params)) {
        rc = scan_refuse(s, "body", "must be an object");
    } else {
        rc = scan_places(s, &j, *params, parts);
    }

done:
    wagw_buf_free(&text);
    return rc;
}

/* ---- multipart ---- */

/* As a string; NULL: it is not text. */
static const char *scan_text(ngx_wagw_scan_t *s, wagw_str_t v)
{
    return v.n && (memchr(v.p, '\0', v.n) || !wagw_utf8_valid(v)) ? NULL : (const char *)wagw_arena_str(&s->arena, v).p;
}

static const char *scan_unquote(ngx_wagw_scan_t *s, const uint8_t *p, const uint8_t *end)
{
    char *d, *out = wagw_arena_alloc(&s->arena, (size_t)(end - p) + 1);

    if (out == NULL) {
        return NULL;
    }
    for (d = out; p < end; p++) {
        if (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\')) {
            p++;
        }
        *d++ = (char)*p;
    }
    *d = '\0';
    return strlen(out) == (size_t)(d - out) && wagw_utf8_valid(wagw_cstr(out)) ? out : NULL;
}

/* The value of a parameter in a header's value; NULL: none, or it is not text.
 * What looks like a parameter within quotes is none. */
static const char *scan_parameter(ngx_wagw_scan_t *s, wagw_str_t value, const char *name)
{
    bool wanted, quoted;
    size_t len = strlen(name);
    const uint8_t *p = value.p, *end = value.p + value.n, *from, *eq;

    while (p < end) {
        if (*p == ';' || *p == ' ' || *p == '\t') {
            p++;
            continue;
        }
        for (eq = p; eq < end && *eq != '=' && *eq != ';' && *eq != ' '; eq++) {
        }
        if (eq == end || *eq != '=') {
            p = eq;
            continue;
        }
        wanted = (size_t)(eq - p) == len && strncasecmp((const char *)p, name, len) == 0;
        p = eq + 1;
        quoted = p < end && *p == '"';
        p += quoted;
        for (from = p; p < end && (quoted ? *p != '"' : *p != ';' && *p != ' '); p++) {
            if (quoted && *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\')) {
                p++;
            }
        }
        if (wanted) {
            return quoted ? scan_unquote(s, from, p) : scan_text(s, wagw_str(from, (size_t)(p - from)));
        }
        p += quoted && p < end;
    }
    return NULL;
}

typedef struct {
    const char *name, *file, *type;
} scan_head_t;

static void scan_head(ngx_wagw_scan_t *s, wagw_str_t head, scan_head_t *h)
{
    wagw_str_t value;
    const uint8_t *line, *last, *v, *end = head.p + head.n;

    memset(h, 0, sizeof(*h));
    for (line = head.p; line < end; line = last + 2) {
        last = memmem(line, (size_t)(end - line), "\r\n", 2);
        last = last ? last : end;
        v = memchr(line, ':', (size_t)(last - line));
        if (v) {
            value = wagw_str(v + 1, (size_t)(last - v - 1));
            while (value.n && (*value.p == ' ' || *value.p == '\t')) {
                value = wagw_str(value.p + 1, value.n - 1);
            }
            if (v - line == 19 && strncasecmp((const char *)line, "Content-Disposition", 19) == 0) {
                h->name = scan_parameter(s, value, "name");
                h->file = scan_parameter(s, value, "filename");
            } else if (v - line == 12 && strncasecmp((const char *)line, "Content-Type", 12) == 0) {
                h->type = scan_text(s, value);
            }
        }
        if (end - last < 2) {
            break;
        }
    }
}

static int scan_multipart_bad(ngx_wagw_scan_t *s)
{
    return scan_refuse(s, "body", "is not well-formed multipart/form-data");
}

static int scan_value(ngx_wagw_scan_t *s, const ngx_wagw_field_t *fields, cJSON *params, const char *name, off_t at,
                      off_t len)
{
    char *text;
    cJSON *item;

    if (len > SCAN_VALUE) {
        return scan_refuse(s, name, "too long");
    }
    text = wagw_arena_alloc(&s->arena, (size_t)len + 1);
    if (text == NULL) {
        return WAGW_NOMEM;
    }
    if (scan_pread(s, text, (size_t)len, at) != (ssize_t)len) {
        return WAGW_IO;
    }
    text[len] = '\0';
    if (strlen(text) != (size_t)len || !wagw_utf8_valid(wagw_str(text, (size_t)len))) {
        return scan_refuse(s, name, "must be UTF-8 without NUL characters");
    }
    if (name[0] == '_' || cJSON_GetObjectItemCaseSensitive(params, name)) {
        return WAGW_OK;
    }
    item = ngx_wagw_fields_value(fields, name, text);
    if (item == NULL || !cJSON_AddItemToObject(params, name, item)) {
        cJSON_Delete(item);
        return WAGW_NOMEM;
    }
    return WAGW_OK;
}

static wagw_str_t scan_boundary(ngx_wagw_scan_t *s, wagw_str_t type)
{
    return wagw_cstr(scan_parameter(s, wagw_str(type.p + SCAN_MULTIPART, type.n - SCAN_MULTIPART), "boundary"));
}

static int scan_file(cJSON *parts, const scan_head_t *h, off_t at, off_t len)
{
    cJSON *part;

    if (cJSON_GetObjectItemCaseSensitive(parts, "file")) {
        return WAGW_OK; /* one message carries one */
    }
    part = scan_part(parts, "file", at, len, false);
    if (part == NULL || (h->file && *h->file && cJSON_AddStringToObject(part, "fileName", h->file) == NULL) ||
        (h->type && *h->type && cJSON_AddStringToObject(part, "mimetype", h->type) == NULL)) {
        return WAGW_NOMEM;
    }
    return WAGW_OK;
}

int ngx_wagw_scan_multipart(ngx_wagw_scan_t *s, wagw_str_t type, const ngx_wagw_field_t *fields, cJSON **params,
                            cJSON *parts)
{
    int rc;
    char text[SCAN_BOUNDARY + 5];
    uint8_t head[SCAN_HEAD], *p;
    off_t at, end, body;
    ssize_t n;
    unsigned count;
    wagw_str_t boundary, delimiter;
    scan_head_t h;

    *params = NULL;
    boundary = scan_boundary(s, type);
    if (boundary.n == 0 || boundary.n > SCAN_BOUNDARY) {
        return scan_multipart_bad(s);
    }
    snprintf(text, sizeof(text), "\r\n--%s", (const char *)boundary.p);
    delimiter = wagw_cstr(text);

    *params = cJSON_CreateObject();
    if (*params == NULL) {
        return WAGW_NOMEM;
    }
    /* the first delimiter may have nothing before it */
    at = scan_find(s, 0, wagw_str(delimiter.p + 2, delimiter.n - 2));
    if (at < 0) {
        return at == -2 ? WAGW_IO : scan_multipart_bad(s);
    }
    at += (off_t)delimiter.n - 2;

    for (count = 0;; count++) {
        n = scan_pread(s, head, sizeof(head), at);
        if (n < 2) {
            return n < 0 ? WAGW_IO : scan_multipart_bad(s);
        }
        if (head[0] == '-' && head[1] == '-') {
            return WAGW_OK;
        }
        p = memmem(head, (size_t)n, "\r\n\r\n", 4);
        if (head[0] != '\r' || head[1] != '\n' || p == NULL || count == SCAN_PARTS) {
            return scan_multipart_bad(s);
        }
        scan_head(s, wagw_str(head + 2, (size_t)(p - head)), &h);
        body = at + (p + 4 - head);
        end = scan_find(s, body, delimiter);
        if (end < 0) {
            return end == -2 ? WAGW_IO : scan_multipart_bad(s);
        }
        at = end + (off_t)delimiter.n;
        if (h.name == NULL || *h.name == '\0') {
            return scan_multipart_bad(s);
        }
        rc = h.file == NULL && strcmp(h.name, "file") != 0 ? scan_value(s, fields, *params, h.name, body, end - body)
                                                           : scan_file(parts, &h, body, end - body);
        if (rc != WAGW_OK) {
            return rc;
        }
    }
}

/* ---- both ---- */

static int scan_hash_range(ngx_wagw_scan_t *s, wagw_digest_t *d, off_t at, off_t end)
{
    size_t n;

    for (; at < end; at += (off_t)n) {
        if (scan_read(s, at) != WAGW_OK) {
            return WAGW_IO;
        }
        n = (off_t)s->n < end - at ? s->n : (size_t)(end - at);
        if (wagw_digest_add(d, wagw_str(s->buf, n)) != WAGW_OK) {
            return WAGW_CRYPTO;
        }
    }
    return WAGW_OK;
}

int ngx_wagw_scan_hash(ngx_wagw_scan_t *s, wagw_str_t type, uint8_t hash[32])
{
    /* the boundary is no part of what is said: clients make a new one for every try */
    int rc = WAGW_OK;
    off_t at, end;
    wagw_str_t boundary = type.n > SCAN_MULTIPART ? scan_boundary(s, type) : WAGW_STR_NULL;
    wagw_digest_t *d = wagw_digest_sha256();

    if (d == NULL) {
        return WAGW_NOMEM;
    }
    if (boundary.n > SCAN_BOUNDARY) {
        boundary = WAGW_STR_NULL; /* nothing that was taken has one of that length */
    }
    for (at = 0; at < s->size; at = end + (off_t)boundary.n) {
        end = boundary.n ? scan_find(s, at, boundary) : -1;
        rc = end == -2 ? WAGW_IO : scan_hash_range(s, d, at, end == -1 ? s->size : end);
        if (rc != WAGW_OK || end == -1) {
            break;
        }
        /* a mark, so that what stood on both sides does not run together */
        rc = wagw_digest_add(d, WAGW_STR("\0"));
        if (rc != WAGW_OK) {
            break;
        }
    }
    if (rc == WAGW_OK) {
        rc = wagw_digest_end(d, hash);
    }
    wagw_digest_free(d);
    return rc;
}
