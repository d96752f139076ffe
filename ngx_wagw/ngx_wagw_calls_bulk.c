#include "ngx_wagw_media.h"

#include <openssl/evp.h>

/*
 * One text to several recipients, one after the other, with a pause between
 * them: each has its own result, and a refusal of one stops nobody.  The ids
 * of the messages follow from the Idempotency-Key, so a repeated call sends
 * nothing twice.
 */

#define BULK_INLINE 20

typedef struct {
    ngx_wagw_media_t *m; /* for the pauses: it ends with the call */
    cJSON *recipients;
    char *message;
    int at;
    wagw_buf_t sent, failed;
    int nsent, nfailed;
    char to[WAGW_JID_TEXT_MAX];
} bulk_t;

static void bulk_next(ngx_wagw_media_t *m);

static void bulk_free(void *data)
{
    bulk_t *b = data;

    cJSON_Delete(b->recipients);
    free(b->message);
    wagw_buf_free(&b->sent);
    wagw_buf_free(&b->failed);
}

/* {{name}} by the recipient's variables; what has no value stays. */
static void bulk_text(wagw_buf_t *out, const char *text, const cJSON *variables)
{
    char name[65];
    size_t n;
    const char *end;
    const cJSON *v;

    while (*text) {
        end = strncmp(text, "{{", 2) == 0 ? strstr(text, "}}") : NULL;
        n = end ? (size_t)(end - text) - 2 : 0;

        if (n && n < sizeof(name)) {
            memcpy(name, text + 2, n);
            name[n] = '\0';
            v = cJSON_GetObjectItemCaseSensitive(variables, name);

            if (cJSON_IsString(v) || cJSON_IsNumber(v)) {
                if (cJSON_IsString(v)) {
                    wagw_buf_cstr(out, v->valuestring);
                } else {
                    wagw_buf_printf(out, "%g", v->valuedouble);
                }
                text = end + 2;
                continue;
            }
        }
        wagw_buf_u8(out, (uint8_t)*text++);
    }
}

static void bulk_answer(ngx_wagw_call_t *call, bulk_t *b)
{
    wagw_buf_t data = {0};

    wagw_buf_cstr(&data, "{\"sent\":[");
    wagw_buf_str(&data, wagw_buf_view(&b->sent));
    wagw_buf_cstr(&data, "],\"failed\":[");
    wagw_buf_str(&data, wagw_buf_view(&b->failed));
    wagw_buf_printf(&data, "],\"totalSent\":%d,\"totalFailed\":%d}", b->nsent, b->nfailed);

    if (b->sent.failed || b->failed.failed) {
        data.failed = true;
    }
    call->reply = NULL;
    ngx_wagw_call_data(call, 200, &data, "Bulk messages processed");
}

/* Inside an op: what comes next has a turn of its own. */
static void bulk_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    bool ok = r->code == NULL && r->status < 400;
    bulk_t *b = call->data;
    wagw_buf_t *list = ok ? &b->sent : &b->failed;
    wagw_json_t j;
    int64_t delay = ngx_wagw_param_int(call, "delay", 1000), jitter = ngx_wagw_param_int(call, "jitter", 0);

    if (list->n) {
        wagw_buf_u8(list, ',');
    }
    j = wagw_json(list);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "to", b->to);
    wagw_json_kbool(&j, "success", ok);
    if (ok) {
        wagw_json_kstr(&j, "messageId", r->message_id);
        b->nsent++;
    } else {
        wagw_json_kcstr(&j, "error", r->error ? r->error : "Error");
        wagw_json_kcstr(&j, "code", r->code ? r->code : "INTERNAL");
        b->nfailed++;
    }
    wagw_json_close(&j);

    if (jitter > 0) {
        delay += ngx_random() % (jitter + 1);
    }
    if (b->at == cJSON_GetArraySize(b->recipients) || delay <= 0) {
        ngx_wagw_media_later(b->m, bulk_next);
    } else {
        ngx_wagw_media_wait(b->m, (ngx_msec_t)delay, bulk_next);
    }
}

