/* Placeholders: syntax, filters, what is missing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../ngx_wagw/ngx_wagw_template.c"

static cJSON *variables;

static int setup(void **state)
{
    (void)state;
    variables =
        cJSON_Parse("{\"name\":\"Änne öß\",\"n\":12,\"half\":0.5,\"yes\":true,\"empty\":\"\",\"nothing\":null,"
                    "\"when\":\"2026-03-04T05:06:07Z\",\"day\":\"2026-03-04\",\"unix\":86400,\"long name\":\"x\","
                    "\"ru\":\"Привет Ё\",\"gr\":\"Σας\",\"braces\":\"{{name}}\"}");

    return variables ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(variables);

    return 0;
}

static void is(const char *text, const char *want)
{
    wagw_buf_t b = {0};

    assert_int_equal(ngx_wagw_template_text(text, variables, true, &b, NULL), WAGW_OK);
    wagw_buf_u8(&b, 0);
    assert_string_equal((char *)b.p, want);
    wagw_buf_free(&b);
}

static void texts(void **state)
{
    (void)state;
    is("Dear {{name}}, {{ n }} {{half}} {{yes}}{{long name}}", "Dear Änne öß, 12 0.5 truex");
    is("{{name|upper}} {{ru|lower}} {{ru | upper}} {{gr|upper}} {{gr|lower}}", "ÄNNE Öß привет ё ПРИВЕТ Ё ΣΑς σας");
    is("{{nobody|default:\"a \\\"friend\\\"\"}} {{empty|default:x}} {{nothing|default:\"\"}}|{{empty}}|",
       "a \"friend\" x ||");
    is("{{nobody|default:\"joe\"|upper}} {{nobody|upper|default:\"joe\"}}", "JOE joe");
    is("{{when|date:\"%d/%m/%Y\"}} {{day|date:\"%d.%m.\"}} {{unix|date}} {{name|date:\"%Y\"}}",
       "04/03/2026 04.03. 1970-01-02 Änne öß");
    /* a value is not looked at again */
    is("{{braces}}", "{{name}}");
    /* what is none, or has no value, stays */
    is("{{}} {{ }} {{x|}} {{n|huh}} {{n {{name}} }} {n} {{n", "{{}} {{ }} {{x|}} {{n|huh}} {{n Änne öß }} {n} {{n");
    is("{{nobody}} {{nothing|upper}}", "{{nobody}} {{nothing|upper}}");
    is("{{n|default:\"open}}", "{{n|default:\"open}}");
}

static void bodies(void **state)
{
    char *text, filter[65] = "";
    cJSON *body, *out, *missing, *names = cJSON_CreateArray();

    (void)state;
    body = cJSON_Parse("{\"type\":\"list\",\"{{n}}\":\"{{n}}\",\"rows\":[{\"title\":\"{{name}}\",\"k\":1},\"{{gone}} "
                       "{{gone}} {{away|upper}}\"]}");
    assert_int_equal(ngx_wagw_template_render(body, variables, true, &out, &missing), WAGW_OK);
    assert_null(missing);
    text = cJSON_PrintUnformatted(out);
    assert_string_equal(text, "{\"type\":\"list\",\"{{n}}\":\"12\",\"rows\":[{\"title\":\"Änne öß\",\"k\":1},"
                              "\"{{gone}} {{gone}} {{away|upper}}\"]}");
    free(text);
    cJSON_Delete(out);

    assert_int_equal(ngx_wagw_template_render(body, variables, false, &out, &missing), WAGW_NOT_FOUND);
    assert_null(out);
    text = cJSON_PrintUnformatted(missing);
    assert_string_equal(text, "[\"gone\",\"away\"]");
    free(text);
    cJSON_Delete(missing);

    assert_int_equal(ngx_wagw_template_names(body, names, filter), WAGW_OK);
    text = cJSON_PrintUnformatted(names);
    assert_string_equal(text, "[\"n\",\"name\",\"gone\",\"away\"]");
    free(text);
    cJSON_Delete(body);

    body = cJSON_CreateString("{{n|upper}} {{n|shout}}");
    assert_int_equal(ngx_wagw_template_names(body, names, filter), WAGW_MALFORMED);
    assert_string_equal(filter, "shout");
    cJSON_Delete(body);
    cJSON_Delete(names);
}

static void limits(void **state)
{
    cJSON *deep = cJSON_CreateString("{{n}}"), *list, *out, *names = cJSON_CreateArray(), *big;
    char *text, filter[65];

    (void)state;
    for (int i = 0; i < 40; i++) {
        list = cJSON_CreateArray();
        cJSON_AddItemToArray(list, deep);
        deep = list;
    }
    assert_int_equal(ngx_wagw_template_render(deep, variables, true, &out, NULL), WAGW_LIMIT);
    assert_null(out);
    assert_int_equal(ngx_wagw_template_names(deep, names, filter), WAGW_LIMIT);
    cJSON_Delete(deep);
    cJSON_Delete(names);

    /* a short template and a long value */
    text = malloc(600001);
    memset(text, 'x', 600000);
    text[600000] = '\0';
    big = cJSON_CreateObject();
    cJSON_AddStringToObject(big, "v", text);
    free(text);
    list = cJSON_CreateString("{{v}}{{v}}");
    assert_int_equal(ngx_wagw_template_render(list, big, true, &out, NULL), WAGW_LIMIT);
    cJSON_Delete(list);
    list = cJSON_Parse("[\"{{v}}\",\"{{v}}\"]");
    assert_int_equal(ngx_wagw_template_render(list, big, true, &out, NULL), WAGW_LIMIT);
    cJSON_Delete(list);
    cJSON_Delete(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(bodies), cmocka_unit_test(limits)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
