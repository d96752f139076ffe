/*
 * Pictures, about texts, privacy settings, business profiles and the contact
 * link (11 sections 1, 3, 5, 6, 8): a query each, and its answer as JSON.
 */

#include "account_i.h"

#include <stdlib.h>

#define PICTURE_MAX (1u << 20)
#define LIST_MAX 64

static bool bad(const wagw_node_t *node)
{
    return node == NULL || wagw_iq_error(node, NULL) != 0;
}

/* An answer that holds nothing: `message` says that it was done. */
static int done(wagw_turn_t *t, const wagw_node_t *node, uint64_t command, const char *message)
{
    return bad(node) ? wagw_iq_failed(t, command, node) : wagw_command_ok(t, command, NULL, message);
}

static void kstr_or_null(wagw_json_t *j, const char *key, wagw_str_t s)
{
    if (s.n) {
        wagw_json_kstr(j, key, s);
    } else {
        wagw_json_knull(j, key);
    }
}

/* ---- pictures (section 1) ----------------------------------------------------------- */

/* Hidden and none are no errors: null. */
static int picture_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int code = node ? wagw_iq_error(node, NULL) : 0;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *p;

    if (node == NULL || (code && code != 401 && code != 403 && code != 404)) {
        return wagw_iq_failed(t, command, node);
    }
    p = code ? NULL : wagw_node_find(node, "picture");
    wagw_json_open(&j, '{');
    kstr_or_null(&j, "pictureUrl", wagw_node_get(p, "url"));
    if (wagw_node_get(p, "id").n) {
        wagw_json_kstr(&j, "pictureId", wagw_node_get(p, "id"));
    }
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

/* chatId | phoneNumber, neither: ourselves; type. */
static int target(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_jid_t *jid)
{
    const char *name = wagw_param_str(params, "chatId").n ? "chatId" : "phoneNumber";

    if (wagw_param_bool(params, "_self", false)) {
        *jid = wagw_jid_user(&wagw_turn_me(t)->jid);
        return WAGW_OK;
    }
    WAGW_TRY(wagw_param_jid(t, command, params, name, NULL, jid));
    return wagw_jid_empty(jid) ? WAGW_OK : wagw_chat_canonical(t, jid, jid);
}

int wagw_picture_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_str_t type = wagw_param_str(params, "type");
    wagw_jid_t jid;
    wagw_node_t *iq, *p;

    WAGW_TRY(target(t, command, params, &jid));
    if (wagw_jid_empty(&jid)) {
        return WAGW_OK;
    }
    iq = wagw_iq(t, "get", "w:profile:picture");
    wagw_node_attr_jid(&t->arena, iq, "target", &jid);
    p = wagw_node_child(&t->arena, iq, "picture");
    wagw_node_attrc(&t->arena, p, "type", wagw_str_is(type, "preview") ? "preview" : "image");
    wagw_node_attrc(&t->arena, p, "query", "url");
    if (wagw_prop(t->c, WAGW_PROP_TOKEN_PICTURES)) {
        WAGW_TRY(wagw_token_node(t, p, &jid));
    }
    return wagw_iq_send_for(t, iq, picture_answer, command);
}

static int picture_set_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (node && wagw_iq_error(node, NULL) == 406) {
        return wagw_turn_fail(t, command, 415, "UNSUPPORTED_MEDIA", "WhatsApp does not take this picture");
    }
    if (bad(node)) {
        return wagw_iq_failed(t, command, node);
    }
    wagw_json_open(&j, '{');
    kstr_or_null(&j, "pictureId", wagw_node_get(wagw_node_find(node, "picture"), "id"));
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, "Picture updated successfully");
}

static int picture_gone_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return done(t, node, command, "Picture deleted successfully");
}

