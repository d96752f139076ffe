/*
 * Engines in memory: a driver for wagw_client_ops_t that queues everything, a
 * store that can fail and crash, a clock that only tests move, and a small
 * WhatsApp between the engines.  Deterministic: one queue, seeded randomness.
 */

#ifndef WAGW_T_CLIENT_SIM_H
#define WAGW_T_CLIENT_SIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/client/client_i.h"
#include "vectors.h"

#define SIM_START INT64_C(1767225600000)

typedef struct sim_s sim_t;
typedef struct sim_engine_s sim_engine_t;
typedef struct sim_device_s sim_device_t;
typedef struct sim_account_s sim_account_t;
typedef struct sim_conn_s sim_conn_t;
typedef struct sim_peer_s sim_peer_t;

/* ---- the store (client_mem.c) ---------------------------------------------- */

typedef struct {
    uint8_t kind;
    uint16_t key_len;
    size_t n;
    uint8_t *p; /* key, value */
} sim_rec_t;

typedef struct { /* sorted by kind and key */
    sim_rec_t *v;
    size_t n, cap;
} sim_mem_t;

void sim_mem_put(sim_mem_t *m, uint8_t kind, wagw_str_t key, wagw_str_t value);
void sim_mem_del(sim_mem_t *m, uint8_t kind, wagw_str_t key);
wagw_str_t sim_mem_get(const sim_mem_t *m, uint8_t kind, wagw_str_t key); /* p NULL: absent */
void sim_mem_free(sim_mem_t *m);
/* Everything but events and instance columns. */
void sim_mem_apply(sim_mem_t *m, const wagw_batch_t *b);
/* What a store answers to a load. */
wagw_rec_t *sim_mem_load(const sim_mem_t *m, const wagw_load_t *asked, wagw_arena_t *a);
unsigned sim_mem_count(const sim_mem_t *m, uint8_t kind, const char *prefix);

/* ---- engines (client_sim.c) -------------------------------------------------- */

typedef struct sim_event_s sim_event_t;
struct sim_event_s {
    uint64_t seq;
    char id[32];
    char name[40];
    cJSON *data;
    sim_event_t *next;
};

typedef struct sim_reply_s sim_reply_t;
struct sim_reply_s {
    uint64_t command;
    int status;
    char code[40]; /* "" on success */
    char *text;    /* message or error */
    cJSON *data, *details;
    char message_id[80];
    int retry_after;
    unsigned times; /* more than one is a bug */
    sim_reply_t *next;
};

struct sim_engine_s {
    sim_t *w;
    sim_engine_t *next;
    uint32_t num;
    const char *name;
    wagw_client_t *c;
    wagw_client_shared_t sh;
    wagw_client_conf_t conf;
    sim_mem_t mem;
    uint64_t seed;
    struct { /* answers to the next requests of these sizes, in order */
        size_t n;
        uint8_t p[32];
    } fed[8];
    unsigned nfed;
    uint32_t life; /* one more after each crash */
    bool muted;    /* being destroyed: its calls count no more */
    uint32_t conn; /* transport it holds, 0 none */
    int64_t timer_at;
    uint64_t event_seq;
    uint64_t command;
    sim_event_t *events, **events_last;
    sim_reply_t *replies;
    wagw_row_instance_t row; /* texts in row_bytes */
    wagw_buf_t row_bytes;

    bool hold_commits, hold_loads, hold_work;
    unsigned fail_commits, fail_loads, refuse_connects;
    bool failing;
    uint64_t fail_upto;
    unsigned connects, closes, commits, loads, changes, errors; /* errors: log lines of level ERROR */
    uint64_t fetching;                                          /* a blob that it wants, 0 none */
    unsigned fetches;
    char last_log[256];
    char logs[8192]; /* WARN and ERROR lines */
    bool verbose;
};

/* A world with its server; free checks that nothing was answered twice. */
sim_t *sim_new(uint64_t seed);
void sim_free(sim_t *w);
int64_t sim_now(const sim_t *w);

/* An instance; nothing is started. */
sim_engine_t *sim_engine(sim_t *w, const char *name);
void sim_start(sim_engine_t *e, bool pair);

/* Everything that is queued, until nothing is; then time stands still. */
void sim_run(sim_t *w);
/* One queued callback; false: nothing was queued. */
bool sim_step(sim_t *w);
/* Lets time pass, ticking each engine when it wants to. */
void sim_advance(sim_t *w, int64_t ms);
void sim_release(sim_engine_t *e); /* what hold_* held back */

/* The process dies: memory and uncommitted batches are gone.  lose: bytes the
 * engine has sent but the server has not read are gone too. */
void sim_crash(sim_engine_t *e, bool lose);
void sim_engine_destroy(sim_engine_t *e);
/* A new engine from what was committed; started when it was. */
void sim_revive(sim_engine_t *e);

