/*
 * wagw-sandbox: a WhatsApp that fits in one process (docs/sandbox.md).  One
 * thread, one libevent base, everything in memory.  It is the server side of
 * core/: noise, binary nodes, Signal for the mock phones and mock users.
 */

#ifndef WAGW_SANDBOX_H
#define WAGW_SANDBOX_H

#include "../../core/base/base.h"
#include "../../core/binary/node.h"
#include "../../core/crypto/crypto.h"
#include "../../core/noise/noise.h"
#include "../../core/signal/signal.h"
#include "../../core/store/record.h"

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <event2/bufferevent.h>
#include <event2/buffer.h>

typedef struct sbx_account_s sbx_account_t;
typedef struct sbx_device_s sbx_device_t;
typedef struct sbx_conn_s sbx_conn_t;
typedef struct sbx_pairing_s sbx_pairing_t;
typedef struct sbx_req_s sbx_req_t;
typedef struct sbx_rule_s sbx_rule_t;
typedef struct sbx_group_s sbx_group_t;
typedef struct sbx_s sbx_t;

#define SBX_USER_MAX 24
#define SBX_PREKEY_SIZE 35 /* 3-byte id, 32-byte key */
#define SBX_PREKEYS_LOW 5
#define SBX_PREKEYS_MAX 5000

/* ---- util.c: string map, shared stanzas, node logs, small helpers ---- */

typedef struct {
    char *key;
    void *value;
} sbx_slot_t;

/* Text -> pointer; keys are copied.  Zero-initialise. */
typedef struct {
    sbx_slot_t *slots;
    size_t cap;
    size_t used; /* live and deleted slots */
    size_t count;
} sbx_map_t;

void *sbx_map_get(const sbx_map_t *m, const char *key);
void sbx_map_put(sbx_map_t *m, const char *key, void *value);
void sbx_map_del(sbx_map_t *m, const char *key);
void sbx_map_free(sbx_map_t *m);

/* An encoded node (flag byte and node), shared by logs, queues and held
 * deliveries. */
typedef struct {
    uint32_t refs;
    uint32_t n;
    uint8_t data[];
} sbx_stanza_t;

sbx_stanza_t *sbx_stanza(const wagw_node_t *n); /* encodes; one reference */
sbx_stanza_t *sbx_stanza_bytes(wagw_str_t plain);
sbx_stanza_t *sbx_stanza_ref(sbx_stanza_t *s);
void sbx_stanza_unref(sbx_stanza_t *s);
/* The node again, in the arena (which must not outlive the stanza). */
wagw_node_t *sbx_stanza_node(wagw_arena_t *a, const sbx_stanza_t *s);

typedef struct sbx_entry_s sbx_entry_t;
struct sbx_entry_s {
    sbx_entry_t *next;
    sbx_stanza_t *stanza;
    int64_t t;
    bool out;
};

typedef struct {
    sbx_entry_t *head;
    sbx_entry_t *last;
    uint32_t count;
} sbx_log_t;

void sbx_log_add(sbx_log_t *log, bool out, sbx_stanza_t *s);
void sbx_log_clear(sbx_log_t *log);

void *sbx_alloc(size_t n); /* zeroed; ends the process without memory */
char *sbx_strdup(const char *s);
char *sbx_strndup(wagw_str_t s);
void sbx_set_text(char **slot, const char *value);
int64_t sbx_now_ms(void);
int64_t sbx_now_s(void);
void sbx_random(void *data, uint8_t *p, size_t n);
uint32_t sbx_random_u32(void);
/* Decimal id that no other server stanza has. */
wagw_str_t sbx_server_id(wagw_arena_t *a);
void sbx_be(uint8_t *p, uint32_t v, unsigned bytes);
uint32_t sbx_be_read(const uint8_t *p, unsigned bytes);
/* Protobuf by hand, for the handful of small messages that we write. */
void sbx_varint(wagw_buf_t *b, uint64_t v);
void sbx_pb_uint(wagw_buf_t *b, unsigned field, uint64_t v);
void sbx_pb_bytes(wagw_buf_t *b, unsigned field, wagw_str_t v);

/* ---- model.c: accounts, devices ---- */

typedef struct sbx_queued_s sbx_queued_t;
struct sbx_queued_s {
    sbx_queued_t *next;
    sbx_stanza_t *stanza;
    char *id;
    char *from; /* text of the stanza's from */
    char tag[13];
    bool sent; /* at least once on the present connection */
};

