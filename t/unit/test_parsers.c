/* Parsers of ngx_wagw/ that need no nginx: base64, ranges, what programs and pages print, multipart. */

#include "../../ngx_wagw/ngx_wagw_fields.c"
#include "../../ngx_wagw/ngx_wagw_headers.c"
#include "../../ngx_wagw/ngx_wagw_json.c"
#include "../../ngx_wagw/ngx_wagw_media_text.c"
#include "../../ngx_wagw/ngx_wagw_routes_fields.c"
#include "../../ngx_wagw/ngx_wagw_scan.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sys/mman.h>

static void base64_is(const char *text, bool escaped, const char *type, const char *want, size_t n)
{
    ngx_wagw_base64_t d = {.escaped = escaped};
    bool ok = ngx_wagw_base64_add(&d, wagw_cstr(text)) && ngx_wagw_base64_end(&d);

    assert_int_equal(ok, want != NULL);
    if (want) {
        assert_int_equal(d.out.n, n);
        assert_memory_equal(d.out.p ? d.out.p : (const uint8_t *)"", want, n);
        assert_int_equal(type != NULL, ngx_wagw_base64_type(&d) != NULL);
        if (type) {
            assert_string_equal(ngx_wagw_base64_type(&d), type);
        }
    }
    wagw_buf_free(&d.out);
}

static void test_base64(void **state)
{
    (void)state;
    base64_is("+/+/", false, NULL, "\xfb\xff\xbf", 3);
    base64_is("-_-_", false, NULL, "\xfb\xff\xbf", 3);
    /* some writers escape "/", some "+": .NET's writes \u002B */
    base64_is("\\u002B\\/\\u002b\\u002F", true, NULL, "\xfb\xff\xbf", 3);
    base64_is("aGVs\\r\\nbG8=", true, NULL, "hello", 5);
    base64_is("\\u0064ata:image\\/png;base64,aGVsbG8", true, "image/png", "hello", 5);
    base64_is("data:;base64,aGVsbG8=", false, NULL, "hello", 5);
    base64_is("dat", false, NULL, "u\xab", 2);
    base64_is("", false, NULL, "", 0);
    base64_is("aGVs\\bbG8=", true, NULL, NULL, 0);
    base64_is("aGVs\\u0100bG8=", true, NULL, NULL, 0);
    base64_is("aGVs\\u00", true, NULL, NULL, 0);
    base64_is("aGVs\\u002Gaa", true, NULL, NULL, 0);
    base64_is("aGVs\\\"bG8=", true, NULL, NULL, 0);
    base64_is("aGVsbG8\\", true, NULL, NULL, 0);
    base64_is("aGVsb", false, NULL, NULL, 0);
    base64_is("QQ==QQ", false, NULL, NULL, 0);
    base64_is("data:image/png,QQ", false, NULL, NULL, 0);
    base64_is("data:image/\xff;base64,QQ==", false, NULL, NULL, 0);
}

static void range_is(const char *v, uint64_t size, int rc, uint64_t from, uint64_t to)
{
    uint64_t a = 0, b = 0;

    assert_int_equal(ngx_wagw_headers_range(wagw_cstr(v), size, &a, &b), rc);
    assert_int_equal(a, from);
    assert_int_equal(b, to);
}

static void test_range(void **state)
{
    (void)state;
    range_is("bytes=0-0", 10, WAGW_OK, 0, 1);
    range_is("Bytes=3-", 10, WAGW_OK, 3, 10);
    range_is("bytes=3-99999999999999999999999999", 10, WAGW_OK, 3, 10);
    range_is("bytes=-4", 10, WAGW_OK, 6, 10);
    range_is("bytes=-40", 10, WAGW_OK, 0, 10);
    range_is("bytes=-0", 10, WAGW_LIMIT, 0, 0);
    range_is("bytes=10-", 10, WAGW_LIMIT, 0, 0);
    range_is("bytes=99999999999999999999999999-", 10, WAGW_LIMIT, 0, 0);
    range_is("bytes=5-4", 10, WAGW_MALFORMED, 0, 0);
    range_is("bytes=5-x", 10, WAGW_MALFORMED, 0, 0);
    range_is("bytes=0-1,3-4", 10, WAGW_MALFORMED, 0, 0);
    range_is("bytes=-", 10, WAGW_MALFORMED, 0, 0);
    range_is("items=0-1", 10, WAGW_MALFORMED, 0, 0);
}

