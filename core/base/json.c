#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base.h"

#define JSON_DEPTH_MAX 64 /* bits of wagw_json_t.arrays */

wagw_json_t wagw_json(wagw_buf_t *out)
{
    wagw_json_t j = {.out = out};

    return j;
}

/* Before every value. */
static void json_comma(wagw_json_t *j)
{
    if (j->comma) {
        wagw_buf_u8(j->out, ',');
    }
    j->comma = true;
}

void wagw_json_open(wagw_json_t *j, char bracket)
{
    if (j->depth == JSON_DEPTH_MAX) {
        j->out->failed = true;
        return;
    }
    json_comma(j);
    wagw_buf_u8(j->out, (uint8_t)bracket);
    if (bracket == '[') {
        j->arrays |= (uint64_t)1 << j->depth;
    } else {
        j->arrays &= ~((uint64_t)1 << j->depth);
    }
    j->depth++;
    j->comma = false;
}

void wagw_json_close(wagw_json_t *j)
{
    if (j->depth == 0) {
        j->out->failed = true;
        return;
    }
    j->depth--;
    wagw_buf_u8(j->out, j->arrays >> j->depth & 1 ? ']' : '}');
    j->comma = true;
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t json_sequence(const uint8_t *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    return len <= n && wagw_utf8_valid(wagw_str(p, len)) ? len : 0;
}

/* What stands in a JSON string as it is. */
static const bool json_plain[256] = {[' '] = true, ['!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};

static void json_quoted(wagw_buf_t *out, wagw_str_t s)
{
    size_t i = 0, from = 0, len;

    wagw_buf_u8(out, '"');
    while (i < s.n) {
        uint8_t c = s.p[i];

        if (json_plain[c]) {
            i++;
            continue;
        }
        len = json_sequence(s.p + i, s.n - i);
        if (len > 1) {
            i += len;
            continue;
        }

        wagw_buf_add(out, s.p + from, i - from);
        if (len == 0) {
            wagw_buf_cstr(out, "\xef\xbf\xbd");
        } else if (c == '"' || c == '\\') {
            wagw_buf_u8(out, '\\');
            wagw_buf_u8(out, c);
        } else if (c == '\n') {
            wagw_buf_cstr(out, "\\n");
        } else if (c == '\r') {
            wagw_buf_cstr(out, "\\r");
        } else if (c == '\t') {
            wagw_buf_cstr(out, "\\t");
        } else {
            wagw_buf_printf(out, "\\u%04x", c);
        }
        i++;
        from = i;
    }
    wagw_buf_add(out, s.p ? s.p + from : s.p, i - from);
    wagw_buf_u8(out, '"');
}

void wagw_json_key_str(wagw_json_t *j, wagw_str_t key)
{
    json_comma(j);
    json_quoted(j->out, key);
    wagw_buf_u8(j->out, ':');
    j->comma = false;
}

void wagw_json_key(wagw_json_t *j, const char *key)
{
    wagw_json_key_str(j, wagw_cstr(key));
}

void wagw_json_str(wagw_json_t *j, wagw_str_t s)
{
    json_comma(j);
    json_quoted(j->out, s);
}

void wagw_json_cstr(wagw_json_t *j, const char *s)
{
    if (s == NULL) {
        wagw_json_null(j);
        return;
    }
    wagw_json_str(j, wagw_cstr(s));
}

void wagw_json_int(wagw_json_t *j, int64_t v)
{
    char text[21];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    json_comma(j);

    if (v < 0) {
        wagw_buf_u8(j->out, '-');
    }

    wagw_buf_add(j->out, text, wagw_u64_text(u, text));
}

void wagw_json_uint(wagw_json_t *j, uint64_t v)
{
    char text[21];

    json_comma(j);
    wagw_buf_add(j->out, text, wagw_u64_text(v, text));
}

void wagw_json_num(wagw_json_t *j, double v)
{
    int digits;
    char text[40];

    if (!isfinite(v)) {
        wagw_json_null(j);
        return;
    }
    /* the shortest form that reads back as the same number */
    for (digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    json_comma(j);
    wagw_buf_cstr(j->out, text);
}

void wagw_json_bool(wagw_json_t *j, bool v)
{
    json_comma(j);
    wagw_buf_cstr(j->out, v ? "true" : "false");
}

void wagw_json_null(wagw_json_t *j)
{
    json_comma(j);
    wagw_buf_cstr(j->out, "null");
}

void wagw_json_raw(wagw_json_t *j, wagw_str_t json)
{
    json_comma(j);
    wagw_buf_str(j->out, json);
}

void wagw_json_base64(wagw_json_t *j, wagw_str_t bytes)
{
    json_comma(j);
    wagw_buf_u8(j->out, '"');
    wagw_base64_encode(j->out, bytes);
    wagw_buf_u8(j->out, '"');
}

void wagw_json_iso(wagw_json_t *j, int64_t ms)
{
    char text[32];

    if (ms == 0) {
        wagw_json_null(j);
        return;
    }
    wagw_json_str(j, wagw_str(text, wagw_iso_text(ms, text)));
}

void wagw_json_kstr(wagw_json_t *j, const char *k, wagw_str_t s)
{
    wagw_json_key(j, k);
    wagw_json_str(j, s);
}

void wagw_json_kcstr(wagw_json_t *j, const char *k, const char *s)
{
    wagw_json_key(j, k);
    wagw_json_cstr(j, s);
}

void wagw_json_kint(wagw_json_t *j, const char *k, int64_t v)
{
    wagw_json_key(j, k);
    wagw_json_int(j, v);
}

void wagw_json_kbool(wagw_json_t *j, const char *k, bool v)
{
    wagw_json_key(j, k);
    wagw_json_bool(j, v);
}

void wagw_json_knull(wagw_json_t *j, const char *k)
{
    wagw_json_key(j, k);
    wagw_json_null(j);
}

void wagw_json_kiso(wagw_json_t *j, const char *k, int64_t ms)
{
    wagw_json_key(j, k);
    wagw_json_iso(j, ms);
}

void wagw_json_kraw(wagw_json_t *j, const char *k, wagw_str_t json)
{
    wagw_json_key(j, k);
    wagw_json_raw(j, json);
}

void wagw_json_field(wagw_json_t *j, const char *field, const char *reason)
{
    wagw_json_open(j, '{');
    wagw_json_key(j, "fields");
    wagw_json_open(j, '[');
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "field", field);
    wagw_json_kcstr(j, "reason", reason);
    wagw_json_close(j);
    wagw_json_close(j);
    wagw_json_close(j);
}
