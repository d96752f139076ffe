/*
 * Placeholders of send bodies.  The first line is a text, the rest a JSON
 * object of variables.  Rendering with the missing ones kept never fails for
 * want of a value, and what no placeholder was found in comes out unchanged.
 */

#include "../../ngx_wagw/ngx_wagw_template.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    int rc;
    char filter[65];
    const uint8_t *end = n ? memchr(p, '\n', n) : NULL;
    size_t len = end ? (size_t)(end - p) : n;
    char *text = malloc(len + 1);
    cJSON *variables = end ? cJSON_ParseWithLength((const char *)end + 1, n - len - 1) : NULL;
    cJSON *names = cJSON_CreateArray(), *missing = cJSON_CreateArray(), *body;
    wagw_buf_t out = {0};

    need(text != NULL);
    memcpy(text, p, len);
    text[len] = '\0';

    rc = ngx_wagw_template_text(text, variables, true, &out, NULL);
    need(rc == WAGW_OK || rc == WAGW_LIMIT);

    body = cJSON_CreateString(text);
    if (ngx_wagw_template_names(body, names, filter) == WAGW_OK && cJSON_GetArraySize(names) == 0 && rc == WAGW_OK) {
        need(out.n == strlen(text) && (out.n == 0 || memcmp(out.p, text, out.n) == 0));
    }

    wagw_buf_reset(&out);
    rc = ngx_wagw_template_text(text, variables, false, &out, missing);
    need((rc == WAGW_NOT_FOUND) == (cJSON_GetArraySize(missing) > 0) || rc == WAGW_LIMIT);

    cJSON_Delete(body);
    cJSON_Delete(names);
    cJSON_Delete(missing);
    cJSON_Delete(variables);
    wagw_buf_free(&out);
    free(text);

    return 0;
}