static void test_retry_after(void **state)
{
    uint64_t s = 0;
    wagw_str_t v = WAGW_STR(" \t120\r\n");

    (void)state;
    assert_int_equal(ngx_wagw_headers_retry_after(&v, &s), WAGW_OK);
    assert_int_equal(s, 120);
    v = WAGW_STR("99999999999999999999999999\r\n");
    assert_int_equal(ngx_wagw_headers_retry_after(&v, &s), WAGW_OK);
    assert_true(s == UINT64_MAX);
    v = WAGW_STR(" Wed, 21 Oct 2015 07:28:00 GMT\r\n");
    assert_int_equal(ngx_wagw_headers_retry_after(&v, &s), WAGW_MALFORMED);
    assert_true(wagw_str_is(v, "Wed, 21 Oct 2015 07:28:00 GMT"));
    v = WAGW_STR(" \r\n");
    assert_int_equal(ngx_wagw_headers_retry_after(&v, &s), WAGW_MALFORMED);
    assert_int_equal(v.n, 0);
}

static void test_pages(void **state)
{
    (void)state;
    assert_int_equal(ngx_wagw_pdf_pages(WAGW_STR("Title: a\nPages:          12\nForm: none\n")), 12);
    assert_int_equal(ngx_wagw_pdf_pages(WAGW_STR("Pages: 1000001\n")), 0);
    assert_int_equal(ngx_wagw_pdf_pages(WAGW_STR("Pages: -1\n")), 0);
    assert_int_equal(ngx_wagw_pdf_pages(WAGW_STR("xPages: 3\nPages:")), 0);
    assert_int_equal(ngx_wagw_pdf_pages(WAGW_STR_NULL), 0);
}

static void test_html(void **state)
{
    wagw_buf_t b = {0};
    ngx_wagw_html_t page = {.title = WAGW_STR_NULL};

    (void)state;
    ngx_wagw_html_read(&page, WAGW_STR("<title>A &amp;\n B</title><meta name=description content='d'>"
                                       "<meta name='description' content='it\"s'>"
                                       "<meta content=\"http://x/y.png\" property=\"og:image\">"
                                       "<body><meta property='og:title' content='not here'>"));
    assert_true(wagw_str_is(page.description, "it\"s"));
    assert_true(wagw_str_is(page.image, "http://x/y.png"));
    ngx_wagw_html_plain(&b, page.title, 100);
    assert_true(wagw_str_is(wagw_buf_view(&b), "A & B"));
    wagw_buf_free(&b);

    page = (ngx_wagw_html_t){.title = WAGW_STR_NULL};
    ngx_wagw_html_read(&page, WAGW_STR("<title>a<title>b"));
    assert_int_equal(page.title.n, 0);
}

static cJSON *scan_body(const char *body, cJSON *parts, int want)
{
    cJSON *params;
    ngx_wagw_scan_t *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->fd = memfd_create("body", MFD_CLOEXEC);
    s->size = (off_t)strlen(body);
    assert_int_equal(pwrite(s->fd, body, strlen(body), 0), strlen(body));
    assert_int_equal(ngx_wagw_scan_multipart(s, WAGW_STR("multipart/form-data; boundary=\"x\""),
                                             ngx_wagw_fields_send_image, &params, parts),
                     want);
    wagw_arena_free(&s->arena);
    close(s->fd);
    free(s);
    return params;
}

/* What looks like a parameter within another one's quotes is none. */
static void test_multipart(void **state)
{
    cJSON *params, *file, *parts = cJSON_CreateObject();

    (void)state;
    params = scan_body("--x\r\nContent-Disposition: form-data; name=\"a; filename=b\"\r\n\r\n1\r\n"
                       "--x\r\ncontent-type:  \xff\r\nContent-Disposition: form-data; filename=\"p\\\"\\\\.png\"; "
                       "name=file\r\n\r\nFILE\r\n--x--",
                       parts, WAGW_OK);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(params, "a; filename=b")), "1");
    file = cJSON_GetObjectItem(parts, "file");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(file, "fileName")), "p\"\\.png");
    assert_null(cJSON_GetObjectItem(file, "mimetype"));
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(file, "length")), 4);
    cJSON_Delete(params);
    cJSON_Delete(parts);

    parts = cJSON_CreateObject();
    cJSON_Delete(scan_body("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n", parts, WAGW_MALFORMED));
    cJSON_Delete(parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64), cmocka_unit_test(test_range), cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_pages),  cmocka_unit_test(test_html),  cmocka_unit_test(test_multipart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
