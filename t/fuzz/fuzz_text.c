/*
 * Texts that media come in or are told by.  First byte: base64 (bit 3: as in
 * JSON), what pdfinfo prints, a web page.
 */

#include <cjson/cJSON.h>

#include "../../ngx_wagw/ngx_wagw_media_text.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool fuzz_decode(ngx_wagw_base64_t *d, wagw_str_t s, size_t piece, bool escaped)
{
    size_t n;
    bool ok = true;

    memset(d, 0, sizeof(*d));
    d->escaped = escaped;
    for (size_t at = 0; ok && at < s.n; at += n) {
        n = piece < s.n - at ? piece : s.n - at;
        ok = ngx_wagw_base64_add(d, wagw_str(s.p + at, n));
    }
    return ok && ngx_wagw_base64_end(d);
}

/* Pieces change nothing; escapes are what a reader of JSON makes of them; what was encoded comes back. */
static void fuzz_base64(wagw_str_t s, bool escaped)
{
    bool ok;
    char *type;
    cJSON *json;
    wagw_buf_t quoted = {0};
    ngx_wagw_base64_t d, other;

    ok = fuzz_decode(&d, s, s.n ? s.n : 1, escaped);
    need(d.out.n <= s.n);
    need(fuzz_decode(&other, s, s.n ? s.p[0] % 7 + 1 : 1, escaped) == ok);
    need(!ok || wagw_str_eq(wagw_buf_view(&d.out), wagw_buf_view(&other.out)));
    wagw_buf_free(&other.out);
    type = ok && ngx_wagw_base64_type(&d) ? strdup(ngx_wagw_base64_type(&d)) : NULL;
    need(type == NULL || wagw_utf8_valid(wagw_cstr(type)));

    wagw_buf_u8(&quoted, '"');
    wagw_buf_str(&quoted, s);
    wagw_buf_add(&quoted, "\"", 2);
    json = escaped && ok ? cJSON_ParseWithOpts((char *)quoted.p, NULL, true) : NULL; /* one string and nothing behind */
    if (cJSON_IsString(json)) {
        need(fuzz_decode(&other, wagw_cstr(json->valuestring), s.n + 1, false));
        need(wagw_str_eq(wagw_buf_view(&d.out), wagw_buf_view(&other.out)));
        wagw_buf_free(&other.out);
    }
    cJSON_Delete(json);

    wagw_buf_reset(&quoted);
    need(wagw_base64_encode(&quoted, s) == WAGW_OK);
    need(fuzz_decode(&other, wagw_buf_view(&quoted), 3, escaped));
    need(wagw_str_eq(wagw_buf_view(&other.out), s));
    wagw_buf_free(&other.out);

    free(type);
    wagw_buf_free(&quoted);
    wagw_buf_free(&d.out);
}

static void fuzz_pages(wagw_str_t s)
{
    need(ngx_wagw_pdf_pages(s) <= 1000000);
}

static void fuzz_within(wagw_str_t s, wagw_str_t v)
{
    wagw_buf_t plain = {0};

    need(v.n == 0 || (v.p >= s.p && v.p + v.n <= s.p + s.n));
    ngx_wagw_html_plain(&plain, v, 100);
    need(plain.n <= 101 && wagw_utf8_valid(wagw_buf_view(&plain)));
    for (size_t i = 0; i < plain.n; i++) {
        need(plain.p[i] >= ' ');
    }
    wagw_buf_free(&plain);
}

static void fuzz_html(wagw_str_t s)
{
    ngx_wagw_html_t page = {.title = WAGW_STR_NULL};

    ngx_wagw_html_read(&page, s);
    fuzz_within(s, page.title);
    fuzz_within(s, page.description);
    fuzz_within(s, page.image);
    fuzz_within(s, s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    wagw_str_t s;

    if (n == 0) {
        return 0;
    }
    s = wagw_str(p + 1, n - 1);
    switch (p[0] % 4) {
    case 0:
        fuzz_pages(s);
        break;
    case 1:
        fuzz_html(s);
        break;
    default:
        fuzz_base64(s, p[0] % 4 == 3);
    }
    return 0;
}
