/*
 * core/client: the engine of one instance.  Sans-I/O: bytes, commands, loaded
 * records and "now" go in; bytes, commits, replies, timers and events come
 * out through wagw_client_ops_t.  Not re-entrant: an op must not call back
 * into the same client before it returns (queue instead).
 *
 * Everything that leaves (stanzas, replies, events) waits inside the engine
 * until the commit it depends on was confirmed by wagw_client_committed(), so
 * a driver only has to do what it is told, in order.
 */

#ifndef WAGW_CLIENT_H
#define WAGW_CLIENT_H

#include "../base/base.h"
#include "../crypto/crypto.h"
#include "../store/record.h"
#include "../store/row.h"
#include "../signal/signal.h"

#include <cjson/cJSON.h>

typedef struct wagw_client_s wagw_client_t;

/* Contract 3.2, in this order in the registry. */
typedef enum {
    WAGW_STATUS_DISCONNECTED = 0,
    WAGW_STATUS_CONNECTING,
    WAGW_STATUS_QR,
    WAGW_STATUS_PAIRING,
    WAGW_STATUS_PASSKEY,
    WAGW_STATUS_CONNECTED,
    WAGW_STATUS_LOGGED_OUT,
    WAGW_STATUS_BANNED,
    WAGW_STATUS_CONFLICT,
    WAGW_STATUS_PAUSED,
    WAGW_STATUS_FAILED
} wagw_status_t;

const char *wagw_status_name(wagw_status_t s);

/* Shared by all clients of an owner; outlives them. */
typedef struct {
    wagw_signal_t *signal;
    wagw_cache_t *cache;
    wagw_random_pt random;
    void *random_data;
    uint32_t version[3]; /* 2.3000.x; may change between connects */
    uint8_t root[32];    /* Noise root key */
} wagw_client_shared_t;

typedef struct {
    const char *os;      /* "Mac OS" */
    const char *browser; /* "Chrome" */
    const char *country; /* "US" */
    const char *id;      /* of the instance, for addresses in events; NULL: none are given */
    bool always_online;  /* presence available after login */
    bool mark_read;      /* markReadOnReceive */
    bool ignore_status, ignore_groups, ignore_channels;
    bool full_history;
    bool no_history;   /* neither RECENT nor FULL chunks are taken over */
    bool check_number; /* checkNumberBeforeSend */
    bool no_messages;  /* storeMessages is off */
    bool no_read_receipts;
    bool link_preview;
    bool reject_calls;               /* rejectCalls */
    const char *reject_call_message; /* rejectCallMessage; NULL, empty: none */
    uint32_t timeout_ms;             /* wait for WhatsApp, 60000 */
} wagw_client_conf_t;

/* The answer to a command.  Views live during the reply op only. */
typedef struct {
    int status;          /* HTTP: 200, 202, 4xx, 5xx */
    const char *code;    /* error code of contract 1.6, NULL on success */
    const char *error;   /* human sentence (error) */
    const char *message; /* human sentence (success), may be NULL */
    wagw_str_t data;     /* JSON for "data", may be empty */
    wagw_str_t details;  /* JSON for "details", may be empty */
    const char *hint;
    int retry_after;       /* s, 0 none */
    wagw_str_t message_id; /* for $wagw_message_id, may be empty */
} wagw_result_t;

/*
 * params: the route's merged fields.  Members that begin with "_" come from
 * the owner: _id is the message id derived for an Idempotency-Key, _resume
 * says that an earlier try may have stored it (then its result is the answer),
 * _chat names the chat of the message to forward when the caller did not.
 */
