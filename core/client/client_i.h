/*
 * core/client, inside: what the files of the engine share.  Nobody outside
 * core/client (and its white-box tests) includes this.
 *
 *   client.c    life of the connection, the frames; timer.c; status.c
 *   inbox.c     commands as items
 *   turn.c      items -> turns -> commits -> output, in this order
 *   creds.c     the credentials record
 *   payload.c   ClientPayload
 *   login.c     success, failure, stream:error, ib, keepalive
 *   pair.c      QR, pair-success;  code.c  pairing by code
 *   iq.c        requests and their answers
 *   prekeys.c   count, upload, digest, rotation
 *   lid.c       LID <-> PN, canonical chats, contacts
 *   token.c     trusted-contact tokens
 *   group_record.c  group metadata;  group.c  its changes;  group_admin.c, group_json.c  commands about groups
 *   group_key.c  our sender keys;  group_send.c  messages to groups
 *   story.c     status posts: audience, privacy, views
 *   devices.c   device lists and bundles
 *   send.c      from a command to the stanza; jobs.c, make.c, acked.c, stanza.c
 *   rows.c      message and chat rows;  discard.c  away with one
 *   self.c      what only our own devices may send
 *   receive.c   messages;  apply.c, addon.c  what their content does;  retry.c  both ways
 *   receipt.c   receipts, in and out
 *   limit.c     the reach-out time-lock
 *   notify.c    notifications and everything else the server pushes
 *   exists.c    who is on WhatsApp;  catalog.c  products
 *   presence.c  presence, ours and others';  call.c  calls
 *   profile.c   pictures, about, privacy, business profiles
 *   account.c   what is asked after a login: properties, block list, privacy (account_i.h)
 *   command.c   REST commands;  event.c  events
 *   app*.c      app state;  history*.c  history (app_i.h)
 *
 * Law of a turn: run() may be called several times (records were missing), so
 * until nothing can answer WAGW_AGAIN any more it changes nothing outside the
 * turn.  Credentials are changed on the turn's copy; whatever else must change
 * in the engine's memory is given to wagw_turn_then().
 */

#ifndef WAGW_CLIENT_I_H
#define WAGW_CLIENT_I_H

#include "client.h"
#include "../binary/node.h"
#include "../message/message.h"
#include "../noise/noise.h"

#define WAGW_TRY(expr)                                                                                                 \
    do {                                                                                                               \
        int rc_ = (expr);                                                                                              \
        if (rc_ != WAGW_OK)                                                                                            \
            return rc_;                                                                                                \
    } while (0)

typedef struct wagw_turn_s wagw_turn_t;
typedef struct wagw_item_s wagw_item_t;
typedef struct wagw_job_s wagw_job_t;
typedef struct wagw_app_s wagw_app_t;
typedef struct wagw_hist_s wagw_hist_t;

/* ---- credentials (creds.c; 03 section 9) -------------------------------- */

#define WAGW_ADV_MAX 1024
#define WAGW_ROUTING_MAX 256

typedef struct {
    bool paired; /* a pair-success was completed */
    wagw_keypair_t noise;
    wagw_keypair_t identity;
    uint32_t registration_id;
    uint32_t spk_id;
    uint8_t spk_pub[32];
    uint8_t spk_sig[64];
    int64_t spk_ms; /* when it was made, 0 unknown */
    uint8_t adv_secret[32];
    wagw_jid_t jid; /* own PN with device */
    wagw_jid_t lid; /* own LID with device, may be empty */
    uint16_t adv_len;
    uint8_t adv[WAGW_ADV_MAX]; /* ADVSignedDeviceIdentity, complete */
    uint8_t account_key[32];   /* accountSignatureKey */
    char push_name[128];
    char platform[32];
    char business_name[128];
    uint16_t routing_len;
    uint8_t routing[WAGW_ROUTING_MAX];
    uint32_t next_prekey; /* id of the next one-time key to make */
    uint32_t first_unuploaded;
    uint8_t lid_migrated;    /* 0 unknown, 1 yes, 2 no (04 section 6.5) */
    uint64_t account_sync_t; /* last dirty timestamp */
    bool read_receipts_off;
} wagw_creds_t;

int wagw_creds_make(wagw_turn_t *t, wagw_creds_t *c); /* a new identity */
int wagw_creds_encode(wagw_buf_t *out, const wagw_creds_t *c);
int wagw_creds_decode(wagw_creds_t *c, wagw_str_t in);    /* WAGW_MALFORMED */
void wagw_creds_text(char *to, size_t cap, wagw_str_t s); /* cut to what fits */

/* ---- ClientPayload (payload.c; 03 section 3) ----------------------------- */

/* Equal but for the case of letters. */
bool wagw_same_word(const char *a, const char *b);

int wagw_payload_registration(wagw_buf_t *out, const wagw_creds_t *c, const wagw_client_conf_t *conf,
                              const uint32_t version[3]);
int wagw_payload_login(wagw_buf_t *out, const wagw_creds_t *c, const wagw_client_conf_t *conf,
                       const uint32_t version[3]);

/* ---- pairing (pair.c, code.c; 03 sections 5 to 7) ------------------------ */

/* The QR text for one ref; '9' and the like from wagw_client_type(). */
int wagw_pair_qr(wagw_buf_t *out, wagw_str_t ref, const wagw_creds_t *c, const wagw_client_conf_t *conf);
char wagw_client_type(const char *os, const char *browser);

typedef struct {
    int error; /* 0, 401, 500 for the answer to the server */
    const char *text;
    uint32_t key_index;
    uint8_t account_key[32];
    bool has_account_key;
    wagw_str_t full;   /* for storage, in the arena */
    wagw_str_t answer; /* without the account key */
} wagw_pair_identity_t;

