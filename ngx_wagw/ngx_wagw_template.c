#include "ngx_wagw_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEMPLATE_ARG 256
#define TEMPLATE_FILTERS 8
#define TEMPLATE_DEPTH 32

typedef struct {
    char name[16];
    char arg[TEMPLATE_ARG + 1];
} filter_t;

typedef struct {
    char name[NGX_WAGW_TEMPLATE_NAME + 1];
    size_t nfilters;
    filter_t filter[TEMPLATE_FILTERS];
    const char *end; /* behind the closing braces */
} place_t;

static const char *const template_filters[] = {"default", "upper", "lower", "date", NULL};

static bool template_filter(const char *name)
{
    for (size_t i = 0; template_filters[i]; i++) {
        if (strcmp(name, template_filters[i]) == 0) {
            return true;
        }
    }

    return false;
}

static const char *template_blanks(const char *p)
{
    while (*p == ' ' || *p == '\t') {
        p++;
    }

    return p;
}

/* Up to one of `ends`, without blanks behind; NULL: empty or too long. */
static const char *template_word(const char *p, const char *ends, char *out, size_t max)
{
    size_t n = strcspn(p, ends), len = n;

    while (len && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
        len--;
    }

    if (len == 0 || len > max) {
        return NULL;
    }

    memcpy(out, p, len);
    out[len] = '\0';

    return p + n;
}

static const char *template_quoted(const char *p, char *out)
{
    size_t n = 0;

    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\')) {
            p++;
        }

        if (n == TEMPLATE_ARG) {
            return NULL;
        }

        out[n++] = *p;
    }

    out[n] = '\0';

    return *p == '"' ? template_blanks(p + 1) : NULL;
}

/* p is at "{{".  False: no placeholder. */
static bool template_place(const char *p, place_t *at)
{
    filter_t *f;

    at->nfilters = 0;
    p = template_word(template_blanks(p + 2), "|{}\"\n", at->name, NGX_WAGW_TEMPLATE_NAME);

    while (p && *p == '|') {
        if (at->nfilters == TEMPLATE_FILTERS) {
            return false;
        }

        f = &at->filter[at->nfilters++];
        f->arg[0] = '\0';
        p = template_word(template_blanks(p + 1), "|:{}\"\n", f->name, sizeof(f->name) - 1);

        if (p && *p == ':') {
            p = template_blanks(p + 1);
            p = *p == '"' ? template_quoted(p, f->arg) : template_word(p, "|{}\"\n", f->arg, TEMPLATE_ARG);
        }
    }

    if (p == NULL || p[0] != '}' || p[1] != '}') {
        return false;
    }

    at->end = p + 2;

    return true;
}

/* Latin (with its supplement), Greek and Cyrillic; the rest has no case here. */
static void template_case(wagw_buf_t *b, bool upper)
{
    for (size_t i = 0; i < b->n; i++) {
        uint8_t c = b->p[i], d = i + 1 < b->n ? b->p[i + 1] : 0;
        unsigned u;

        if (c < 0x80) {
            if (upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z') {
                b->p[i] = c ^ 0x20;
            }
            continue;
        }

        if (c < 0xC2 || c > 0xD1 || (d & 0xC0) != 0x80) {
            continue;
        }

        u = (unsigned)(c & 0x1F) << 6 | (d & 0x3F);

        if (upper) {
            u = (u >= 0xE0 && u <= 0xFE && u != 0xF7) || (u >= 0x3B1 && u <= 0x3C9 && u != 0x3C2) ||
                        (u >= 0x430 && u <= 0x44F)
                    ? u - 0x20
                : u >= 0x450 && u <= 0x45F ? u - 0x50
                                           : u;
        } else {
            u = (u >= 0xC0 && u <= 0xDE && u != 0xD7) || (u >= 0x391 && u <= 0x3A9 && u != 0x3A2) ||
                        (u >= 0x410 && u <= 0x42F)
                    ? u + 0x20
                : u >= 0x400 && u <= 0x40F ? u + 0x50
                                           : u;
        }

        b->p[i] = (uint8_t)(0xC0 | u >> 6);
        b->p[i + 1] = (uint8_t)(0x80 | (u & 0x3F));
        i++;
    }
}

