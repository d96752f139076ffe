/*
 * core/base: strings, buffers, arenas, hex/base64, JIDs, the error type and
 * the one JSON writer.  Includes libc only; knows no clock and no randomness.
 */

#ifndef WAGW_BASE_H
#define WAGW_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The one error type of core/: 0 or one of these negative values. */
typedef enum {
    WAGW_OK = 0,
    WAGW_ERROR = -1, /* unspecific */
    WAGW_AGAIN = -2, /* a record is not in memory: load it, run again */
    WAGW_NOMEM = -3,
    WAGW_MALFORMED = -4, /* bytes from outside do not parse */
    WAGW_LIMIT = -5,     /* a size, depth or count is over its limit */
    WAGW_CRYPTO = -6,    /* a MAC, tag or signature does not verify */
    WAGW_NOT_FOUND = -7,
    WAGW_STATE = -8,       /* not allowed in the present state */
    WAGW_DUPLICATE = -9,   /* seen before (ratchet counter, id) */
    WAGW_NO_SESSION = -10, /* no Signal session or sender key */
    WAGW_NO_PREKEY = -11,  /* the one-time or signed prekey is unknown */
    WAGW_IO = -12          /* the store failed */
} wagw_rc_t;

const char *wagw_rc_name(int rc);

/* A view: not owned, not NUL-terminated, may hold any byte. */
typedef struct {
    const uint8_t *p;
    size_t n;
} wagw_str_t;

#define WAGW_STR(lit) ((wagw_str_t){(const uint8_t *)(lit), sizeof(lit) - 1})
#define WAGW_STR_NULL ((wagw_str_t){NULL, 0})

static inline wagw_str_t wagw_str(const void *p, size_t n)
{
    return (wagw_str_t){(const uint8_t *)p, n};
}

static inline wagw_str_t wagw_cstr(const char *s)
{
    return (wagw_str_t){(const uint8_t *)s, s ? strlen(s) : 0};
}

