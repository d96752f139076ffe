/*
 * Labels of business accounts (07 section 10, contract 3.11).  They live in
 * app state; what it says is kept as small records:
 *
 *     META "label|ID"           name, colour
 *     META "labeled|ID|CHAT"    the chat has the label
 *     META "labelmsg|ID|CHAT|MESSAGE"
 */

#include "app_i.h"

#include <stdio.h>
#include <stdlib.h>

#define LABEL_ID_MAX 32
#define NAME_MAX_BYTES 400

enum { LABEL_NAME = 1, LABEL_COLOR, LABEL_PREDEFINED };

typedef struct {
    wagw_str_t id, name;
    int32_t color, predefined;
} label_t;

static wagw_str_t key_of(wagw_turn_t *t, const char *head, wagw_str_t a, wagw_str_t b, wagw_str_t c)
{
    wagw_buf_t k = {0};
    wagw_str_t s;

    wagw_buf_cstr(&k, head);
    wagw_buf_u8(&k, '|');
    wagw_buf_str(&k, a);
    if (b.p) {
        wagw_buf_u8(&k, '|');
        wagw_buf_str(&k, b);
    }
    if (c.p) {
        wagw_buf_u8(&k, '|');
        wagw_buf_str(&k, c);
    }
    s = k.failed || k.n >= WAGW_KEY_MAX ? WAGW_STR_NULL : wagw_arena_str(&t->arena, wagw_buf_view(&k));
    wagw_buf_free(&k);
    return s;
}

/* The part behind the last bar of a key. */
static wagw_str_t tail(wagw_str_t key)
{
    size_t n = key.n;

    while (n > 0 && key.p[n - 1] != '|') {
        n--;
    }
    return wagw_str(key.p + n, key.n - n);
}

static int label_decode(label_t *l, wagw_str_t id, wagw_str_t v)
{
    uint8_t tag;
    uint64_t u;
    wagw_str_t s;
    wagw_tlv_t r = {.in = v};

    memset(l, 0, sizeof(*l));
    l->id = id;
    while (wagw_tlv_next(&r, &tag, &u, &s) == WAGW_OK) {
        if (tag == LABEL_NAME) {
            l->name = s;
        } else if (tag == LABEL_COLOR) {
            l->color = (int32_t)u;
        } else if (tag == LABEL_PREDEFINED) {
            l->predefined = (int32_t)u;
        }
    }
    return WAGW_OK;
}

static int label_get(wagw_turn_t *t, wagw_str_t id, label_t *l)
{
    wagw_str_t key = key_of(t, "label", id, WAGW_STR_NULL, WAGW_STR_NULL), v;

    if (key.p == NULL || id.n == 0 || id.n > LABEL_ID_MAX) {
        return WAGW_NOT_FOUND;
    }
    WAGW_TRY(wagw_txn_get(&t->txn, WAGW_REC_META, key, &v));
    v = wagw_arena_str(&t->arena, v);
    return v.p ? label_decode(l, id, v) : WAGW_NOMEM;
}

/* ---- what mutations do ---- */

static int label_event(wagw_app_apply_t *a, const char *name, const label_t *l, const char *action, wagw_str_t chat)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_str_t called = WAGW_STR_NULL;
    wagw_row_chat_t row;

    if (!a->emit) {
        return WAGW_OK;
    }
    if (chat.n) {
        rc = wagw_turn_chat(a->t, chat, &row);
        if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
        row.id = chat;
        WAGW_TRY(wagw_turn_chat_name(a->t, &row, &called));
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "labelId", l->id);
    wagw_json_kstr(&j, "labelName", l->name);
    if (chat.n) {
        wagw_json_kstr(&j, "chatId", chat);
        wagw_json_kstr(&j, "chatName", called);
    } else {
        wagw_json_kint(&j, "labelColor", l->color);
    }
    if (action) {
        wagw_json_kcstr(&j, "action", action);
    }
    wagw_json_kiso(&j, "timestamp", a->t->now);
    wagw_json_close(&j);
    return wagw_event_emit(a->t, name, chat, &b);
}

static int drop_one(void *data, wagw_str_t key, wagw_str_t value)
{
    (void)value;
    return wagw_txn_del(data, WAGW_REC_META, key);
}

