/*
 * Strict JSON, checked before cJSON sees it: cJSON takes more than the grammar
 * allows, cuts strings at \u0000 and has no limit on the number of values.
 * Pure; a fuzz target.
 */

#include "ngx_wagw_fields.h"

typedef struct {
    const uint8_t *p, *end;
    size_t values;
    ngx_wagw_json_rc_t rc;
} json_check_t;

static void json_blanks(json_check_t *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) {
        j->p++;
    }
}

static int json_fail(json_check_t *j, ngx_wagw_json_rc_t rc)
{
    j->rc = rc;
    return WAGW_MALFORMED;
}

static int json_hex4(json_check_t *j, size_t *v)
{
    uint8_t c;
    size_t i;

    if (j->end - j->p < 4) {
        return WAGW_MALFORMED;
    }
    for (i = 0, *v = 0; i < 4; i++) {
        c = *j->p++;
        if (c >= '0' && c <= '9') {
            *v = *v << 4 | (c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            *v = *v << 4 | ((c | 0x20) - 'a' + 10);
        } else {
            return WAGW_MALFORMED;
        }
    }
    return WAGW_OK;
}

/* behind the opening quote */
static int json_string(json_check_t *j)
{
    uint8_t c;
    size_t v;

    while (j->p < j->end) {
        c = *j->p++;
        if (c == '"') {
            return WAGW_OK;
        }
        if (c < 0x20) {
            return json_fail(j, NGX_WAGW_JSON_SYNTAX);
        }
        if (c != '\\') {
            continue;
        }
        if (j->p == j->end) {
            break;
        }
        c = *j->p++;
        if (c != 'u') {
            if (strchr("\"\\/bfnrt", c) == NULL || c == '\0') {
                break;
            }
            continue;
        }
        if (json_hex4(j, &v) != WAGW_OK) {
            break;
        }
        if (v == 0) {
            return json_fail(j, NGX_WAGW_JSON_NUL);
        }
        if (v >= 0xdc00 && v <= 0xdfff) {
            break;
        }
        if (v >= 0xd800 && v <= 0xdbff) {
            if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u') {
                break;
            }
            j->p += 2;
            if (json_hex4(j, &v) != WAGW_OK || v < 0xdc00 || v > 0xdfff) {
                break;
            }
        }
    }
    return json_fail(j, NGX_WAGW_JSON_SYNTAX);
}

static size_t json_digits(json_check_t *j)
{
    size_t n = 0;

    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        j->p++;
        n++;
    }
    return n;
}

static int json_number(json_check_t *j)
{
    const uint8_t *start;

    if (*j->p == '-') {
        j->p++;
    }
    start = j->p;
    if (json_digits(j) == 0 || (*start == '0' && j->p - start > 1) || j->p - start > 64) {
        return json_fail(j, NGX_WAGW_JSON_SYNTAX);
    }
    if (j->p < j->end && *j->p == '.') {
        j->p++;
        if (json_digits(j) == 0) {
            return json_fail(j, NGX_WAGW_JSON_SYNTAX);
        }
    }
    if (j->p < j->end && (*j->p | 0x20) == 'e') {
        j->p++;
        if (j->p < j->end && (*j->p == '+' || *j->p == '-')) {
            j->p++;
        }
        if (json_digits(j) == 0) {
            return json_fail(j, NGX_WAGW_JSON_SYNTAX);
        }
    }
    return WAGW_OK;
}

static int json_word(json_check_t *j, const char *word, size_t n)
{
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n) != 0) {
        return json_fail(j, NGX_WAGW_JSON_SYNTAX);
    }
    j->p += n;
    return WAGW_OK;
}

static int json_key(json_check_t *j)
{
    json_blanks(j);
    if (j->p == j->end || *j->p++ != '"') {
        return json_fail(j, NGX_WAGW_JSON_SYNTAX);
    }
    if (json_string(j) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    json_blanks(j);
    if (j->p == j->end || *j->p++ != ':') {
        return json_fail(j, NGX_WAGW_JSON_SYNTAX);
    }
    return WAGW_OK;
}

static int json_scalar(json_check_t *j)
{
    switch (*j->p) {
    case '"':
        j->p++;
        return json_string(j);
    case 't':
        return json_word(j, "true", 4);
    case 'f':
        return json_word(j, "false", 5);
    case 'n':
        return json_word(j, "null", 4);
    default:
        return json_number(j);
    }
}

/* Iterative: what the depth limit protects is cJSON's stack, not this one. */
static int json_value(json_check_t *j)
{
    uint8_t close[NGX_WAGW_JSON_DEPTH], c;
    size_t depth = 0;

    for (;;) {
        json_blanks(j);
        if (j->p == j->end) {
            return json_fail(j, NGX_WAGW_JSON_SYNTAX);
        }
        if (++j->values > NGX_WAGW_JSON_VALUES) {
            return json_fail(j, NGX_WAGW_JSON_MANY);
        }
        c = *j->p;
        if (c == '{' || c == '[') {
            if (depth == NGX_WAGW_JSON_DEPTH) {
                return json_fail(j, NGX_WAGW_JSON_DEEP);
            }
            j->p++;
            close[depth++] = c == '{' ? '}' : ']';
            json_blanks(j);
            if (j->p < j->end && *j->p == close[depth - 1]) {
                j->p++;
                depth--;
            } else if (c == '{') {
                if (json_key(j) != WAGW_OK) {
                    return WAGW_MALFORMED;
                }
                continue;
            } else {
                continue;
            }
        } else if (json_scalar(j) != WAGW_OK) {
            return WAGW_MALFORMED;
        }

        /* behind a value: the ends of what holds it, or its next neighbour */
        for (;;) {
            if (depth == 0) {
                return WAGW_OK;
            }
            json_blanks(j);
            if (j->p == j->end) {
                return json_fail(j, NGX_WAGW_JSON_SYNTAX);
            }
            c = *j->p++;
            if (c == close[depth - 1]) {
                depth--;
                continue;
            }
            if (c != ',') {
                return json_fail(j, NGX_WAGW_JSON_SYNTAX);
            }
            break;
        }
        if (close[depth - 1] == '}' && json_key(j) != WAGW_OK) {
            return WAGW_MALFORMED;
        }
    }
}

ngx_wagw_json_rc_t ngx_wagw_json_check(const uint8_t *p, size_t n)
{
    json_check_t j = {p, p + n, 0, NGX_WAGW_JSON_OK};

    if (!wagw_utf8_valid(wagw_str(p, n))) {
        return NGX_WAGW_JSON_UTF8;
    }
    if (json_value(&j) != WAGW_OK) {
        return j.rc;
    }
    json_blanks(&j);
    return j.p == j.end ? NGX_WAGW_JSON_OK : NGX_WAGW_JSON_SYNTAX;
}