int wagw_picture_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    wagw_buf_t jpeg = {0};
    wagw_str_t text = wagw_param_str(params, "_picture"), copy;
    wagw_jid_t group;
    wagw_node_t *iq = wagw_iq(t, "set", "w:profile:picture"), *p;

    if (wagw_param_str(params, "groupId").n) {
        WAGW_TRY(wagw_param_jid(t, command, params, "groupId", NULL, &group));
        if (wagw_jid_empty(&group)) {
            return WAGW_OK;
        }
        wagw_node_attr_jid(&t->arena, iq, "target", &group);
    }
    if (text.n == 0) {
        return wagw_iq_send_for(t, iq, picture_gone_answer, command);
    }
    rc = text.n / 4 * 3 > PICTURE_MAX ? WAGW_LIMIT : wagw_base64_decode(&jpeg, text);
    copy = rc == WAGW_OK ? wagw_arena_str(&t->arena, wagw_buf_view(&jpeg)) : WAGW_STR_NULL;
    wagw_buf_free(&jpeg);
    if (rc != WAGW_OK || copy.p == NULL) {
        return rc == WAGW_OK ? WAGW_NOMEM : rc;
    }
    p = wagw_node_child(&t->arena, iq, "picture");
    wagw_node_attrc(&t->arena, p, "type", "image");
    wagw_node_bytes(p, copy);
    return wagw_iq_send_for(t, iq, picture_set_answer, command);
}

/* ---- about (section 3) ----------------------------------------------------------------- */

static int about_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    uint64_t at = 0;
    wagw_buf_t b = {0};
    wagw_str_t text;
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *u, *s;

    if (bad(node)) {
        return wagw_iq_failed(t, command, node);
    }
    u = wagw_usync_user(node);
    s = wagw_node_find(u, "status");
    text = wagw_node_data(s);
    if (wagw_node_get_u64(s, "t", &at) != WAGW_OK || at >= (1ull << 40) || text.n == 0) {
        at = 0;
    }
    wagw_json_open(&j, '{');
    kstr_or_null(&j, "about", text);
    wagw_json_kiso(&j, "aboutSetAt", (int64_t)at * 1000);
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

int wagw_about_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t jid;
    wagw_node_t *iq, *query, *list, *u;

    WAGW_TRY(target(t, command, params, &jid));
    if (wagw_jid_empty(&jid)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_usync(t, "interactive", &iq, &query, &list));
    wagw_node_child(&t->arena, query, "status");
    u = wagw_node_child(&t->arena, list, "user");
    wagw_node_attr_jid(&t->arena, u, "jid", &jid);
    WAGW_TRY(wagw_token_node(t, u, &jid));
    return wagw_iq_send_for(t, iq, about_answer, command);
}

static int about_set_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return done(t, node, command, "Profile status updated successfully");
}

int wagw_about_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_node_t *iq = wagw_iq(t, "set", "status"), *s = wagw_node_child(&t->arena, iq, "status");

    wagw_node_bytes_copy(&t->arena, s, wagw_param_str(params, "status"));
    return wagw_iq_send_for(t, iq, about_set_answer, command);
}

/* ---- privacy (section 6) ------------------------------------------------------------------ */

static const char *const privacy_names[][2] = {{"last", "lastSeen"},
                                               {"online", "online"},
                                               {"profile", "profilePicture"},
                                               {"status", "status"},
                                               {"readreceipts", "readReceipts"},
                                               {"groupadd", "groupAdd"},
                                               {"calladd", "callAdd"},
                                               {"messages", "messages"},
                                               {"defense", "defense"},
                                               {"stickers", "stickers"}};

#define PRIVACY_NAMES (sizeof(privacy_names) / sizeof(privacy_names[0]))

/* WhatsApp's name of a category or ours; others are what they are. */
static wagw_str_t privacy_name(wagw_str_t name, int from, int to)
{
    for (size_t i = 0; i < PRIVACY_NAMES; i++) {
        if (wagw_str_eq(name, wagw_cstr(privacy_names[i][from]))) {
            return wagw_cstr(privacy_names[i][to]);
        }
    }
    return name;
}