/* v NULL: the record was removed. */
static int apply_edit(wagw_app_apply_t *a, wagw_str_t id, const Wa__SyncActionValue__LabelEditAction *v)
{
    int rc, known;
    label_t old, l = {.id = id};
    wagw_buf_t b = {0};
    wagw_str_t key = key_of(a->t, "label", id, WAGW_STR_NULL, WAGW_STR_NULL), prefix;

    if (key.p == NULL || id.n == 0 || id.n > LABEL_ID_MAX) {
        return WAGW_OK;
    }
    known = label_get(a->t, id, &old);
    if (known != WAGW_OK && known != WAGW_NOT_FOUND) {
        return known;
    }
    if (v == NULL || (v->has_deleted && v->deleted)) {
        if (known == WAGW_NOT_FOUND) {
            return WAGW_OK;
        }
        prefix = key_of(a->t, "labeled", id, WAGW_STR(""), WAGW_STR_NULL);
        WAGW_TRY(wagw_txn_scan(&a->t->txn, WAGW_REC_META, prefix, drop_one, &a->t->txn));
        prefix = key_of(a->t, "labelmsg", id, WAGW_STR(""), WAGW_STR_NULL);
        WAGW_TRY(wagw_txn_scan(&a->t->txn, WAGW_REC_META, prefix, drop_one, &a->t->txn));
        WAGW_TRY(wagw_txn_del(&a->t->txn, WAGW_REC_META, key));
        return label_event(a, "label.deleted", &old, NULL, WAGW_STR_NULL);
    }
    l.name = wagw_arena_str(&a->t->arena, wagw_cstr(v->name ? v->name : ""));
    l.name.n = l.name.n > NAME_MAX_BYTES ? NAME_MAX_BYTES : l.name.n;
    l.color = v->has_color && v->color >= 0 ? v->color : 0;
    l.predefined = v->has_predefinedid && v->predefinedid > 0 ? v->predefinedid : 0;
    if (known == WAGW_OK && wagw_str_eq(old.name, l.name) && old.color == l.color) {
        return WAGW_OK;
    }
    wagw_tlv_put_s(&b, LABEL_NAME, l.name);
    wagw_tlv_put_u(&b, LABEL_COLOR, (uint64_t)l.color);
    wagw_tlv_put_u(&b, LABEL_PREDEFINED, (uint64_t)l.predefined);
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&a->t->txn, WAGW_REC_META, key, wagw_buf_view(&b));
    wagw_buf_free(&b);
    WAGW_TRY(rc);
    return label_event(a, "label.upsert", &l, known == WAGW_OK ? "updated" : "created", WAGW_STR_NULL);
}

/* ["label_jid", id, chat] and ["label_message", id, chat, message, ...] */
static int apply_association(wagw_app_apply_t *a, const wagw_app_mutation_t *m, bool message, bool on)
{
    int rc;
    label_t l = {.id = m->part[1]};
    wagw_jid_t j;
    wagw_str_t chat, key, v;

    if (wagw_jid_parse(&j, m->part[2]) != WAGW_OK || wagw_jid_empty(&j)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(a->t, &j, &j));
    chat = wagw_jid_str(&a->t->arena, &j);
    key = message ? key_of(a->t, "labelmsg", m->part[1], chat, m->part[3])
                  : key_of(a->t, "labeled", m->part[1], chat, WAGW_STR_NULL);
    if (key.p == NULL) {
        return WAGW_OK;
    }
    rc = wagw_txn_get(&a->t->txn, WAGW_REC_META, key, &v);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    if ((rc == WAGW_OK) == on) {
        return WAGW_OK;
    }
    WAGW_TRY(on ? wagw_txn_put(&a->t->txn, WAGW_REC_META, key, WAGW_STR("1"))
                : wagw_txn_del(&a->t->txn, WAGW_REC_META, key));
    rc = label_get(a->t, m->part[1], &l);
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }
    return message ? WAGW_OK : label_event(a, on ? "label.chat.added" : "label.chat.deleted", &l, NULL, chat);
}

