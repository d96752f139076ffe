#include "ngx_wagw_media_text.h"

#include <stdlib.h>
#include <strings.h>

#define PDF_PAGES_MAX 1000000

/* ---- base64 ---- */

static bool base64_char(ngx_wagw_base64_t *d, uint32_t c)
{
    int v;

    if (c == '=') {
        d->end = true;
        return true;
    }
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') {
        return true;
    }
    v = c < 0x80 ? wagw_base64_value((uint8_t)c) : -1;
    if (v < 0 || d->end) {
        return false;
    }
    d->bits = d->bits << 6 | (uint32_t)v;
    if (++d->n == 4) {
        wagw_buf_be(&d->out, d->bits & 0xffffff, 3);
        d->bits = d->n = 0;
    }
    return true;
}

/* "data:image/png;base64" */
static bool base64_prefix(ngx_wagw_base64_t *d)
{
    char *semi;

    d->prefix[d->nprefix] = '\0';
    semi = strchr(d->prefix, ';');
    if (semi == NULL || strstr(semi, ";base64") == NULL) {
        return false;
    }
    *semi = '\0';
    return true;
}

static bool base64_kept(ngx_wagw_base64_t *d)
{
    for (size_t k = 0; k < d->nprefix; k++) {
        if (!base64_char(d, (uint8_t)d->prefix[k])) {
            return false;
        }
    }
    return true;
}

static bool base64_begin(ngx_wagw_base64_t *d, uint32_t c)
{
    /* a data URL shows within its first five characters */
    if (d->nprefix < 5 && c != (uint8_t) "data:"[d->nprefix]) {
        d->begun = true;
        return base64_kept(d) && base64_char(d, c);
    }
    if (d->nprefix >= 5 && c == ',') {
        d->begun = true;
        return base64_prefix(d);
    }
    if (d->nprefix == sizeof(d->prefix) - 1 || c < 0x20 || c > 0x7e) {
        return false;
    }
    d->prefix[d->nprefix++] = (char)c;
    return true;
}

static int base64_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Some writers of JSON escape "/" and "+".  False: no such escape; *whole: c is a character. */
static bool base64_unescape(ngx_wagw_base64_t *d, uint32_t *c, bool *whole)
{
    int v;

    *whole = false;
    if (d->escape == 0) {
        *whole = *c != '\\';
        d->escape = !*whole;
        return true;
    }
    if (d->escape == 1) {
        if (*c == 'u') {
            d->escape = 5;
            d->code = 0;
            return true;
        }
        d->escape = 0;
        *whole = true;
        *c = *c == 'n' ? '\n' : *c == 'r' ? '\r' : *c == 't' ? '\t' : *c;
        return *c == '\n' || *c == '\r' || *c == '\t' || *c == '/';
    }
    v = base64_hex((uint8_t)*c);
    if (v < 0) {
        return false;
    }
    d->code = d->code << 4 | (uint32_t)v;
    if (--d->escape == 1) {
        d->escape = 0;
        *c = d->code;
        *whole = true;
    }
    return true;
}

bool ngx_wagw_base64_add(ngx_wagw_base64_t *d, wagw_str_t text)
{
    bool whole;
    uint32_t c;

    for (size_t i = 0; i < text.n; i++) {
        c = text.p[i];
        if (d->escaped) {
            if (!base64_unescape(d, &c, &whole)) {
                return false;
            }
            if (!whole) {
                continue;
            }
        }
        if (!(d->begun ? base64_char(d, c) : base64_begin(d, c))) {
            return false;
        }
    }
    return !d->out.failed;
}

bool ngx_wagw_base64_end(ngx_wagw_base64_t *d)
{
    if (d->escape) {
        return false;
    }
    if (!d->begun) {
        /* shorter than the beginning of a data URL */
        d->begun = true;
        if (d->nprefix >= 5 || !base64_kept(d)) {
            return false;
        }
    }
    if (d->n == 1) {
        return false;
    }
    if (d->n == 2) {
        wagw_buf_u8(&d->out, (uint8_t)(d->bits >> 4));
    } else if (d->n == 3) {
        wagw_buf_be(&d->out, d->bits >> 2 & 0xffff, 2);
    }
    return !d->out.failed;
}

const char *ngx_wagw_base64_type(const ngx_wagw_base64_t *d)
{
    return d->begun && d->nprefix > 5 && d->prefix[5] ? d->prefix + 5 : NULL;
}

/* ---- PDF ---- */