static int privacy_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    size_t n = 0;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *c;

    if (bad(node)) {
        return wagw_iq_failed(t, command, node);
    }
    WAGW_TRY(wagw_privacy_seen(t, wagw_node_find(node, "privacy")));
    wagw_json_open(&j, '{');
    for (c = wagw_node_find(wagw_node_find(node, "privacy"), "category"); c && n < LIST_MAX;
         c = wagw_node_find_next(c, "category"), n++) {
        wagw_json_key_str(&j, privacy_name(wagw_node_get(c, "name"), 0, 1));
        wagw_json_str(&j, wagw_node_get(c, "value"));
    }
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

int wagw_privacy_command(wagw_turn_t *t, uint64_t command)
{
    wagw_node_t *iq = wagw_iq(t, "get", "privacy");

    wagw_node_child(&t->arena, iq, "privacy");
    return wagw_iq_send_for(t, iq, privacy_answer, command);
}

static int privacy_set_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    if (node && wagw_iq_error(node, NULL) == 400) {
        return wagw_turn_fail(t, command, 400, "VALIDATION_FAILED", "WhatsApp does not take this value");
    }
    if (!bad(node)) {
        WAGW_TRY(wagw_privacy_seen(t, wagw_node_find(node, "privacy")));
    }
    return done(t, node, command, NULL);
}

/* name (ours), value; defaultDisappearing: seconds in `duration`. */
int wagw_privacy_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_str_t name = wagw_param_str(params, "name");
    wagw_node_t *iq, *c;

    if (wagw_str_is(name, "defaultDisappearing")) {
        iq = wagw_iq(t, "set", "disappearing_mode");
        c = wagw_node_child(&t->arena, iq, "disappearing_mode");
        wagw_node_attr_int(&t->arena, c, "duration", wagw_param_int(params, "duration", 0));
        return wagw_iq_send_for(t, iq, privacy_set_answer, command);
    }
    iq = wagw_iq(t, "set", "privacy");
    c = wagw_node_child(&t->arena, wagw_node_child(&t->arena, iq, "privacy"), "category");
    wagw_node_attr(&t->arena, c, "name", privacy_name(name, 1, 0));
    wagw_node_attr(&t->arena, c, "value", wagw_param_str(params, "value"));
    return wagw_iq_send_for(t, iq, privacy_set_answer, command);
}

static int disappearing_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    uint64_t s = 0;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *u;

    if (bad(node)) {
        return wagw_iq_failed(t, command, node);
    }
    u = wagw_usync_user(node);
    if (wagw_node_get_u64(wagw_node_find(u, "disappearing_mode"), "duration", &s) != WAGW_OK || s > UINT32_MAX) {
        s = 0;
    }
    wagw_json_open(&j, '{');
    wagw_json_kint(&j, "defaultDisappearing", (int64_t)s);
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

/* Our own default timer. */
int wagw_disappearing_command(wagw_turn_t *t, uint64_t command)
{
    wagw_jid_t own = wagw_jid_user(&wagw_turn_me(t)->jid);
    wagw_node_t *iq, *query, *list;

    WAGW_TRY(wagw_usync(t, "interactive", &iq, &query, &list));
    wagw_node_child(&t->arena, query, "disappearing_mode");
    wagw_node_attr_jid(&t->arena, wagw_node_child(&t->arena, list, "user"), "jid", &own);
    return wagw_iq_send_for(t, iq, disappearing_answer, command);
}

/* ---- the contact link (section 8) ------------------------------------------------------------ */

static int qr_link_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_buf_t b = {0};
    wagw_str_t code = wagw_node_get(wagw_node_find(node, "qr"), "code");
    wagw_json_t j = wagw_json(&b);

    if (bad(node)) {
        return wagw_iq_failed(t, command, node);
    }
    if (code.n == 0) {
        return wagw_turn_fail(t, command, 502, "WA_ERROR", "WhatsApp gave no link");
    }
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "url", wagw_arena_printf(&t->arena, "https://wa.me/qr/%.*s", (int)code.n, (const char *)code.p));
    wagw_json_kstr(&j, "code", code);
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