int wagw_label_apply(wagw_app_apply_t *a, const wagw_app_mutation_t *m, const Wa__SyncActionValue *v)
{
    bool jid = wagw_str_is(m->part[0], "label_jid");

    if (wagw_str_is(m->part[0], "label_edit") && (m->remove || v->labeleditaction)) {
        return apply_edit(a, m->part[1], m->remove ? NULL : v->labeleditaction);
    }
    if ((jid && m->nparts >= 3) || (wagw_str_is(m->part[0], "label_message") && m->nparts >= 4)) {
        return apply_association(a, m, !jid,
                                 !m->remove && v->labelassociationaction && v->labelassociationaction->has_labeled &&
                                     v->labelassociationaction->labeled);
    }
    return WAGW_OK;
}

/* ---- REST ---- */

static int reply_json(wagw_turn_t *t, uint64_t command, wagw_buf_t *b)
{
    int rc;
    wagw_result_t r = {.status = 200};

    r.data = wagw_buf_view(b);
    rc = b->failed ? WAGW_NOMEM : wagw_turn_reply(t, command, &r);
    wagw_buf_free(b);
    return rc;
}

typedef struct {
    wagw_turn_t *t;
    wagw_json_t j;
    wagw_str_t chat; /* only labels of it */
    uint64_t max;    /* highest number that is an id */
    unsigned n;
    wagw_str_t ids[WAGW_APP_DO_MAX * 4];
} list_t;

static void label_json(wagw_json_t *j, const label_t *l)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", l->id);
    wagw_json_kstr(j, "name", l->name);
    wagw_json_kint(j, "color", l->color);
    if (l->predefined) {
        wagw_json_kint(j, "predefinedId", l->predefined);
    }
    wagw_json_close(j);
}

static int list_one(void *data, wagw_str_t key, wagw_str_t value)
{
    label_t l;
    list_t *x = data;

    (void)label_decode(&l, tail(key), value);
    label_json(&x->j, &l);
    return WAGW_OK;
}

static int labels(wagw_turn_t *t, uint64_t command)
{
    wagw_buf_t b = {0};
    list_t x = {.t = t, .j = wagw_json(&b)};

    wagw_json_open(&x.j, '[');
    WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_META, WAGW_STR("label|"), list_one, &x));
    wagw_json_close(&x.j);
    return reply_json(t, command, &b);
}

/* "labeled|ID|CHAT": the ids of one chat. */
static int collect_one(void *data, wagw_str_t key, wagw_str_t value)
{
    size_t head = sizeof("labeled|") - 1;
    list_t *x = data;

    (void)value;
    if (wagw_str_eq(tail(key), x->chat) && x->n < sizeof(x->ids) / sizeof(x->ids[0])) {
        x->ids[x->n++] = wagw_arena_str(&x->t->arena, wagw_str(key.p + head, key.n - head - x->chat.n - 1));
    }
    return WAGW_OK;
}

static int of_chat(wagw_turn_t *t, wagw_str_t chat, list_t *x)
{
    x->t = t;
    x->chat = chat;
    x->n = 0;
    return wagw_txn_scan(&t->txn, WAGW_REC_META, WAGW_STR("labeled|"), collect_one, x);
}

