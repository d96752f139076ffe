/*
 * What the engine has to do with media: the list of media hosts, and asking
 * the phone for what is no longer on them.  Files themselves are the owner's.
 */

#include "client_i.h"
#include "../media/media.h"
#include "../message/message.h"

#include <stdlib.h>

#define HOSTS_MAX 32

static int conn_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int rc, code = node ? wagw_iq_error(node, NULL) : 0;
    size_t n = 0;
    uint64_t ttl;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_result_t r = {0};
    const wagw_node_t *m, *h;

    m = node && code == 0 ? wagw_node_find(node, "media_conn") : NULL;
    if (m == NULL || wagw_node_get(m, "auth").n == 0) {
        wagw_iq_result(&r, &t->arena, node && code == 0 ? 500 : code, WAGW_STR_NULL);
        return wagw_turn_reply(t, command, &r);
    }
    if (wagw_node_get_u64(m, "ttl", &ttl) != WAGW_OK || ttl > 86400) {
        ttl = 300;
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "auth", wagw_node_get(m, "auth"));
    wagw_json_kint(&j, "ttl", (int64_t)ttl);
    wagw_json_key(&j, "hosts");
    wagw_json_open(&j, '[');
    for (h = wagw_node_find(m, "host"); h && n < HOSTS_MAX; h = wagw_node_find_next(h, "host")) {
        if (wagw_node_get(h, "hostname").n) {
            wagw_json_str(&j, wagw_node_get(h, "hostname"));
            n++;
        }
    }
    wagw_json_close(&j);
    wagw_json_close(&j);

    r.status = 200;
    r.data = wagw_buf_view(&b);
    rc = b.failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    wagw_buf_free(&b);
    return rc;
}

int wagw_media_conn_command(wagw_turn_t *t, uint64_t command)
{
    wagw_node_t *iq = wagw_iq(t, "set", "w:m");

    wagw_node_child(&t->arena, iq, "media_conn");
    return wagw_iq_send_for(t, iq, conn_answer, command);
}

/* ---- media retry ----------------------------------------------------------------- */

#define RETRY_FRESH_MS 60000
#define RETRY_MAX 64

static int gone(wagw_turn_t *t, uint64_t command)
{
    return wagw_turn_fail(t, command, 410, "MEDIA_EXPIRED", "The media is gone, and the phone cannot send it again");
}

static void wait_then(wagw_client_t *c, void *arg)
{
    size_t n = 0;
    wagw_media_wait_t *w, **at = &c->media_waits;

    /* the oldest are at the end; whoever waited for them has been told by the owner */
    while (*at) {
        if (++n >= RETRY_MAX) {
            w = *at;
            *at = w->next;
            free(w);
        } else {
            at = &(*at)->next;
        }
    }
    w = malloc(sizeof(*w));
    if (w) {
        *w = *(wagw_media_wait_t *)arg;
        w->next = c->media_waits;
        c->media_waits = w;
    }
}

static wagw_media_wait_t *wait_find(wagw_client_t *c, wagw_str_t id)
{
    for (wagw_media_wait_t *w = c->media_waits; w; w = w->next) {
        if (wagw_str_eq(wagw_cstr(w->id), id)) {
            return w;
        }
    }
    return NULL;
}

static int retry_send(wagw_turn_t *t, const wagw_row_message_t *row, const uint8_t *key)
{
    uint8_t iv[12];
    wagw_buf_t sealed = {0};
    wagw_str_t copy;
    wagw_jid_t own = wagw_jid_user(&wagw_turn_me(t)->jid), chat, author;
    wagw_node_t *n, *e, *rmr;

    wagw_turn_random(t, iv, sizeof(iv));
    WAGW_TRY(wagw_media_retry_seal(&sealed, key, row->id, iv));
    copy = wagw_arena_str(&t->arena, wagw_buf_view(&sealed));
    wagw_buf_free(&sealed);

    n = wagw_node(&t->arena, "receipt");
    wagw_node_attr(&t->arena, n, "id", row->id);
    wagw_node_attr_jid(&t->arena, n, "to", &own);
    wagw_node_attrc(&t->arena, n, "type", "server-error");
    e = wagw_node_child(&t->arena, n, "encrypt");
    wagw_node_bytes(wagw_node_child(&t->arena, e, "enc_p"), copy);
    wagw_node_bytes(wagw_node_child(&t->arena, e, "enc_iv"), wagw_arena_str(&t->arena, wagw_str(iv, sizeof(iv))));

    if (copy.p == NULL || wagw_jid_parse(&chat, row->to.n ? row->to : row->chat) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    rmr = wagw_node_child(&t->arena, n, "rmr");
    wagw_node_attr_jid(&t->arena, rmr, "jid", &chat);
    wagw_node_attrc(&t->arena, rmr, "from_me", row->from_me ? "true" : "false");
    if (!wagw_jid_is_person(&chat)) {
        if (row->from_me) {
            wagw_node_attr_jid(&t->arena, rmr, "participant", &own);
        } else if (wagw_jid_parse(&author, row->sender) == WAGW_OK) {
            wagw_node_attr_jid(&t->arena, rmr, "participant", &author);
        }
    }
    return wagw_turn_send(t, n);
}

static int moved(wagw_turn_t *t, wagw_str_t path, wagw_result_t *r)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    memset(r, 0, sizeof(*r));
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "directPath", path);
    wagw_json_close(&j);
    r->status = 200;
    r->data = wagw_arena_str(&t->arena, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return r->data.p ? WAGW_OK : WAGW_NOMEM;
}