int wagw_qr_link_command(wagw_turn_t *t, uint64_t command)
{
    wagw_node_t *iq = wagw_node(&t->arena, "iq"), *qr; /* without `to` */

    wagw_node_attrc(&t->arena, iq, "type", "set");
    wagw_node_attrc(&t->arena, iq, "xmlns", "w:qr");
    qr = wagw_node_child(&t->arena, iq, "qr");
    wagw_node_attrc(&t->arena, qr, "type", "contact");
    wagw_node_attrc(&t->arena, qr, "action", "get");
    return wagw_iq_send_for(t, iq, qr_link_answer, command);
}

/* ---- business profiles (section 5) -------------------------------------------------------------- */

static void hours_json(wagw_json_t *j, const wagw_node_t *h)
{
    size_t n = 0;
    uint64_t u;
    const wagw_node_t *d;

    wagw_json_key(j, "hours");
    if (h == NULL) {
        wagw_json_null(j);
        return;
    }
    wagw_json_open(j, '{');
    kstr_or_null(j, "timezone", wagw_node_get(h, "timezone"));
    wagw_json_key(j, "days");
    wagw_json_open(j, '[');
    for (d = wagw_node_find(h, "business_hours_config"); d && n < LIST_MAX;
         d = wagw_node_find_next(d, "business_hours_config"), n++) {
        wagw_json_open(j, '{');
        wagw_json_kstr(j, "day", wagw_node_get(d, "day_of_week"));
        wagw_json_kstr(j, "mode", wagw_node_get(d, "mode"));
        if (wagw_node_get_u64(d, "open_time", &u) == WAGW_OK && u <= 1440) {
            wagw_json_kint(j, "openTimeInMinutes", (int64_t)u);
        }
        if (wagw_node_get_u64(d, "close_time", &u) == WAGW_OK && u <= 1440) {
            wagw_json_kint(j, "closeTimeInMinutes", (int64_t)u);
        }
        wagw_json_close(j);
    }
    wagw_json_close(j);
    wagw_json_close(j);
}

static int business_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    static const char *const texts[] = {"address", "description", "email", "latitude", "longitude"};
    size_t n = 0;
    wagw_jid_t jid;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    const wagw_node_t *p, *k;

    if (bad(node) && !(node && wagw_iq_error(node, NULL) == 404)) {
        return wagw_iq_failed(t, command, node);
    }
    p = wagw_node_find(wagw_node_find(node, "business_profile"), "profile");
    if (p == NULL || wagw_node_get_jid(p, "jid", &jid) != WAGW_OK) {
        return wagw_turn_fail(t, command, 404, "NOT_FOUND", "This is not a business account");
    }
    WAGW_TRY(wagw_chat_canonical(t, &jid, &jid));
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "jid", wagw_jid_str(&t->arena, &jid));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        kstr_or_null(&j, texts[i], wagw_node_data(wagw_node_find(p, texts[i])));
    }
    wagw_json_key(&j, "websites");
    wagw_json_open(&j, '[');
    for (k = wagw_node_find(p, "website"); k && n < LIST_MAX; k = wagw_node_find_next(k, "website"), n++) {
        wagw_json_str(&j, wagw_node_data(k));
    }
    wagw_json_close(&j);
    wagw_json_key(&j, "categories");
    wagw_json_open(&j, '[');
    n = 0;
    for (k = wagw_node_find(wagw_node_find(p, "categories"), "category"); k && n < LIST_MAX;
         k = wagw_node_find_next(k, "category"), n++) {
        wagw_json_open(&j, '{');
        kstr_or_null(&j, "id", wagw_node_get(k, "id"));
        wagw_json_kstr(&j, "name", wagw_node_data(k));
        wagw_json_close(&j);
    }
    wagw_json_close(&j);
    hours_json(&j, wagw_node_find(p, "business_hours"));
    kstr_or_null(&j, "coverPhotoUrl", wagw_node_get(wagw_node_find(p, "cover_photo"), "url"));
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, NULL);
}