/* Steps 2 to 5 of 03 section 6.  WAGW_OK also when it is refused (error). */
int wagw_pair_identity(wagw_pair_identity_t *out, wagw_arena_t *a, wagw_str_t container, const uint8_t adv_secret[32],
                       const wagw_keypair_t *identity, wagw_random_pt random, void *data);

#define WAGW_PAIR_CODE_LEN 8
void wagw_pair_code_text(char out[WAGW_PAIR_CODE_LEN + 1], const uint8_t random[5]);
bool wagw_pair_code_valid(wagw_str_t code);
/* key = PBKDF2 of the code; wrapped = salt + iv + ciphertext. */
int wagw_pair_wrap(uint8_t out[80], const uint8_t key[32], const uint8_t salt[32], const uint8_t iv[16],
                   const uint8_t pub[32]);

typedef struct {
    uint8_t bundle[156];
    uint8_t adv_secret[32];
} wagw_pair_finish_t;

int wagw_pair_finish(wagw_pair_finish_t *out, const uint8_t key[32], const uint8_t wrapped[80],
                     const uint8_t primary_identity[32], const wagw_keypair_t *ephemeral,
                     const wagw_keypair_t *identity, const uint8_t random32[32], const uint8_t salt32[32],
                     const uint8_t iv12[12]);

/* ---- connection states (client.c) ---------------------------------------- */

typedef enum {
    WAGW_CONN_IDLE = 0, /* nothing wanted, or waiting for the back-off timer */
    WAGW_CONN_OPENING,  /* ops->connect was called */
    WAGW_CONN_HELLO,    /* client hello sent */
    WAGW_CONN_FINISH,   /* client finish sent: success, failure or pair-device must come */
    WAGW_CONN_UNPAIRED, /* pair-device seen: QR or code */
    WAGW_CONN_SIGNED,   /* pair-device-sign sent: 515 must come */
    WAGW_CONN_LOGIN,    /* success seen: prekeys, active */
    WAGW_CONN_OPEN
} wagw_conn_t;

typedef enum {
    WAGW_TIMER_RECONNECT = 0,
    WAGW_TIMER_STATE, /* the present connection state must be left by then */
    WAGW_TIMER_PING,
    WAGW_TIMER_DEAD,      /* look at the last received frame */
    WAGW_TIMER_QR,        /* the next ref */
    WAGW_TIMER_STABLE,    /* the back-off begins anew */
    WAGW_TIMER_CHATSTATE, /* composing ends */
    WAGW_TIMER_PHONE,     /* ask the phone for undecryptable messages */
    WAGW_TIMER_PAIR,      /* end of a pairing attempt by code */
    WAGW_TIMER_JOB,       /* the first job was typed long enough */
    WAGW_TIMER_APP,       /* app state again */
    WAGW_TIMER_HISTORY,   /* the next slice of a history chunk */
    WAGW_TIMER_PRESENCE,  /* somebody waited long enough for news */
    WAGW_TIMER_N
} wagw_timer_t;

/* ---- items and turns (turn.c) --------------------------------------------- */

struct wagw_item_s {
    int (*run)(wagw_turn_t *t, wagw_item_t *item);
    /* After success (rc 0) or for good failed; frees the item. */
    void (*done)(wagw_client_t *c, wagw_item_t *item, int rc);
    /* May be NULL: reads what run() will surely read and stops there.  Called
     * once while an item ahead is parked, so that one load serves both. */
    void (*scout)(wagw_turn_t *t, wagw_item_t *item);
    uint32_t epoch; /* dropped (done with WAGW_STATE) on another connection; 0 = any */
    uint32_t bytes; /* counted against the queue's limit */
    wagw_item_t *next;
};

typedef struct wagw_then_s wagw_then_t;
struct wagw_then_s {
    void (*fn)(wagw_client_t *c, void *arg); /* arg lives in the turn's arena */
    void *arg;
    wagw_then_t *next;
};

/* What leaves once the commit `after` is durable. */
typedef enum { WAGW_OUT_STANZA = 1, WAGW_OUT_REPLY, WAGW_OUT_CLOSE } wagw_out_type_t;

typedef struct wagw_out_s wagw_out_t;
struct wagw_out_s {
    wagw_out_t *next;
    uint8_t type;
    uint32_t epoch;
    uint64_t after;
    uint64_t command;
    wagw_result_t result; /* views point behind the struct */
    size_t n;
    uint8_t p[];
};

typedef struct wagw_mark_s wagw_mark_t;
struct wagw_mark_s {
    uint64_t seq;
    uint32_t nevents;
    wagw_mark_t *next;
};

struct wagw_turn_s {
    wagw_client_t *c;
    int64_t now; /* ms */
    wagw_txn_t txn;
    wagw_arena_t arena;
    wagw_creds_t *creds; /* copy being changed, or NULL */
    wagw_out_t *out, **out_last;
    wagw_then_t *then, **then_last;
    uint32_t nevents;
    const cJSON *asked; /* in the handler of an answer: what wagw_iq_send_params() was given, else NULL */
};

