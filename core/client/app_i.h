/*
 * core/client: what the files about app state and history share.
 *
 *   app.c          fetching, keys; app_upload.c  changes: one request at a time
 *   app_peer.c     keys for other companions, the phone's copies
 *   app_apply.c    what a verified mutation does to rows, credentials, events
 *   app_change.c   REST commands as changes
 *   history.c      chunks announced by the phone, worked off in slices
 *   history_apply.c  their entries as rows
 *
 * What must be fetched is a record (META "app"), written in the turn that
 * learnt of it: a restart forgets nothing.
 */

#ifndef WAGW_CLIENT_APP_I_H
#define WAGW_CLIENT_APP_I_H

#include "client_i.h"

#include "../appstate/appstate.h"
#include "../history/history.h"
#include "wa.pb-c.h"

/* META "app" */
typedef struct {
    uint32_t dirty;   /* collections to be fetched, a bit each */
    uint32_t fresh;   /* of those with a snapshot */
    uint32_t blocked; /* wait for a key */
    uint32_t known;   /* were answered once, be it with nothing: what comes later is news */
    int64_t expired;  /* keys up to this epoch make no patches */
    bool unarchive;   /* a new message takes a chat out of the archive */
} wagw_app_meta_t;

int wagw_app_meta(wagw_turn_t *t, wagw_app_meta_t *m);
int wagw_app_meta_put(wagw_turn_t *t, const wagw_app_meta_t *m);

#define WAGW_APP_DO_MAX 24 /* changes of one command */

typedef struct {
    bool remove;
    int32_t version;
    wagw_str_t index; /* JSON */
    wagw_str_t value; /* SyncActionValue */
} wagw_app_do_t;

typedef struct wagw_app_job_s wagw_app_job_t;
struct wagw_app_job_s {
    uint64_t serial;
    uint64_t command; /* 0: nobody waits */
    wagw_app_collection_t c;
    unsigned n;
    wagw_app_do_t change[WAGW_APP_DO_MAX]; /* views behind the struct */
    const char *message;                   /* static */
    wagw_str_t data;                       /* JSON of the answer */
    unsigned tries;
    bool sent;
    uint64_t base; /* version it was built upon */
    wagw_buf_t patch;
    wagw_app_job_t *next;
};

/* An answer whose blobs are being fetched. */
typedef struct {
    wagw_app_collection_t c;
    wagw_buf_t node;
    unsigned want, have;
    wagw_buf_t blob[64];
} wagw_app_held_t;

struct wagw_app_s {
    bool busy; /* a request or its blobs are on the way */
    unsigned tries[WAGW_APP_COLLECTIONS];
    int64_t later[WAGW_APP_COLLECTIONS]; /* not fetched before */
    uint64_t serial;
    wagw_app_job_t *jobs, **jobs_last;
    wagw_app_held_t *held;
    uint64_t fetch; /* id of the blob that is on its way */
};

/* app.c, for the uploads */
uint32_t wagw_app_bit(wagw_app_collection_t c);
wagw_app_t *wagw_app_get(wagw_client_t *c); /* made when there is none; NULL without memory */
wagw_node_t *wagw_app_iq(wagw_turn_t *t, wagw_app_collection_t c, wagw_node_t **collection);
const wagw_node_t *wagw_app_answer(const wagw_node_t *iq, wagw_app_collection_t c);
/* The error of an answer or of its collection, 0 none. */
int wagw_app_answer_error(const wagw_node_t *iq, const wagw_node_t *collection, wagw_str_t *text);
const wagw_node_t *wagw_app_next_patch(const wagw_node_t *collection, const wagw_node_t *patch);
/* Applies an answer, now or once its blobs are here; ends the request. */
int wagw_app_take(wagw_turn_t *t, wagw_app_collection_t c, const wagw_node_t *n);
/* The request is over, others may follow; its collection after a pause. */
int wagw_app_idle(wagw_turn_t *t, wagw_app_collection_t c, int64_t pause);
void wagw_app_busy_then(wagw_client_t *c, void *arg);
void wagw_app_pump_then(wagw_client_t *c, void *arg);
int wagw_app_upload(wagw_turn_t *t, wagw_app_job_t *j, const wagw_app_meta_t *m);
void wagw_app_job_free(wagw_app_job_t *j);

/* Queues the changes once the turn succeeded. */
int wagw_app_queue(wagw_turn_t *t, uint64_t command, wagw_app_collection_t c, const wagw_app_do_t *change, unsigned n,
                   const char *message, wagw_str_t data);
/* Serialised value in the arena, with the time in it. */
wagw_str_t wagw_app_value(wagw_turn_t *t, Wa__SyncActionValue *v);

/* Asks the phone for a key that err names, at most once a day. */
int wagw_app_key_ask(wagw_turn_t *t, const wagw_app_error_t *err);
/* app_peer.c: the phone's copy of a collection that cannot be repaired. */
int wagw_app_copy_ask(wagw_turn_t *t, wagw_app_collection_t c);

/* app_apply.c.  emit: events too.  What has to be loaded is collected, not
 * waited for one by one: again says that the turn must run once more. */
typedef struct {
    wagw_turn_t *t;
    bool emit;
    wagw_app_meta_t *meta;
    int again;
} wagw_app_apply_t;

int wagw_app_apply(void *data, const wagw_app_mutation_t *m);
int wagw_label_apply(wagw_app_apply_t *a, const wagw_app_mutation_t *m, const Wa__SyncActionValue *v);
/* Takes the messages up to a time out of the store; the last thing a turn does to the chat. */
int wagw_app_clear(wagw_turn_t *t, wagw_str_t chat, int64_t until, bool keep_starred);

/* ---- history ---- */

struct wagw_hist_s {
    char key[96]; /* META record that announces it */
    wagw_buf_t zlib;
    wagw_history_t *stream;
    wagw_history_notice_t notice; /* its numbers: the views are gone */
    unsigned pass;                /* 0 check, 1 pairs, 2 everything else */
    bool end;                     /* of the pass */
    bool refused;
    bool missing; /* the hosts do not have it */
    uint64_t fetch;
    uint32_t chats, messages, slice_chats, slice_messages;
    /* the chat that the chunk's messages have just made: its state follows them.  Up to the last slice, and in this one
     */
    char fresh[WAGW_JID_TEXT_MAX], slice_fresh[WAGW_JID_TEXT_MAX];
    wagw_arena_t arena; /* the entries of the slice */
    wagw_history_item_t *items;
    size_t nitems;
    char own_user[WAGW_JID_TEXT_MAX]; /* first receipt of an own message of the conversation, pass 1 */
};

int wagw_history_apply(wagw_turn_t *t, wagw_hist_t *h, const wagw_history_item_t *it);

/* The index of a mutation as JSON text, in the arena; p NULL without memory. */
wagw_str_t wagw_app_index_text(wagw_turn_t *t, const wagw_str_t *part, size_t n);

/* A question to the phone: peerDataOperationRequestMessage (self.c; 05). */
struct Wa__Message__PeerDataOperationRequestMessage;
int wagw_peer_ask(wagw_turn_t *t, const struct Wa__Message__PeerDataOperationRequestMessage *req, const char *priority);

#endif
