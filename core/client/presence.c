/*
 * Presence (11 section 9): our own, whose we asked for, and what came.  What
 * came is kept in memory only, at most so many people; it is news, not history.
 */

#include "account_i.h"

#include <stdlib.h>

#define KNOWN_MAX 256
#define WAITS_MAX 256
#define WAIT_MAX_MS 30000
#define TYPING_MAX_MS 60000
#define TYPING_FRESH_MS 25000

typedef enum {
    PRESENCE_NONE = 0,
    PRESENCE_AVAILABLE,
    PRESENCE_UNAVAILABLE,
    PRESENCE_COMPOSING,
    PRESENCE_RECORDING,
    PRESENCE_PAUSED
} presence_t;

static const char *const presence_names[] = {NULL, "available", "unavailable", "composing", "recording", "paused"};

struct wagw_presence_s {
    wagw_jid_t jid; /* canonical */
    uint8_t what;   /* presence_t */
    bool asked;     /* we subscribed: done again after each login */
    uint32_t epoch; /* connection on which we did */
    int64_t last_s;
    int64_t updated_ms;
    wagw_presence_t *next;
};

struct wagw_presence_wait_s {
    uint64_t command;
    wagw_jid_t jid;
    int64_t deadline;
    wagw_presence_wait_t *next;
};

/* ---- our own ------------------------------------------------------------------- */

static void available_then(wagw_client_t *c, void *arg)
{
    c->available = *(bool *)arg;
}

int wagw_presence_send(wagw_turn_t *t, bool available)
{
    char name[128];
    size_t n = 0;
    wagw_node_t *p = wagw_node(&t->arena, "presence");
    const wagw_creds_t *me = wagw_turn_me(t);
    const char *from = me->push_name[0] ? me->push_name : me->jid.user;

    for (; *from && n < sizeof(name) - 1; from++) {
        if (*from != '@') {
            name[n++] = *from;
        }
    }
    name[n] = '\0';
    wagw_node_attr(&t->arena, p, "name", wagw_arena_str(&t->arena, wagw_str(name, n)));
    wagw_node_attrc(&t->arena, p, "type", available ? "available" : "unavailable");
    WAGW_TRY(wagw_turn_send(t, p));
    return wagw_turn_then(t, available_then, &available, sizeof(available));
}

typedef struct {
    wagw_jid_t to;
    int64_t at;
} typing_t;

static void typing_then(wagw_client_t *c, void *arg)
{
    typing_t *ty = arg;

    c->chatstate_to = ty->to;
    wagw_client_timer(c, WAGW_TIMER_CHATSTATE, ty->at);
}

int wagw_chatstate_command(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_str_t state, const char *message)
{
    bool lid;
    int64_t duration;
    typing_t ty;
    wagw_jid_t chat;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_node_t *n, *k;
    const wagw_creds_t *me = wagw_turn_me(t);

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", "to", &chat));
    if (wagw_jid_empty(&chat)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_lid_in(t, &chat, me->lid_migrated != 2, &chat));
    lid = wagw_jid_is_lid(&chat);
    n = wagw_node(&t->arena, "chatstate");
    wagw_node_attr_jid(&t->arena, n, "to", &chat);
    wagw_node_attr_jid(&t->arena, n, "from", lid ? &me->lid : &me->jid);
    if (wagw_str_is(state, "paused")) {
        wagw_node_child(&t->arena, n, "paused");
    } else {
        k = wagw_node_child(&t->arena, n, "composing");
        if (wagw_str_is(state, "recording")) {
            wagw_node_attrc(&t->arena, k, "media", "audio");
        }
    }
    WAGW_TRY(wagw_turn_send(t, n));

    duration = wagw_param_int(params, "duration", 0);
    if (duration > 0) {
        ty.to = chat;
        ty.at = t->now + (duration > TYPING_MAX_MS ? TYPING_MAX_MS : duration);
        WAGW_TRY(wagw_turn_then(t, typing_then, &ty, sizeof(ty)));
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "presence", state);
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, message);
}