void wagw_turn_push(wagw_client_t *c, wagw_item_t *item); /* takes it, runs when possible */
void wagw_turn_run(wagw_client_t *c);
void wagw_turn_marks(wagw_client_t *c, uint64_t seq, bool lost);
void wagw_turn_flush(wagw_client_t *c); /* emits what is durable */
/* fn(c, copy of arg) after the turn's success. */
int wagw_turn_then(wagw_turn_t *t, void (*fn)(wagw_client_t *c, void *arg), const void *arg, size_t n);
wagw_creds_t *wagw_turn_creds(wagw_turn_t *t);                  /* for writing; NULL without memory */
const wagw_creds_t *wagw_turn_me(const wagw_turn_t *t);         /* for reading */
int wagw_turn_send(wagw_turn_t *t, const wagw_node_t *n);       /* NULL node: WAGW_NOMEM */
int wagw_turn_send_bytes(wagw_turn_t *t, wagw_str_t plaintext); /* an encoded stanza, flag byte included */
int wagw_turn_reply(wagw_turn_t *t, uint64_t command, const wagw_result_t *r); /* command 0: nothing */
int wagw_turn_fail(wagw_turn_t *t, uint64_t command, int status, const char *code, const char *error);
/* Closes the connection after what was sent before. */
int wagw_turn_close(wagw_turn_t *t);
/* Binds the shared Signal object to this turn. */
wagw_signal_t *wagw_turn_signal(wagw_turn_t *t);
void wagw_turn_random(wagw_turn_t *t, void *p, size_t n);
/* A function as an item of its own. */
int wagw_turn_later(wagw_client_t *c, int (*fn)(wagw_turn_t *t, uint64_t arg), uint64_t arg, bool this_connection);

/* ---- requests (iq.c; 01 section 8) ----------------------------------------- */

/* node: the answer, or NULL when it failed (time-out, connection lost). */
typedef int (*wagw_iq_pt)(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg);

typedef struct wagw_iq_s wagw_iq_t;
struct wagw_iq_s {
    uint32_t num;
    wagw_iq_pt handler;
    uint64_t arg;
    uint64_t command; /* who waits for it, 0 nobody */
    int64_t deadline;
    cJSON *params; /* for the handler, may be NULL */
    wagw_iq_t *next;
};

/* A new <iq to=@s.whatsapp.net>; add children, then wagw_iq_send(). */
wagw_node_t *wagw_iq(wagw_turn_t *t, const char *type, const char *xmlns);
int wagw_iq_send(wagw_turn_t *t, wagw_node_t *iq, wagw_iq_pt handler, uint64_t arg);
/* The same for a command that waits: arg is the command. */
int wagw_iq_send_for(wagw_turn_t *t, wagw_node_t *iq, wagw_iq_pt handler, uint64_t command);
/* The same; the handler finds a copy of params in t->asked, also when nobody waits any more. */
int wagw_iq_send_params(wagw_turn_t *t, wagw_node_t *iq, wagw_iq_pt handler, uint64_t command, const cJSON *params);
/* Error code of an answer: 0 when it is a result. */
int wagw_iq_error(const wagw_node_t *node, wagw_str_t *text);
wagw_iq_t *wagw_iq_find(wagw_client_t *c, wagw_str_t id);
void wagw_iq_done(wagw_client_t *c, uint32_t num);
void wagw_iq_expire(wagw_client_t *c, int64_t now); /* queues failures */
void wagw_iq_drop_all(wagw_client_t *c);            /* connection lost: queues failures */
void wagw_iq_free(wagw_iq_t *iq);
/* Fills r for a WhatsApp error code (12 section 13). */
void wagw_iq_result(wagw_result_t *r, wagw_arena_t *a, int code, wagw_str_t text);
/* Answers the command with the failure that `node` is; NULL: nothing came. */
int wagw_iq_failed(wagw_turn_t *t, uint64_t command, const wagw_node_t *node);

/* ---- jobs (send.c) ---------------------------------------------------------- */

typedef enum { WAGW_JOB_NEW = 0, WAGW_JOB_WAIT_DEVICES, WAGW_JOB_WAIT_BUNDLES, WAGW_JOB_WAIT_ACK } wagw_job_state_t;

struct wagw_job_s {
    uint64_t serial;
    uint64_t command; /* 0: nobody waits */
    wagw_build_kind_t kind;
    cJSON *params; /* NULL: rebuilt from the stored row */
    uint8_t state;
    bool devices_asked; /* fresh lists were fetched for this job */
    bool bundles_asked;
    bool rebuilt;     /* one rebuild after an ack error */
    bool accepted;    /* 202 was given */
    bool typed;       /* composing was sent */
    bool fresh;       /* nobody else knows the id: no row can have it */
    uint8_t priority; /* 0..9 */
    char id[68];
    char target[68];     /* message that is edited */
    wagw_jid_t to;       /* as named by the caller, without device */
    bool audience_asked; /* of a status post: the privacy list was asked for */
    uint32_t lids_upto;  /* its readers whose LIDs were asked for */
    uint32_t asked_upto; /* members whose device lists were asked for */
    uint32_t key_id;     /* sender key of a group message */
    uint8_t *given;      /* devices that get it with this message, NUL-separated */
    size_t given_len;
    int64_t due_ms;   /* not before (simulateTyping) */
    int64_t deadline; /* of the ack */
    wagw_job_t *next;
};

wagw_build_kind_t wagw_job_kind(wagw_cmd_t cmd, const cJSON *params);
int wagw_send_command(wagw_turn_t *t, uint64_t command, wagw_build_kind_t kind, const cJSON *params);
int wagw_send_pump(wagw_turn_t *t, uint64_t unused); /* goes on with the first job */
int wagw_send_ack(wagw_turn_t *t, const wagw_node_t *ack);
int wagw_send_pending(wagw_turn_t *t, uint64_t unused); /* after login: what was not acked */
void wagw_send_expire(wagw_client_t *c, int64_t now);
void wagw_send_free(wagw_client_t *c);
wagw_job_t *wagw_job_find(wagw_client_t *c, uint64_t serial);
void wagw_job_drop(wagw_client_t *c, uint64_t serial);

/* Message rows. */
int wagw_turn_message_find(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, wagw_row_message_t *m, wagw_str_t *key);
int wagw_turn_message(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, wagw_str_t sender, wagw_row_message_t *m);
/* By its author (canonical, a person), whichever form the row has. */
int wagw_turn_message_by(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, const wagw_jid_t *author,
                         wagw_row_message_t *m);