int wagw_media_retry_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    wagw_str_t id = wagw_param_str(params, "messageId"), chat = wagw_param_str(params, "chatId");
    wagw_str_t tried = wagw_param_str(params, "_path");
    wagw_result_t r;
    wagw_media_wait_t w = {0}, *asked;
    wagw_row_message_t row;
    wagw_message_file_t f;

    rc = wagw_turn_message_find(t, chat, id, &row, NULL);
    if (rc == WAGW_NOT_FOUND || (rc == WAGW_OK && (id.n >= sizeof(w.id) || chat.n >= sizeof(w.chat)))) {
        return wagw_turn_fail(t, command, 404, "MESSAGE_NOT_FOUND", "Message not found");
    }
    WAGW_TRY(rc);
    rc = wagw_message_file(&f, &t->arena, row.content);
    if (rc != WAGW_OK || f.key.n != 32) {
        return rc == WAGW_NOMEM ? rc : gone(t, command);
    }
    if (f.direct_path.n && tried.n && !wagw_str_eq(f.direct_path, tried)) {
        WAGW_TRY(moved(t, f.direct_path, &r)); /* somebody else asked, and got it */
        return wagw_turn_reply(t, command, &r);
    }
    asked = wait_find(t->c, id);
    w.command = command;
    w.asked_ms = asked ? asked->asked_ms : t->now;
    memcpy(w.id, id.p, id.n);
    memcpy(w.chat, chat.p, chat.n);
    if (asked == NULL || t->now - asked->asked_ms > RETRY_FRESH_MS) {
        w.asked_ms = t->now;
        WAGW_TRY(retry_send(t, &row, f.key.p));
    }
    return wagw_turn_then(t, wait_then, &w, sizeof(w));
}

static void retried_then(wagw_client_t *c, void *arg)
{
    wagw_media_wait_t **at = &c->media_waits, *w;

    while ((w = *at) != NULL) {
        if (strcmp(w->id, (const char *)arg) == 0) {
            *at = w->next;
            free(w);
        } else {
            at = &w->next;
        }
    }
}

/* The new place into the stored message; empty when the phone has it no more. */
static int retried_path(wagw_turn_t *t, const wagw_node_t *n, const wagw_media_wait_t *w, wagw_str_t *path)
{
    int rc;
    wagw_str_t content;
    wagw_row_message_t row;
    wagw_message_file_t f;
    wagw_media_retry_t result;
    const wagw_node_t *e = wagw_node_find(n, "encrypt");

    *path = WAGW_STR_NULL;
    rc = wagw_turn_message_find(t, wagw_cstr(w->chat), wagw_cstr(w->id), &row, NULL);
    if (rc == WAGW_NOT_FOUND || e == NULL) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    rc = wagw_message_file(&f, &t->arena, row.content);
    if (rc != WAGW_OK || f.key.n != 32) {
        return rc == WAGW_NOMEM ? rc : WAGW_OK;
    }
    rc = wagw_media_retry_open(&t->arena, f.key.p, row.id, wagw_node_data(wagw_node_find(e, "enc_iv")),
                               wagw_node_data(wagw_node_find(e, "enc_p")), &result, path);
    if (rc == WAGW_NOMEM) {
        return rc;
    }
    if (rc != WAGW_OK || path->n == 0) {
        *path = WAGW_STR_NULL;
        return WAGW_OK;
    }
    WAGW_TRY(wagw_message_file_moved(&t->arena, row.content, *path, &content));
    row.content = content;
    return wagw_turn_message_put(t, &row);
}

int wagw_media_retried(wagw_turn_t *t, const wagw_node_t *n)
{
    char id[68];
    wagw_str_t path;
    wagw_result_t r;
    wagw_media_wait_t *w = wait_find(t->c, wagw_node_get(n, "id"));

    if (w == NULL) {
        return WAGW_OK; /* nobody asked */
    }
    memcpy(id, w->id, sizeof(id));
    WAGW_TRY(retried_path(t, n, w, &path));

    if (path.n) {
        WAGW_TRY(moved(t, path, &r));
    }
    for (; w; w = w->next) {
        if (strcmp(w->id, id) == 0 && w->command) {
            WAGW_TRY(path.n ? wagw_turn_reply(t, w->command, &r) : gone(t, w->command));
        }
    }
    return wagw_turn_then(t, retried_then, id, sizeof(id));
}

bool wagw_media_unwait(wagw_client_t *c, uint64_t command)
{
    for (wagw_media_wait_t *w = c->media_waits; w; w = w->next) {
        if (w->command == command) {
            w->command = 0; /* the answer still helps the next who asks */
            return true;
        }
    }
    return false;
}

void wagw_media_free(wagw_client_t *c, const wagw_result_t *r)
{
    wagw_media_wait_t *w;

    while ((w = c->media_waits) != NULL) {
        c->media_waits = w->next;
        if (w->command) {
            c->ops->reply(c->driver, w->command, r);
        }
        free(w);
    }
}