static int chat_labels(wagw_turn_t *t, uint64_t command, wagw_str_t chat)
{
    int rc;
    label_t l;
    list_t *x = wagw_arena_zalloc(&t->arena, sizeof(*x));
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (x == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(of_chat(t, chat, x));
    for (unsigned i = 0; i < x->n; i++) {
        rc = label_get(t, x->ids[i], &l);
        if (rc == WAGW_AGAIN) {
            return rc;
        }
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", chat);
    wagw_json_key(&j, "labels");
    wagw_json_open(&j, '[');
    for (unsigned i = 0; i < x->n; i++) {
        if (label_get(t, x->ids[i], &l) == WAGW_OK) {
            label_json(&j, &l);
        }
    }
    wagw_json_close(&j);
    wagw_json_close(&j);
    return reply_json(t, command, &b);
}

static int chat_one(void *data, wagw_str_t key, wagw_str_t value)
{
    list_t *x = data;

    (void)value;
    wagw_json_str(&x->j, tail(key));
    x->n++;
    return WAGW_OK;
}

static int unknown(wagw_turn_t *t, uint64_t command)
{
    return wagw_turn_fail(t, command, 404, "LABEL_NOT_FOUND", "Label not found");
}

static int label_chats(wagw_turn_t *t, uint64_t command, wagw_str_t id)
{
    int rc;
    label_t l;
    wagw_buf_t b = {0};
    list_t x = {.t = t, .j = wagw_json(&b)};
    wagw_str_t prefix = key_of(t, "labeled", id, WAGW_STR(""), WAGW_STR_NULL);

    rc = label_get(t, id, &l);
    if (rc != WAGW_OK) {
        return rc == WAGW_NOT_FOUND ? unknown(t, command) : rc;
    }
    wagw_json_open(&x.j, '{');
    wagw_json_kstr(&x.j, "labelId", id);
    wagw_json_key(&x.j, "chats");
    wagw_json_open(&x.j, '[');
    rc = wagw_txn_scan(&t->txn, WAGW_REC_META, prefix, chat_one, &x);
    if (rc != WAGW_OK) {
        wagw_buf_free(&b);
        return rc;
    }
    wagw_json_close(&x.j);
    wagw_json_kint(&x.j, "count", x.n);
    wagw_json_close(&x.j);
    return reply_json(t, command, &b);
}

static int highest_one(void *data, wagw_str_t key, wagw_str_t value)
{
    uint64_t n;
    list_t *x = data;

    (void)value;
    if (wagw_str_u64(tail(key), &n) == WAGW_OK && n > x->max && n < 1000000) {
        x->max = n;
    }
    return WAGW_OK;
}

/* Create (no labelId), change, delete (remove). */
static int label_put(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    bool remove = wagw_param_bool(params, "remove", false);
    label_t l = {0};
    wagw_buf_t b = {0};
    wagw_str_t id = wagw_param_str(params, "labelId"), name = wagw_param_str(params, "name"), part[2];
    wagw_json_t j = wagw_json(&b);
    wagw_app_do_t ch = {.version = 3};
    list_t x = {.t = t, .max = 0};
    Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
    Wa__SyncActionValue__LabelEditAction a = WA__SYNC_ACTION_VALUE__LABEL_EDIT_ACTION__INIT;

    if (id.n) {
        rc = label_get(t, id, &l);
        if (rc != WAGW_OK) {
            return rc == WAGW_NOT_FOUND ? unknown(t, command) : rc;
        }
    } else {
        WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_META, WAGW_STR("label|"), highest_one, &x));
        id = wagw_arena_printf(&t->arena, "%llu", (unsigned long long)x.max + 1);
    }
    l.name = name.n ? name : l.name;
    l.color = (int32_t)wagw_param_int(params, "color", l.color);
    part[0] = WAGW_STR("label_edit");
    part[1] = id;
    ch.index = wagw_app_index_text(t, part, 2);
    a.name = (char *)wagw_arena_str(&t->arena, l.name).p;
    a.has_color = a.has_deleted = 1;
    a.color = l.color;
    a.deleted = remove;
    a.has_predefinedid = l.predefined != 0;
    a.predefinedid = l.predefined;
    v.labeleditaction = &a;
    ch.value = wagw_app_value(t, &v);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "labelId", id);
    if (!remove) {
        wagw_json_kstr(&j, "name", l.name);
        wagw_json_kint(&j, "color", l.color);
    }
    wagw_json_close(&j);
    x.chat = b.failed ? WAGW_STR_NULL : wagw_arena_str(&t->arena, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR, &ch, 1,
                          remove ? "Label deleted successfully" : "Label saved successfully", x.chat);
}

static bool listed(const wagw_str_t *ids, unsigned n, wagw_str_t id)
{
    for (unsigned i = 0; i < n; i++) {
        if (wagw_str_eq(ids[i], id)) {
            return true;
        }
    }
    return false;
}