int wagw_turn_message_put(wagw_turn_t *t, const wagw_row_message_t *m);
/* Row, receipts, reactions and votes go. */
int wagw_turn_message_discard(wagw_turn_t *t, const wagw_row_message_t *m);
/* The chat row after a message; unread: how many it adds. */
int wagw_turn_chat_touch(wagw_turn_t *t, const wagw_row_message_t *m, const wagw_jid_t *chat, unsigned unread);
int wagw_turn_chat(wagw_turn_t *t, wagw_str_t chat, wagw_row_chat_t *c);
/* What a listing shows as the chat's name: the address book's, the chat's own, the business's, the person's, the id. */
int wagw_turn_chat_name(wagw_turn_t *t, const wagw_row_chat_t *c, wagw_str_t *name);
int wagw_turn_chat_put(wagw_turn_t *t, const wagw_row_chat_t *c);
/* SendResult of contract 1.9. */
int wagw_send_result(wagw_turn_t *t, const wagw_row_message_t *m, uint64_t command, int status, const char *text);

/* ---- stanzas (stanza.c; 04 sections 7 and 8) ---------------------------------- */

typedef struct {
    wagw_str_t id;
    wagw_jid_t to;
    const char *type;
    const char *mediatype;
    const char *edit;
    bool hide_fail;
    const char *polltype;
    const char *biz;
    wagw_str_t message; /* unpadded Message */
    wagw_jid_t pn;      /* peer_recipient_pn, or empty */
    wagw_jid_t self;    /* own user in the namespace of `to` */
} wagw_stanza_t;

/* Encrypts for each device (namespace of `to`, own sending device left out)
 * and gives the encoded stanza.  Devices without a session are skipped.
 * WAGW_NOT_FOUND: no device of the recipient could be reached. */
int wagw_stanza_message(wagw_turn_t *t, const wagw_stanza_t *s, const wagw_jid_t *devices, size_t n, wagw_buf_t *out);
/* One pairwise enc node for a device; *prekey is or-ed. */
int wagw_stanza_enc(wagw_turn_t *t, wagw_node_t *parent, const wagw_jid_t *device, wagw_str_t message, bool *prekey,
                    wagw_node_t **enc);
/* <meta> of polls, votes and events (04 section 11.2). */
void wagw_stanza_meta(wagw_turn_t *t, wagw_node_t *parent, const char *type, const char *polltype);
/* <reporting> (04 section 19), when the message has a secret. */
int wagw_stanza_report(wagw_turn_t *t, wagw_node_t *parent, wagw_str_t message, wagw_str_t id, const wagw_jid_t *self,
                       const wagw_jid_t *chat);
/* <bot> and <biz> of an interactive message (04 section 11.3). */
void wagw_stanza_biz(wagw_turn_t *t, wagw_node_t *parent, const char *biz, bool direct);
int wagw_stanza_identity(wagw_turn_t *t, wagw_node_t *parent); /* <device-identity> */

/* ---- identities and lists (lid.c, devices.c; 04 sections 5 and 6) ----------------- */

/* The twin of a person's jid (LID <-> PN, device kept); WAGW_NOT_FOUND. */
int wagw_lid_twin(wagw_turn_t *t, const wagw_jid_t *jid, wagw_jid_t *twin);
/* Learns a pair; nothing when known.  Moves sessions and the chat.  source: of the event lid.mapping; NULL for what
 * comes in bulk (history, member lists) and for the own pair: no event. */
int wagw_lid_learn(wagw_turn_t *t, const wagw_jid_t *a, const wagw_jid_t *b, const char *source);
/* The jid that Signal uses: LID when known (04 section 6.2). */
int wagw_lid_signal(wagw_turn_t *t, const wagw_jid_t *device, wagw_signal_addr_t *addr);
/* The jid in the namespace asked for; unchanged when there is none. */
int wagw_lid_in(wagw_turn_t *t, const wagw_jid_t *jid, bool lid, wagw_jid_t *out);
/* Canonical form for chats and callers: PN when known, without device. */
int wagw_chat_canonical(wagw_turn_t *t, const wagw_jid_t *jid, wagw_jid_t *out);
bool wagw_is_me(const wagw_client_t *c, const wagw_jid_t *jid); /* the account, any device */
bool wagw_is_this_device(const wagw_client_t *c, const wagw_jid_t *jid);
int wagw_contact_seen(wagw_turn_t *t, const wagw_jid_t *jid, wagw_str_t push_name);
/* Attribute <key>_lid or <key>_pn of a stanza. */
int wagw_lid_learn_attr(wagw_turn_t *t, const wagw_node_t *n, const wagw_jid_t *jid, const char *lid_attr,
                        const char *pn_attr, const char *source);

typedef struct {
    wagw_jid_t *jids; /* in the namespace asked for, device 0 included */
    size_t n;
    int64_t fetched_ms; /* 0: no list is stored */
} wagw_devices_t;

int wagw_devices_get(wagw_turn_t *t, const wagw_jid_t *user, bool lid, wagw_devices_t *out);
int wagw_devices_put(wagw_turn_t *t, const wagw_jid_t *user, const wagw_jid_t *jids, size_t n);
int wagw_devices_forget(wagw_turn_t *t, const wagw_jid_t *user);
int wagw_devices_query(wagw_turn_t *t, const wagw_jid_t *users, size_t n, wagw_iq_pt handler, uint64_t arg);
int wagw_devices_answer(wagw_turn_t *t, const wagw_node_t *iq); /* stores lists and mappings */
int wagw_bundles_query(wagw_turn_t *t, const wagw_jid_t *devices, size_t n, wagw_iq_pt handler, uint64_t arg);
/* Processes each bundle; devices that have none are appended to dead (arena). */
int wagw_bundles_answer(wagw_turn_t *t, const wagw_node_t *iq, wagw_jid_t **dead, size_t *ndead);
/* A bundle as children of `n` (04 section 4.2), or inside its <keys>. */
int wagw_bundle_parse(const wagw_node_t *n, wagw_bundle_t *b);
int wagw_identity_changed(wagw_turn_t *t, const wagw_jid_t *user); /* 04 section 6.4 */

