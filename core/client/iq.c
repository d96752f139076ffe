/*
 * Requests of ours and the answers to them (01 section 8).  The table is
 * ordered by deadline, since every request waits equally long.
 */

#include "client_i.h"

#include <stdio.h>
#include <stdlib.h>

#define IQ_TIMEOUT_MS 60000

typedef struct {
    wagw_item_t item;
    wagw_iq_pt handler;
    uint64_t arg;
    cJSON *params;
} failed_item_t;

typedef struct {
    wagw_iq_t iq;
    wagw_str_t params; /* text, in the turn's arena */
} added_t;

wagw_node_t *wagw_iq(wagw_turn_t *t, const char *type, const char *xmlns)
{
    wagw_node_t *n = wagw_node(&t->arena, "iq");

    wagw_node_attr_server(&t->arena, n, "to");
    wagw_node_attrc(&t->arena, n, "type", type);
    wagw_node_attrc(&t->arena, n, "xmlns", xmlns);
    return n;
}

void wagw_iq_free(wagw_iq_t *iq)
{
    cJSON_Delete(iq->params);
    free(iq);
}

static void iq_add(wagw_client_t *c, void *arg)
{
    added_t *a = arg;
    wagw_iq_t *iq, **last;

    iq = malloc(sizeof(*iq));
    if (iq == NULL) {
        return;
    }
    *iq = a->iq;
    iq->params = a->params.n ? cJSON_ParseWithLength((const char *)a->params.p, a->params.n) : NULL;
    iq->next = NULL;
    for (last = &c->iqs; *last; last = &(*last)->next) { /* void */
    }
    *last = iq;
}

static int iq_send(wagw_turn_t *t, wagw_node_t *n, wagw_iq_pt handler, uint64_t arg, uint64_t command,
                   const cJSON *params)
{
    char *text;
    uint16_t r[2];
    added_t a;
    wagw_str_t id;
    wagw_client_t *c = t->c;

    if (n == NULL) {
        return WAGW_NOMEM;
    }
    /* numbers of a rolled back turn are skipped: nothing waits for them */
    if (c->iq_prefix[0] == '\0') {
        wagw_turn_random(t, r, sizeof(r));
        snprintf(c->iq_prefix, sizeof(c->iq_prefix), "%u.%u-", r[0], r[1]);
    }
    memset(&a, 0, sizeof(a));
    a.iq.num = ++c->iq_num;
    a.iq.handler = handler;
    a.iq.arg = arg;
    a.iq.command = command;
    a.iq.deadline = t->now + IQ_TIMEOUT_MS;
    if (params) {
        text = cJSON_PrintUnformatted(params);
        a.params = wagw_arena_str(&t->arena, wagw_cstr(text));
        free(text);
        if (a.params.p == NULL) {
            return WAGW_NOMEM;
        }
    }

    id = wagw_arena_printf(&t->arena, "%s%u", c->iq_prefix, a.iq.num);
    if (id.p == NULL || wagw_node_attr(&t->arena, n, "id", id) == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_turn_send(t, n));
    return wagw_turn_then(t, iq_add, &a, sizeof(a));
}

int wagw_iq_send(wagw_turn_t *t, wagw_node_t *n, wagw_iq_pt handler, uint64_t arg)
{
    return iq_send(t, n, handler, arg, 0, NULL);
}

int wagw_iq_send_for(wagw_turn_t *t, wagw_node_t *n, wagw_iq_pt handler, uint64_t command)
{
    return iq_send(t, n, handler, command, command, NULL);
}

int wagw_iq_send_params(wagw_turn_t *t, wagw_node_t *n, wagw_iq_pt handler, uint64_t command, const cJSON *params)
{
    return iq_send(t, n, handler, command, command, params);
}

int wagw_iq_error(const wagw_node_t *node, wagw_str_t *text)
{
    uint64_t code;
    const wagw_node_t *e = wagw_node_find(node, "error");

    if (text) {
        *text = e ? wagw_node_get(e, "text") : WAGW_STR_NULL;
    }
    if (e == NULL && !wagw_node_attr_is(node, "type", "error")) {
        return 0;
    }
    if (e == NULL || wagw_node_get_u64(e, "code", &code) != WAGW_OK || code == 0 || code > 99999) {
        return 500;
    }
    return (int)code;
}

