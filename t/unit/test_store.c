/*
 * The store's heart: opening, migrations, encryption at rest, batches that
 * happen whole or not at all, and what is left after a crash.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "store_util.h"

static int open_with(stu_t *t, const char *dsn, const uint8_t *key, const char *migrations, char why[512])
{
    wagw_store_conf_t conf = {.dsn = dsn, .encryption_key = key, .migrations = migrations};

    why[0] = '\0';

    return wagw_store_open(&t->s, &conf, why, 512);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Runs SQL beside the store, as an operator's mistake or a damaged disk would. */
static void meddle(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void what_cannot_be_opened_says_why(void **state)
{
    char why[512], path[200];
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    wagw_store_close(t.s);
    t.s = NULL;

    assert_int_not_equal(open_with(&t, "mysql://x", NULL, NULL, why), WAGW_OK);
    assert_non_null(strstr(why, "mysql://x"));
    assert_null(t.s);

    assert_int_not_equal(open_with(&t, "sqlite:", NULL, NULL, why), WAGW_OK);
    assert_int_not_equal(open_with(&t, NULL, NULL, NULL, why), WAGW_OK);

    assert_int_equal(open_with(&t, "sqlite:/nonexistent/dir/x.db", NULL, NULL, why), WAGW_IO);
    assert_non_null(strstr(why, "/nonexistent/dir/x.db"));

    snprintf(path, sizeof(path), "sqlite:%s/text", t.dir);
    write_file(path + 7,
               "this is not a database, and long enough to be read as a header of one: 0123456789abcdef0123456789");
    assert_int_not_equal(open_with(&t, path, NULL, NULL, why), WAGW_OK);
    assert_non_null(strstr(why, path + 7));
    unlink(path + 7);

    snprintf(path, sizeof(path), "sqlite:%s/foreign", t.dir);
    meddle(path + 7, "CREATE TABLE songs (name)");
    assert_int_equal(open_with(&t, path, NULL, NULL, why), WAGW_STATE);
    assert_non_null(strstr(why, "another program"));
    unlink(path + 7);

    meddle(t.path, "INSERT INTO migrations VALUES (999, '999-future.sql', '')");
    assert_int_equal(open_with(&t, t.dsn, NULL, NULL, why), WAGW_STATE);
    assert_non_null(strstr(why, "newer version"));
    assert_non_null(strstr(why, t.path));

    stu_end(&t);
}

static void the_file_is_private_and_durable(void **state)
{
    struct stat st;
    mode_t old = umask(0);
    sqlite3 *db;
    sqlite3_stmt *q;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    umask(old);

    assert_int_equal(stat(t.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    assert_int_equal(sqlite3_open(t.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(q, 0), "wal");
    sqlite3_finalize(q);
    sqlite3_close(db);

    stu_end(&t);
}

static void migrations_run_once(void **state)
{
    char dir[100], path[160], why[512], dsn[160];
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    stu_reopen(&t);
    stu_reopen(&t);
    wagw_store_close(t.s);
    t.s = NULL;

    /* a directory: in order, each once, the rest of the folder ignored */
    snprintf(dir, sizeof(dir), "%s/m", t.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(dsn, sizeof(dsn), "sqlite:%s/other.db", t.dir);

    assert_int_equal(open_with(&t, dsn, NULL, dir, why), WAGW_IO);
    assert_non_null(strstr(why, dir));

    snprintf(path, sizeof(path), "%s/001-a.sql", dir);
    write_file(path, "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB); CREATE TABLE a (x);");
    snprintf(path, sizeof(path), "%s/002-b.sql", dir);
    write_file(path, "ALTER TABLE a ADD COLUMN y; INSERT INTO a VALUES (1, 2);");
    snprintf(path, sizeof(path), "%s/notes.sql", dir);
    write_file(path, "nonsense");

    assert_int_equal(open_with(&t, dsn, NULL, dir, why), WAGW_OK);
    wagw_store_close(t.s);
    assert_int_equal(open_with(&t, dsn, NULL, dir, why), WAGW_OK);
    wagw_store_close(t.s);
    t.s = NULL;

    /* a bad one leaves nothing of itself */
    snprintf(path, sizeof(path), "%s/003-c.sql", dir);
    write_file(path, "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);");
    assert_int_equal(open_with(&t, dsn, NULL, dir, why), WAGW_IO);
    assert_non_null(strstr(why, "003-c.sql"));
    assert_non_null(strstr(why, "nowhere"));

    write_file(path, "CREATE TABLE half (x); INSERT INTO a VALUES (3, 4);");
    assert_int_equal(open_with(&t, dsn, NULL, dir, why), WAGW_OK);
    wagw_store_close(t.s);
    t.s = NULL;

    {
        sqlite3 *db;
        sqlite3_stmt *q;

        assert_int_equal(sqlite3_open(dsn + 7, &db), SQLITE_OK);
        assert_int_equal(
            sqlite3_prepare_v2(db, "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM migrations)", -1, &q, NULL),
            SQLITE_OK);
        assert_int_equal(sqlite3_step(q), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(q, 0), 2);
        assert_int_equal(sqlite3_column_int(q, 1), 3);
        sqlite3_finalize(q);
        sqlite3_close(db);
    }

    snprintf(path, sizeof(path), "rm -r %s/m %s/other.db*", t.dir, t.dir);
    assert_int_equal(system(path), 0);
    stu_end(&t);
}

static void the_key_belongs_to_the_database(void **state)
{
    uint8_t wrong[32];
    char why[512];
    stu_t t;

    (void)state;
    memset(wrong, 7, sizeof(wrong));

    stu_begin(&t, stu_key);
    wagw_store_close(t.s);
    t.s = NULL;

    assert_int_equal(open_with(&t, t.dsn, wrong, NULL, why), WAGW_CRYPTO);
    assert_non_null(strstr(why, t.path));
    assert_non_null(strstr(why, "not the one"));
    assert_null(t.s);

    assert_int_equal(open_with(&t, t.dsn, NULL, NULL, why), WAGW_STATE);
    assert_non_null(strstr(why, "is encrypted"));

    assert_int_equal(open_with(&t, t.dsn, stu_key, NULL, why), WAGW_OK);
    stu_end(&t);

    stu_begin(&t, NULL);
    wagw_store_close(t.s);
    t.s = NULL;
    assert_int_equal(open_with(&t, t.dsn, stu_key, NULL, why), WAGW_STATE);
    assert_non_null(strstr(why, "not encrypted"));
    stu_end(&t);
}

static bool file_contains(const char *path, const char *text)
{
    size_t n = strlen(text), got;
    char *p = malloc(64 * 1024 * 1024);
    FILE *f = fopen(path, "r");
    bool found;

    assert_non_null(p);

    if (f == NULL) {
        free(p);
        return false;
    }

    got = fread(p, 1, 64 * 1024 * 1024, f);
    found = got >= n && memmem(p, got, text, n) != NULL;
    fclose(f);
    free(p);

    return found;
}

static void secrets(stu_t *t)
{
    wagw_row_message_t m = {
        .chat = WAGW_STR("1@s.whatsapp.net"),
        .id = WAGW_STR("M1"),
        .sender = WAGW_STR("1@s.whatsapp.net"),
        .body = WAGW_STR("searchable-body"),
        .content = WAGW_STR("content-plaintext"),
        .secret = WAGW_STR("message-secret-plaintext"),
        .stanza = WAGW_STR("stanza-plaintext"),
        .status = WAGW_MSG_RECEIVED,
    };
    wagw_webhook_t w = {.id = WAGW_STR("w"),
                        .url = WAGW_STR("http://x"),
                        .secret = WAGW_STR("webhook-secret-plaintext"),
                        .headers = WAGW_STR("{\"Authorization\":\"header-plaintext\"}")};
    wagw_idempotency_t i = {.body = WAGW_STR("{\"a\":\"answer-plaintext\"}"), .status = 200}, old;
    wagw_arena_t a = {0};
    wagw_batch_t *b = stu_batch(t->num);

    stu_put(b, WAGW_REC_CREDS, "", WAGW_STR("credentials-plaintext"));
    stu_message(b, &m);
    stu_apply(t, b);
    assert_int_equal(wagw_store_webhook_put(t->s, &w), WAGW_OK);
    assert_int_equal(wagw_store_idempotency_begin(t->s, &i, &a, &old), WAGW_OK);
    assert_int_equal(wagw_store_idempotency_done(t->s, &i), WAGW_OK);
}

static void sealed_values_are_not_in_the_file(void **state)
{
    static const char *const hidden[] = {"credentials-plaintext", "content-plaintext", "message-secret-plaintext",
                                         "stanza-plaintext",      "header-plaintext",  "webhook-secret-plaintext",
                                         "answer-plaintext"};
    char wal[160];
    stu_t t;

    (void)state;

    for (int sealed = 0; sealed < 2; sealed++) {
        stu_begin(&t, sealed ? stu_key : NULL);
        secrets(&t);
        snprintf(wal, sizeof(wal), "%s-wal", t.path);

        for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
            assert_int_equal(file_contains(t.path, hidden[i]) || file_contains(wal, hidden[i]), !sealed);
        }

        assert_true(file_contains(t.path, "searchable-body") || file_contains(wal, "searchable-body"));
        stu_end(&t);
    }
}

static void a_sealed_value_only_opens_in_its_place(void **state)
{
    static const char *const tricks[] = {
        "UPDATE records SET value = (SELECT value FROM records WHERE key = x'61') WHERE key = x'62'",
        "UPDATE records SET kind = 3 WHERE key = x'62'",
        "UPDATE records SET inst = inst + 1 WHERE key = x'62'",
        "UPDATE records SET value = zeroblob(length(value)) WHERE key = x'62'",
        "UPDATE records SET value = x'00' WHERE key = x'62'",
    };
    stu_t t;

    (void)state;

    for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
        wagw_load_t ask[3] = {{.kind = WAGW_REC_SESSION, .prefix = true}, {.kind = 3, .prefix = true}};
        wagw_arena_t a = {0};
        wagw_rec_t *recs;
        wagw_batch_t *b;
        int failed = 0;

        stu_begin(&t, stu_key);
        b = stu_batch(t.num);
        stu_put(b, WAGW_REC_SESSION, "a", WAGW_STR("session of a"));
        stu_put(b, WAGW_REC_SESSION, "b", WAGW_STR("session of b"));
        stu_apply(&t, b);
        wagw_store_close(t.s);
        t.s = NULL;
        meddle(t.path, tricks[i]);
        stu_reopen(&t);

        for (uint32_t inst = t.num; inst < t.num + 2; inst++) {
            for (int k = 0; k < 2; k++) {
                if (wagw_store_load(t.s, inst, &ask[k], &a, &recs) == WAGW_CRYPTO) {
                    failed++;
                    assert_non_null(strstr(wagw_store_error(t.s), t.path));
                }
            }
        }

        assert_int_equal(failed, 1);
        wagw_arena_free(&a);
        stu_end(&t);
    }
}

static void records_come_back(void **state)
{
    wagw_arena_t a = {0};
    wagw_batch_t *b;
    wagw_rec_t *r;
    uint32_t two;
    stu_t t;

    (void)state;

    for (int sealed = 0; sealed < 2; sealed++) {
        stu_begin(&t, sealed ? stu_key : NULL);
        two = stu_instance(&t, "two");

        b = stu_batch(t.num);
        stu_put(b, WAGW_REC_SESSION, "1_1.0", WAGW_STR("s0"));
        stu_put(b, WAGW_REC_SESSION, "1_1.12", WAGW_STR("s12"));
        stu_put(b, WAGW_REC_SESSION, "1_2.0", WAGW_STR("other"));
        stu_put(b, WAGW_REC_IDENTITY, "1_1.0", WAGW_STR("identity"));
        stu_put(b, WAGW_REC_CREDS, "", WAGW_STR("creds"));
        stu_put(b, WAGW_REC_META, "empty", WAGW_STR(""));
        assert_int_equal(wagw_batch_add(b, WAGW_OP_PUT, WAGW_REC_APP_INDEX, WAGW_STR("c|\0\377\1"), WAGW_STR("bin")),
                         WAGW_OK);
        stu_apply(&t, b);

        b = stu_batch(two);
        stu_put(b, WAGW_REC_SESSION, "1_1.0", WAGW_STR("of two"));
        stu_apply(&t, b);
        stu_reopen(&t);

        r = stu_load(&t, t.num, WAGW_REC_SESSION, "1_1.0", false, &a);
        assert_non_null(r);
        assert_true(wagw_str_is(r->value, "s0") && wagw_str_is(r->key, "1_1.0") && r->kind == WAGW_REC_SESSION);
        assert_null(r->next);

        r = stu_load(&t, t.num, WAGW_REC_SESSION, "1_1.", true, &a);
        assert_true(wagw_str_is(r->value, "s0") && wagw_str_is(r->next->value, "s12"));
        assert_null(r->next->next);

        r = stu_load(&t, t.num, WAGW_REC_SESSION, "", true, &a);
        assert_true(r && r->next && r->next->next && !r->next->next->next);

        r = stu_load(&t, t.num, WAGW_REC_CREDS, "", false, &a);
        assert_true(wagw_str_is(r->value, "creds"));
        r = stu_load(&t, t.num, WAGW_REC_META, "empty", false, &a);
        assert_non_null(r);
        assert_int_equal(r->value.n, 0);
        r = stu_load(&t, t.num, WAGW_REC_APP_INDEX, "c|", true, &a);
        assert_non_null(r);
        assert_int_equal(r->key.n, 5);
        assert_memory_equal(r->key.p, "c|\0\377\1", 5);
        assert_null(stu_load(&t, t.num, WAGW_REC_SESSION, "1_1", false, &a));

        b = stu_batch(t.num);
        stu_put(b, WAGW_REC_SESSION, "1_1.0", WAGW_STR("newer"));
        assert_int_equal(wagw_batch_add(b, WAGW_OP_DEL, WAGW_REC_SESSION, WAGW_STR("1_1.12"), WAGW_STR_NULL), WAGW_OK);
        stu_apply(&t, b);
        r = stu_load(&t, t.num, WAGW_REC_SESSION, "1_1.", true, &a);
        assert_true(wagw_str_is(r->value, "newer"));
        assert_null(r->next);

        /* logout takes every record of this instance, and nothing else */
        stu_text(&t, "1@s.whatsapp.net", "KEEP", true, 1, "kept");
        b = stu_batch(t.num);
        assert_int_equal(wagw_batch_add(b, WAGW_OP_WIPE, 0, WAGW_STR_NULL, WAGW_STR_NULL), WAGW_OK);
        stu_put(b, WAGW_REC_META, "after", WAGW_STR("written after the wipe"));
        stu_apply(&t, b);
        assert_null(stu_load(&t, t.num, WAGW_REC_SESSION, "", true, &a));
        assert_null(stu_load(&t, t.num, WAGW_REC_CREDS, "", false, &a));
        assert_true(stu_has(&t, t.num, WAGW_REC_META, "after"));
        assert_true(stu_has(&t, t.num, WAGW_REC_MESSAGE, "1@s.whatsapp.net|KEEP|"));
        assert_true(stu_has(&t, two, WAGW_REC_SESSION, "1_1.0"));

        wagw_arena_free(&a);
        stu_end(&t);
    }
}

static void several_loads_at_once(void **state)
{
    wagw_load_t ask[3] = {{.kind = WAGW_REC_META, .key = "a", .key_len = 1, .next = &ask[1]},
                          {.kind = WAGW_REC_META, .key = "absent", .key_len = 6, .next = &ask[2]},
                          {.kind = WAGW_REC_CHAT, .prefix = true}};
    wagw_row_chat_t c = {.id = WAGW_STR("1@s.whatsapp.net")};
    wagw_arena_t a = {0};
    wagw_batch_t *b;
    wagw_rec_t *r;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    b = stu_batch(t.num);
    stu_put(b, WAGW_REC_META, "a", WAGW_STR("A"));
    stu_chat(b, &c);
    stu_apply(&t, b);

    assert_int_equal(wagw_store_load(t.s, t.num, ask, &a, &r), WAGW_OK);
    assert_true(wagw_str_is(r->value, "A"));
    assert_int_equal(r->next->kind, WAGW_REC_CHAT);
    assert_true(wagw_str_is(r->next->key, "1@s.whatsapp.net"));
    assert_null(r->next->next);

    ask[0].kind = 77;
    assert_int_equal(wagw_store_load(t.s, t.num, ask, &a, &r), WAGW_MALFORMED);
    wagw_arena_free(&a);
    stu_end(&t);
}

static void a_bad_operation_refuses_its_batch_only(void **state)
{
    static const struct {
        wagw_op_type_t op;
        uint8_t kind;
        const char *key, *value;
    } bad[] = {
        {WAGW_OP_PUT, WAGW_REC_MESSAGE, "c|i|s", "\1"},
        {WAGW_OP_PUT, WAGW_REC_MESSAGE, "c|i", ""},
        {WAGW_OP_PUT, WAGW_REC_MESSAGE, "|i|", ""},
        {WAGW_OP_PUT, WAGW_REC_CHAT, "c", "\6\1\3"},
        {WAGW_OP_PUT, WAGW_REC_CHAT, "", ""},
        {WAGW_OP_PUT, WAGW_REC_RECEIPT, "c|i|u", "\4\11\1x"},
        {WAGW_OP_PUT, WAGW_REC_REACTION, "c|i|u", "\7"},
        {WAGW_OP_PUT, WAGW_REC_CONTACT, "c", "\7"},
        {WAGW_OP_PUT, WAGW_REC_PENDING, "c", ""},
        {WAGW_OP_PUT, 0, "c", ""},
        {WAGW_OP_INSTANCE, 0, "", "\7"},
        {WAGW_OP_DELIVERY, 0, "", ""},
        {WAGW_OP_CHAT_MERGE, 0, "a", ""},
        {WAGW_OP_IDEMPOTENCY, 0, "short", ""},
        {(wagw_op_type_t)99, 1, "a", "b"},
    };
    wagw_batch_t *b, *before, *after;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(wagw_store_begin(t.s), WAGW_OK);

        before = stu_batch(t.num);
        stu_put(before, WAGW_REC_META, "before", WAGW_STR("1"));
        assert_int_equal(wagw_store_apply(t.s, before), WAGW_OK);

        b = stu_batch(t.num);
        stu_put(b, WAGW_REC_META, "half", WAGW_STR("1"));
        assert_int_equal(wagw_batch_add(b, bad[i].op, bad[i].kind, wagw_cstr(bad[i].key), wagw_cstr(bad[i].value)),
                         WAGW_OK);
        assert_int_equal(wagw_store_apply(t.s, b), WAGW_MALFORMED);
        assert_true(wagw_store_error(t.s)[0] != '\0');
        wagw_batch_destroy(b);

        b = stu_batch(t.num + 100);
        stu_put(b, WAGW_REC_META, "nobody", WAGW_STR("1"));
        assert_int_equal(wagw_store_apply(t.s, b), WAGW_NOT_FOUND);
        wagw_batch_destroy(b);

        after = stu_batch(t.num);
        stu_put(after, WAGW_REC_META, "after", WAGW_STR("1"));
        assert_int_equal(wagw_store_apply(t.s, after), WAGW_OK);

        assert_int_equal(wagw_store_end(t.s, true), WAGW_OK);
        wagw_batch_destroy(before);
        wagw_batch_destroy(after);
        assert_true(stu_has(&t, t.num, WAGW_REC_META, "before") && stu_has(&t, t.num, WAGW_REC_META, "after"));
        assert_false(stu_has(&t, t.num, WAGW_REC_META, "half"));
        assert_false(stu_has(&t, t.num + 100, WAGW_REC_META, "nobody"));
    }

    stu_end(&t);
}

static void the_owner_has_records_of_its_own(void **state)
{
    wagw_batch_t *b;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    b = stu_batch(0);
    stu_put(b, WAGW_REC_META, "version", WAGW_STR("2.3000.1"));
    stu_apply(&t, b);
    stu_reopen(&t);
    assert_true(stu_has(&t, 0, WAGW_REC_META, "version"));
    assert_false(stu_has(&t, t.num, WAGW_REC_META, "version"));

    b = stu_batch(0);
    stu_put(b, WAGW_REC_CHAT, "1@s.whatsapp.net", WAGW_STR(""));
    assert_int_equal(wagw_store_apply(t.s, b), WAGW_MALFORMED);
    wagw_batch_destroy(b);
    stu_end(&t);
}

static void rollback_leaves_nothing(void **state)
{
    wagw_row_chat_t c = {.id = WAGW_STR("1@s.whatsapp.net")};
    wagw_batch_t *b;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);

    assert_int_equal(wagw_store_end(t.s, true), WAGW_STATE);
    assert_int_equal(wagw_store_begin(t.s), WAGW_OK);
    assert_int_equal(wagw_store_begin(t.s), WAGW_STATE);
    b = stu_batch(t.num);
    stu_put(b, WAGW_REC_META, "gone", WAGW_STR("1"));
    stu_chat(b, &c);
    stu_put(b, WAGW_REC_RECEIPT, "2@s.whatsapp.net|I|u", WAGW_STR(""));
    assert_int_equal(wagw_store_apply(t.s, b), WAGW_OK);
    assert_int_equal(wagw_store_end(t.s, false), WAGW_OK);
    wagw_batch_destroy(b);

    assert_false(stu_has(&t, t.num, WAGW_REC_META, "gone"));
    assert_false(stu_has(&t, t.num, WAGW_REC_CHAT, "1@s.whatsapp.net"));

    /* a chat's number learnt in the lost transaction must not be believed */
    stu_text(&t, "2@s.whatsapp.net", "A", true, 1, "x");
    stu_text(&t, "3@s.whatsapp.net", "B", true, 1, "y");
    assert_true(stu_has(&t, t.num, WAGW_REC_MESSAGE, "2@s.whatsapp.net|A|"));
    assert_false(stu_has(&t, t.num, WAGW_REC_MESSAGE, "3@s.whatsapp.net|A|"));
    stu_end(&t);
}

/* The file may not grow: what a full disk looks like from here. */
static void a_full_disk_loses_the_transaction_and_no_more(void **state)
{
    struct rlimit old, small;
    uint8_t *big = calloc(1, 1 << 20);
    wagw_batch_t *b, *all[40];
    stu_t t;
    int rc = WAGW_OK, n;

    (void)state;
    assert_non_null(big);
    stu_begin(&t, NULL);
    stu_text(&t, "1@s.whatsapp.net", "A", true, 1, "before");

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 2 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    assert_int_equal(wagw_store_begin(t.s), WAGW_OK);

    for (n = 0; n < 40 && rc == WAGW_OK; n++) {
        char key[20];

        snprintf(key, sizeof(key), "big%d", n);
        all[n] = stu_batch(t.num);
        stu_put(all[n], WAGW_REC_META, key, wagw_str(big, 1 << 20));
        rc = wagw_store_apply(t.s, all[n]);
    }

    /* whatever came before in the group is not reported durable; nothing runs outside of it */
    b = stu_batch(t.num);
    stu_put(b, WAGW_REC_META, "late", WAGW_STR("1"));
    if (rc != WAGW_OK) {
        assert_int_equal(rc, WAGW_IO);
        assert_int_equal(wagw_store_apply(t.s, b), WAGW_IO);
    }
    wagw_batch_destroy(b);
    assert_int_equal(wagw_store_end(t.s, true), WAGW_IO);
    assert_true(wagw_store_error(t.s)[0] != '\0');
    while (n > 0) {
        wagw_batch_destroy(all[--n]);
    }

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_false(stu_has(&t, t.num, WAGW_REC_META, "big0"));
    assert_false(stu_has(&t, t.num, WAGW_REC_META, "late"));
    assert_true(stu_has(&t, t.num, WAGW_REC_MESSAGE, "1@s.whatsapp.net|A|"));

    /* and it goes on when there is room again */
    stu_text(&t, "1@s.whatsapp.net", "B", true, 2, "after");
    stu_reopen(&t);
    assert_true(stu_has(&t, t.num, WAGW_REC_MESSAGE, "1@s.whatsapp.net|B|"));
    free(big);
    stu_end(&t);
}

/* Turn number i: a record, a message, an event and a delivery, as one batch. */
static wagw_batch_t *turn(uint32_t num, uint64_t i)
{
    char text[32], id[32];
    wagw_event_t ev = {.seq = i, .name = "message.sent", .data = WAGW_STR("{}")};
    wagw_row_message_t m = {.chat = WAGW_STR("1@s.whatsapp.net"), .from_me = true, .type = WAGW_STR("text"), .t_ms = 1};
    wagw_delivery_t d = {.webhook_id = WAGW_STR("w"), .event = WAGW_STR("message.sent"), .payload = WAGW_STR("{}")};
    wagw_batch_t *b = stu_batch(num);

    snprintf(text, sizeof(text), "%llu", (unsigned long long)i);
    snprintf(id, sizeof(id), "M%llu", (unsigned long long)i);
    m.id = d.id = wagw_cstr(id);
    d.seq = i;

    stu_put(b, WAGW_REC_META, "last", wagw_cstr(text));
    stu_message(b, &m);
    assert_int_equal(wagw_batch_event(b, &ev), WAGW_OK);
    stu_delivery(b, &d);

    return b;
}

/* Commits turns in groups of three and tells each durable one; never returns. */
static void crasher(stu_t *t, int told)
{
    wagw_store_conf_t conf = {.dsn = t->dsn, .encryption_key = t->key};
    wagw_store_t *s;
    uint64_t i = 0;
    char why[512];

    if (wagw_store_open(&s, &conf, why, sizeof(why)) != WAGW_OK) {
        _exit(2);
    }

    for (;;) {
        if (wagw_store_begin(s) != WAGW_OK) {
            _exit(3);
        }

        wagw_batch_t *b[3];

        for (int k = 0; k < 3; k++) {
            b[k] = turn(t->num, ++i);

            if (wagw_store_apply(s, b[k]) != WAGW_OK) {
                _exit(4);
            }
        }

        if (wagw_store_end(s, true) != WAGW_OK || write(told, &i, sizeof(i)) != sizeof(i)) {
            _exit(5);
        }

        for (int k = 0; k < 3; k++) {
            wagw_batch_destroy(b[k]);
        }
    }
}

static int find_event_seq(void *data, const wagw_instance_t *i)
{
    *(uint64_t *)data = i->event_seq;
    return WAGW_OK;
}

static void killed_in_the_middle_of_anything(void **state)
{
    (void)state;

    for (int round = 0; round < 12; round++) {
        uint64_t durable = 0, seq = 0, found;
        wagw_arena_t a = {0};
        wagw_buf_t json = {0};
        uint32_t count;
        uint64_t total;
        wagw_rec_t *r;
        int pipes[2], status, wanted = 1 + round * 3;
        pid_t pid;
        stu_t t;

        stu_begin(&t, round & 1 ? stu_key : NULL);
        wagw_store_close(t.s);
        t.s = NULL;
        assert_int_equal(pipe(pipes), 0);

        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            close(pipes[0]);
            crasher(&t, pipes[1]);
        }

        close(pipes[1]);

        for (int k = 0; k < wanted; k++) {
            assert_int_equal(read(pipes[0], &durable, sizeof(durable)), sizeof(durable));
        }

        /* now it is somewhere in its next turns */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));

        while (read(pipes[0], &found, sizeof(found)) == sizeof(found)) {
            durable = found;
        }

        close(pipes[0]);
        stu_reopen(&t);

        r = stu_load(&t, t.num, WAGW_REC_META, "last", false, &a);
        assert_non_null(r);
        assert_int_equal(wagw_str_u64(r->value, &found), WAGW_OK);

        /* what was told is there; what is there is whole groups of whole turns */
        assert_true(found >= durable && found <= durable + 3);
        assert_int_equal(found % 3, 0);
        assert_int_equal(wagw_store_instance_each(t.s, find_event_seq, &seq), WAGW_OK);
        assert_int_equal(seq, found);

        count = 0;
        for (r = stu_load(&t, t.num, WAGW_REC_MESSAGE, "1@s.whatsapp.net|M", true, &a); r != NULL; r = r->next) {
            count++;
        }
        assert_int_equal(count, found);

        assert_int_equal(wagw_store_deliveries(t.s, t.num, -1, WAGW_STR_NULL, 0, 1, 0, &json, &count, &total), WAGW_OK);
        assert_int_equal(total, found);

        wagw_buf_free(&json);
        wagw_arena_free(&a);
        stu_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(the_file_is_private_and_durable),
        cmocka_unit_test(migrations_run_once),
        cmocka_unit_test(the_key_belongs_to_the_database),
        cmocka_unit_test(sealed_values_are_not_in_the_file),
        cmocka_unit_test(a_sealed_value_only_opens_in_its_place),
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(several_loads_at_once),
        cmocka_unit_test(a_bad_operation_refuses_its_batch_only),
        cmocka_unit_test(the_owner_has_records_of_its_own),
        cmocka_unit_test(rollback_leaves_nothing),
        cmocka_unit_test(a_full_disk_loses_the_transaction_and_no_more),
        cmocka_unit_test(killed_in_the_middle_of_anything),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