/* ---- groups (group_record.c, group.c, group_admin.c, group_key.c, group_send.c; 04 section 9, 09) -- */

#define WAGW_GROUP_MEMBERS_MAX 4096

typedef struct {
    int64_t fetched_ms; /* 0: nothing is known */
    bool lid;           /* addressing mode */
    bool announce;      /* only admins write */
    bool locked;        /* only admins edit its info */
    bool admin_add;     /* only admins add members */
    bool approval;      /* joining must be approved */
    bool community;     /* it is one, not a group in one */
    bool community_all; /* the community's announcement group */
    uint32_t ephemeral;
    int64_t created_s;
    wagw_jid_t owner, parent, desc_owner; /* users in the group's mode; may be empty */
    wagw_str_t subject, desc, desc_id;
    wagw_jid_t *members; /* user jids in the group's mode */
    uint8_t *roles;      /* 0, 1 admin, 2 superadmin */
    size_t n;
} wagw_group_t;

int wagw_group_get(wagw_turn_t *t, const wagw_jid_t *group, wagw_group_t *g);
int wagw_group_put(wagw_turn_t *t, const wagw_jid_t *group, const wagw_group_t *g);
int wagw_group_forget(wagw_turn_t *t, const wagw_jid_t *group);
/* A <participant>: its pair is learnt, its jid in the group's mode is given; WAGW_MALFORMED. */
int wagw_group_participant(wagw_turn_t *t, const wagw_node_t *p, bool lid, wagw_jid_t *out);
uint8_t wagw_group_role(const wagw_node_t *p);
bool wagw_group_approval(const wagw_node_t *n); /* of <membership_approval_mode>, may be NULL */
int wagw_group_name(wagw_turn_t *t, const wagw_jid_t *group, wagw_str_t subject); /* of the chat */
int wagw_group_query(wagw_turn_t *t, const wagw_jid_t *group, wagw_iq_pt handler, uint64_t arg);
int wagw_group_answer(wagw_turn_t *t, const wagw_node_t *iq); /* stores <group> */
int wagw_group_query_for(wagw_turn_t *t, const wagw_jid_t *group, wagw_iq_pt handler, uint64_t command,
                         const cJSON *params);
/* <iq> of w:g2 with one child; to NULL is "@g.us". */
wagw_node_t *wagw_group_iq(wagw_turn_t *t, const char *type, const wagw_jid_t *to, const char *tag,
                           wagw_node_t **child);
/* Every group that we are in: asked for, its answer stored in place of all that was known; whether that ever came. */
int wagw_group_all_query(wagw_turn_t *t, wagw_iq_pt handler, uint64_t command, const cJSON *params);
int wagw_group_all_answer(wagw_turn_t *t, const wagw_node_t *iq);
int wagw_group_all_known(wagw_turn_t *t, bool *known);
int wagw_group_command(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params);
/* A <group> is read; *jid is left empty when it is none. */
int wagw_group_read(wagw_turn_t *t, const wagw_node_t *n, wagw_jid_t *jid, wagw_group_t *g);
/* A <group> is read and stored; *jid is left empty when it is none.  g may be NULL. */
int wagw_group_store(wagw_turn_t *t, const wagw_node_t *n, wagw_jid_t *jid, wagw_group_t *g);
/* A change that we made ourselves, in the form that a notification has. */
int wagw_group_applied(wagw_turn_t *t, const wagw_jid_t *group, const wagw_node_t *change);
bool wagw_group_is_member(wagw_turn_t *t, const wagw_group_t *g);                      /* the account is in it */
int wagw_group_notification(wagw_turn_t *t, const wagw_node_t *n);                     /* w:gp2 */
int wagw_group_picture(wagw_turn_t *t, const wagw_node_t *n, const wagw_jid_t *group); /* notification picture */
int wagw_group_dirty(wagw_turn_t *t);                                                  /* reads all groups anew */
/* The server knows the group otherwise than we: it and its members' device lists are read again. */
int wagw_group_stale(wagw_turn_t *t, const wagw_jid_t *group);
int wagw_group_learn(wagw_turn_t *t, const wagw_jid_t *group); /* asks for what is not known */
/* Our key of the group is made anew with the next message (04 section 9.1). */
int wagw_group_rotate(wagw_turn_t *t, const wagw_jid_t *group);
wagw_signal_addr_t wagw_group_self(const wagw_turn_t *t); /* own address in every group */
/* Devices that were given our key with an acknowledged message. */
int wagw_group_given(wagw_turn_t *t, const wagw_jid_t *group, uint32_t key_id, const uint8_t *given, size_t n);
int wagw_group_has(wagw_turn_t *t, const wagw_jid_t *group, uint32_t key_id, wagw_str_t *given);
/* The device does not exist any more: groups in which it has our key get another one. */
int wagw_group_device_gone(wagw_turn_t *t, const wagw_jid_t *device);
/* The user's devices lost what they had: they are given our keys again. */
int wagw_group_user_changed(wagw_turn_t *t, const wagw_jid_t *user);
/* The Message with our current key in it, for a resend to one device. */
int wagw_group_resend(wagw_turn_t *t, const wagw_jid_t *group, const wagw_signal_addr_t *device, wagw_buf_t *out,
                      wagw_str_t message);

/* ---- prekeys (prekeys.c; 03 section 8) ---------------------------------------------- */