int wagw_business_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t jid;
    wagw_node_t *iq, *p;

    if (wagw_param_str(params, "jid").n) {
        WAGW_TRY(wagw_param_jid(t, command, params, "jid", NULL, &jid));
        if (wagw_jid_empty(&jid)) {
            return WAGW_OK;
        }
        WAGW_TRY(wagw_chat_canonical(t, &jid, &jid));
    } else {
        jid = wagw_jid_user(&wagw_turn_me(t)->jid);
    }
    iq = wagw_iq(t, "get", "w:biz");
    p = wagw_node_child(&t->arena, iq, "business_profile");
    wagw_node_attrc(&t->arena, p, "v", "244");
    wagw_node_attr_jid(&t->arena, wagw_node_child(&t->arena, p, "profile"), "jid", &jid);
    return wagw_iq_send_for(t, iq, business_answer, command);
}

static int business_set_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    return done(t, node, command, "Business profile updated successfully");
}

/* A number, or its text as the seed's clients send it. */
static int64_t minutes(const cJSON *day, const char *name, int64_t dflt)
{
    uint64_t v;
    wagw_str_t text = wagw_param_str(day, name);

    return text.n ? (wagw_str_u64(text, &v) == WAGW_OK && v <= 1440 ? (int64_t)v : dflt)
                  : wagw_param_int(day, name, dflt);
}

static void hours_node(wagw_turn_t *t, wagw_node_t *p, const cJSON *hours)
{
    wagw_str_t zone = wagw_param_str(hours, "timezone"), mode;
    wagw_node_t *h = wagw_node_child(&t->arena, p, "business_hours"), *k;
    const cJSON *d;

    if (zone.n) {
        wagw_node_attr(&t->arena, h, "timezone", wagw_arena_str(&t->arena, zone));
    }
    cJSON_ArrayForEach(d, cJSON_GetObjectItemCaseSensitive(hours, "days"))
    {
        k = wagw_node_child(&t->arena, h, "business_hours_config");
        mode = wagw_param_str(d, "mode");
        wagw_node_attr(&t->arena, k, "day_of_week", wagw_arena_str(&t->arena, wagw_param_str(d, "day")));
        wagw_node_attr(&t->arena, k, "mode", wagw_arena_str(&t->arena, mode));
        if (wagw_str_is(mode, "specific_hours")) {
            wagw_node_attr_int(&t->arena, k, "open_time", minutes(d, "openTimeInMinutes", 0));
            wagw_node_attr_int(&t->arena, k, "close_time", minutes(d, "closeTimeInMinutes", 1440));
        }
    }
}

/* Only what is named changes. */
int wagw_business_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    static const char *const texts[] = {"address", "email", "description"};
    wagw_node_t *iq = wagw_iq(t, "set", "w:biz"), *p;
    const cJSON *v;

    p = wagw_node_child(&t->arena, iq, "business_profile");
    wagw_node_attrc(&t->arena, p, "v", "3");
    wagw_node_attrc(&t->arena, p, "mutation_type", "delta");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        v = cJSON_GetObjectItemCaseSensitive(params, texts[i]);
        if (cJSON_IsString(v)) {
            wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, p, texts[i]), wagw_cstr(v->valuestring));
        }
    }
    cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(params, "websites"))
    {
        if (cJSON_IsString(v)) {
            wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, p, "website"), wagw_cstr(v->valuestring));
        }
    }
    v = cJSON_GetObjectItemCaseSensitive(params, "hours");
    if (cJSON_IsObject(v)) {
        hours_node(t, p, v);
    }
    return wagw_iq_send_for(t, iq, business_set_answer, command);
}
