#include "ngx_wagw_cron.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The files of the time zone database (RFC 8536). */

#define TZ_HEAD 44
#define TZ_CHANGES 4096
#define TZ_TYPES 256

typedef struct {
    uint32_t isutc, isstd, leap, time, type, chars;
} tz_head_t;

static uint32_t tz_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t tz_i64(const uint8_t *p)
{
    return (int64_t)((uint64_t)tz_u32(p) << 32 | tz_u32(p + 4));
}

static bool tz_head(tz_head_t *h, wagw_str_t file)
{
    if (file.n < TZ_HEAD || memcmp(file.p, "TZif", 4) != 0 || file.p[4] < '2') {
        return false;
    }

    *h = (tz_head_t){tz_u32(file.p + 20), tz_u32(file.p + 24), tz_u32(file.p + 28),
                     tz_u32(file.p + 32), tz_u32(file.p + 36), tz_u32(file.p + 40)};

    /* of a file that is not larger than NGX_WAGW_TZ_FILE: no sum of them overflows */
    return h->isutc <= TZ_TYPES && h->isstd <= TZ_TYPES && h->leap <= TZ_CHANGES && h->time <= TZ_CHANGES &&
           h->type <= TZ_TYPES && h->type > 0 && h->chars <= 4096;
}

static size_t tz_size(const tz_head_t *h, size_t time)
{
    return h->time * (time + 1) + h->type * 6 + h->chars + h->leap * (time + 4) + h->isstd + h->isutc;
}

static int tz_block(ngx_wagw_tz_t *tz, const tz_head_t *h, const uint8_t *p)
{
    const uint8_t *which = p + h->time * 8, *types = which + h->time;
    int32_t offset;

    for (uint32_t i = 0; i < h->type; i++) {
        offset = (int32_t)tz_u32(types + 6 * i);
        if (offset <= -26 * 3600 || offset >= 26 * 3600) {
            return WAGW_MALFORMED;
        }
    }

    tz->first = (int32_t)tz_u32(types);

    if (h->time == 0) {
        return WAGW_OK;
    }

    tz->at = calloc(h->time, sizeof(*tz->at));
    tz->offset = calloc(h->time, sizeof(*tz->offset));
    if (tz->at == NULL || tz->offset == NULL) {
        return WAGW_NOMEM;
    }

    for (uint32_t i = 0; i < h->time; i++) {
        tz->at[i] = tz_i64(p + 8 * i);
        if (which[i] >= h->type || (i && tz->at[i] <= tz->at[i - 1])) {
            return WAGW_MALFORMED;
        }
        tz->offset[i] = (int32_t)tz_u32(types + 6 * which[i]);
    }
    tz->n = h->time;

    return WAGW_OK;
}

int ngx_wagw_tz_parse(ngx_wagw_tz_t *tz, wagw_str_t file)
{
    int rc = WAGW_MALFORMED;
    size_t n;
    tz_head_t h;
    const uint8_t *end;

    *tz = (ngx_wagw_tz_t){0};

    if (file.n > NGX_WAGW_TZ_FILE || !tz_head(&h, file)) {
        goto done;
    }

    /* the first block has 32 bits and is for older readers */
    n = TZ_HEAD + tz_size(&h, 4);
    if (n > file.n) {
        goto done;
    }

    file = wagw_str(file.p + n, file.n - n);
    if (!tz_head(&h, file) || file.n < TZ_HEAD + tz_size(&h, 8) + 1) {
        goto done;
    }

    rc = tz_block(tz, &h, file.p + TZ_HEAD);
    n = TZ_HEAD + tz_size(&h, 8);

    if (rc == WAGW_OK && file.p[n] == '\n') {
        end = memchr(file.p + n + 1, '\n', file.n - n - 1);
        rc = end == NULL             ? WAGW_MALFORMED
             : end == file.p + n + 1 ? WAGW_OK
                                     : ngx_wagw_tz_rules(tz, wagw_str(file.p + n + 1, (size_t)(end - file.p) - n - 1));
    }

done:

    if (rc != WAGW_OK) {
        ngx_wagw_tz_free(tz);
    }

    return rc;
}

void ngx_wagw_tz_free(ngx_wagw_tz_t *tz)
{
    free(tz->at);
    free(tz->offset);
    *tz = (ngx_wagw_tz_t){0};
}

bool ngx_wagw_tz_name_ok(wagw_str_t name)
{
    bool begins = true; /* a component: with a letter, so neither dots nor an absolute path */

    if (name.n == 0 || name.n > NGX_WAGW_TZ_NAME || name.p[name.n - 1] == '/') {
        return false;
    }

    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (begins ? !letter : !letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '+' && c != '/') {
            return false;
        }
        begins = c == '/';
    }

    return true;
}

int ngx_wagw_tz_load(ngx_wagw_tz_t *tz, wagw_str_t name)
{
    int fd, rc = WAGW_NOT_FOUND;
    char path[sizeof(NGX_WAGW_TZ_DIR) + NGX_WAGW_TZ_NAME + 2];
    uint8_t *p = NULL;
    ssize_t n;
    struct stat st;

    *tz = (ngx_wagw_tz_t){0};

    if (name.n == 0 || wagw_str_is(name, "UTC")) {
        return WAGW_OK;
    }

    if (!ngx_wagw_tz_name_ok(name)) {
        return WAGW_NOT_FOUND;
    }

    snprintf(path, sizeof(path), "%s/%.*s", NGX_WAGW_TZ_DIR, (int)name.n, (const char *)name.p);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return WAGW_NOT_FOUND;
    }

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= NGX_WAGW_TZ_FILE) {
        p = malloc((size_t)st.st_size);
        n = p ? read(fd, p, (size_t)st.st_size) : -1;
        rc = p == NULL ? WAGW_NOMEM : n > 0 ? ngx_wagw_tz_parse(tz, wagw_str(p, (size_t)n)) : WAGW_NOT_FOUND;
        rc = rc == WAGW_MALFORMED ? WAGW_NOT_FOUND : rc;
    }

    free(p);
    close(fd);

    return rc;
}