uint32_t ngx_wagw_pdf_pages(wagw_str_t text)
{
    wagw_str_t line;
    uint64_t pages;
    const uint8_t *end;

    for (; text.n; text = wagw_str(text.p + line.n + (line.n < text.n), text.n - line.n - (line.n < text.n))) {
        end = memchr(text.p, '\n', text.n);
        line = wagw_str(text.p, end ? (size_t)(end - text.p) : text.n);
        if (!wagw_str_starts(line, WAGW_STR("Pages:"))) {
            continue;
        }
        line = wagw_str(line.p + 6, line.n - 6);
        while (line.n && *line.p == ' ') {
            line = wagw_str(line.p + 1, line.n - 1);
        }
        return wagw_str_u64(line, &pages) == WAGW_OK && pages <= PDF_PAGES_MAX ? (uint32_t)pages : 0;
    }
    return 0;
}

/* ---- HTML ---- */

void ngx_wagw_html_plain(wagw_buf_t *out, wagw_str_t s, size_t max)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {{"&amp;", '&'},  {"&lt;", '<'},    {"&gt;", '>'},    {"&quot;", '"'},
                    {"&#39;", '\''}, {"&#x27;", '\''}, {"&apos;", '\''}, {"&nbsp;", ' '}};
    bool space = false;
    size_t len;
    uint8_t c;

    for (size_t i = 0; i < s.n && out->n < max;) {
        c = s.p[i];
        len = 1;

        for (size_t k = 0; c == '&' && k < sizeof(entities) / sizeof(entities[0]); k++) {
            size_t n = strlen(entities[k].name);

            if (s.n - i >= n && memcmp(s.p + i, entities[k].name, n) == 0) {
                c = (uint8_t)entities[k].c;
                len = n;
                break;
            }
        }

        i += len;

        if (c <= ' ') {
            space = out->n > 0;
            continue;
        }
        if (space) {
            wagw_buf_u8(out, ' ');
            space = false;
        }
        wagw_buf_u8(out, c);
    }

    /* not in the middle of a character */
    for (unsigned cut = 0; cut < 3 && out->n && !wagw_utf8_valid(wagw_buf_view(out)); cut++) {
        out->n--;
    }
    if (!wagw_utf8_valid(wagw_buf_view(out))) {
        wagw_buf_reset(out);
    }
}

static const uint8_t *html_find(const uint8_t *p, const uint8_t *end, const char *word)
{
    size_t n = strlen(word);

    for (; p + n <= end; p++) {
        if (strncasecmp((const char *)p, word, n) == 0) {
            return p;
        }
    }

    return NULL;
}

/* The value of an attribute inside a tag. */
static wagw_str_t html_attribute(const uint8_t *p, const uint8_t *end, const char *name)
{
    size_t n = strlen(name);
    const uint8_t *from;
    uint8_t quote;

    while ((p = html_find(p, end, name)) != NULL) {
        if (p[-1] <= ' ' && p + n + 1 < end && p[n] == '=' && (p[n + 1] == '"' || p[n + 1] == '\'')) {
            quote = p[n + 1];
            from = p + n + 2;
            p = memchr(from, quote, (size_t)(end - from));

            return p ? wagw_str(from, (size_t)(p - from)) : WAGW_STR_NULL;
        }
        p += n;
    }

    return WAGW_STR_NULL;
}

void ngx_wagw_html_read(ngx_wagw_html_t *page, wagw_str_t html)
{
    const uint8_t *p = html.p, *end, *close, *stop;
    wagw_str_t name, content;
    bool og_title = false, og_text = false, no_title = false;

    if (html.n == 0) {
        return;
    }
    end = html.p + html.n;

    while (p < end && (p = memchr(p, '<', (size_t)(end - p))) != NULL) {
        close = memchr(p, '>', (size_t)(end - p));
        if (close == NULL) {
            break;
        }

        if (close - p >= 6 && strncasecmp((const char *)p, "<title", 6) == 0 && page->title.n == 0 && !no_title) {
            stop = html_find(close, end, "</title");

            if (stop) {
                page->title = wagw_str(close + 1, (size_t)(stop - close - 1));
            } else {
                no_title = true; /* there is none further down either: once is enough to look */
            }

        } else if (close - p > 5 && strncasecmp((const char *)p, "<meta", 5) == 0) {
            name = html_attribute(p + 1, close, "property");
            if (name.n == 0) {
                name = html_attribute(p + 1, close, "name");
            }
            content = html_attribute(p + 1, close, "content");

            if (content.n && wagw_str_is(name, "og:title") && !og_title) {
                page->title = content;
                og_title = true;
            } else if (content.n && wagw_str_is(name, "og:description") && !og_text) {
                page->description = content;
                og_text = true;
            } else if (content.n && wagw_str_is(name, "description") && page->description.n == 0) {
                page->description = content;
            } else if (content.n && wagw_str_is(name, "og:image") && page->image.n == 0) {
                page->image = content;
            }

        } else if (close - p >= 5 && strncasecmp((const char *)p, "<body", 5) == 0) {
            break;
        }

        p = close + 1;
    }
}