/* The blob that it waits for, or why not. */
void sim_fetched(sim_engine_t *e, int rc, wagw_str_t bytes);
void sim_feed(sim_engine_t *e, const uint8_t *p, size_t n); /* "random" bytes */
uint64_t sim_command(sim_engine_t *e, wagw_cmd_t cmd, const char *json);
sim_reply_t *sim_reply(sim_engine_t *e, uint64_t command); /* NULL: none yet */
/* The reply, which must have come: status and code ("" success). */
sim_reply_t *sim_expect(sim_engine_t *e, uint64_t command, int status, const char *code);
sim_reply_t *sim_do(sim_engine_t *e, wagw_cmd_t cmd, const char *json, int status); /* command, run, expect */
wagw_client_info_t sim_info(sim_engine_t *e);
#define sim_expect_status(e, s) assert_string_equal(wagw_status_name(sim_info(e).status), wagw_status_name(s))

/* Events of a name from number `after` on; the n-th one or NULL. */
sim_event_t *sim_event(sim_engine_t *e, const char *name, unsigned n);
unsigned sim_events(sim_engine_t *e, const char *name);
sim_event_t *sim_last_event(sim_engine_t *e, const char *name);
const char *sim_str(const cJSON *o, const char *key); /* "" when absent */

/* A row of the store; views into it. */
bool sim_message(sim_engine_t *e, const char *chat, const char *id, const char *sender, wagw_row_message_t *m);
bool sim_chat(sim_engine_t *e, const char *chat, wagw_row_chat_t *c);
void sim_creds(sim_engine_t *e, wagw_creds_t *c);

/* ---- the server (client_server.c, client_relay.c, client_link.c) --------------- */

typedef struct sim_stanza_s sim_stanza_t;
struct sim_stanza_s { /* held for a device until it is acknowledged */
    sim_stanza_t *next;
    char tag[16], id[80];
    uint32_t sent_on; /* connection, 0 not yet */
    wagw_buf_t bytes; /* encoded node */
};

typedef struct sim_otk_s sim_otk_t;
struct sim_otk_s {
    uint32_t id;
    uint8_t pub[32];
    sim_otk_t *next;
};

struct sim_device_s {
    sim_device_t *next;
    sim_account_t *acc;
    uint16_t id;
    unsigned key_index;
    uint8_t identity[32];
    uint32_t registration, spk_id;
    uint8_t spk[32], spk_sig[64];
    bool has_bundle;
    sim_otk_t *otks;
    unsigned uploads;
    sim_conn_t *conn;
    sim_peer_t *peer;
    sim_stanza_t *queue;
    sim_engine_t *engine;
};

struct sim_account_s {
    sim_account_t *next;
    sim_t *w;
    char pn[32], lid[32];
    wagw_keypair_t identity; /* the phone's, which signs devices */
    sim_device_t *devices;   /* the phone first */
    sim_peer_t *phone;
    bool listed; /* the phone is in device lists */
    bool no_lid; /* the server tells nobody the LID */
    uint16_t next_device;
    const char *name;
};

struct sim_conn_s {
    sim_conn_t *next;
    uint32_t id;
    sim_engine_t *e;
    bool open, greeted, intro, active, registering, linked;
    wagw_noise_t noise;
    wagw_buf_t rx;
    sim_device_t *dev;
    uint8_t noise_pub[32];
    uint8_t reg_identity[32], spk[32], spk_sig[64];
    uint32_t reg_id, spk_id;
    wagw_str_t routing;
    /* linking */
    sim_account_t *linking;
    uint8_t adv_secret[32], details[128];
    size_t details_len;
    char phone[64];
    uint8_t wrapped[80], code_ref[16];
    wagw_keypair_t ephemeral;
    uint8_t code_key[32];
};

typedef struct sim_log_s sim_log_t;
struct sim_log_s { /* what the clients said */
    sim_log_t *next;
    sim_engine_t *e;
    uint32_t conn;
    wagw_node_t *n;
};

typedef struct {         /* what the server is told to do; counts are used up */
    unsigned ack_error;  /* code for the next message ack ... */
    unsigned ack_errors; /* ... so many times */
    const char *ack_phash;
    unsigned drop_acks;     /* stanzas that are relayed but not acked */
    unsigned lose_messages; /* not even relayed */
    unsigned damage;        /* ciphertexts to be damaged */
    const char *damage_to;  /* ... of this device (text form), NULL any */
    unsigned no_answer;     /* iqs of `no_answer_ns` that get none, ~0 all */
    const char *no_answer_ns;
    unsigned iq_error; /* code for iqs of iq_error_ns */
    const char *iq_error_ns;
    unsigned refs;    /* of pair-device, 6 */
    unsigned failure; /* login is refused so */
    const char *failure_attrs[2];
    bool no_515;           /* after pair-device-sign: silence */
    bool close_after_sign; /* ... or the socket just closes */
    bool empty_lists;      /* device lists are empty */
    bool no_otks;          /* bundles come without one-time key */
    bool no_bundles;       /* 404 for every device */
    bool silent;           /* nothing is answered at all */
    bool eat_receipts;     /* receipts and acks of clients are lost */
    bool no_success;
    size_t chop;         /* bytes go out in pieces of this size */
    const char *routing; /* ib edge_routing after login */
    bool preview;        /* ib offline_preview after active */
    bool dirty;
    const wagw_node_t *story; /* <privacy> of status posts; NULL: 404 */
    const wagw_node_t *group; /* <group> that is answered for metadata */
} sim_orders_t;