typedef enum {
    WAGW_CMD_SEND = 1, /* text; params.to.. (1.9); with _media (message.h) media, with _kind (wagw_build_kind_t) that */
    WAGW_CMD_REACTION,
    WAGW_CMD_EDIT,
    WAGW_CMD_REVOKE,
    WAGW_CMD_FORWARD,   /* to, messageId, fromChatId | _chat */
    WAGW_CMD_SEEN,      /* chatId, messageId?, messageIds? (the owner lists the unread ones for a whole chat); {chatId,
                           marked} */
    WAGW_CMD_CHATSTATE, /* chatId|to, state composing|recording|paused, duration? ms */
    WAGW_CMD_PRESENCE,  /* presence, chatId? */
    WAGW_CMD_PRESENCE_SUBSCRIBE, /* chatId */
    WAGW_CMD_CHECK_EXISTS, /* phoneNumber | phoneNumbers (<= 50); [{phoneNumber digits, exists, jid, lid, isBusiness}]
                              of those found; the last is asked for with phoneNumbers only */
    WAGW_CMD_PAIRING_CODE, /* phoneNumber, customCode?, showPushNotification?; {pairingCode, expiresIn} */
    WAGW_CMD_QR,           /* waits for the first QR: {raw, expiresIn, attempt} */
    WAGW_CMD_LOGOUT,       /* {remote} */
    WAGW_CMD_LID_OF,       /* phoneNumber: local, else usync; {lid, pn, phoneNumber} */
    WAGW_CMD_MEDIA_RETRY,  /* chatId, messageId, _path (gone): the phone uploads it again; {directPath}, else 410 */
    WAGW_CMD_MEDIA_CONN,   /* {auth, ttl s, hosts[]}: where media goes and comes from */

    /* app state (app_change.c): 503 APP_STATE_NOT_READY without a key */
    WAGW_CMD_STAR,           /* chatId, messageId | messages[{id, fromMe}], star */
    WAGW_CMD_ARCHIVE,        /* chatId, archive */
    WAGW_CMD_PIN_CHAT,       /* chatId, pin */
    WAGW_CMD_MUTE,           /* chatId, mute, duration? s; {mutedUntil} */
    WAGW_CMD_UNREAD,         /* chatId; {chatId, unreadCount} */
    WAGW_CMD_CHAT_DELETE,    /* chatId, local?, _messages?; {deleted} */
    WAGW_CMD_CHAT_CLEAR,     /* chatId, keepStarred, _messages?; {deleted} */
    WAGW_CMD_DELETE_FOR_ME,  /* chatId, messageId */
    WAGW_CMD_CONTACT,        /* chatId, fullName?, firstName?, username?, remove? */
    WAGW_CMD_PUSH_NAME,      /* name; {name} */
    WAGW_CMD_LABELS,         /* [label] (app_label.c); business accounts only */
    WAGW_CMD_LABEL_PUT,      /* labelId?, name?, color?, remove?; {labelId, name, color} */
    WAGW_CMD_LABELS_OF_CHAT, /* chatId; {chatId, labels} */
    WAGW_CMD_LABEL_CHATS,    /* labelId; {labelId, chats, count} */
    WAGW_CMD_LABEL_SET,      /* chatId, messageId?, labelIds */
    WAGW_CMD_PRESENCES,      /* {jid: {presence, lastSeen, updatedAt}} of those known */
    WAGW_CMD_PRESENCE_GET,   /* chatId, wait ms; {chatId, presence, lastSeen}, nulls when nothing comes */
    WAGW_CMD_CALLS,          /* limit; [call], newest first */
    WAGW_CMD_CALL_REJECT,    /* callId, from */
    WAGW_CMD_PICTURE,        /* chatId | phoneNumber | _self, type image|preview; {pictureUrl} */
    WAGW_CMD_PICTURE_SET,    /* groupId? (own), _picture: JPEG in base64, none removes it; {pictureId} */
    WAGW_CMD_ABOUT,          /* chatId | phoneNumber | _self; {about, aboutSetAt} */
    WAGW_CMD_ABOUT_SET,      /* status */
    WAGW_CMD_BLOCK,          /* phoneNumber, block */
    WAGW_CMD_BLOCKLIST,      /* [jid] */
    WAGW_CMD_PRIVACY,        /* {category: value}, names of the contract */
    WAGW_CMD_PRIVACY_SET,    /* name, value | duration */
    WAGW_CMD_DISAPPEARING,   /* {defaultDisappearing} */
    WAGW_CMD_QR_LINK,        /* {url, code} */
    WAGW_CMD_BUSINESS,       /* jid? (own) */
    WAGW_CMD_BUSINESS_SET,   /* address, email, description, websites, hours */
    WAGW_CMD_HISTORY,        /* chatId, count, before?: asks the phone; 202 */
    /* groups (group_admin.c, group_members.c; contract 3.6) */
    WAGW_CMD_GROUPS,            /* refresh?, participants?, limit?, offset?; [group], details {count, total} */
    WAGW_CMD_GROUP,             /* groupId; group */
    WAGW_CMD_GROUP_CREATE,      /* name, participants, description? and settings; group with failed[]? */
    WAGW_CMD_GROUP_LOOK,        /* code; a preview */
    WAGW_CMD_GROUP_JOIN,        /* code; {groupId, pending} */
    WAGW_CMD_GROUP_ACCEPT,      /* groupId, _code, _expiration, _admin of an invite message */
    WAGW_CMD_GROUP_CODE,        /* groupId, _reset; {inviteCode, inviteUrl} */
    WAGW_CMD_GROUP_SUBJECT,     /* groupId, subject */
    WAGW_CMD_GROUP_DESCRIPTION, /* groupId, description, empty deletes */
    WAGW_CMD_GROUP_MEMBERS,     /* groupId, participants, action add|remove|promote|demote; [result] */
    WAGW_CMD_GROUP_SETTINGS,    /* groupId, announcement?, locked?, ephemeral?, memberAddMode?, joinApproval? */
    WAGW_CMD_GROUP_LEAVE,       /* groupId; _end: as its owner, everybody else goes first */
    WAGW_CMD_GROUP_REQUESTS,    /* groupId; [{jid, requestedAt, via}] */
    WAGW_CMD_GROUP_DECIDE,      /* groupId, participants, approve; [result] */

    WAGW_CMD_STORY_SEEN, /* messageId; {marked} */
    WAGW_CMD_STORY_GET,  /* who sees status posts: {mode, jids} */
    WAGW_CMD_STORY_PUT,  /* mode contacts|allow|deny, jids?; {mode, jids} */

    WAGW_CMD_SEND_AT,      /* to | chatId, messageId, _kind of those that aim at a message: vote, answer, pin, keep */
    WAGW_CMD_PRODUCT,      /* to, businessJid, productId, body?, footer?: from the catalogue, then as a send; 404 */
    WAGW_CMD_DELETE_LOCAL, /* chatId, messageId, _last{ms, id, body, type, fromMe}: only here; {deleted{messageId,
                             count}}, 404 */
    WAGW_CMD_EVENT         /* of the owner, in any state: _event name, _chat?, _data{}; _sends {num, at, rest, status,
                              code, error, next}: what came of a job's item, in the same commit */
} wagw_cmd_t;