/* Replaces the labels of a chat, or adds labels to a message. */
static int label_set(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_str_t chat, wagw_str_t message)
{
    int rc;
    label_t l;
    list_t *x = wagw_arena_zalloc(&t->arena, sizeof(*x));
    unsigned n = 0, nwant = 0;
    wagw_buf_t b = {0};
    wagw_str_t want[WAGW_APP_DO_MAX], part[6], data;
    wagw_json_t j = wagw_json(&b);
    const cJSON *item;
    wagw_app_do_t ch[WAGW_APP_DO_MAX];

    if (x == NULL) {
        return WAGW_NOMEM;
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(params, "labelIds"))
    {
        if (!cJSON_IsString(item) || nwant == WAGW_APP_DO_MAX / 2) {
            continue;
        }
        rc = label_get(t, wagw_cstr(item->valuestring), &l);
        if (rc != WAGW_OK) {
            return rc == WAGW_NOT_FOUND ? unknown(t, command) : rc;
        }
        want[nwant++] = wagw_cstr(item->valuestring);
    }
    if (message.n == 0) {
        WAGW_TRY(of_chat(t, chat, x));
    }
    for (unsigned i = 0; i < nwant + x->n && n < WAGW_APP_DO_MAX; i++) {
        bool on = i < nwant;
        wagw_str_t id = on ? want[i] : x->ids[i - nwant];
        Wa__SyncActionValue v = WA__SYNC_ACTION_VALUE__INIT;
        Wa__SyncActionValue__LabelAssociationAction a = WA__SYNC_ACTION_VALUE__LABEL_ASSOCIATION_ACTION__INIT;

        if (on ? listed(x->ids, x->n, id) : listed(want, nwant, id)) {
            continue;
        }
        part[0] = message.n ? WAGW_STR("label_message") : WAGW_STR("label_jid");
        part[1] = id;
        part[2] = chat;
        part[3] = message;
        part[4] = part[5] = WAGW_STR("0");
        ch[n] = (wagw_app_do_t){.version = 3};
        ch[n].index = wagw_app_index_text(t, part, message.n ? 6 : 3);
        a.has_labeled = 1;
        a.labeled = on;
        v.labelassociationaction = &a;
        ch[n++].value = wagw_app_value(t, &v);
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", chat);
    if (message.n) {
        wagw_json_kstr(&j, "messageId", message);
    }
    wagw_json_key(&j, "labelIds");
    wagw_json_open(&j, '[');
    for (unsigned i = 0; i < nwant; i++) {
        wagw_json_str(&j, want[i]);
    }
    wagw_json_close(&j);
    wagw_json_close(&j);
    if (n == 0) {
        return reply_json(t, command, &b);
    }
    data = b.failed ? WAGW_STR_NULL : wagw_arena_str(&t->arena, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return wagw_app_queue(t, command, WAGW_APP_REGULAR, ch, n, "Labels saved successfully", data);
}

int wagw_label_command(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params)
{
    wagw_jid_t chat;
    wagw_str_t text = WAGW_STR_NULL;
    const wagw_creds_t *me = wagw_turn_me(t);

    if (me == NULL || !me->paired) {
        return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
    }
    if (me->business_name[0] == '\0' && strncmp(me->platform, "smb", 3) != 0) {
        return wagw_turn_fail(t, command, 501, "NOT_SUPPORTED",
                              "Labels are only available for WhatsApp Business accounts");
    }
    if (cmd == WAGW_CMD_LABELS_OF_CHAT || cmd == WAGW_CMD_LABEL_SET) {
        WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, &chat));
        if (wagw_jid_empty(&chat)) {
            return WAGW_OK;
        }
        WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
        text = wagw_jid_str(&t->arena, &chat);
    }
    switch (cmd) {
    case WAGW_CMD_LABELS:
        return labels(t, command);
    case WAGW_CMD_LABELS_OF_CHAT:
        return chat_labels(t, command, text);
    case WAGW_CMD_LABEL_CHATS:
        return label_chats(t, command, wagw_param_str(params, "labelId"));
    default:
        break;
    }
    if (t->c->conn != WAGW_CONN_OPEN) {
        return wagw_turn_fail(t, command, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected");
    }
    return cmd == WAGW_CMD_LABEL_PUT ? label_put(t, command, params)
                                     : label_set(t, command, params, text, wagw_param_str(params, "messageId"));
}