struct sbx_device_s {
    sbx_account_t *account;
    sbx_device_t *next; /* of the account, by id */
    uint16_t id;        /* 0 is the phone */
    uint32_t key_index;
    sbx_conn_t *conn;

    uint8_t noise[32];
    uint8_t identity[32];
    uint32_t registration_id;
    uint32_t spk_id;
    uint8_t spk[32];
    uint8_t spk_sig[64];
    uint8_t *prekeys; /* SBX_PREKEY_SIZE each, oldest first from `first` */
    uint32_t first;
    uint32_t nprekeys; /* end; left = nprekeys - first */
    bool low_told;
    bool welcomed;   /* has keys and history from the phone */
    bool available;  /* presence of this device */
    uint32_t damage; /* so many app-state answers to it are damaged */
    wagw_buf_t adv;  /* ADVSignedDeviceIdentity, complete */
    char *platform;

    sbx_queued_t *queue;
    sbx_queued_t *queue_last;
    uint32_t pending;
    sbx_log_t log;
    uint64_t recent[64]; /* sends seen lately: a repeated one is not relayed again */
    uint8_t recent_next;

    uint32_t connects;
    uint64_t messages_in;
    uint64_t messages_out;
};

typedef struct sbx_waiting_s sbx_waiting_t;
typedef struct sbx_sent_s sbx_sent_t;
typedef struct sbx_inbox_s sbx_inbox_t;
struct sbx_inbox_s {
    sbx_inbox_t *next;
    char *id;
    char *from;
    char *chat;
    char *error;        /* NULL when it was decrypted */
    wagw_buf_t message; /* JSON */
    wagw_buf_t bytes;   /* the Message itself, for a companion that asks */
    int64_t t;
    bool from_me;
    uint8_t retries;
};

typedef struct {
    char *path; /* on the media host; NULL: none */
    uint64_t id;
} sbx_picture_t;

struct sbx_account_s {
    uint32_t index; /* instance of the record cache */
    char pn[SBX_USER_MAX];
    char lid[SBX_USER_MAX];
    char *name;
    char *about;
    int64_t about_t; /* s; 0: as made */
    sbx_picture_t picture;
    uint32_t disappearing; /* s: timer of new chats */
    int64_t disappearing_t;
    uint32_t block_changes;
    int64_t last_seen;  /* s, as a mock user told it; 0: now */
    char qr[17];        /* contact link */
    wagw_buf_t profile; /* business profile: an encoded node */
    bool mock_user;
    bool named; /* the name was given, not made up */

    wagw_keypair_t identity;
    uint32_t registration_id;
    uint32_t adv_raw_id;
    uint32_t key_index;
    uint16_t next_device;
    sbx_device_t *devices; /* the phone first */

    bool auto_receipt;
    bool auto_read;
    bool echo;
    bool eager;         /* decrypt at arrival, not when the inbox is read */
    bool keeps_keys;    /* shares no app-state keys (option shareKeys false) */
    bool keeps_history; /* sends no history (option historySync false) */
    bool available;

    sbx_map_t privacy;       /* category -> malloc'ed value */
    sbx_map_t blocked;       /* lid user -> account */
    const char *status_mode; /* of <list type=>, static; NULL: contacts */
    sbx_map_t status_list;   /* lid user -> account: may see our status posts, or not */
    sbx_map_t watchers;      /* lid user -> account: who must hear of our devices */
    sbx_map_t listeners;     /* lid user -> account: who subscribed to our presence */

    /* the phone as Signal endpoint (phone.c) */
    uint32_t next_prekey;
    bool has_spk;
    bool reading;
    uint8_t spk[32];
    uint8_t spk_sig[64];
    char business[64]; /* WhatsApp Business under this name */
    uint8_t app_key_id[6];
    uint8_t app_key[32];
    uint8_t app_old[8][6 + 32]; /* ids and keys that were in use before */
    unsigned app_olds;
    uint32_t waiting_count;
    uint32_t inbox_count;
    uint32_t sent_count;
    uint64_t seq; /* commits */
    sbx_waiting_t *waiting;
    sbx_waiting_t *waiting_last;
    sbx_inbox_t *inbox;
    sbx_inbox_t *inbox_last;
    sbx_sent_t *sent; /* newest first */
    cJSON *events;    /* receipts and the like that the phone saw */
    cJSON *products;  /* of a business' catalogue, NULL: it has none */
};