/* What an observer (registry, GET instance) may know.  Views live as long as
 * nothing is called on the client. */
typedef struct {
    wagw_status_t status;
    bool linked;         /* credentials of a completed pairing exist */
    wagw_jid_t jid, lid; /* with device; empty when not linked */
    wagw_str_t push_name, platform, business_name;
    wagw_str_t qr; /* text to render while status is qr */
    int64_t qr_expires_ms;
    uint32_t qr_attempt;
    wagw_str_t pairing_code; /* "XXXXXXXX" while status is pairing */
    int64_t connected_ms;
    int32_t disconnect_code;
    wagw_str_t disconnect_reason;
    int64_t disconnect_ms;
    uint64_t sent, received, failed, reconnects;
    uint64_t ignored; /* of kinds that only own devices may send, from others */
    uint32_t queue;   /* sends waiting */
} wagw_client_info_t;

/* CPU work that must not run on the loop (PBKDF2, key pairs).  The driver calls
 * run() in any thread, then wagw_client_worked() on the loop; when the client
 * was destroyed meanwhile the driver free()s it instead. */
typedef struct wagw_work_s wagw_work_t;
struct wagw_work_s {
    void (*run)(wagw_work_t *w);
    void (*done)(wagw_client_t *c, wagw_work_t *w); /* the engine's; frees it */
    wagw_work_t *next;                              /* the driver's */
};

typedef enum { WAGW_LOG_DEBUG = 0, WAGW_LOG_INFO, WAGW_LOG_NOTICE, WAGW_LOG_WARN, WAGW_LOG_ERROR } wagw_log_t;

/* A blob of WhatsApp's own (app state, history): the driver fetches it from
 * the media hosts, checks and decrypts it (core/media, type `type`). */
