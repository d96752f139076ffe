#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "store_util.h"

const uint8_t stu_key[32] = "0123456789abcdef0123456789ABCDE";

void stu_reopen(stu_t *t)
{
    wagw_store_conf_t conf = {.dsn = t->dsn, .encryption_key = t->key};
    char why[512] = "";

    wagw_store_close(t->s);
    t->s = NULL;

    if (wagw_store_open(&t->s, &conf, why, sizeof(why)) != WAGW_OK) {
        fail_msg("%s", why);
    }
}

uint32_t stu_instance(stu_t *t, const char *id)
{
    wagw_instance_t i = {.id = wagw_cstr(id), .name = WAGW_STR("Name"), .active = true, .created_ms = 1};

    assert_int_equal(wagw_store_instance_create(t->s, &i), WAGW_OK);
    assert_true(i.num > 0);

    return i.num;
}

void stu_begin(stu_t *t, const uint8_t *key)
{
    memset(t, 0, sizeof(*t));
    t->key = key;
    strcpy(t->dir, "/tmp/wagw-store-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    snprintf(t->path, sizeof(t->path), "%s/wagw.db", t->dir);
    snprintf(t->dsn, sizeof(t->dsn), "sqlite:%s", t->path);
    stu_reopen(t);
    t->num = stu_instance(t, "one");
}

void stu_end(stu_t *t)
{
    static const char *const suffix[] = {"", "-wal", "-shm", "-journal"};
    char name[140];

    wagw_store_close(t->s);
    t->s = NULL;

    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", t->path, suffix[i]);
        unlink(name);
    }

    rmdir(t->dir);
}

wagw_batch_t *stu_batch(uint32_t instance)
{
    wagw_batch_t *b = wagw_batch_create(instance, 1);

    assert_non_null(b);

    return b;
}

void stu_put(wagw_batch_t *b, uint8_t kind, const char *key, wagw_str_t value)
{
    assert_int_equal(wagw_batch_add(b, WAGW_OP_PUT, kind, wagw_cstr(key), value), WAGW_OK);
}

void stu_message(wagw_batch_t *b, const wagw_row_message_t *m)
{
    char key[WAGW_KEY_MAX];
    wagw_buf_t v = {0};
    size_t n = wagw_msgkey(key, m->chat, m->id, m->sender);

    assert_true(n > 0);
    assert_int_equal(wagw_row_message_encode(&v, m), WAGW_OK);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_PUT, WAGW_REC_MESSAGE, wagw_str(key, n), wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_free(&v);
}

void stu_chat(wagw_batch_t *b, const wagw_row_chat_t *c)
{
    wagw_buf_t v = {0};

    assert_int_equal(wagw_row_chat_encode(&v, c), WAGW_OK);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_PUT, WAGW_REC_CHAT, c->id, wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_free(&v);
}

void stu_delivery(wagw_batch_t *b, const wagw_delivery_t *d)
{
    wagw_buf_t v = {0};

    assert_int_equal(wagw_row_delivery_encode(&v, d), WAGW_OK);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_DELIVERY, 0, WAGW_STR_NULL, wagw_buf_view(&v)), WAGW_OK);
    wagw_buf_free(&v);
}

void stu_apply(stu_t *t, wagw_batch_t *b)
{
    assert_int_equal(wagw_store_begin(t->s), WAGW_OK);

    if (wagw_store_apply(t->s, b) != WAGW_OK) {
        fail_msg("%s", wagw_store_error(t->s));
    }

    assert_int_equal(wagw_store_end(t->s, true), WAGW_OK);
    wagw_batch_destroy(b);
}

void stu_text(stu_t *t, const char *chat, const char *id, bool from_me, int64_t t_ms, const char *body)
{
    wagw_row_message_t m = {
        .chat = wagw_cstr(chat),
        .id = wagw_cstr(id),
        .sender = from_me ? WAGW_STR_NULL : WAGW_STR("15550009@s.whatsapp.net"),
        .from_me = from_me,
        .status = from_me ? WAGW_MSG_SENT : WAGW_MSG_RECEIVED,
        .t_ms = t_ms,
        .created_ms = t_ms,
        .type = WAGW_STR("text"),
        .body = wagw_cstr(body),
    };
    wagw_batch_t *b = stu_batch(t->num);

    stu_message(b, &m);
    stu_apply(t, b);
}

wagw_rec_t *stu_load(stu_t *t, uint32_t instance, uint8_t kind, const char *key, bool prefix, wagw_arena_t *a)
{
    wagw_load_t ask = {.kind = kind, .prefix = prefix, .key_len = (uint16_t)strlen(key)};
    wagw_rec_t *recs = NULL;

    memcpy(ask.key, key, ask.key_len);

    if (wagw_store_load(t->s, instance, &ask, a, &recs) != WAGW_OK) {
        fail_msg("%s", wagw_store_error(t->s));
    }

    return recs;
}

bool stu_has(stu_t *t, uint32_t instance, uint8_t kind, const char *key)
{
    wagw_arena_t a = {0};
    bool has = stu_load(t, instance, kind, key, false, &a) != NULL;

    wagw_arena_free(&a);

    return has;
}

cJSON *stu_json(wagw_buf_t *b)
{
    cJSON *json;

    assert_false(b->failed);
    json = cJSON_ParseWithLength((const char *)b->p, b->n);

    if (json == NULL) {
        fail_msg("not JSON: %.*s", (int)b->n, (const char *)b->p);
    }

    wagw_buf_free(b);
    *b = (wagw_buf_t){0};

    return json;
}

const char *stu_get(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    if (!cJSON_IsString(v)) {
        char *text = cJSON_PrintUnformatted(o);

        fail_msg("no string \"%s\" in %s", key, text);
    }

    return v->valuestring;
}
