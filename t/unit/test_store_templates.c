/* Templates: names within their scope, who sees them, sealed content, the end of their instance. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "store_util.h"

static const uint8_t *const keys[] = {NULL, stu_key};
static const wagw_scope_t all = {WAGW_STR_NULL, WAGW_STR("master")};

static int make(stu_t *t, const char *id, uint32_t instance, const char *owner, const char *name)
{
    return wagw_store_template_create(t->s, &(wagw_template_t){.id = wagw_cstr(id),
                                                               .instance = instance,
                                                               .owner = wagw_cstr(owner),
                                                               .name = wagw_cstr(name),
                                                               .type = WAGW_STR("text"),
                                                               .language = WAGW_STR("en"),
                                                               .variables = WAGW_STR("[\"a\"]"),
                                                               .content = WAGW_STR("{\"message\":\"secret {{a}}\"}"),
                                                               .created_ms = 1000,
                                                               .updated_ms = 1000});
}

static int has(stu_t *t, const wagw_scope_t *scope, const char *id)
{
    int rc;
    wagw_template_t row;
    wagw_arena_t a = {0};

    rc = wagw_store_template_get(t->s, scope, wagw_cstr(id), WAGW_STR_NULL, 0, &a, &row);
    if (rc == WAGW_OK) {
        assert_string_equal((const char *)row.content.p, "{\"message\":\"secret {{a}}\"}");
        assert_string_equal((const char *)row.variables.p, "[\"a\"]");
        assert_int_equal(row.created_ms, 1000);
    }
    wagw_arena_free(&a);

    return rc;
}

/* The id that a name stands for. */
static void named(stu_t *t, const wagw_scope_t *scope, const char *name, uint32_t instance, const char *want)
{
    int rc;
    wagw_template_t row;
    wagw_arena_t a = {0};

    rc = wagw_store_template_get(t->s, scope, WAGW_STR_NULL, wagw_cstr(name), instance, &a, &row);
    assert_int_equal(rc, want ? WAGW_OK : WAGW_NOT_FOUND);
    if (want) {
        assert_string_equal((const char *)row.id.p, want);
    }
    wagw_arena_free(&a);
}

static int add(void *data, const wagw_template_t *t)
{
    snprintf((char *)data + strlen(data), 100, "%.*s ", (int)t->id.n, (const char *)t->id.p);

    return WAGW_OK;
}

static void list(stu_t *t, const wagw_scope_t *scope, uint32_t instance, const char *q, uint32_t offset, uint64_t n,
                 const char *want)
{
    char ids[400] = "";
    uint64_t total = 0;

    assert_int_equal(wagw_store_templates(t->s, scope, instance, wagw_cstr(q), 2, offset, add, ids, &total), WAGW_OK);
    assert_int_equal(total, n);
    assert_string_equal(ids, want);
}