struct sim_s {
    int64_t now;
    uint64_t seed, steps;
    struct sim_task_s *tasks, **tasks_last, *held;
    sim_engine_t *engines;
    uint32_t nengines;

    sim_orders_t orders;
    wagw_keypair_t root, static_key;
    wagw_buf_t chain;
    sim_account_t *accounts;
    sim_conn_t *conns;
    uint32_t nconns;
    wagw_arena_t arena; /* of the log */
    sim_log_t *log, **log_last;
    struct sim_ratchet_s *ratchets;
    unsigned nmessages; /* relayed for the first time */
    struct sim_seen_s *seen;
    uint64_t random;
};

sim_account_t *sim_account(sim_t *w, const char *pn, const char *lid);
sim_device_t *sim_device_of(sim_engine_t *e);
sim_device_t *sim_device(sim_account_t *a, uint16_t id);
/* The phone scans what the engine shows; pair-success goes out. */
void sim_scan(sim_engine_t *e, sim_account_t *a);
/* The user types the code at the phone. */
void sim_type_code(sim_engine_t *e, sim_account_t *a, const char *code);
/* All of it: start, scan, restart, login. */
void sim_link(sim_engine_t *e, sim_account_t *a);
void sim_unlink(sim_device_t *d);

typedef struct { /* Ann (49100, LID 9100) with engine a, Bea (49200, LID 9200) with engine b */
    sim_t *w;
    sim_account_t *aa, *ba;
    sim_engine_t *a, *b;
} sim_two_t;

#define SIM_A "49100@s.whatsapp.net"
#define SIM_B "49200@s.whatsapp.net"

#define SIM_GROUP "120363000000000001@g.us"
/* The server knows a group of these (user parts of LIDs, the first an admin), NULL at the end. */
void sim_group(sim_t *w, ...) __attribute__((sentinel));

/* Both linked and connected; _linked does it all anew. */
sim_two_t sim_two(uint64_t seed);
sim_two_t sim_two_linked(uint64_t seed);

/* To a client that is connected now, as it is. */
void sim_push(sim_engine_t *e, const wagw_node_t *n);
void sim_push_raw(sim_engine_t *e, wagw_str_t plaintext); /* sealed */
void sim_push_bytes(sim_engine_t *e, wagw_str_t bytes);   /* not sealed */
void sim_cut(sim_engine_t *e, int http_status);           /* the transport breaks */
/* For a device: delivered when it is there, again until it is acknowledged. */
void sim_queue(sim_device_t *d, const wagw_node_t *n);
unsigned sim_queued(const sim_device_t *d);
void sim_server_opened(sim_t *w, sim_engine_t *e, uint32_t conn);
void sim_server_received(sim_t *w, uint32_t conn, wagw_str_t bytes);
void sim_server_closed(sim_t *w, uint32_t conn);
void sim_server_free(sim_t *w);
sim_conn_t *sim_conn(sim_t *w, uint32_t id);
void sim_send(sim_conn_t *c, const wagw_node_t *n);
void sim_close(sim_conn_t *c);
void sim_received_iq(sim_conn_t *c, const wagw_node_t *n);
void sim_relay_message(sim_conn_t *c, const wagw_node_t *n);
void sim_relay_group(sim_conn_t *c, const wagw_node_t *n, const wagw_jid_t *group);
void sim_relay_receipt(sim_conn_t *c, const wagw_node_t *n);
void sim_acknowledged(sim_device_t *d, const char *tag, wagw_str_t id);
void sim_flush(sim_device_t *d);
void sim_link_iq(sim_conn_t *c, const wagw_node_t *n, const wagw_node_t *child);
void sim_link_result(sim_conn_t *c, const wagw_node_t *n);
void sim_jid_of(const sim_device_t *d, bool lid, wagw_jid_t *j);
/* The device named; its account by either form. */
sim_device_t *sim_find(sim_t *w, const wagw_jid_t *j);
sim_account_t *sim_find_account(sim_t *w, const wagw_jid_t *j);

