/*
 * What the files of the send path share: jobs.c (lists, answers), send.c (from
 * the command to the stanza), make.c (the message), acked.c (the server's
 * answer, and what is sent again after a login).
 */

#ifndef WAGW_SEND_I_H
#define WAGW_SEND_I_H

#include "client_i.h"

typedef enum { STEP_OVER = 0, STEP_PARKED, STEP_SENT } step_outcome_t;

typedef struct {
    wagw_job_t job; /* as it shall be from now on */
    bool queued;    /* it is in c->jobs already */
    step_outcome_t outcome;
    wagw_str_t chat; /* of a new direct message that was stored, else empty */
} step_t;

typedef struct {
    bool lid;           /* namespace of the stanza */
    wagw_group_t group; /* of a group message */
    wagw_jid_t to;      /* wire chat */
    wagw_jid_t self;
    wagw_jid_t canonical;
    wagw_str_t chat; /* its text */
    wagw_jid_t pn;   /* peer_recipient_pn */
    wagw_built_t built;
    uint32_t expiration;
    uint8_t secret[32];
    bool refused; /* answered already */
} wagw_made_t;

wagw_job_t *wagw_job_unlink(wagw_client_t *c, uint64_t serial);
wagw_job_t *wagw_unacked_find(wagw_client_t *c, wagw_str_t id);
wagw_job_t *wagw_unacked_unlink(wagw_client_t *c, wagw_str_t id);
void wagw_unacked_add(wagw_client_t *c, wagw_job_t *j);
void wagw_job_queue(wagw_client_t *c, wagw_job_t *j);
void wagw_job_free(wagw_client_t *c, wagw_job_t *j);
/* What an acknowledged job answers. */
int wagw_job_answer(wagw_turn_t *t, const wagw_job_t *job, const wagw_row_message_t *m);
/* The kind is about another message, which `messageId` names. */
bool wagw_job_aims(wagw_build_kind_t kind);
/* 400 that names the field. */
int wagw_job_field_error(wagw_turn_t *t, uint64_t command, const char *field, const char *reason);
/* Namespace, wire chat and canonical chat of a job (04 section 6.5). */
int wagw_job_namespace(wagw_turn_t *t, const wagw_job_t *job, wagw_made_t *m);
/* The message from the caller's fields; m->refused: answered already. */
int wagw_job_build(wagw_turn_t *t, wagw_job_t *job, wagw_made_t *m);
/* The message from its row, for a rebuild. */
void wagw_job_from_row(wagw_arena_t *a, wagw_made_t *m, const wagw_row_message_t *row);

/* One step of a message to a group or of a status post (group_send.c); 04 sections 9 and 10. */
int wagw_job_group_step(wagw_turn_t *t, step_t *s);
/*
 * The audience of a status post, in m->group with our own user behind it.
 * old: its row, for a rebuild, else NULL.  PARKED while something is asked
 * for; m->refused: answered (nobody: 422).
 */
int wagw_story_members(wagw_turn_t *t, step_t *s, wagw_made_t *m, const wagw_row_message_t *old);
/* Keeps it with the post, in the turn that stores the row. */
int wagw_story_audience_put(wagw_turn_t *t, const wagw_job_t *job, const wagw_made_t *m);
/* Shared by both kinds: composing first, the row. */
int wagw_job_typing(wagw_turn_t *t, step_t *s, const wagw_made_t *m);
int wagw_job_store(wagw_turn_t *t, wagw_job_t *job, const wagw_made_t *m, const wagw_row_message_t *old,
                   wagw_str_t stanza);
int wagw_job_resume(wagw_turn_t *t, step_t *s, const wagw_row_message_t *row);
int wagw_job_devices_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial);
int wagw_job_bundles_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial);
int wagw_job_group_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial);
int wagw_job_story_asked(wagw_turn_t *t, const wagw_node_t *node, uint64_t serial);

#endif
