/*
 * Presence, calls, the account and its contacts: what the files of the engine
 * share of them.
 */

#ifndef WAGW_CLIENT_ACCOUNT_I_H
#define WAGW_CLIENT_ACCOUNT_I_H

#include "client_i.h"

/* ---- presence (presence.c; 11 section 9) -------------------------------------------------------- */

typedef struct wagw_presence_s wagw_presence_t;
typedef struct wagw_presence_wait_s wagw_presence_wait_t;

int wagw_presence_send(wagw_turn_t *t, bool available);
int wagw_receive_presence(wagw_turn_t *t, const wagw_node_t *n); /* presence and chatstate */
int wagw_chatstate_command(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_str_t state,
                           const char *message);
int wagw_presence_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_presence_subscribe_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_presence_get_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_presences_command(wagw_turn_t *t, uint64_t command);
int wagw_presence_again(wagw_turn_t *t, uint64_t unused); /* after a login: subscribes as before */
/* Those who waited long enough get what there is: nothing.  all: everybody. */
void wagw_presence_tick(wagw_client_t *c, bool all);
bool wagw_presence_unwait(wagw_client_t *c, uint64_t command);
void wagw_presence_free(wagw_client_t *c);

/* ---- calls (call.c; 11 section 11) ---------------------------------------------------------------- */

int wagw_receive_call(wagw_turn_t *t, const wagw_node_t *n);
int wagw_call_reject_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_calls_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_calls_due(wagw_turn_t *t, uint64_t unused); /* after a login: texts to those who were declined */

/* ---- the account and its contacts (account.c, profile.c; 11 sections 1 to 8, 14) ----------------- */

typedef enum { /* server properties that are used, as bits */
               WAGW_PROP_TOKEN_CHATS = 1,
               WAGW_PROP_TOKEN_PICTURES = 2,
               WAGW_PROP_TOKEN_TO_LID = 4,
               WAGW_PROPS_DEFAULT = 3,
               WAGW_PROPS_READ = 128 /* the others are what was stored */
} wagw_prop_t;

bool wagw_prop(const wagw_client_t *c, unsigned bit);
int wagw_account_begin(wagw_turn_t *t, uint64_t unused); /* after a login */
int wagw_blocklist_notified(wagw_turn_t *t, const wagw_node_t *blocklist);
int wagw_privacy_seen(wagw_turn_t *t, const wagw_node_t *privacy); /* readreceipts */
/* The contact as stored, its two forms filled in; WAGW_NOT_FOUND: only those. */
int wagw_turn_contact(wagw_turn_t *t, const wagw_jid_t *jid, wagw_row_contact_t *c);
/* contact.update with one more member: JSON, or a text. */
int wagw_contact_event(wagw_turn_t *t, const wagw_row_contact_t *c, const char *key, wagw_str_t json);
int wagw_contact_event_text(wagw_turn_t *t, const wagw_row_contact_t *c, const char *key, wagw_str_t text);

int wagw_block_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_blocklist_command(wagw_turn_t *t, uint64_t command);
int wagw_picture_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_picture_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_about_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_about_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_privacy_command(wagw_turn_t *t, uint64_t command);
int wagw_privacy_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_disappearing_command(wagw_turn_t *t, uint64_t command);
int wagw_qr_link_command(wagw_turn_t *t, uint64_t command);
int wagw_business_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_business_set_command(wagw_turn_t *t, uint64_t command, const cJSON *params);

#endif