int wagw_prekeys_check(wagw_turn_t *t, uint64_t unused);
int wagw_prekeys_count(wagw_turn_t *t, uint32_t server_count); /* notification */
int wagw_prekeys_digest(wagw_turn_t *t);
int wagw_prekeys_rotate(wagw_turn_t *t); /* a month old signed prekey */
/* v as n big-endian bytes in the arena. */
wagw_str_t wagw_be(wagw_arena_t *a, uint32_t v, unsigned n);
/* One fresh key for a retry receipt: never uploaded. */
int wagw_prekeys_retry_key(wagw_turn_t *t, uint32_t *id, uint8_t pub[32]);
int wagw_prekeys_skey(wagw_turn_t *t, wagw_node_t *parent); /* <skey> of the current one */

/* ---- trusted-contact tokens (token.c; 04 section 18) -------------------------------- */

/* The token for messages to the person, *v empty when there is none to send. */
int wagw_token_get(wagw_turn_t *t, const wagw_jid_t *user, wagw_str_t *v);
/* <tctoken>, or without one <cstoken>, into a stanza for `user`. */
int wagw_token_attach(wagw_turn_t *t, wagw_node_t *stanza, const wagw_jid_t *user);
/* What history tells of a contact (s since 1970); the newer one stays. */
int wagw_token_told(wagw_turn_t *t, const wagw_jid_t *user, wagw_str_t token, uint64_t at, uint64_t sent_at);
/* The NCT salt of the account; empty: there is none any more. */
int wagw_token_salt(wagw_turn_t *t, wagw_str_t salt);
int wagw_token_received(wagw_turn_t *t, const wagw_node_t *notification);
/* <tctoken t=> below `parent`, for other people when we have one (11 section 2). */
int wagw_token_node(wagw_turn_t *t, wagw_node_t *parent, const wagw_jid_t *user);
/* After a direct message was acknowledged: gives ours when it is due. */
int wagw_token_issue(wagw_turn_t *t, const wagw_jid_t *user);

/* ---- limits of the account (limit.c; 04 section 16, 10 section 7.2) ------------------- */

typedef struct {
    int64_t ends_ms; /* 0: none */
    char type[48];   /* as WhatsApp calls it */
} wagw_timelock_t;

int wagw_limit_restore(wagw_turn_t *t);                            /* after a login */
int wagw_limit_notification(wagw_turn_t *t, const wagw_node_t *n); /* mex */
/* A message was refused with 463: fills the answer, tells it as an event. */
int wagw_limit_refused(wagw_turn_t *t, wagw_result_t *r);
/* Nothing goes to a chat that does not exist yet while the lock is on; *refused: answered. */
int wagw_limit_new_chat(wagw_turn_t *t, uint64_t command, wagw_str_t chat, bool *refused);

/* ---- what the server sends --------------------------------------------------------------- */

int wagw_login_success(wagw_turn_t *t, const wagw_node_t *n);
int wagw_login_failure(wagw_turn_t *t, const wagw_node_t *n);
int wagw_login_stream_error(wagw_turn_t *t, const wagw_node_t *n);
int wagw_login_ib(wagw_turn_t *t, const wagw_node_t *n);
int wagw_login_active(wagw_turn_t *t);
int wagw_pair_device(wagw_turn_t *t, const wagw_node_t *iq);
int wagw_pair_success(wagw_turn_t *t, const wagw_node_t *iq);
void wagw_pair_next_ref(wagw_client_t *c);
void wagw_pair_clear(wagw_client_t *c);
int wagw_code_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_code_start(wagw_turn_t *t, uint64_t unused); /* once pair-device came */
int wagw_code_primary_hello(wagw_turn_t *t, const wagw_node_t *n);
int wagw_receive_message(wagw_turn_t *t, const wagw_node_t *n);
void wagw_receive_message_scout(wagw_turn_t *t, const wagw_node_t *n);
int wagw_receive_receipt(wagw_turn_t *t, const wagw_node_t *n);
int wagw_receive_notification(wagw_turn_t *t, const wagw_node_t *n);
int wagw_receive_node(wagw_turn_t *t, const wagw_node_t *n); /* dispatch */
int wagw_ack(wagw_turn_t *t, const wagw_node_t *n, int error);
int64_t wagw_server_ms(int64_t now, uint64_t t); /* of a server's time in seconds */

/* A message as it is known after its envelope was read (04 section 12.1). */
typedef struct {
    const wagw_node_t *node; /* NULL: came through the phone */
    wagw_str_t id;
    wagw_jid_t from;   /* as on the wire */
    wagw_jid_t sender; /* device jid of the author, wire form */
    wagw_jid_t wire_chat;
    wagw_jid_t chat;   /* canonical */
    wagw_jid_t author; /* canonical, without device; empty for own */
    wagw_jid_t author_alt;
    bool from_me;
    bool group, status, newsletter, peer, offline;
    bool history; /* a history blob was announced: a second receipt is due */
    int64_t t_ms;
    wagw_str_t push_name;
} wagw_incoming_t;

/* 04 section 15.1. */
int wagw_receive_unavailable(wagw_turn_t *t, const wagw_incoming_t *in);
int wagw_apply_content(wagw_turn_t *t, wagw_incoming_t *in, wagw_str_t plain); /* sets in->history */
/* The message that a content is about; who speaks, for events; an edit. */
int wagw_apply_target(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_message_key_t *k, wagw_row_message_t *row);
wagw_str_t wagw_apply_actor(wagw_turn_t *t, const wagw_incoming_t *in);
int wagw_apply_reaction(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m);
int wagw_apply_edit(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m);
/* addon.c: what is sealed under the target's secret; pins and keeps. */
int wagw_apply_addon(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m);
int wagw_apply_mark(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m);
int wagw_apply_self(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_content_t *m); /* self.c */
int wagw_receipt_delivery(wagw_turn_t *t, const wagw_incoming_t *in);
int wagw_receipt_read(wagw_turn_t *t, const wagw_jid_t *chat, const wagw_jid_t *participant, const wagw_str_t *ids,
                      size_t n);