static void scopes(void **state)
{
    char bound[32];
    uint32_t two;
    wagw_scope_t mine;
    stu_t t;

    (void)state;
    for (int k = 0; k < 2; k++) {
        stu_begin(&t, keys[k]);
        two = stu_instance(&t, "two");
        snprintf(bound, sizeof(bound), "[%u]", t.num);
        mine = (wagw_scope_t){wagw_cstr(bound), WAGW_STR("k1")};

        assert_int_equal(make(&t, "t1", 0, "master", "hello"), WAGW_OK);
        assert_int_equal(make(&t, "t2", 0, "master", "hello"), WAGW_DUPLICATE);
        assert_int_equal(make(&t, "t2", 0, "k1", "hello"), WAGW_OK);
        assert_int_equal(make(&t, "t3", t.num, "master", "hello"), WAGW_OK);
        assert_int_equal(make(&t, "t4", t.num, "k1", "hello"), WAGW_DUPLICATE);
        assert_int_equal(make(&t, "t4", two, "master", "hello"), WAGW_OK);
        assert_int_equal(make(&t, "t4", two, "master", "100%"), WAGW_DUPLICATE);
        assert_int_equal(make(&t, "t5", two, "master", "100%"), WAGW_OK);
        assert_int_equal(make(&t, "t6", 999, "master", "x"), WAGW_STATE);
        stu_reopen(&t);

        assert_int_equal(has(&t, &all, "t1"), WAGW_OK);
        assert_int_equal(has(&t, &all, "t4"), WAGW_OK);
        assert_int_equal(has(&t, &mine, "t1"), WAGW_NOT_FOUND);
        assert_int_equal(has(&t, &mine, "t2"), WAGW_OK);
        assert_int_equal(has(&t, &mine, "t3"), WAGW_OK);
        assert_int_equal(has(&t, &mine, "t4"), WAGW_NOT_FOUND);
        assert_int_equal(has(&t, &(wagw_scope_t){WAGW_STR("[]"), WAGW_STR("k9")}, "t1"), WAGW_NOT_FOUND);

        named(&t, &all, "hello", t.num, "t3");
        named(&t, &all, "hello", two, "t4");
        named(&t, &all, "hello", 0, "t1");
        named(&t, &mine, "hello", two, "t2");
        named(&t, &all, "nothing", t.num, NULL);

        list(&t, &all, 0, "", 0, 5, "t5 t1 ");
        list(&t, &all, 0, "", 4, 5, "t4 ");
        list(&t, &mine, 0, "", 0, 2, "t2 t3 ");
        list(&t, &all, two, "", 0, 2, "t5 t4 ");
        list(&t, &all, 0, "%", 0, 1, "t5 ");
        list(&t, &mine, two, "", 0, 0, "");

        assert_int_equal(wagw_store_template_delete(t.s, &mine, WAGW_STR("t4")), WAGW_NOT_FOUND);
        assert_int_equal(wagw_store_template_delete(t.s, &mine, WAGW_STR("t3")), WAGW_OK);
        assert_int_equal(has(&t, &all, "t3"), WAGW_NOT_FOUND);
        assert_int_equal(wagw_store_instance_delete(t.s, two, true), WAGW_OK);
        list(&t, &all, 0, "", 0, 2, "t1 t2 ");
        stu_end(&t);
    }
}

static void update(void **state)
{
    wagw_template_t row = {.id = WAGW_STR("t1"),
                           .name = WAGW_STR("other"),
                           .type = WAGW_STR("text"),
                           .language = WAGW_STR(""),
                           .variables = WAGW_STR("[\"a\"]"),
                           .content = WAGW_STR("{\"message\":\"secret {{a}}\"}"),
                           .updated_ms = 2000};
    wagw_scope_t nobody = {WAGW_STR("[]"), WAGW_STR("k9")};
    stu_t t;

    (void)state;
    for (int k = 0; k < 2; k++) {
        stu_begin(&t, keys[k]);
        assert_int_equal(make(&t, "t1", 0, "master", "hello"), WAGW_OK);
        assert_int_equal(make(&t, "t2", t.num, "master", "other"), WAGW_OK);
        assert_int_equal(wagw_store_template_update(t.s, &nobody, &row), WAGW_NOT_FOUND);
        row.instance = t.num;
        assert_int_equal(wagw_store_template_update(t.s, &all, &row), WAGW_DUPLICATE);
        row.name = WAGW_STR("third");
        /* sealed for its instance now */
        assert_int_equal(wagw_store_template_update(t.s, &all, &row), WAGW_OK);
        assert_int_equal(has(&t, &all, "t1"), WAGW_OK);
        named(&t, &all, "third", t.num, "t1");
        named(&t, &all, "hello", t.num, NULL);
        row = (wagw_template_t){.id = WAGW_STR("t1"),
                                .name = WAGW_STR("other"),
                                .type = WAGW_STR("text"),
                                .variables = row.variables,
                                .content = row.content,
                                .updated_ms = 2000};
        stu_end(&t);
    }
}

static void sealed(void **state)
{
    char text[4096];
    size_t n;
    bool found = false;
    FILE *f;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    assert_int_equal(make(&t, "t1", 0, "master", "hello"), WAGW_OK);
    wagw_store_close(t.s);
    t.s = NULL;
    f = fopen(t.path, "rb");
    assert_non_null(f);
    while ((n = fread(text, 1, sizeof(text), f)) > 0) {
        found = found || memmem(text, n, "secret {{a}}", 12) != NULL;
    }
    fclose(f);
    assert_false(found);
    stu_reopen(&t);
    assert_int_equal(has(&t, &all, "t1"), WAGW_OK);
    stu_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes),
        cmocka_unit_test(update),
        cmocka_unit_test(sealed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