/* By phone number or LID user; NULL when unknown. */
sbx_account_t *sbx_account_pn(const char *user);
sbx_account_t *sbx_account_lid(const char *user);
sbx_account_t *sbx_account_jid(const wagw_jid_t *jid);
/* Existing or new.  phone NULL: derived from the name. */
sbx_account_t *sbx_account_make(const char *phone, const char *name);
/* "1555" + 8 digits of a hash. */
void sbx_phone_of_name(char out[SBX_USER_MAX], const char *name);
/* JID, phone number (+ and blanks allowed) or push name. */
sbx_account_t *sbx_account_find(const char *text);

sbx_device_t *sbx_phone(const sbx_account_t *a); /* device 0 */
sbx_device_t *sbx_device_get(const sbx_account_t *a, unsigned id);
sbx_device_t *sbx_device_add(sbx_account_t *a, uint16_t id, uint32_t key_index);
/* Full JID, LID device JID, phone number or push name (first companion). */
sbx_device_t *sbx_device_find(const char *text);
/* Unlinks: leaves the lists, tells the others, frees. */
void sbx_device_remove(sbx_device_t *d);
uint32_t sbx_device_prekeys(const sbx_device_t *d);
wagw_jid_t sbx_device_jid(const sbx_device_t *d, bool lid);
wagw_jid_t sbx_account_jid_of(const sbx_account_t *a, bool lid);
void sbx_account_watch(sbx_account_t *a, sbx_account_t *watcher);
/* The person sets the phone up anew: another identity, no companions. */
void sbx_account_register(sbx_account_t *a);
/* phash over every device of one or two accounts. */
void sbx_devices_hash(char out[16], const sbx_account_t *a, const sbx_account_t *b, bool lid);
/* Appends <device-list> and <key-index-list> content. */
void sbx_key_index_list(wagw_buf_t *out, sbx_account_t *a);
/* The `devices` notification to watchers and own companions. */
void sbx_devices_notify(sbx_account_t *a, const sbx_device_t *d, const char *what);
void sbx_model_reset(void);

/* ---- net.c, ws.c: connections ---- */

typedef enum { SBX_HTTP = 0, SBX_INTRO, SBX_HELLO, SBX_FINISH, SBX_OPEN, SBX_CLOSING } sbx_conn_state_t;

struct sbx_conn_s {
    sbx_conn_t *next;
    sbx_conn_t *prev;
    uint64_t id;
    struct bufferevent *bev;
    uint8_t state; /* sbx_conn_state_t */
    bool active;   /* the client said <active/> */
    bool closing;  /* nothing is read any more */
    bool dead;     /* to be freed by the sweep */
    bool pinged;
    uint8_t corrupt; /* damage the next frame: sbx_corrupt_t */
    wagw_noise_t noise;
    wagw_buf_t stream; /* bytes of the Noise stream, not used yet */
    sbx_device_t *device;
    sbx_pairing_t *pairing;
    sbx_req_t *req;
    sbx_log_t log; /* before there is a device */
};

typedef enum { SBX_CORRUPT_NONE = 0, SBX_CORRUPT_CIPHER, SBX_CORRUPT_NODE, SBX_CORRUPT_TRUNCATE } sbx_corrupt_t;

int sbx_listen(const char *host, unsigned *port, bool tls);
void sbx_conn_close(sbx_conn_t *c);    /* at once, without a close frame */
void sbx_conn_finish(sbx_conn_t *c);   /* when everything is written */
void sbx_conn_ws_close(sbx_conn_t *c); /* close frame, then finish */
void sbx_conns_reset(void);            /* drops every WebSocket connection */
sbx_conn_t *sbx_conn_find(uint64_t id);
int sbx_tls_init(const char *cert_out); /* self-signed certificate */
const char *sbx_tls_pem(void);
void sbx_ws_upgrade(sbx_conn_t *c, wagw_str_t key);
void sbx_ws_read(sbx_conn_t *c);
void sbx_ws_frame(sbx_conn_t *c, unsigned opcode, wagw_str_t payload);

/* ---- http.c: requests ---- */