/* The same id in every try of an idempotent call. */
static void bulk_id(ngx_wagw_call_t *call, bulk_t *b)
{
    char id[24] = "3EB0", seed[32];
    u_char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *c;

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "messageId");
    if (call->idempotency_key.len == 0) {
        return;
    }

    snprintf(seed, sizeof(seed), "|bulk|%d", b->at);
    c = EVP_MD_CTX_new();
    if (c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(c, call->key_id.data, call->key_id.len) == 1 && EVP_DigestUpdate(c, "|", 1) == 1 &&
        EVP_DigestUpdate(c, call->idempotency_key.data, call->idempotency_key.len) == 1 &&
        EVP_DigestUpdate(c, call->body_hash, sizeof(call->body_hash)) == 1 &&
        EVP_DigestUpdate(c, seed, strlen(seed)) == 1 && EVP_DigestFinal_ex(c, hash, &n) == 1) {
        for (unsigned i = 0; i < 9; i++) {
            snprintf(id + 4 + 2 * i, 3, "%02X", hash[i]);
        }
        ngx_wagw_param_set(call, "messageId", id);
    }
    EVP_MD_CTX_free(c);
}

static void bulk_next(ngx_wagw_media_t *m)
{
    wagw_buf_t text = {0};
    wagw_jid_t jid;
    ngx_wagw_call_t *call = m->call;
    bulk_t *b = call->data;
    const cJSON *one, *variables;
    const char *to;

    one = cJSON_GetArrayItem(b->recipients, b->at);
    if (one == NULL) {
        bulk_answer(call, b);
        return;
    }

    bulk_id(call, b);
    b->at++;

    variables = cJSON_GetObjectItemCaseSensitive(one, "variables");
    to = cJSON_GetStringValue(cJSON_IsObject(one) ? cJSON_GetObjectItemCaseSensitive(one, "to") : one);

    if (to == NULL || wagw_jid_from_caller(&jid, wagw_cstr(to)) != WAGW_OK) {
        wagw_result_t r = {.status = 400, .code = "INVALID_JID", .error = "Not a recipient"};

        snprintf(b->to, sizeof(b->to), "%.60s", to ? to : "");
        bulk_reply(call, &r);
        return;
    }

    jid = wagw_jid_is_person(&jid) ? wagw_jid_user(&jid) : jid;
    b->to[wagw_jid_text(&jid, b->to)] = '\0';
    bulk_text(&text, b->message, variables);
    wagw_buf_u8(&text, 0);
    ngx_wagw_param_set(call, "to", b->to);
    ngx_wagw_param_set(call, "message", text.failed ? "" : (const char *)text.p);
    wagw_buf_free(&text);
    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

NGX_WAGW_HANDLER(send_bulk)
{
    bulk_t *b;
    ngx_pool_cleanup_t *cln;
    int n = cJSON_GetArraySize(ngx_wagw_param(call, "recipients"));

    if (n > BULK_INLINE || ngx_wagw_param_bool(call, "async") == 1) {
        ngx_wagw_call_fail(call, 501, "NOT_SUPPORTED", "Jobs are not built yet: at most 20 recipients, without async",
                           WAGW_STR_NULL);
        return;
    }

    if (ngx_wagw_param_int(call, "delay", 1000) * n > (int64_t)(call->timeout ? call->timeout : 60000)) {
        ngx_wagw_call_invalid(call, "delay", "the pauses are longer than the call may last");
        return;
    }

    b = ngx_wagw_call_ctx(call, sizeof(bulk_t));
    if (b == NULL) {
        return;
    }
    cln = ngx_pool_cleanup_add(call->pool, 0);
    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }
    cln->handler = bulk_free;
    cln->data = b;

    b->m = ngx_wagw_media_new(call);
    if (b->m == NULL) {
        return;
    }
    b->recipients = cJSON_DetachItemFromObjectCaseSensitive(call->params, "recipients");
    b->message = strdup((const char *)ngx_wagw_param_str(call, "message").p);
    if (b->message == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    call->reply = bulk_reply;
    bulk_next(b->m);
}