int wagw_retry_request(wagw_turn_t *t, const wagw_incoming_t *in, int rc, bool direct_enc, uint32_t enc_count,
                       bool hide);
int wagw_retry_serve(wagw_turn_t *t, const wagw_node_t *receipt);
int wagw_retry_clear(wagw_turn_t *t, const wagw_incoming_t *in);
int wagw_phone_ask(wagw_turn_t *t, uint64_t unused); /* placeholder resend, due ones */
int wagw_phone_want(wagw_turn_t *t, const wagw_incoming_t *in, unsigned delay_ms);
int wagw_peer_send(wagw_turn_t *t, wagw_str_t message, const char *priority);
int wagw_peer_send_to(wagw_turn_t *t, const wagw_jid_t *device, wagw_str_t message, const char *priority);

/* ---- app state and history (app.c, history.c; 07, 08) ---------------------------------------- */

int wagw_app_pump(wagw_turn_t *t, uint64_t unused); /* the next request, if one is due */
int wagw_app_keys_came(wagw_turn_t *t);
int wagw_app_keys_asked(wagw_turn_t *t, const wagw_incoming_t *in, wagw_str_t bytes); /* AppStateSyncKeyRequest */
int wagw_app_copy_came(wagw_turn_t *t, wagw_str_t bytes, bool compressed); /* SyncdSnapshotRecovery of the phone */
int wagw_app_server_sync(wagw_turn_t *t, const wagw_node_t *n);
int wagw_app_changed(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params);
int wagw_label_command(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params);
int wagw_app_seen(wagw_turn_t *t, wagw_str_t chat);                   /* read on the other devices too */
bool wagw_app_unwait(wagw_client_t *c, uint64_t command, bool *sent); /* nobody waits any more */
void wagw_app_abort(wagw_client_t *c, const wagw_result_t *r);        /* commands are answered, all is freed */
void wagw_app_lost(wagw_client_t *c);                                 /* the connection is gone */
bool wagw_app_fetched(wagw_client_t *c, uint64_t id, int rc, wagw_str_t bytes);
uint64_t wagw_client_fetch(wagw_client_t *c, wagw_fetch_t *f); /* 0: not possible */

int wagw_history_announced(wagw_turn_t *t, const wagw_incoming_t *in, wagw_str_t notice);
int wagw_history_begin(wagw_turn_t *t, uint64_t unused); /* the oldest chunk that waits */
void wagw_history_tick(wagw_client_t *c);
bool wagw_history_fetched(wagw_client_t *c, uint64_t id, int rc, wagw_str_t bytes);
void wagw_history_free(wagw_client_t *c);
int wagw_history_command(wagw_turn_t *t, uint64_t command, const cJSON *params);

/* ---- events (event.c; contract 4.4) ----------------------------------------------------------- */

int wagw_event_emit(wagw_turn_t *t, const char *name, wagw_str_t chat, wagw_buf_t *json);
int wagw_event_message(wagw_turn_t *t, const char *name, const wagw_row_message_t *m, const char *source);
int wagw_event_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_event_ack(wagw_turn_t *t, const wagw_row_message_t *m, const wagw_jid_t *from, wagw_str_t participant,
                   unsigned ack, int64_t at_ms);

/* ---- commands (command.c) -------------------------------------------------------------------------- */

int wagw_logout_command(wagw_turn_t *t, uint64_t command); /* logout.c */
int wagw_command_run(wagw_turn_t *t, uint64_t id, wagw_cmd_t cmd, const cJSON *params);
wagw_str_t wagw_param_str(const cJSON *params, const char *name);
bool wagw_param_bool(const cJSON *params, const char *name, bool dflt);
int64_t wagw_param_int(const cJSON *params, const char *name, int64_t dflt);
/* to | chatId; false: 400 was answered. */
int wagw_param_jid(wagw_turn_t *t, uint64_t command, const cJSON *params, const char *name, const char *alias,
                   wagw_jid_t *out);
/* 200 with data (freed; may be NULL). */
int wagw_command_ok(wagw_turn_t *t, uint64_t command, wagw_buf_t *data, const char *message);
/* An empty usync request (11 section 7): its <query> and <list> are to be filled. */
int wagw_usync(wagw_turn_t *t, const char *context, wagw_node_t **iq, wagw_node_t **query, wagw_node_t **list);
/* The first <user> of its answer (NULL: none). */
const wagw_node_t *wagw_usync_user(const wagw_node_t *answer);
/* Asks for the LID of a number; the handler gives the answer to wagw_usync_lid(). */
int wagw_usync_ask_lid(wagw_turn_t *t, const wagw_jid_t *pn, wagw_iq_pt handler, uint64_t command);
/* Learns the pair; WAGW_NOT_FOUND: WhatsApp has no LID for the number. */
int wagw_usync_lid(wagw_turn_t *t, const wagw_node_t *answer, wagw_jid_t *pn, wagw_jid_t *lid);
int wagw_product_command(wagw_turn_t *t, uint64_t command, const cJSON *params); /* catalog.c */
int wagw_discard_command(wagw_turn_t *t, uint64_t command, const cJSON *params); /* discard.c */
int wagw_exists_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_lid_of_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_link_refuse(wagw_turn_t *t, uint64_t command, bool *refused);

/* ---- media (media.c; 06 sections 5 and 9) ------------------------------------------------------ */