int wagw_presence_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool available;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_str_t p = wagw_param_str(params, "presence");

    available = wagw_str_is(p, "available");
    if (!available && !wagw_str_is(p, "unavailable")) {
        if (wagw_param_str(params, "chatId").n == 0 && wagw_param_str(params, "to").n == 0) {
            wagw_result_t r = {0};

            r.status = 400;
            r.code = "VALIDATION_FAILED";
            r.error = "chatId is required for this presence";
            r.details = WAGW_STR("{\"fields\":[{\"field\":\"chatId\",\"reason\":\"required\"}]}");
            return wagw_turn_reply(t, command, &r);
        }
        return wagw_chatstate_command(
            t, command, params, p,
            (const char *)wagw_arena_printf(&t->arena, "Presence updated to %.*s", (int)p.n, (const char *)p.p).p);
    }
    WAGW_TRY(wagw_presence_send(t, available));
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "presence", p);
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b,
                           available ? "Presence updated to available" : "Presence updated to unavailable");
}

/* ---- what is known ---------------------------------------------------------------- */

static wagw_presence_t *known(const wagw_client_t *c, const wagw_jid_t *jid)
{
    for (wagw_presence_t *p = c->presences; p; p = p->next) {
        if (wagw_jid_eq(&p->jid, jid)) {
            return p;
        }
    }
    return NULL;
}

/* The entry of the person, made when needed, at the front; the oldest goes. */
static wagw_presence_t *keep(wagw_client_t *c, const wagw_jid_t *jid)
{
    size_t n = 0;
    wagw_presence_t **at, *p;

    for (at = &c->presences; (p = *at) != NULL; at = &p->next) {
        if (wagw_jid_eq(&p->jid, jid) || (++n == KNOWN_MAX && p->next == NULL)) {
            break;
        }
    }
    if (p) {
        *at = p->next;
        if (!wagw_jid_eq(&p->jid, jid)) {
            memset(p, 0, sizeof(*p));
        }
    } else {
        p = calloc(1, sizeof(*p));
        if (p == NULL) {
            return NULL;
        }
    }
    p->jid = *jid;
    p->next = c->presences;
    c->presences = p;
    return p;
}

/* Nobody says that typing has ended when a connection breaks. */
static const char *shown(const wagw_presence_t *p, int64_t now)
{
    if ((p->what == PRESENCE_COMPOSING || p->what == PRESENCE_RECORDING) && now - p->updated_ms > TYPING_FRESH_MS) {
        return presence_names[PRESENCE_AVAILABLE];
    }
    return presence_names[p->what];
}

int wagw_presences_command(wagw_turn_t *t, uint64_t command)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    for (const wagw_presence_t *p = t->c->presences; p; p = p->next) {
        if (p->what == PRESENCE_NONE) {
            continue;
        }
        wagw_json_key_str(&j, wagw_jid_str(&t->arena, &p->jid));
        wagw_json_open(&j, '{');
        wagw_json_kcstr(&j, "presence", shown(p, t->now));
        wagw_json_kiso(&j, "lastSeen", p->last_s * 1000);
        wagw_json_kiso(&j, "updatedAt", p->updated_ms);
        wagw_json_close(&j);
    }
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

static void state_json(wagw_buf_t *b, const wagw_jid_t *jid, const char *presence, int64_t last_s)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_json_t j = wagw_json(b);

    wagw_jid_text(jid, text);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "chatId", text);
    wagw_json_kcstr(&j, "presence", presence);
    wagw_json_kiso(&j, "lastSeen", last_s * 1000);
    wagw_json_close(&j);
}

/* ---- subscribing -------------------------------------------------------------------- */

typedef struct {
    wagw_jid_t jid;
    uint64_t command; /* waits for the first news, 0 nobody */
    int64_t deadline;
} asked_t;

static void asked_then(wagw_client_t *c, void *arg)
{
    size_t n = 0;
    asked_t *a = arg;
    wagw_presence_t *p = keep(c, &a->jid);
    wagw_presence_wait_t *w, **at;

    if (p) {
        p->asked = true;
        p->epoch = c->epoch;
    }
    if (a->command == 0) {
        return;
    }
    for (at = &c->presence_waits; *at; at = &(*at)->next) {
        n++;
    }
    w = n < WAITS_MAX ? calloc(1, sizeof(*w)) : NULL;
    if (w == NULL) {
        wagw_result_t r = {.status = 200};
        wagw_buf_t b = {0};

        state_json(&b, &a->jid, NULL, 0);
        r.data = wagw_buf_view(&b);
        c->ops->reply(c->driver, a->command, &r);
        wagw_buf_free(&b);
        return;
    }
    w->command = a->command;
    w->jid = a->jid;
    w->deadline = a->deadline;
    *at = w;
    if (c->timers[WAGW_TIMER_PRESENCE] == 0 || a->deadline < c->timers[WAGW_TIMER_PRESENCE]) {
        wagw_client_timer(c, WAGW_TIMER_PRESENCE, a->deadline);
    }
}

