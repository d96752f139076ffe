#include "base.h"

#define JID_PN_MIN 5   /* shortest bare number that is taken for a phone's */
#define JID_PN_MAX 15  /* E.164 */
#define JID_LID_MAX 20 /* digits of a uint64 */

static const char *const server_names[] = {
    [WAGW_SRV_NONE] = "",
    [WAGW_SRV_USER] = "s.whatsapp.net",
    [WAGW_SRV_LID] = "lid",
    [WAGW_SRV_HOSTED] = "hosted",
    [WAGW_SRV_HOSTED_LID] = "hosted.lid",
    [WAGW_SRV_GROUP] = "g.us",
    [WAGW_SRV_BROADCAST] = "broadcast",
    [WAGW_SRV_NEWSLETTER] = "newsletter",
    [WAGW_SRV_BOT] = "bot",
    [WAGW_SRV_CALL] = "call",
    [WAGW_SRV_MSGR] = "msgr",
    [WAGW_SRV_INTEROP] = "interop",
    [WAGW_SRV_OTHER] = "",
};

const char *wagw_server_name(wagw_server_t s)
{
    return (unsigned)s < sizeof(server_names) / sizeof(server_names[0]) ? server_names[s] : "";
}

static wagw_server_t jid_server(wagw_str_t s)
{
    unsigned i;

    if (wagw_str_is(s, "c.us")) {
        return WAGW_SRV_USER;
    }
    for (i = WAGW_SRV_USER; i < WAGW_SRV_OTHER; i++) {
        if (wagw_str_eq(s, wagw_cstr(server_names[i]))) {
            return (wagw_server_t)i;
        }
    }
    return WAGW_SRV_NONE;
}

/* Servers whose users have numbered devices. */
static bool jid_has_devices(wagw_server_t s)
{
    switch (s) {
    case WAGW_SRV_USER:
    case WAGW_SRV_LID:
    case WAGW_SRV_HOSTED:
    case WAGW_SRV_HOSTED_LID:
    case WAGW_SRV_MSGR:
    case WAGW_SRV_INTEROP:
        return true;
    default:
        return false;
    }
}

static bool jid_digits(wagw_str_t s, size_t min, size_t max)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return s.n >= min && s.n <= max;
}

/* `user_agent` and `user.agent` are old ways to write the user. */
static wagw_str_t jid_without_agent(wagw_str_t user)
{
    size_t i;
    uint64_t agent;

    for (i = 1; i + 1 < user.n; i++) {
        if (user.p[i] == '_' || user.p[i] == '.') {
            if (wagw_str_u64(wagw_str(user.p + i + 1, user.n - i - 1), &agent) == WAGW_OK && agent <= 255) {
                user.n = i;
            }
            break;
        }
    }
    return user;
}

int wagw_jid_parse(wagw_jid_t *j, wagw_str_t text)
{
    const uint8_t *at, *colon;
    wagw_str_t user;
    wagw_server_t server;
    uint64_t device = 0;

    memset(j, 0, sizeof(*j));

    at = text.n > 0 ? memchr(text.p, '@', text.n) : NULL;
    if (at == NULL) {
        server = jid_server(text);
        user = WAGW_STR_NULL;
    } else {
        user = wagw_str(text.p, (size_t)(at - text.p));
        server = jid_server(wagw_str(at + 1, text.n - user.n - 1));
    }
    if (server == WAGW_SRV_NONE) {
        return WAGW_MALFORMED;
    }

    colon = user.n > 0 && jid_has_devices(server) ? memchr(user.p, ':', user.n) : NULL;
    if (colon != NULL) {
        wagw_str_t number = wagw_str(colon + 1, (size_t)(user.p + user.n - colon - 1));

        if (wagw_str_u64(number, &device) != WAGW_OK || colon == user.p) {
            return WAGW_MALFORMED;
        }
        if (device > UINT16_MAX) {
            return WAGW_LIMIT;
        }
        user.n = (size_t)(colon - user.p);
    }
    if (server == WAGW_SRV_USER) {
        user = jid_without_agent(user);
    }

    if (user.n > WAGW_JID_USER_MAX) {
        return WAGW_LIMIT;
    }
    /* what stands here lands in texts, keys and logs: one word of ASCII */
    for (size_t i = 0; i < user.n; i++) {
        if (user.p[i] <= ' ' || user.p[i] > '~' || user.p[i] == ':' || user.p[i] == '|') {
            return WAGW_MALFORMED;
        }
    }
    if (user.n > 0) {
        memcpy(j->user, user.p, user.n);
    }
    j->user_len = (uint8_t)user.n;
    j->server = (uint8_t)server;
    j->device = (uint16_t)device;
    return WAGW_OK;
}

wagw_jid_t wagw_jid_make(const char *user, wagw_server_t server, uint16_t device)
{
    size_t n = user ? strlen(user) : 0;
    wagw_jid_t j;

    memset(&j, 0, sizeof(j));
    if (n > WAGW_JID_USER_MAX) {
        return j;
    }
    if (n > 0) {
        memcpy(j.user, user, n);
    }
    j.user_len = (uint8_t)n;
    j.server = (uint8_t)server;
    j.device = device;
    return j;
}