typedef struct {
    uint64_t id;
    const char *type; /* md-app-state, md-msg-hist */
    wagw_str_t direct_path;
    wagw_str_t key;                /* 32 bytes */
    wagw_str_t sha256, enc_sha256; /* 32 bytes or empty */
    size_t max;                    /* bytes of the plaintext, at most */
} wagw_fetch_t;

typedef struct {
    void (*connect)(void *d);                        /* open the transport: opened() or closed() follows */
    void (*close)(void *d);                          /* close it now; no closed() follows */
    void (*send)(void *d, wagw_str_t bytes);         /* one WebSocket message */
    void (*load)(void *d, const wagw_load_t *asked); /* answer: loaded() with the same list */
    void (*commit)(void *d, wagw_batch_t *batch);    /* takes the batch; answer: committed() in seq order */
    void (*reply)(void *d, uint64_t command, const wagw_result_t *r);
    void (*timer)(void *d, int64_t at_ms); /* the earliest wanted tick(), 0 = none */
    void (*work)(void *d, wagw_work_t *w); /* answer: worked() */
    void (*changed)(void *d);              /* wagw_client_info() has news */
    void (*log)(void *d, wagw_log_t level, const char *text);
    void (*fetch)(void *d, const wagw_fetch_t *f); /* answer: fetched(); NULL: there are no media hosts */
} wagw_client_ops_t;

/* event_seq: the last event number stored for this instance. */
wagw_client_t *wagw_client_create(uint32_t instance, const wagw_client_shared_t *sh, const wagw_client_conf_t *conf,
                                  const wagw_client_ops_t *ops, void *driver, uint64_t event_seq);
/* Open commands are answered 503 first.  Uncommitted work is dropped. */
void wagw_client_destroy(wagw_client_t *c);
void wagw_client_configure(wagw_client_t *c, const wagw_client_conf_t *conf);

/* Loads credentials, then connects when linked.  Unlinked: stays DISCONNECTED
 * unless `pair`, which opens a registration connection. */
void wagw_client_start(wagw_client_t *c, bool pair, int64_t now);
/* Closes the socket, keeps credentials; status paused (operator) or disconnected. */
void wagw_client_stop(wagw_client_t *c, bool paused, int64_t now);
/* Sets the status without connecting (an instance stored as paused, banned...). */
void wagw_client_set_status(wagw_client_t *c, wagw_status_t s);

void wagw_client_opened(wagw_client_t *c, int64_t now);
void wagw_client_received(wagw_client_t *c, const uint8_t *p, size_t n, int64_t now);
/* http_status: of a refused upgrade, else 0; why: static or short-lived text. */
void wagw_client_closed(wagw_client_t *c, int http_status, const char *why, int64_t now);
void wagw_client_tick(wagw_client_t *c, int64_t now);
/* params is borrowed until return (the engine copies what it keeps). */
void wagw_client_command(wagw_client_t *c, uint64_t id, wagw_cmd_t cmd, const cJSON *params, int64_t now);
/* The caller went away or timed out: no reply any more (a send goes on). */
void wagw_client_forget(wagw_client_t *c, uint64_t command);
/* The caller's time is over: answered 504 WA_TIMEOUT now (details.sent says
 * whether the stanza left), 404 QR_NOT_AVAILABLE when it waits for a QR.
 * False: the command is not open. */
bool wagw_client_timeout(wagw_client_t *c, uint64_t command, int64_t now);
/* recs: what was found.  rc: WAGW_OK or WAGW_IO. */
void wagw_client_loaded(wagw_client_t *c, const wagw_load_t *asked, const wagw_rec_t *recs, int rc, int64_t now);
void wagw_client_committed(wagw_client_t *c, uint64_t seq, int rc, int64_t now);
void wagw_client_worked(wagw_client_t *c, wagw_work_t *w, int64_t now);
/* bytes: the plaintext, borrowed.  rc: WAGW_OK, WAGW_NOT_FOUND (the hosts do
 * not have it), WAGW_CRYPTO, WAGW_LIMIT, WAGW_IO (worth another try). */
void wagw_client_fetched(wagw_client_t *c, uint64_t id, int rc, wagw_str_t bytes, int64_t now);

void wagw_client_info(const wagw_client_t *c, wagw_client_info_t *out);

#endif