typedef struct wagw_media_wait_s wagw_media_wait_t;
struct wagw_media_wait_s { /* a command that waits for the phone */
    uint64_t command;
    int64_t asked_ms;
    char id[68];
    char chat[WAGW_JID_TEXT_MAX];
    wagw_media_wait_t *next;
};

int wagw_media_conn_command(wagw_turn_t *t, uint64_t command);
int wagw_media_retry_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_media_retried(wagw_turn_t *t, const wagw_node_t *n); /* notification mediaretry */
bool wagw_media_unwait(wagw_client_t *c, uint64_t command);
void wagw_media_free(wagw_client_t *c, const wagw_result_t *r); /* waiting commands are answered */

/* ---- the engine ---------------------------------------------------------------------------------------- */

typedef struct wagw_wait_s wagw_wait_t;
struct wagw_wait_s { /* a command that waits for something to happen */
    uint64_t command;
    wagw_cmd_t cmd;
    wagw_wait_t *next;
};

typedef struct wagw_ask_s wagw_ask_t;
struct wagw_ask_s { /* a message the phone may be asked for */
    int64_t due;
    bool from_me;
    char id[68];
    wagw_jid_t chat, participant;
    wagw_ask_t *next;
};

typedef struct wagw_pairing_s { /* while not linked */
    char refs[8][256];
    unsigned nrefs, at;
    char qr[640];
    int64_t qr_expires;
    /* by code */
    bool code_wanted, code_shown, code_done;
    uint64_t command; /* who gets the code */
    char phone[24];
    char code[WAGW_PAIR_CODE_LEN + 1];
    bool push;
    wagw_keypair_t ephemeral;
    uint8_t salt[32], iv[16];
    uint8_t key[32]; /* what PBKDF2 gave */
    uint8_t ref[512];
    size_t ref_len;
    uint8_t primary_wrapped[80];
    uint8_t primary_identity[32];
} wagw_pairing_t;

struct wagw_client_s {
    uint32_t instance;
    const wagw_client_shared_t *sh;
    const wagw_client_ops_t *ops;
    void *driver;
    wagw_client_conf_t conf;
    int64_t now;

    /* wishes and state */
    uint8_t status; /* wagw_status_t */
    uint8_t conn;   /* wagw_conn_t */
    bool wanted;    /* keep connected */
    bool want_pair; /* a registration connection is wanted */
    bool creds_loaded;
    bool creds_bad;
    bool started;
    bool restart_now;  /* 515: at once, no report */
    bool permanent;    /* no reconnect by itself */
    uint32_t epoch;    /* of the connection, from 1 */
    uint32_t attempts; /* in a row that ended before a login */
    uint32_t shorts;   /* connections in a row that ended soon after it */
    int64_t timers[WAGW_TIMER_N];
    int64_t timer_set; /* what ops->timer was told */

    wagw_creds_t *creds; /* loaded */
    wagw_noise_t *noise; /* while connected */
    wagw_buf_t rx;       /* a partial frame */
    int64_t rx_last;
    bool registering; /* this connection used a registration payload */
    int64_t server_offset_ms;
    bool available; /* presence available was sent */
    uint8_t props;  /* wagw_prop_t bits */
    int64_t connected_ms;
    int32_t disconnect_code;
    char disconnect_reason[64];
    int64_t disconnect_ms;
    uint64_t sent, received, failed, reconnects;
    uint64_t ignored; /* messages of kinds that only own devices may send, from others */
    wagw_timelock_t lock;

    /* turns */
    wagw_item_t *items, **items_last;
    size_t items_bytes;
    bool running;
    bool loading;
    wagw_load_t *asked;      /* of the parked turn */
    const wagw_rec_t *found; /* during the rerun */
    unsigned reruns;
    uint64_t seq_issued, seq_durable;
    uint64_t seq_lost; /* failures up to it were dealt with */
    uint64_t event_seq;
    wagw_mark_t *marks, **marks_last; /* events of commits on their way */
    wagw_out_t *out, **out_last;

    /* iq */
    char iq_prefix[16];
    uint32_t iq_num;
    wagw_iq_t *iqs;

    wagw_job_t *jobs, **jobs_last; /* not yet encrypted */
    wagw_job_t *unacked, **unacked_last;
    uint64_t job_serial;
    uint32_t njobs;
    bool uploading;
    int64_t uploaded_ms;

    wagw_wait_t *waits;
    wagw_media_wait_t *media_waits;
    struct wagw_presence_s *presences; /* newest first */
    struct wagw_presence_wait_s *presence_waits;
    wagw_pairing_t *pairing;
    wagw_ask_t *asks;
    wagw_jid_t chatstate_to; /* composing that ends by itself */

    wagw_app_t *app;   /* app.c; NULL: nothing is going on */
    wagw_hist_t *hist; /* the chunk that is worked on */
    uint64_t fetch_id;
};

void wagw_client_status(wagw_client_t *c, wagw_status_t s, int code, const char *reason);
int wagw_status_store(wagw_turn_t *t, unsigned status);                   /* the engine's columns of the instance */
void wagw_client_timer(wagw_client_t *c, wagw_timer_t which, int64_t at); /* 0 clears */
/* Ends the connection from our side; what comes next follows from the flags. */
void wagw_client_hangup(wagw_client_t *c, int code, const char *reason);
void wagw_client_log(wagw_client_t *c, wagw_log_t level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void wagw_client_wake_waits(wagw_client_t *c);
void wagw_client_state(wagw_client_t *c, wagw_conn_t s, int64_t timeout_ms); /* 0: no limit */
void wagw_client_try_connect(wagw_client_t *c);
void wagw_client_arm(wagw_client_t *c);                         /* tells the driver the earliest timer */
void wagw_send_abort(wagw_client_t *c, const wagw_result_t *r); /* a commit failed */

#include "story_i.h"

#endif
