/*
 * Texts that media come in or are told by: base64 as callers write it, what
 * pdfinfo prints, what a web page says of itself.  No nginx: a fuzz target
 * drives them with plain bytes.
 */

#ifndef NGX_WAGW_MEDIA_TEXT_H
#define NGX_WAGW_MEDIA_TEXT_H

#include "../core/base/base.h"

#pragma GCC visibility push(hidden)

/* Base64 in pieces, of either alphabet, white space allowed, with or without
 * "data:TYPE;base64," before it. */
typedef struct {
    bool escaped;   /* set at first: the text stands as in JSON, with escapes */
    wagw_buf_t out; /* decoded; the caller takes it away between calls, frees it at the end */

    uint32_t bits;
    unsigned n;
    bool end, begun;
    unsigned escape; /* 0 none, 1 behind a backslash, 2 to 5 digits of \u to come */
    uint32_t code;
    char prefix[160];
    size_t nprefix;
} ngx_wagw_base64_t;

/* False: not base64, or no memory. */
bool ngx_wagw_base64_add(ngx_wagw_base64_t *d, wagw_str_t text);
bool ngx_wagw_base64_end(ngx_wagw_base64_t *d);
/* The type that a data URL named, from the first decoded byte on; NULL: none. */
const char *ngx_wagw_base64_type(const ngx_wagw_base64_t *d);

/* Pages by pdfinfo's output ("Pages:   12"); 0: it does not say, or it cannot be. */
uint32_t ngx_wagw_pdf_pages(wagw_str_t text);

/* What a page says of itself; views, as HTML. */
typedef struct {
    wagw_str_t title, description, image;
} ngx_wagw_html_t;

void ngx_wagw_html_read(ngx_wagw_html_t *page, wagw_str_t html);
/* Appends about max bytes of text from HTML to an empty buffer: entities of
 * the common kind, white space joined, valid UTF-8 without control characters below the blank. */
void ngx_wagw_html_plain(wagw_buf_t *out, wagw_str_t s, size_t max);

#pragma GCC visibility pop

#endif