/* An ISO time or date, or seconds since 1970, in UTC.  False: it is none. */
static bool template_date(wagw_buf_t *b, const char *format)
{
    char text[40], *end, out[256];
    double seconds;
    int64_t ms;
    time_t t;
    struct tm tm;
    size_t n;

    if (b->n == 0 || b->n >= 32) {
        return false;
    }

    memcpy(text, b->p, b->n);
    text[b->n] = '\0';

    if (b->n == 10 && text[4] == '-') {
        strcat(text, "T00:00:00Z");
    }

    if (wagw_iso_parse(wagw_cstr(text), &ms) != WAGW_OK) {
        seconds = strtod(text, &end);
        if (*end || seconds < 0 || seconds > 253402300799.0) {
            return false;
        }
        ms = (int64_t)(seconds * 1000);
    }

    t = (time_t)(ms / 1000);
    if (gmtime_r(&t, &tm) == NULL) {
        return false;
    }

    n = strftime(out, sizeof(out), format[0] ? format : "%Y-%m-%d", &tm);
    wagw_buf_reset(b);
    wagw_buf_add(b, out, n);

    return true;
}

/* False: there is no value. */
static bool template_value(const place_t *at, const cJSON *variables, wagw_buf_t *b)
{
    bool have = true;
    char *number;
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(variables, at->name);

    if (cJSON_IsString(v)) {
        wagw_buf_cstr(b, v->valuestring);
    } else if (cJSON_IsNumber(v)) {
        number = cJSON_PrintUnformatted(v);
        wagw_buf_cstr(b, number ? number : "");
        cJSON_free(number);
    } else if (cJSON_IsBool(v)) {
        wagw_buf_cstr(b, cJSON_IsTrue(v) ? "true" : "false");
    } else {
        have = false;
    }

    for (size_t i = 0; i < at->nfilters; i++) {
        const filter_t *f = &at->filter[i];

        if (strcmp(f->name, "default") == 0) {
            if (!have || b->n == 0) {
                wagw_buf_reset(b);
                wagw_buf_cstr(b, f->arg);
                have = true;
            }
        } else if (!have) {
            continue;
        } else if (strcmp(f->name, "date") == 0) {
            (void)template_date(b, f->arg);
        } else {
            template_case(b, f->name[0] == 'u');
        }
    }

    return have;
}

static void template_missing(cJSON *missing, const char *name)
{
    const cJSON *one;

    cJSON_ArrayForEach(one, missing)
    {
        if (strcmp(one->valuestring, name) == 0) {
            return;
        }
    }

    if (missing) {
        cJSON_AddItemToArray(missing, cJSON_CreateString(name));
    }
}

static bool template_known(const place_t *at)
{
    for (size_t i = 0; i < at->nfilters; i++) {
        if (!template_filter(at->filter[i].name)) {
            return false;
        }
    }

    return true;
}

int ngx_wagw_template_text(const char *text, const cJSON *variables, bool keep, wagw_buf_t *out, cJSON *missing)
{
    bool absent = false;
    place_t at;
    wagw_buf_t v = {0};
    const char *p;

    while (*text) {
        p = strstr(text, "{{");
        if (p == NULL) {
            wagw_buf_cstr(out, text);
            break;
        }

        wagw_buf_add(out, text, (size_t)(p - text));

        if (!template_place(p, &at) || !template_known(&at)) {
            wagw_buf_u8(out, '{');
            text = p + 1;
            continue;
        }

        wagw_buf_reset(&v);

        if (template_value(&at, variables, &v)) {
            wagw_buf_str(out, wagw_buf_view(&v));
        } else if (keep) {
            wagw_buf_add(out, p, (size_t)(at.end - p));
        } else {
            absent = true;
            template_missing(missing, at.name);
        }

        text = at.end;

        if (out->n > NGX_WAGW_TEMPLATE_OUT) {
            wagw_buf_free(&v);
            return WAGW_LIMIT;
        }
    }

    if (v.failed) {
        out->failed = true;
    }
    wagw_buf_free(&v);

    return out->failed ? WAGW_NOMEM : absent ? WAGW_NOT_FOUND : WAGW_OK;
}