struct sbx_req_s {
    sbx_conn_t *conn;
    sbx_req_t *next; /* parked */
    char method[8];
    char *path;   /* without the query */
    cJSON *query; /* strings */
    cJSON *json;  /* body, when it is JSON */
    wagw_buf_t body;
    bool keep_alive;

    wagw_buf_t out;
    const char *type; /* Content-Type */
    wagw_json_t j;

    bool parked;
    bool expired; /* the deadline passed: answer with what there is */
    int64_t deadline;
    int step;
    void *data; /* the handler's own, while it is parked */
    void (*drop)(void *data);
};

#define SBX_WAIT 1 /* from a handler: run me again when something happened */

void sbx_http_read(sbx_conn_t *c);
void sbx_http_gone(sbx_conn_t *c); /* the client went away */
/* Something that a parked request may wait for. */
void sbx_changed(void);
/* Parameters: from the query, else from the JSON body; NULL when absent. */
const char *sbx_arg(sbx_req_t *r, const char *name, char buf[64]);
int64_t sbx_arg_int(sbx_req_t *r, const char *name, int64_t otherwise);
bool sbx_arg_bool(sbx_req_t *r, const char *name, bool otherwise);
const cJSON *sbx_arg_json(sbx_req_t *r, const char *name);
/* Parks until `ms` from the first call; false once that passed. */
bool sbx_wait(sbx_req_t *r, int64_t ms);
int sbx_error(sbx_req_t *r, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Answers with the HTTP status or SBX_WAIT; writes r->j.  admin.c */
int sbx_admin(sbx_req_t *r);

/* ---- nodejson.c ---- */

void sbx_node_json(wagw_json_t *j, const wagw_node_t *n);
/* Copies into the arena; *why names what is wrong. */
wagw_node_t *sbx_node_from_json(wagw_arena_t *a, const cJSON *json, const char **why);
cJSON *sbx_node_cjson(const wagw_node_t *n);

/* ---- stream.c: Noise, login, sending and dispatch ---- */

void sbx_stream_read(sbx_conn_t *c);
void sbx_stream_open(sbx_conn_t *c);
void sbx_stream_gone(sbx_conn_t *c);
/* Writes one node now (logged). */
void sbx_send(sbx_conn_t *c, const wagw_node_t *n);
void sbx_send_stanza(sbx_conn_t *c, sbx_stanza_t *s);
void sbx_stream_error(sbx_conn_t *c, const char *code, const char *conflict);
/* Turns the device's traffic on: backlog, then live. */
void sbx_activate(sbx_conn_t *c);
wagw_node_t *sbx_iq_result(wagw_arena_t *a, const wagw_node_t *iq);
void sbx_iq_error(sbx_conn_t *c, const wagw_node_t *iq, int code, const char *text);
void sbx_unhandled(sbx_conn_t *c, const wagw_node_t *n);

/* ---- deliver.c: queue per device, chaos ---- */

/* Queues (until acknowledged) and sends when the device is active. */
void sbx_deliver(sbx_device_t *d, const wagw_node_t *n);
/* Through the chaos rules, without a queue: presence, chat state. */
void sbx_deliver_live(sbx_device_t *d, const wagw_node_t *n);
void sbx_acknowledged(sbx_device_t *d, const wagw_node_t *n);
void sbx_queue_free(sbx_device_t *d);
void sbx_queue_backlog(sbx_conn_t *c);
/* Puts an outgoing stanza through the rules; writes it or keeps it. */
void sbx_chaos_send(sbx_conn_t *c, sbx_stanza_t *s, const wagw_node_t *n, bool delivery);
int sbx_chaos_add(sbx_req_t *r, sbx_device_t *d);
int sbx_chaos_release(sbx_device_t *d, bool reverse);
int sbx_chaos_clear(sbx_device_t *d); /* NULL: all; delivers what was held */
void sbx_chaos_forget(sbx_device_t *d);

/* ---- pair.c ---- */

void sbx_pair_begin(sbx_conn_t *c, wagw_str_t payload, const uint8_t noise_static[32]);
void sbx_pair_free(sbx_conn_t *c);
/* The client's answer to pair-success; true when it was that. */
bool sbx_pair_result(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_pair_code_iq(sbx_conn_t *c, const wagw_node_t *iq);
int sbx_admin_scan_qr(sbx_req_t *r);
int sbx_admin_enter_code(sbx_req_t *r);
int sbx_admin_qr_refs(sbx_req_t *r);
void sbx_pair_list(wagw_json_t *j);                          /* pendingPairings */
void sbx_device_json(wagw_json_t *j, const sbx_device_t *d); /* entry of /devices */

/* ---- iq.c, usync.c, keys.c ---- */

void sbx_iq(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_usync(sbx_conn_t *c, const wagw_node_t *iq, const wagw_node_t *usync);
void sbx_iq_encrypt(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_catalog(sbx_conn_t *c, const wagw_node_t *iq); /* catalog.c */
int sbx_admin_user_products(sbx_req_t *r);
/* Takes a bundle, and a one-time key with it.  WAGW_NOT_FOUND without keys. */
int sbx_bundle_take(sbx_device_t *d, wagw_bundle_t *b);
void sbx_prekeys_notify(sbx_device_t *d);

/* ---- profile.c, call.c ---- */

void sbx_iq_picture(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_status(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_privacy(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_disappearing(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_blocklist(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_qr(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_iq_business(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_about_usync(wagw_arena_t *a, wagw_node_t *user, const sbx_account_t *acc, const sbx_account_t *asker);
void sbx_disappearing_usync(wagw_arena_t *a, wagw_node_t *user, const sbx_account_t *acc);
/* May `who` see what the privacy category of `acc` is about? */
bool sbx_profile_shown(const sbx_account_t *acc, const char *category, const sbx_account_t *who);
/* JPEG, square, at most 640 wide. */
bool sbx_picture_good(wagw_str_t jpeg);
void sbx_picture_put(sbx_picture_t *p, wagw_str_t jpeg); /* empty: removes it */
void sbx_picture_answer(sbx_conn_t *c, const wagw_node_t *iq, const sbx_picture_t *p);
/* group_picture.c: with a group as target */
void sbx_group_picture_iq(sbx_conn_t *c, const wagw_node_t *iq, const wagw_jid_t *group);
void sbx_profile_free(sbx_account_t *a);
int sbx_admin_user_about(sbx_req_t *r);
int sbx_admin_user_picture(sbx_req_t *r);
int sbx_admin_user_privacy(sbx_req_t *r);
int sbx_admin_user_presence(sbx_req_t *r);
int sbx_admin_user_call(sbx_req_t *r);

/* ---- relay.c, presence.c ---- */

void sbx_message(sbx_conn_t *c, const wagw_node_t *n);
void sbx_receipt(sbx_conn_t *c, const wagw_node_t *n);
void sbx_presence(sbx_conn_t *c, const wagw_node_t *n);
void sbx_chatstate(sbx_conn_t *c, const wagw_node_t *n);
void sbx_call(sbx_conn_t *c, const wagw_node_t *n);
void sbx_presence_gone(sbx_device_t *d);
/*
 * One encrypted copy for one device: `n` holds attributes to copy and the
 * children besides enc; `encs` is a node whose enc children are delivered.
 * `chat` is the other side of the conversation as the sender sees it.
 */
void sbx_relay_copy(sbx_device_t *from, sbx_device_t *to, const wagw_jid_t *chat, bool lid, const wagw_node_t *n,
                    const wagw_node_t *encs);
/* A receipt of device `from` to where its `to` points. */
void sbx_relay_receipt(sbx_device_t *from, const wagw_node_t *n);
/* Children of a sent message that concern only the server or the fan-out. */
bool sbx_relay_skips(const wagw_node_t *n);
/* The ack of a message; error 0: none, phash NULL: none. */
void sbx_message_ack(sbx_conn_t *c, const wagw_node_t *n, int error, const char *phash);
/* A pkmsg among the children of encs needs the sender's device-identity in n. */
void sbx_check_identity(sbx_device_t *d, const wagw_node_t *n, const wagw_node_t *encs);

/* ---- group*.c (their own header is group.h) ---- */

void sbx_iq_groups(sbx_conn_t *c, const wagw_node_t *iq);
void sbx_group_message(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to);
void sbx_status_message(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to);
/* Of groups and of status. */
void sbx_group_receipt(sbx_device_t *from, const wagw_node_t *n, const wagw_jid_t *to);
void sbx_group_chatstate(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to);
/* A companion was linked: the test group. */
void sbx_group_welcome(sbx_account_t *a);
/* A companion of the account went: its groups' phones make new keys. */
void sbx_group_device_gone(const sbx_account_t *a);
void sbx_groups_reset(void);
/* Sender keys of mock phones; `group` is the JID as text. */
int sbx_phone_skdm(sbx_account_t *a, const char *group, const sbx_account_t *sender, uint16_t device, wagw_str_t skdm);
int sbx_phone_skmsg(sbx_account_t *a, const char *group, const sbx_account_t *sender, uint16_t device, wagw_str_t in,
                    wagw_buf_t *out);
int sbx_group_phone_answer(sbx_account_t *from, const char *group, wagw_str_t message);
int sbx_group_phone_resend(sbx_account_t *from, const char *group, const char *type, const char *id, wagw_str_t message,
                           sbx_device_t *d, const wagw_bundle_t *given, unsigned count);
/* status.c: who may see status posts, as app state, an admin call and clients say it. */
void sbx_status_app_state(sbx_account_t *a, const cJSON *action);
void sbx_status_options(sbx_account_t *a, const cJSON *privacy);
void sbx_iq_status_privacy(sbx_conn_t *c, const wagw_node_t *iq);
int sbx_admin_groups(sbx_req_t *r);
int sbx_admin_group_create(sbx_req_t *r);
int sbx_admin_group(sbx_req_t *r);

/* ---- phone.c, user.c: mock phones and users as Signal endpoints ---- */

typedef int (*sbx_turn_pt)(sbx_account_t *a, void *data);
/* Runs fn with the account's records bound to sbx.signal, commits what it changed. */
int sbx_turn(sbx_account_t *a, sbx_turn_pt fn, void *data);
void sbx_sent_free(sbx_account_t *a);
int sbx_signal_init(void);
void sbx_signal_reset(void);
int sbx_phone_bundle(sbx_account_t *a, wagw_bundle_t *b);
/* A message stanza arrived at device 0. */
void sbx_phone_message(sbx_account_t *a, const wagw_node_t *n);
void sbx_phone_receipt(sbx_account_t *a, const wagw_node_t *n);
/* Decrypts everything that waits. */
void sbx_phone_read(sbx_account_t *a);
void sbx_phone_free(sbx_account_t *a);
typedef struct {
    const char *id;       /* NULL: made up */
    bool bad_enc;         /* damages the first ciphertext */
    bool lid;             /* address form of the stanza */
    const char *category; /* peer, or NULL */
    sbx_device_t *only;   /* just this device, NULL: fan-out */
    unsigned count;       /* of a retry, 0 none */
} sbx_send_how_t;
/* The <message> without ciphertexts; id is made up when how has none.  NULL:
 * the message cannot be read. */
wagw_node_t *sbx_message_stanza(wagw_arena_t *a, const sbx_account_t *from, wagw_str_t message,
                                const sbx_send_how_t *how, char id[64]);
/* Remembered for resends; `group` (text) instead of `to` when it went to one. */
void sbx_sent_add(sbx_account_t *a, const char *id, sbx_account_t *to, const char *group, wagw_str_t message,
                  const sbx_send_how_t *how);
/* One padded ciphertext for a device; `given` (may be NULL) starts a new session. */
int sbx_phone_encrypt(sbx_account_t *a, sbx_device_t *d, wagw_str_t message, const wagw_bundle_t *given,
                      wagw_buf_t *out, bool *prekey);
/* Encrypts Message bytes for every device and relays them; id gets the id. */
int sbx_phone_send(sbx_account_t *from, sbx_account_t *to, wagw_str_t message, const sbx_send_how_t *how, char id[64]);
/* peer.c: a companion asks its phone (keys, messages it could not read). */
void sbx_phone_asked(sbx_device_t *d, const char *id, wagw_str_t message);
/* What a phone does after a companion's first login: key share, history. */
void sbx_phone_welcome(sbx_device_t *d);
int sbx_admin_inbox(sbx_req_t *r);
int sbx_admin_user(sbx_req_t *r);
int sbx_admin_user_send(sbx_req_t *r);
int sbx_admin_identity_change(sbx_req_t *r);
int sbx_admin_user_receipt(sbx_req_t *r);
int sbx_admin_phone_options(sbx_req_t *r);
int sbx_admin_phone_events(sbx_req_t *r);

/* ---- fault.c: refusals on demand, mistakes seen ---- */

/* A client's protocol mistake; d may be NULL. */
void sbx_fault(sbx_device_t *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Is this message to be refused?  Code, or 0; *silent: not answered. */
int sbx_ack_rule(sbx_device_t *d, bool *silent);
int sbx_iq_rule(sbx_device_t *d, const wagw_node_t *iq, bool *silent, char text[64]);
int sbx_login_rule(const sbx_device_t *d);
void sbx_fault_forget(const sbx_device_t *d);
void sbx_fault_reset(void);
int sbx_admin_faults(sbx_req_t *r);
int sbx_admin_ack_error(sbx_req_t *r);
int sbx_admin_iq_error(sbx_req_t *r);
int sbx_admin_iq_error_clear(sbx_req_t *r);
int sbx_admin_reject_login(sbx_req_t *r);
int sbx_admin_corrupt(sbx_req_t *r);
int sbx_admin_drop(sbx_req_t *r);
int sbx_admin_stream_error(sbx_req_t *r);
int sbx_admin_send_node(sbx_req_t *r);
int sbx_admin_request(sbx_req_t *r);
/* The reply to an iq of /request; true when one waited for it. */
bool sbx_request_reply(sbx_device_t *d, const wagw_node_t *iq);

/* ---- media.c ---- */

/* What an upload must carry. */
const char *sbx_media_auth(void);
/* Answers a request to the media host; false: it is none. */
bool sbx_media(sbx_conn_t *c, wagw_str_t method, const char *path, const cJSON *query, wagw_str_t range,
               wagw_str_t body, bool keep);
/* What a phone uploads: its direct path, malloc'ed. */
char *sbx_media_put(wagw_str_t enc);
/* Uploads again what has this hash: its new direct path, malloc'ed; NULL when it never was here. */
char *sbx_media_again(wagw_str_t enc_sha256);
void sbx_media_reset(void);
/* A companion cannot get the media of a message: its phone uploads it again. */
void sbx_media_retry(sbx_device_t *from, const wagw_node_t *receipt);
int sbx_admin_media_fault(sbx_req_t *r);
int sbx_admin_media_expire(sbx_req_t *r);

/* ---- appstate.c ---- */

void sbx_iq_app_state(sbx_conn_t *c, const wagw_node_t *iq);
/* The phone writes its push name, once per account. */
void sbx_app_state_push_name(sbx_account_t *a);
void sbx_app_state_reset(void);
/* SyncdSnapshotRecovery of the phone's state; false: it has none. */
bool sbx_app_state_copy(sbx_account_t *a, const char *name, wagw_buf_t *out);
int sbx_admin_app_state(sbx_req_t *r);
int sbx_admin_phone_app_state(sbx_req_t *r);

typedef struct {
    uint8_t key[32], sha256[32], enc_sha256[32];
    uint64_t size;
    char *path; /* malloc'ed */
} sbx_upload_t;

/* What a phone puts on the media host, of a core/media type. */
void sbx_phone_upload(sbx_upload_t *u, const char *type, wagw_str_t plain);
/* peer.c: the app-state key, made when there is none. */
void sbx_app_key(sbx_account_t *a);
int sbx_admin_phone_share_keys(sbx_req_t *r);
int sbx_admin_phone_history(sbx_req_t *r);
int sbx_admin_phone_peer(sbx_req_t *r);

struct sbx_s {
    struct event_base *base;
    const char *host;
    unsigned port;
    unsigned media_port;
    bool plain;
    bool history;
    bool snapshots;         /* app state: return_snapshot="true" is answered with one */
    wagw_txn_t *txn;        /* of the running sbx_turn */
    bool group_pn;          /* new groups are in phone number addressing */
    const char *test_group; /* subject, or NULL */
    uint32_t log_nodes;

    wagw_keypair_t root;
    wagw_keypair_t intermediate;
    wagw_keypair_t server_static;
    wagw_buf_t chain;

    sbx_conn_t *conns;
    uint64_t next_conn;
    uint64_t next_id;
    uint32_t nconns; /* WebSocket connections */

    sbx_map_t by_pn;
    sbx_map_t by_lid;
    sbx_account_t **accounts;
    uint32_t naccounts;
    uint32_t cap_accounts;

    wagw_cache_t *cache;
    wagw_signal_t *signal;

    cJSON *unhandled;
    uint64_t logins;
    uint64_t messages;
    uint64_t receipts;
    uint64_t deliveries;
    int64_t started;
};

extern sbx_t sbx;

#endif
