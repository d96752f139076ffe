/*
 * core/history: reading history-sync chunks (protocol 08) as a stream.  The
 * inflated chunk is never in memory as a whole: one message, one
 * conversation's own fields, or one other entry at a time.
 *
 *     h = wagw_history_open(zlib, max);
 *     while ((rc = wagw_history_next(h, &item)) == WAGW_OK) { ... }
 *     rc is WAGW_NOT_FOUND at the end of a chunk that was whole and sound.
 *
 * What came before an error is not to be kept: read once to the end first.
 */

#ifndef WAGW_HISTORY_H
#define WAGW_HISTORY_H

#include "../base/base.h"

#define WAGW_HISTORY_MAX (256u << 20)    /* inflated bytes of a chunk */
#define WAGW_HISTORY_CHATS_MAX 200000    /* conversations of a chunk */
#define WAGW_HISTORY_ITEMS_MAX 2000000   /* entries of all kinds: a chunk of nothing but tiny ones has an end too */
#define WAGW_HISTORY_LEAF_MAX (4u << 20) /* one message; larger ones are skipped and counted */
#define WAGW_HISTORY_CHAT_MAX (1u << 20) /* a conversation without its messages; further fields are left out */

typedef enum { /* HistorySyncType */
               WAGW_SYNC_BOOTSTRAP = 0,
               WAGW_SYNC_STATUS = 1,
               WAGW_SYNC_FULL = 2,
               WAGW_SYNC_RECENT = 3,
               WAGW_SYNC_PUSH_NAME = 4,
               WAGW_SYNC_NON_BLOCKING = 5,
               WAGW_SYNC_ON_DEMAND = 6,
               WAGW_SYNC_NO_HISTORY = 7,
               WAGW_SYNC_ACCESS = 8
} wagw_sync_type_t;

const char *wagw_sync_name(unsigned type); /* "INITIAL_BOOTSTRAP", ..., "UNKNOWN" */

typedef enum {
    WAGW_HISTORY_MESSAGE = 1, /* chat, bytes: WebMessageInfo, order */
    WAGW_HISTORY_CHAT,        /* bytes: Conversation without messages; behind its messages */
    WAGW_HISTORY_STATUS,      /* bytes: WebMessageInfo */
    WAGW_HISTORY_NAME,        /* id, name: a push name */
    WAGW_HISTORY_PAIR,        /* id: PN, name: LID */
    WAGW_HISTORY_PAST,        /* bytes: PastParticipants */
    WAGW_HISTORY_CALL,        /* bytes: CallLogRecord */
    WAGW_HISTORY_SALT,        /* bytes: nctSalt */
    WAGW_HISTORY_CONTACT      /* bytes: InlineContact; id: PN, name: LID */
} wagw_history_what_t;

/* Views live until the next call. */
typedef struct {
    wagw_history_what_t what;
    wagw_str_t chat;
    wagw_str_t bytes;
    wagw_str_t id, name;
    uint64_t order;
} wagw_history_item_t;

typedef struct wagw_history_s wagw_history_t;

/* zlib is borrowed until close. */
wagw_history_t *wagw_history_open(wagw_str_t zlib, size_t max);
/* WAGW_OK, WAGW_NOT_FOUND, WAGW_MALFORMED, WAGW_LIMIT, WAGW_NOMEM. */
int wagw_history_next(wagw_history_t *h, wagw_history_item_t *item);
void wagw_history_close(wagw_history_t *h);

typedef struct {
    int type;     /* of the chunk itself, -1 unknown */
    int progress; /* 0..100, -1 unknown */
    int chunk;    /* -1 unknown */
    size_t inflated;
    uint32_t chats, messages, skipped;
    const char *why; /* static: what was wrong */
} wagw_history_info_t;

void wagw_history_info(const wagw_history_t *h, wagw_history_info_t *out);

/* ---- entries ---- */

typedef struct {
    wagw_str_t id, name, pn, lid, username, account_lid;
    uint32_t unread;
    bool marked_unread, archived, read_only, locked;
    uint32_t ephemeral;
    uint32_t pinned;  /* s since 1970 or 0 */
    int64_t muted_ms; /* -1 for ever, 0 not */
    int64_t last_ms;  /* conversationTimestamp, else lastMsgTimestamp */
    int end;          /* endOfHistoryTransferType, -1 absent */
    wagw_str_t token;
    uint64_t token_t, token_sender_t;
} wagw_history_chat_t;

int wagw_history_chat(wagw_history_chat_t *out, wagw_str_t bytes);

#define WAGW_HISTORY_RECEIPTS 64
#define WAGW_HISTORY_REACTIONS 64

typedef struct {
    wagw_str_t user;
    int64_t received, read, played; /* ms or 0 */
} wagw_history_receipt_t;

typedef struct {
    wagw_str_t user, emoji; /* user: participant of the key, may be empty */
    bool from_me;
    int64_t t_ms;
} wagw_history_reaction_t;

typedef struct {
    wagw_str_t chat, id, participant;
    bool from_me;
    wagw_str_t message; /* serialised Message, empty: a stub */
    int64_t t_ms;
    int status; /* WebMessageInfo.Status, -1 absent */
    wagw_str_t push_name, verified_name, secret;
    wagw_str_t self; /* originalSelfAuthorUserJidString */
    bool starred;
    uint32_t stub;
    wagw_str_t stub_param; /* the first */
    uint32_t ephemeral;
    size_t nreceipts, nreactions; /* at most as many as fit below */
    wagw_history_receipt_t receipts[WAGW_HISTORY_RECEIPTS];
    wagw_history_reaction_t reactions[WAGW_HISTORY_REACTIONS];
} wagw_history_message_t;

int wagw_history_message(wagw_history_message_t *out, wagw_str_t bytes);
/* The name of an InlineContact: the full one, else the first, else the username. */
int wagw_history_contact(wagw_str_t bytes, wagw_str_t *name);

/* A pair that a conversation tells, in text form (08 section 5); first_own:
 * the user of the first receipt of a message of ours, or empty. */
bool wagw_history_pair(const wagw_history_chat_t *c, wagw_str_t first_own, wagw_str_t *pn, wagw_str_t *lid);

/* HistorySyncNotification */
typedef struct {
    int type;
    int chunk, progress;
    wagw_str_t sha256, enc_sha256, media_key, direct_path, inline_payload, original_id, session, handle;
    uint64_t length;
} wagw_history_notice_t;

int wagw_history_notice(wagw_history_notice_t *out, wagw_str_t bytes);

#endif