size_t wagw_jid_text(const wagw_jid_t *j, char out[WAGW_JID_TEXT_MAX])
{
    const char *server = wagw_server_name((wagw_server_t)j->server);
    size_t n = j->user_len < WAGW_JID_USER_MAX ? j->user_len : WAGW_JID_USER_MAX;

    /* by hand: a message writes twenty of them */
    if (j->server == WAGW_SRV_NONE) {
        out[0] = '\0';
        return 0;
    }
    memcpy(out, j->user, n);
    if (j->device != 0) {
        out[n++] = ':';
        n += wagw_u64_text(j->device, out + n);
    }
    out[n++] = '@';
    memcpy(out + n, server, strlen(server) + 1);
    return n + strlen(server);
}

wagw_str_t wagw_jid_str(wagw_arena_t *a, const wagw_jid_t *j)
{
    char text[WAGW_JID_TEXT_MAX];
    size_t n = wagw_jid_text(j, text);

    return wagw_arena_str(a, wagw_str(text, n));
}

bool wagw_jid_eq(const wagw_jid_t *a, const wagw_jid_t *b)
{
    return a->server == b->server && a->device == b->device && a->user_len == b->user_len &&
           memcmp(a->user, b->user, a->user_len) == 0;
}

wagw_jid_t wagw_jid_user(const wagw_jid_t *j)
{
    wagw_jid_t u = *j;

    u.device = 0;
    if (u.server == WAGW_SRV_HOSTED) {
        u.server = WAGW_SRV_USER;
    } else if (u.server == WAGW_SRV_HOSTED_LID) {
        u.server = WAGW_SRV_LID;
    }
    return u;
}

bool wagw_jid_same_user(const wagw_jid_t *a, const wagw_jid_t *b)
{
    wagw_jid_t x = wagw_jid_user(a), y = wagw_jid_user(b);

    return x.server != WAGW_SRV_NONE && wagw_jid_eq(&x, &y);
}

bool wagw_jid_is_status(const wagw_jid_t *j)
{
    return j->server == WAGW_SRV_BROADCAST && j->user_len == 6 && memcmp(j->user, "status", 6) == 0;
}

static bool jid_is_group_id(wagw_str_t s)
{
    const uint8_t *dash = s.n > 0 ? memchr(s.p, '-', s.n) : NULL;

    if (dash == NULL) {
        return jid_digits(s, 1, 32);
    }
    return jid_digits(wagw_str(s.p, (size_t)(dash - s.p)), 1, JID_PN_MAX) &&
           jid_digits(wagw_str(dash + 1, (size_t)(s.p + s.n - dash - 1)), 1, JID_PN_MAX);
}

/* A number as people write it: `+49 (170) 123-45.67`. */
static int jid_from_phone(wagw_jid_t *j, wagw_str_t text)
{
    size_t i, n = 0;
    char digits[JID_PN_MAX + 1];

    for (i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];

        if (c >= '0' && c <= '9') {
            if (n == JID_PN_MAX) {
                return WAGW_MALFORMED;
            }
            digits[n++] = (char)c;
            continue;
        }
        /* a plus only before the first digit */
        if (c == '\0' || strchr(" -().+", c) == NULL || (c == '+' && n > 0)) {
            return WAGW_MALFORMED;
        }
    }
    if (n < JID_PN_MIN) {
        return WAGW_MALFORMED;
    }
    digits[n] = '\0';
    *j = wagw_jid_make(digits, WAGW_SRV_USER, 0);
    return WAGW_OK;
}

int wagw_jid_from_caller(wagw_jid_t *j, wagw_str_t text)
{
    bool ok;
    wagw_str_t user;

    memset(j, 0, sizeof(*j));
    while (text.n > 0 && text.p[0] == ' ') {
        text.p++;
        text.n--;
    }
    while (text.n > 0 && text.p[text.n - 1] == ' ') {
        text.n--;
    }
    if (text.n == 0 || text.n > WAGW_JID_TEXT_MAX) {
        return WAGW_MALFORMED;
    }

    if (memchr(text.p, '@', text.n) == NULL) {
        bool dashed = memchr(text.p, '-', text.n) != NULL;

        if ((dashed && jid_is_group_id(text)) ||
            (jid_digits(text, 18, 18) && wagw_str_starts(text, WAGW_STR("120363")))) {
            memcpy(j->user, text.p, text.n);
            j->user_len = (uint8_t)text.n;
            j->server = WAGW_SRV_GROUP;
            return WAGW_OK;
        }
        return jid_from_phone(j, text);
    }

    if (wagw_jid_parse(j, text) != WAGW_OK) {
        memset(j, 0, sizeof(*j));
        return WAGW_MALFORMED;
    }
    j->device = 0;
    user = wagw_str(j->user, j->user_len);

    switch (j->server) {
    case WAGW_SRV_USER:
        ok = jid_digits(user, 1, JID_PN_MAX);
        break;
    case WAGW_SRV_LID:
        ok = jid_digits(user, 1, JID_LID_MAX);
        break;
    case WAGW_SRV_GROUP:
        ok = jid_is_group_id(user);
        break;
    case WAGW_SRV_NEWSLETTER:
        ok = jid_digits(user, 1, 32);
        break;
    case WAGW_SRV_BROADCAST:
        ok = wagw_jid_is_status(j) || jid_digits(user, 1, 32);
        break;
    default:
        ok = false;
        break;
    }
    if (!ok) {
        memset(j, 0, sizeof(*j));
        return WAGW_MALFORMED;
    }
    return WAGW_OK;
}