static int pair_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    int rc;
    wagw_jid_t pn, lid;

    (void)arg;
    rc = wagw_usync_lid(t, node, &pn, &lid);
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

/* News may come under the LID: whose it is must be known by then. */
static int subscribe_send(wagw_turn_t *t, const wagw_jid_t *chat)
{
    wagw_jid_t to, lid;
    wagw_node_t *n = wagw_node(&t->arena, "presence");

    /* named as real clients name it, whatever the account's mode */
    WAGW_TRY(wagw_lid_in(t, chat, false, &to));
    WAGW_TRY(wagw_lid_in(t, chat, true, &lid));
    if (wagw_jid_is_pn(&lid)) {
        WAGW_TRY(wagw_usync_ask_lid(t, &to, pair_answer, 0));
    }
    wagw_node_attrc(&t->arena, n, "type", "subscribe");
    wagw_node_attr_jid(&t->arena, n, "to", &to);
    if (!wagw_is_me(t->c, &to)) {
        WAGW_TRY(wagw_token_node(t, n, &to));
    }
    return wagw_turn_send(t, n);
}

int wagw_presence_subscribe_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    asked_t a = {0};
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", "to", &a.jid));
    if (wagw_jid_empty(&a.jid)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &a.jid, &a.jid));
    WAGW_TRY(subscribe_send(t, &a.jid));
    WAGW_TRY(wagw_turn_then(t, asked_then, &a, sizeof(a)));
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", wagw_jid_str(&t->arena, &a.jid));
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, "Subscribed to presence updates");
}

int wagw_presence_get_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool fresh;
    int64_t wait = wagw_param_int(params, "wait", 1000);
    asked_t a = {0};
    wagw_buf_t b = {0};
    const wagw_presence_t *p;

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, &a.jid));
    if (wagw_jid_empty(&a.jid)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_chat_canonical(t, &a.jid, &a.jid));
    p = known(t->c, &a.jid);
    fresh = p && p->asked && p->epoch == t->c->epoch;
    if (p && p->what != PRESENCE_NONE) {
        state_json(&b, &a.jid, shown(p, t->now), p->last_s);
    } else {
        a.command = command;
        a.deadline = t->now + (wait < 0 ? 0 : wait > WAIT_MAX_MS ? WAIT_MAX_MS : wait);
    }
    if (!fresh) {
        WAGW_TRY(subscribe_send(t, &a.jid));
    }
    if (!fresh || a.command) {
        WAGW_TRY(wagw_turn_then(t, asked_then, &a, sizeof(a)));
    }
    return a.command ? WAGW_OK : wagw_command_ok(t, command, &b, NULL);
}

static void again_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    for (wagw_presence_t *p = c->presences; p; p = p->next) {
        if (p->asked) {
            p->epoch = c->epoch;
        }
    }
}

int wagw_presence_again(wagw_turn_t *t, uint64_t unused)
{
    (void)unused;
    for (const wagw_presence_t *p = t->c->presences; p; p = p->next) {
        if (p->asked) {
            WAGW_TRY(subscribe_send(t, &p->jid));
        }
    }
    return wagw_turn_then(t, again_then, NULL, 0);
}

/* ---- waiting for the first news ------------------------------------------------------- */

void wagw_presence_tick(wagw_client_t *c, bool all)
{
    int64_t next = 0;
    wagw_buf_t b = {0};
    wagw_result_t r = {.status = 200};
    wagw_presence_wait_t **at = &c->presence_waits, *w;

    while ((w = *at) != NULL) {
        if (!all && w->deadline > c->now) {
            next = next == 0 || w->deadline < next ? w->deadline : next;
            at = &w->next;
            continue;
        }
        *at = w->next;
        wagw_buf_reset(&b);
        state_json(&b, &w->jid, NULL, 0);
        r.data = wagw_buf_view(&b);
        c->ops->reply(c->driver, w->command, &r);
        free(w);
    }
    wagw_buf_free(&b);
    wagw_client_timer(c, WAGW_TIMER_PRESENCE, next);
}