/* node "tag", then key, value pairs, NULL.  Values are not copied. */
wagw_node_t *sim_node(wagw_arena_t *a, const char *tag, ...) __attribute__((sentinel));
wagw_node_t *sim_add(wagw_arena_t *a, wagw_node_t *parent, const char *tag, ...) __attribute__((sentinel));
const char *sim_attr(const wagw_node_t *n, const char *key); /* static text, "" absent */
/* Has these attributes; NULL value: must be absent. */
bool sim_has(const wagw_node_t *n, ...) __attribute__((sentinel));

/* The n-th stanza of that tag that the engine sent since the mark; NULL. */
sim_log_t *sim_mark(sim_t *w);
const wagw_node_t *sim_sent(sim_engine_t *e, sim_log_t *mark, const char *tag, unsigned n);
unsigned sim_sent_count(sim_engine_t *e, sim_log_t *mark, const char *tag);
/* The first iq of the namespace since the mark. */
const wagw_node_t *sim_sent_iq(sim_engine_t *e, sim_log_t *mark, const char *xmlns, const char *child);

/* ---- scripted devices: phones (client_peer.c) -------------------------------------- */

typedef struct sim_got_s sim_got_t;
struct sim_got_s {
    sim_got_t *next;
    char id[80];
    int rc; /* of decrypting */
    bool prekey, group;
    cJSON *message; /* NULL when rc */
    wagw_node_t *node;
};

struct sim_peer_s {
    sim_t *w;
    sim_device_t *dev;
    wagw_keypair_t identity;
    sim_mem_t mem;
    wagw_cache_t *cache;
    wagw_signal_t *signal;
    uint64_t seq;
    bool silent; /* sends no receipts */
    sim_got_t *got, **got_last;
    sim_stanza_t *receipts; /* stanzas of other kinds */
};

/* Calls of core/signal on somebody's records, as one turn; no session is needed for them. */
typedef int (*sim_signal_pt)(wagw_signal_t *s, void *data);
int sim_signal_do(sim_mem_t *mem, const wagw_keypair_t *identity, uint32_t registration, sim_signal_pt fn, void *data);
sim_peer_t *sim_peer_new(sim_t *w, sim_device_t *d, const wagw_keypair_t *identity);
sim_peer_t *sim_peer_copy(sim_t *w, sim_device_t *d, const sim_peer_t *from); /* without its records */
void sim_peer_free(sim_peer_t *p);
void sim_peer_receive(sim_peer_t *p, const wagw_node_t *n);
sim_got_t *sim_peer_got(sim_peer_t *p, const char *id); /* the last of that id, or NULL */
unsigned sim_peer_count(sim_peer_t *p);
/* Ciphertext of the padded message for a device, from its bundle when there
 * is no session. */
void sim_peer_encrypt(sim_peer_t *p, sim_device_t *to, wagw_str_t message, wagw_buf_t *out, bool *prekey);
/* A message (protobuf JSON) to every companion of the account. attrs: pairs
 * for the stanza that replace the usual ones. */
void sim_peer_send(sim_peer_t *p, sim_account_t *to, const char *id, const char *json, ...) __attribute__((sentinel));
void sim_peer_send_bytes(sim_peer_t *p, sim_account_t *to, const char *id, wagw_str_t message,
                         const char *const *attrs);
void sim_peer_forget(sim_peer_t *p, sim_device_t *to); /* its session with the device */
/* The bundle of a retry receipt (or a fresh one of the server) makes a new session. */
void sim_peer_process(sim_peer_t *p, sim_device_t *to, const wagw_bundle_t *b);
wagw_str_t sim_message_bytes(wagw_arena_t *a, const char *json);

/* ---- as vectors write it (client_vector.c) ------------------------------------------ */

wagw_node_t *sim_node_of(wagw_arena_t *a, const cJSON *json);
/* All attributes of one, none more; skip: name of one that may differ. */
bool sim_same_attrs(const wagw_node_t *have, const wagw_node_t *want, const char *skip);
/* A message as wagw_message_json writes it, without secrets and times. */
cJSON *sim_canonical(const cJSON *message);
/* An edit inside editedMessage, as the pages want it; edit false: a copy. */
cJSON *sim_wrap_edit(const cJSON *message, bool edit);
void sim_replace_text(cJSON *o, const char *from, const char *to);
/* {private, public}; a public key may have its type byte. */
void sim_public_key(const cJSON *o, uint8_t pub[32]);
void sim_keypair(const cJSON *o, wagw_keypair_t *kp);
/* signed_prekey and prekeys: into records, and as a bundle. */
int sim_put_keys(wagw_signal_t *s, void *json);
void sim_fill_device(sim_device_t *d, const cJSON *o);
/* An account whose devices are those of the list, each a scripted one. */
sim_account_t *sim_vector_account(sim_t *w, const cJSON *devices);

#endif
