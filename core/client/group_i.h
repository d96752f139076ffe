/*
 * Commands about groups: what group_admin.c, group_members.c and group_json.c
 * share.  Contract 3.6; 09; 12 section 5.
 */

#ifndef WAGW_GROUP_I_H
#define WAGW_GROUP_I_H

#include "client_i.h"

/* An answer came, and it is a result. */
static inline bool wagw_iq_ok(const wagw_node_t *node)
{
    return node != NULL && wagw_iq_error(node, NULL) == 0;
}

/* A person as callers see one. */
typedef struct {
    wagw_jid_t jid; /* phone form when known, else the LID; may be empty */
    wagw_jid_t lid; /* empty when not known */
} wagw_group_person_t;

int wagw_group_person(wagw_turn_t *t, const wagw_jid_t *jid, wagw_group_person_t *p);
/* lid and phoneNumber, as far as they are known, into an open object. */
void wagw_group_person_json(wagw_turn_t *t, wagw_json_t *j, const wagw_group_person_t *p);

/* The group object of contract 3.6, left open for more members; WAGW_AGAIN has written nothing. */
int wagw_group_json(wagw_turn_t *t, wagw_json_t *j, const wagw_jid_t *id, const wagw_group_t *g, bool members);

/* Answers a command by a failed iq (node NULL: no answer came); command 0: nobody waits. */
int wagw_group_failed(wagw_turn_t *t, uint64_t command, const wagw_node_t *node);
/* 200 (or status) with data, which is freed; data NULL: {}. */
int wagw_group_ok(wagw_turn_t *t, uint64_t command, int status, wagw_buf_t *data, const char *message);
/* groupId of the command; left empty when 400 was answered. */
int wagw_group_param(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_jid_t *group);

/* Results per participant (09 section 5): what was asked for in `asked`, answered by the <participant>s of n. */
int wagw_group_results(wagw_turn_t *t, wagw_json_t *j, const cJSON *asked, const wagw_node_t *n);
/* Adds <participant>s for the names; as: in which form members are named. */
typedef enum { WAGW_GROUP_AS_GIVEN, WAGW_GROUP_AS_LISTED } wagw_group_as_t;
int wagw_group_name_members(wagw_turn_t *t, wagw_node_t *n, const cJSON *names, const wagw_group_t *g,
                            wagw_group_as_t as);

int wagw_group_members_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_group_requests_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_group_decide_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_group_leave_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_group_settings_command(wagw_turn_t *t, uint64_t command, const cJSON *params);
int wagw_group_description(wagw_turn_t *t, uint64_t command, const cJSON *params);

#endif