bool wagw_presence_unwait(wagw_client_t *c, uint64_t command)
{
    wagw_presence_wait_t **at, *w;

    for (at = &c->presence_waits; (w = *at) != NULL; at = &w->next) {
        if (w->command == command) {
            *at = w->next;
            free(w);
            return true;
        }
    }
    return false;
}

void wagw_presence_free(wagw_client_t *c)
{
    wagw_presence_t *p;

    wagw_presence_tick(c, true);
    while ((p = c->presences) != NULL) {
        c->presences = p->next;
        free(p);
    }
}

/* ---- what comes --------------------------------------------------------------------------- */

typedef struct {
    wagw_jid_t jid;
    uint8_t what;
    int64_t last_s, at_ms;
} news_t;

static void news_then(wagw_client_t *c, void *arg)
{
    const news_t *n = arg;
    wagw_presence_t *p = keep(c, &n->jid);
    wagw_presence_wait_t **at = &c->presence_waits, *w;

    if (p) {
        p->what = n->what;
        p->updated_ms = n->at_ms;
        p->last_s = n->last_s ? n->last_s : p->last_s;
    }
    while ((w = *at) != NULL) {
        if (wagw_jid_eq(&w->jid, &n->jid)) {
            *at = w->next;
            free(w); /* answered by the turn */
        } else {
            at = &w->next;
        }
    }
}

static int news(wagw_turn_t *t, const wagw_jid_t *jid, uint8_t what, int64_t last_s)
{
    news_t n = {0};
    wagw_buf_t b = {0};

    n.jid = *jid;
    n.what = what;
    n.last_s = last_s;
    n.at_ms = t->now;
    for (const wagw_presence_wait_t *w = t->c->presence_waits; w; w = w->next) {
        if (wagw_jid_eq(&w->jid, jid)) {
            memset(&b, 0, sizeof(b));
            state_json(&b, jid, presence_names[what], last_s);
            WAGW_TRY(wagw_command_ok(t, w->command, &b, NULL));
        }
    }
    return wagw_turn_then(t, news_then, &n, sizeof(n));
}

int wagw_receive_presence(wagw_turn_t *t, const wagw_node_t *n)
{
    bool group;
    uint8_t what;
    uint64_t last = 0;
    wagw_jid_t from, chat;
    wagw_buf_t b = {0};
    wagw_str_t text;
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *k;

    if (wagw_node_get_jid(n, "from", &chat) != WAGW_OK) {
        return WAGW_OK;
    }
    if (wagw_node_get_jid(n, "participant", &from) != WAGW_OK) {
        from = chat;
    }
    if (wagw_is_me(t->c, &from)) {
        return WAGW_OK;
    }
    group = !wagw_jid_is_person(&chat);
    WAGW_TRY(wagw_chat_canonical(t, &from, &from));
    WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
    text = wagw_jid_str(&t->arena, &from);

    if (wagw_node_is(n, "presence")) {
        what = wagw_node_attr_is(n, "type", "unavailable") ? PRESENCE_UNAVAILABLE : PRESENCE_AVAILABLE;
        /* "deny" and the like: hidden */
        if (wagw_node_get_u64(n, "last", &last) != WAGW_OK || last >= (1ull << 40)) {
            last = 0;
        }
    } else {
        k = n->content == WAGW_CONTENT_NODES ? n->child : NULL;
        what = k == NULL                                ? PRESENCE_NONE
               : wagw_node_is(k, "paused")              ? PRESENCE_PAUSED
               : !wagw_node_is(k, "composing")          ? PRESENCE_NONE
               : wagw_node_attr_is(k, "media", "audio") ? PRESENCE_RECORDING
                                                        : PRESENCE_COMPOSING;
        if (what == PRESENCE_NONE) {
            return WAGW_OK;
        }
    }
    WAGW_TRY(news(t, &from, what, (int64_t)last));
    if (group && !wagw_jid_eq(&from, &chat)) {
        WAGW_TRY(news(t, &chat, what, 0));
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "jid", text);
    wagw_json_kcstr(&j, "presence", presence_names[what]);
    wagw_json_kiso(&j, "lastSeen", (int64_t)last * 1000);
    wagw_json_kstr(&j, "chatId", wagw_jid_str(&t->arena, &chat));
    wagw_json_kiso(&j, "timestamp", t->now);
    wagw_json_close(&j);
    return wagw_event_emit(t, "presence.update", text, &b);
}