wagw_iq_t *wagw_iq_find(wagw_client_t *c, wagw_str_t id)
{
    uint64_t num;
    wagw_iq_t *iq;
    wagw_str_t prefix = wagw_cstr(c->iq_prefix);

    if (prefix.n == 0 || !wagw_str_starts(id, prefix) ||
        wagw_str_u64(wagw_str(id.p + prefix.n, id.n - prefix.n), &num) != WAGW_OK) {
        return NULL;
    }
    for (iq = c->iqs; iq; iq = iq->next) {
        if (iq->num == num) {
            return iq;
        }
    }
    return NULL;
}

void wagw_iq_done(wagw_client_t *c, uint32_t num)
{
    wagw_iq_t **iq, *found;

    for (iq = &c->iqs; *iq; iq = &(*iq)->next) {
        if ((*iq)->num == num) {
            found = *iq;
            *iq = found->next;
            wagw_iq_free(found);
            return;
        }
    }
}

static int failed_run(wagw_turn_t *t, wagw_item_t *item)
{
    int rc;
    failed_item_t *f = (failed_item_t *)item;

    t->asked = f->params;
    rc = f->handler(t, NULL, f->arg);
    t->asked = NULL;
    return rc;
}

static void failed_done(wagw_client_t *c, wagw_item_t *item, int rc)
{
    if (rc != WAGW_OK && rc != WAGW_STATE) {
        wagw_client_log(c, WAGW_LOG_ERROR, "a failed request could not be handled: %s", wagw_rc_name(rc));
    }
    cJSON_Delete(((failed_item_t *)item)->params);
    free(item);
}

static void iq_fail(wagw_client_t *c, wagw_iq_t *iq)
{
    failed_item_t *f = calloc(1, sizeof(*f));

    if (f) {
        f->item.run = failed_run;
        f->item.done = failed_done;
        f->handler = iq->handler;
        f->arg = iq->arg;
        f->params = iq->params;
        iq->params = NULL;
        wagw_turn_push(c, &f->item);
    }
    wagw_iq_free(iq);
}

void wagw_iq_expire(wagw_client_t *c, int64_t now)
{
    wagw_iq_t *iq;

    while ((iq = c->iqs) != NULL && iq->deadline <= now) {
        c->iqs = iq->next;
        iq_fail(c, iq);
    }
}

void wagw_iq_drop_all(wagw_client_t *c)
{
    wagw_iq_t *iq, *all = c->iqs;

    c->iqs = NULL;
    c->iq_prefix[0] = '\0';
    while ((iq = all) != NULL) {
        all = iq->next;
        iq_fail(c, iq);
    }
}

/* 12 section 13. */
void wagw_iq_result(wagw_result_t *r, wagw_arena_t *a, int code, wagw_str_t text)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    memset(r, 0, sizeof(*r));
    switch (code) {
    case 0:
        r->status = 504;
        r->code = "WA_TIMEOUT";
        r->error = "WhatsApp did not answer in time";
        r->details = WAGW_STR("{\"sent\":true}");
        return;
    case 401:
    case 403:
    case 405:
        r->status = 403;
        r->code = "WA_FORBIDDEN";
        r->error = "WhatsApp refused this";
        break;
    case 404:
        r->status = 404;
        r->code = "NOT_FOUND";
        r->error = "WhatsApp does not know this";
        break;
    case 406:
        r->status = 422;
        r->code = "WA_ERROR";
        r->error = "WhatsApp did not accept this";
        break;
    case 409:
    case 419:
        r->status = 409;
        r->code = "DUPLICATE";
        r->error = "WhatsApp reports a conflict";
        break;
    case 423:
        r->status = 503;
        r->code = "WA_ERROR";
        r->error = "WhatsApp is busy with this";
        r->retry_after = 10;
        break;
    case 429:
        r->status = 429;
        r->code = "WA_RATE_OVERLIMIT";
        r->error = "WhatsApp asks to slow down";
        r->retry_after = 60;
        break;
    default:
        r->status = 502;
        r->code = "WA_ERROR";
        r->error = "WhatsApp answered an error";
        break;
    }
    wagw_json_open(&j, '{');
    wagw_json_kint(&j, "code", code);
    if (text.n) {
        wagw_json_kstr(&j, "text", text);
    }
    wagw_json_close(&j);
    if (!b.failed) {
        r->details = wagw_arena_str(a, wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
}

int wagw_iq_failed(wagw_turn_t *t, uint64_t command, const wagw_node_t *node)
{
    wagw_str_t text = WAGW_STR_NULL;
    wagw_result_t r;
    int code = node ? wagw_iq_error(node, &text) : 0;

    wagw_iq_result(&r, &t->arena, code, text);
    return wagw_turn_reply(t, command, &r);
}