static inline bool wagw_str_eq(wagw_str_t a, wagw_str_t b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#define wagw_str_is(s, lit) wagw_str_eq((s), WAGW_STR(lit))

bool wagw_str_starts(wagw_str_t s, wagw_str_t prefix);
bool wagw_str_ends(wagw_str_t s, wagw_str_t suffix);

/* Whole string is a decimal number that fits: WAGW_OK, else WAGW_MALFORMED. */
int wagw_str_u64(wagw_str_t s, uint64_t *out);
size_t wagw_u64_text(uint64_t v, char out[21]); /* decimal digits + NUL, returns their number */
int wagw_str_i64(wagw_str_t s, int64_t *out);

/* malloc'ed NUL-terminated copy; NULL without memory or with a NUL inside. */
char *wagw_str_dup(wagw_str_t s);

/* Valid UTF-8 (no overlongs, no surrogates, at most U+10FFFF). */
bool wagw_utf8_valid(wagw_str_t s);

/* Overwrites memory in a way the compiler keeps. */
void wagw_wipe(void *p, size_t n);

/* Constant-time comparison of n bytes. */
bool wagw_ct_equal(const void *a, const void *b, size_t n);

/*
 * The one growable buffer.  Zero-initialise.  Adding never half-succeeds: on
 * lack of memory `failed` sticks, later adds do nothing, and the caller looks
 * once at the end.  _free() wipes nothing; _wipe() overwrites, then frees.
 */
typedef struct {
    uint8_t *p;
    size_t n;
    size_t cap;
    bool failed;
} wagw_buf_t;

int wagw_buf_grow(wagw_buf_t *b, size_t more); /* wagw_buf_reserve() calls it */

/* The short ones are inline: some hundred of them make one message. */
static inline int wagw_buf_reserve(wagw_buf_t *b, size_t more)
{
    return !b->failed && more <= b->cap - b->n ? WAGW_OK : wagw_buf_grow(b, more);
}

static inline int wagw_buf_add(wagw_buf_t *b, const void *p, size_t n)
{
    int rc = wagw_buf_reserve(b, n);

    if (rc == WAGW_OK && n > 0) {
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
    return rc;
}

static inline int wagw_buf_u8(wagw_buf_t *b, uint8_t v)
{
    int rc = wagw_buf_reserve(b, 1);

    if (rc == WAGW_OK) {
        b->p[b->n++] = v;
    }
    return rc;
}

int wagw_buf_str(wagw_buf_t *b, wagw_str_t s);
int wagw_buf_cstr(wagw_buf_t *b, const char *s);
int wagw_buf_be(wagw_buf_t *b, uint64_t v, unsigned bytes); /* 1..8 bytes */
int wagw_buf_printf(wagw_buf_t *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void wagw_buf_consume(wagw_buf_t *b, size_t n); /* from the front */
void wagw_buf_reset(wagw_buf_t *b);             /* n = 0, keeps memory */
void wagw_buf_free(wagw_buf_t *b);
void wagw_buf_wipe(wagw_buf_t *b);

static inline wagw_str_t wagw_buf_view(const wagw_buf_t *b)
{
    return (wagw_str_t){b->p, b->n};
}

/*
 * Bump allocator: everything taken from it is freed at once.  Returns NULL
 * without memory.  Zero-initialise.  _reset keeps the first chunk.
 */
typedef struct wagw_arena_chunk_s wagw_arena_chunk_t;

typedef struct {
    wagw_arena_chunk_t *head;
    size_t used; /* bytes handed out, for limits */
} wagw_arena_t;

void *wagw_arena_alloc(wagw_arena_t *a, size_t n); /* 16-aligned */
void *wagw_arena_zalloc(wagw_arena_t *a, size_t n);
wagw_str_t wagw_arena_str(wagw_arena_t *a, wagw_str_t s); /* copy + NUL behind it */
wagw_str_t wagw_arena_printf(wagw_arena_t *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* NUL behind it */
void wagw_arena_reset(wagw_arena_t *a);
void wagw_arena_free(wagw_arena_t *a);

/* Hex (lower case out, both in) and base64 (standard, padded; url variants). */
int wagw_hex_encode(wagw_buf_t *out, wagw_str_t in);
int wagw_hex_decode(wagw_buf_t *out, wagw_str_t in);       /* WAGW_MALFORMED */
int wagw_hex_fixed(uint8_t *out, size_t n, wagw_str_t in); /* exactly n bytes */
int wagw_base64_encode(wagw_buf_t *out, wagw_str_t in);
int wagw_base64url_encode(wagw_buf_t *out, wagw_str_t in); /* no padding */
int wagw_base64_value(uint8_t c);                          /* of a character of either alphabet, -1: of none */
int wagw_base64_decode(wagw_buf_t *out, wagw_str_t in);    /* either alphabet, padding optional, blanks refused */

/*
 * JIDs (protocol 02 section 6, 04 section 1).  A value type: copy freely.
 * Text forms have no agent.  device 0 is the phone.
 */
typedef enum {
    WAGW_SRV_NONE = 0, /* empty JID */
    WAGW_SRV_USER,     /* s.whatsapp.net (c.us is normalised to it) */
    WAGW_SRV_LID,
    WAGW_SRV_HOSTED,
    WAGW_SRV_HOSTED_LID,
    WAGW_SRV_GROUP, /* g.us */
    WAGW_SRV_BROADCAST,
    WAGW_SRV_NEWSLETTER,
    WAGW_SRV_BOT,
    WAGW_SRV_CALL,
    WAGW_SRV_MSGR,
    WAGW_SRV_INTEROP,
    WAGW_SRV_OTHER
} wagw_server_t;

#define WAGW_JID_USER_MAX 63
#define WAGW_JID_TEXT_MAX 100 /* text form with NUL */

typedef struct {
    char user[WAGW_JID_USER_MAX + 1]; /* NUL-terminated, may be empty */
    uint8_t user_len;
    uint8_t server; /* wagw_server_t */
    uint16_t device;
} wagw_jid_t;

/* Parses `user@server`, `user:device@server`, `@server`, and a bare server
 * word.  WAGW_MALFORMED / WAGW_LIMIT otherwise; unknown servers are refused. */
int wagw_jid_parse(wagw_jid_t *j, wagw_str_t text);
wagw_jid_t wagw_jid_make(const char *user, wagw_server_t server, uint16_t device);
/* Writes text + NUL, returns its length (always < WAGW_JID_TEXT_MAX). */
size_t wagw_jid_text(const wagw_jid_t *j, char out[WAGW_JID_TEXT_MAX]);
wagw_str_t wagw_jid_str(wagw_arena_t *a, const wagw_jid_t *j);
const char *wagw_server_name(wagw_server_t s);
bool wagw_jid_eq(const wagw_jid_t *a, const wagw_jid_t *b);        /* device too */
bool wagw_jid_same_user(const wagw_jid_t *a, const wagw_jid_t *b); /* user + server, hosted folded */
/* Without device; hosted -> s.whatsapp.net, hosted.lid -> lid. */
wagw_jid_t wagw_jid_user(const wagw_jid_t *j);

static inline bool wagw_jid_empty(const wagw_jid_t *j)
{
    return j->server == WAGW_SRV_NONE;
}
static inline bool wagw_jid_is_lid(const wagw_jid_t *j)
{
    return j->server == WAGW_SRV_LID || j->server == WAGW_SRV_HOSTED_LID;
}
static inline bool wagw_jid_is_pn(const wagw_jid_t *j)
{
    return j->server == WAGW_SRV_USER || j->server == WAGW_SRV_HOSTED;
}
static inline bool wagw_jid_is_person(const wagw_jid_t *j)
{
    return wagw_jid_is_lid(j) || wagw_jid_is_pn(j);
}
static inline bool wagw_jid_is_group(const wagw_jid_t *j)
{
    return j->server == WAGW_SRV_GROUP;
}
bool wagw_jid_is_status(const wagw_jid_t *j);
/* A caller's recipient (contract 1.3): digits with + ( ) - . and blanks, c.us,
 * lid, g.us, `digits-digits`, 18 digits from 120363, newsletter, status. */
int wagw_jid_from_caller(wagw_jid_t *j, wagw_str_t text);

/*
 * JSON writer.  Commas are kept by the writer; strings are escaped, invalid
 * UTF-8 is replaced by U+FFFD.  Look at `failed` of the buffer at the end.
 *
 *     wagw_json_t j = wagw_json(&buf);
 *     wagw_json_open(&j, '{'); wagw_json_key(&j, "id"); wagw_json_str(&j, id);
 *     wagw_json_close(&j);
 */
typedef struct {
    wagw_buf_t *out;
    uint32_t depth;
    bool comma;      /* the next value needs one before it */
    uint64_t arrays; /* bit per level: 1 = '[' */
} wagw_json_t;

wagw_json_t wagw_json(wagw_buf_t *out);
void wagw_json_open(wagw_json_t *j, char bracket); /* '{' or '[' */
void wagw_json_close(wagw_json_t *j);
void wagw_json_key(wagw_json_t *j, const char *key);
void wagw_json_key_str(wagw_json_t *j, wagw_str_t key);
void wagw_json_str(wagw_json_t *j, wagw_str_t s);
void wagw_json_cstr(wagw_json_t *j, const char *s); /* NULL -> null */
void wagw_json_int(wagw_json_t *j, int64_t v);
void wagw_json_uint(wagw_json_t *j, uint64_t v);
void wagw_json_num(wagw_json_t *j, double v);
void wagw_json_bool(wagw_json_t *j, bool v);
void wagw_json_null(wagw_json_t *j);
void wagw_json_raw(wagw_json_t *j, wagw_str_t json); /* already JSON */
void wagw_json_base64(wagw_json_t *j, wagw_str_t bytes);
void wagw_json_iso(wagw_json_t *j, int64_t ms); /* ISO-8601 UTC with ms; 0 -> null */
/* key + value in one call */
void wagw_json_kstr(wagw_json_t *j, const char *k, wagw_str_t s);
void wagw_json_kcstr(wagw_json_t *j, const char *k, const char *s);
void wagw_json_kint(wagw_json_t *j, const char *k, int64_t v);
void wagw_json_kbool(wagw_json_t *j, const char *k, bool v);
void wagw_json_knull(wagw_json_t *j, const char *k);
void wagw_json_kiso(wagw_json_t *j, const char *k, int64_t ms);
void wagw_json_kraw(wagw_json_t *j, const char *k, wagw_str_t json);
/* The details of VALIDATION_FAILED for one field: {"fields":[{"field","reason"}]}. */
void wagw_json_field(wagw_json_t *j, const char *field, const char *reason);

/* Civil time <-> ms since 1970 (UTC); core/ has no clock but formats times. */
size_t wagw_iso_text(int64_t ms, char out[32]); /* "2026-01-02T03:04:05.678Z" */
int wagw_iso_parse(wagw_str_t s, int64_t *ms);

#endif
