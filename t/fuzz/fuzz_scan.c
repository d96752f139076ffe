/*
 * A body with media as nginx has put it into a file.  First byte: even JSON,
 * odd multipart whose Content-Type ends at the first NUL.  The limits are made
 * small, and an '@' of JSON is a text long enough to stay in the file.
 * Whatever the body, a part lies within it and in front of its end mark.
 */

#include <stdlib.h>
#include <sys/mman.h>

#define NGX_WAGW_SCAN_CHUNK 160
#define NGX_WAGW_SCAN_STRING 60
#define NGX_WAGW_SCAN_TEXT 2000

#include "../../ngx_wagw/ngx_wagw_fields.c"
#include "../../ngx_wagw/ngx_wagw_json.c"
#include "../../ngx_wagw/ngx_wagw_routes_fields.c"
#include "../../ngx_wagw/ngx_wagw_scan.c"

#define FUZZ_LONG (NGX_WAGW_SCAN_STRING + 1)
#define FUZZ_LONG_MAX 10

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char nonce[33] = "0123456789abcdef0123456789abcdef";

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static int fuzz_file(wagw_str_t body)
{
    static int fd = -1;

    if (fd == -1) {
        fd = memfd_create("body", MFD_CLOEXEC);
    }
    need(fd != -1 && ftruncate(fd, 0) == 0 && pwrite(fd, body.p, body.n, 0) == (ssize_t)body.n);
    return fd;
}

static void fuzz_parts(wagw_str_t body, const cJSON *parts, bool multipart)
{
    const cJSON *part;
    double offset, length;

    cJSON_ArrayForEach(part, parts)
    {
        offset = cJSON_GetNumberValue(cJSON_GetObjectItem(part, "offset"));
        length = cJSON_GetNumberValue(cJSON_GetObjectItem(part, "length"));
        need(offset > 0 && length >= 0 && offset + length < (double)body.n);
        need(body.p[(size_t)(offset + length)] == (multipart ? '\r' : '"'));
        need(multipart || body.p[(size_t)offset - 1] == '"');
        need(cJSON_IsTrue(cJSON_GetObjectItem(part, "base64")) == !multipart);
        need(multipart || length >= NGX_WAGW_SCAN_STRING);
    }
}

static void fuzz_printed(const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    need(text != NULL && ngx_wagw_json_check((uint8_t *)text, strlen(text)) == NGX_WAGW_JSON_OK);
    free(text);
}

static void fuzz_body(wagw_str_t type, wagw_str_t body)
{
    int rc;
    uint8_t hash[32], again[32];
    cJSON *params = NULL, *parts = cJSON_CreateObject();
    ngx_wagw_scan_t *s = calloc(1, sizeof(*s));

    need(s && parts);
    s->fd = fuzz_file(body);
    s->size = (off_t)body.n;
    rc = type.n ? ngx_wagw_scan_multipart(s, type, ngx_wagw_fields_send_image, &params, parts)
                : ngx_wagw_scan_json(s, nonce, &params, parts);
    need(rc == WAGW_OK || rc == WAGW_MALFORMED || rc == WAGW_LIMIT);
    if (rc == WAGW_MALFORMED) {
        need(s->json != NGX_WAGW_JSON_OK || (s->field && s->reason));
    }
    fuzz_parts(body, parts, type.n != 0);
    need(s->arena.used <= 101 * (70000 + 3 * 4096));
    if (rc == WAGW_OK) {
        /* what goes to the owner is JSON that it will read */
        need(cJSON_IsObject(params));
        fuzz_printed(params);
        fuzz_printed(parts);
    }
    need(ngx_wagw_scan_hash(s, type, hash) == WAGW_OK && ngx_wagw_scan_hash(s, type, again) == WAGW_OK);
    need(memcmp(hash, again, 32) == 0);
    cJSON_Delete(params);
    cJSON_Delete(parts);
    wagw_arena_free(&s->arena);
    free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    unsigned used = 0;
    size_t at;
    wagw_buf_t b = {0};
    wagw_str_t type = WAGW_STR_NULL;
    const uint8_t *end;

    if (n < 2) {
        return 0;
    }
    if (*p % 2) {
        end = memchr(p + 1, '\0', n - 1);
        if (end == NULL || end + 1 == p + n) {
            return 0;
        }
        need(wagw_buf_cstr(&b, "multipart/form-data;") == WAGW_OK);
        need(wagw_buf_add(&b, p + 1, (size_t)(end - p - 1)) == WAGW_OK);
        type = wagw_buf_view(&b);
        fuzz_body(type, wagw_str(end + 1, n - (size_t)(end + 1 - p)));
    } else {
        for (size_t i = 1; i < n; i++) {
            if (p[i] != '@' || used == FUZZ_LONG_MAX) {
                wagw_buf_u8(&b, p[i]);
                continue;
            }
            at = b.n;
            need(wagw_buf_reserve(&b, FUZZ_LONG) == WAGW_OK);
            memset(b.p + at, 'A', FUZZ_LONG);
            b.n += FUZZ_LONG;
            used++;
        }
        need(!b.failed);
        fuzz_body(type, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return 0;
}
