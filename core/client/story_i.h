/*
 * core/client: status posts, as the other files use them (story.c; 04 section
 * 10, 11 sections 6 and 12; contract 3.8).  Part of client_i.h.
 */

#ifndef WAGW_CLIENT_STORY_I_H
#define WAGW_CLIENT_STORY_I_H

#include "client_i.h"

#define WAGW_STORY_LIFE_MS 86400000 /* nobody sees them longer */

typedef enum { WAGW_STORY_CONTACTS = 0, WAGW_STORY_ALLOW, WAGW_STORY_DENY } wagw_story_mode_t;

typedef struct {
    wagw_story_mode_t mode;
    wagw_jid_t *jids; /* of ALLOW and DENY, any form */
    size_t n;
    bool synced;      /* from app state, which tells of every change */
    int64_t asked_ms; /* else: when the server was asked, 0 never */
    int64_t tidy;     /* day up to which old audiences were dropped */
} wagw_story_privacy_t;

int wagw_story_privacy(wagw_turn_t *t, wagw_story_privacy_t *p); /* as stored */
int wagw_story_answer(wagw_turn_t *t, const wagw_node_t *iq);    /* stores what the server says */
const char *wagw_story_mode_name(wagw_story_mode_t mode);        /* contract 3.8 */
int wagw_story_command(wagw_turn_t *t, uint64_t command, wagw_cmd_t cmd, const cJSON *params);
/* The list came with app state. */
int wagw_story_synced(wagw_turn_t *t, wagw_story_mode_t mode, char *const *jids, size_t n);
/* What the server said of it may be outdated. */
int wagw_story_doubt(wagw_turn_t *t);
/* *may: the device's owner is in the audience of our post, and it is still shown. */
int wagw_story_may_have(wagw_turn_t *t, const wagw_row_message_t *row, const wagw_jid_t *device, bool *may);
/* The server knows the devices of the audience otherwise than we: they are asked for again. */
int wagw_story_stale(wagw_turn_t *t, const wagw_row_message_t *row);

#endif