typedef struct {
    const cJSON *variables;
    bool keep;
    bool absent;
    size_t left;
    cJSON *missing;
} render_t;

static int template_walk(render_t *r, cJSON *v, int depth)
{
    int rc;
    char *text;
    cJSON *one;
    wagw_buf_t b = {0};

    if (depth > TEMPLATE_DEPTH) {
        return WAGW_LIMIT;
    }

    if (cJSON_IsString(v) && strstr(v->valuestring, "{{")) {
        rc = ngx_wagw_template_text(v->valuestring, r->variables, r->keep, &b, r->missing);

        if (rc == WAGW_NOT_FOUND) {
            r->absent = true;
            rc = WAGW_OK;
        }
        if (rc == WAGW_OK && b.n > r->left) {
            rc = WAGW_LIMIT;
        }
        if (rc == WAGW_OK) {
            r->left -= b.n;
            wagw_buf_u8(&b, 0);
            text = b.failed ? NULL : strdup((char *)b.p);
            rc = text ? WAGW_OK : WAGW_NOMEM;
            if (text) {
                cJSON_free(v->valuestring);
                v->valuestring = text;
            }
        }
        wagw_buf_free(&b);

        return rc;
    }

    cJSON_ArrayForEach(one, v)
    {
        rc = template_walk(r, one, depth + 1);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    return WAGW_OK;
}

int ngx_wagw_template_render(const cJSON *body, const cJSON *variables, bool keep, cJSON **out, cJSON **missing)
{
    int rc;
    render_t r = {variables, keep, false, NGX_WAGW_TEMPLATE_OUT, NULL};

    *out = cJSON_Duplicate(body, 1);
    r.missing = missing ? cJSON_CreateArray() : NULL;

    rc = *out == NULL || (missing && r.missing == NULL) ? WAGW_NOMEM : template_walk(&r, *out, 0);
    if (rc == WAGW_OK && r.absent) {
        rc = WAGW_NOT_FOUND;
    }

    if (rc != WAGW_OK) {
        cJSON_Delete(*out);
        *out = NULL;
    }
    if (missing) {
        *missing = rc == WAGW_NOT_FOUND ? r.missing : NULL;
        if (rc != WAGW_NOT_FOUND) {
            cJSON_Delete(r.missing);
        }
    }

    return rc;
}

static int names_walk(const cJSON *v, cJSON *names, char *filter, int depth)
{
    int rc;
    place_t at;
    const char *p;
    const cJSON *one;

    if (depth > TEMPLATE_DEPTH) {
        return WAGW_LIMIT;
    }

    if (cJSON_IsString(v)) {
        for (p = strstr(v->valuestring, "{{"); p; p = strstr(p, "{{")) {
            if (!template_place(p, &at)) {
                p++;
                continue;
            }
            for (size_t i = 0; i < at.nfilters; i++) {
                if (!template_filter(at.filter[i].name)) {
                    snprintf(filter, 65, "%s", at.filter[i].name);
                    return WAGW_MALFORMED;
                }
            }
            template_missing(names, at.name);
            p = at.end;
        }
    }

    cJSON_ArrayForEach(one, v)
    {
        rc = names_walk(one, names, filter, depth + 1);
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    return WAGW_OK;
}

int ngx_wagw_template_names(const cJSON *body, cJSON *names, char *filter)
{
    return names_walk(body, names, filter, 0);
}
