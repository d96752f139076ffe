/*
 * Groups of the sandbox: model, w:g2 requests, w:gp2 notifications, relay,
 * and the mock phones' sender keys (protocol 09, 04 section 9).
 */

#ifndef WAGW_SANDBOX_GROUP_H
#define WAGW_SANDBOX_GROUP_H

#include "sandbox.h"

#define SBX_GROUP_SUBJECT_MAX 100
#define SBX_GROUP_MEMBERS_MAX 1024

typedef enum { SBX_MEMBER = 0, SBX_ADMIN, SBX_OWNER } sbx_role_t;

typedef struct {
    sbx_account_t *account;
    uint8_t role; /* sbx_role_t */
    bool rotate;  /* the phone makes its sender key anew before it writes */
} sbx_member_t;

typedef struct {
    sbx_account_t *account;
    int64_t t;
    const char *method; /* static */
} sbx_join_t;

struct sbx_group_s {
    sbx_group_t *next;
    char id[24]; /* user part of the JID */
    bool lid;    /* addressing mode */
    bool announce;
    bool locked;
    bool admin_add; /* only admins add members */
    bool approval;  /* joining by link waits for an admin */
    uint32_t ephemeral;
    char *subject;
    int64_t subject_t;
    sbx_account_t *subject_by;
    char *desc; /* NULL: none */
    char *desc_id;
    int64_t desc_t;
    sbx_account_t *desc_by;
    int64_t creation;
    sbx_account_t *creator;
    char code[24];
    sbx_picture_t picture;
    uint64_t version; /* of the list of participants */
    sbx_member_t *members;
    uint32_t nmembers;
    sbx_join_t *joins; /* requests to join */
    uint32_t njoins;
    /* "sender>receiver" (signal keys) -> id of the sender key that was last
     * distributed between these devices, as pointer value; SBX_ANY_KEY: by a
     * resend, whose content the server cannot see */
    sbx_map_t given;
};

/* ---- group.c: the model and its nodes ---- */

sbx_group_t *sbx_group_first(void); /* in the order of creation */
sbx_group_t *sbx_group_id(const char *user);
/* JID, or subject. */
sbx_group_t *sbx_group_find(const char *text);
wagw_jid_t sbx_group_jid(const sbx_group_t *g);
sbx_member_t *sbx_group_member(const sbx_group_t *g, const sbx_account_t *a);
void sbx_group_member_add(sbx_group_t *g, sbx_account_t *a, sbx_role_t role);
void sbx_group_member_drop(sbx_group_t *g, const sbx_account_t *a);
sbx_join_t *sbx_group_join_of(const sbx_group_t *g, const sbx_account_t *a);
void sbx_group_join_add(sbx_group_t *g, sbx_account_t *a, const char *method);
void sbx_group_join_drop(sbx_group_t *g, const sbx_account_t *a);
sbx_group_t *sbx_group_make(sbx_account_t *creator, const char *subject, bool lid);
void sbx_group_new_code(sbx_group_t *g);
void sbx_group_delete(sbx_group_t *g);
/* Attribute with a person in the group's form; the other form as key_pn / key_lid. */
void sbx_group_person(wagw_arena_t *a, wagw_node_t *n, const char *key, const char *other_pn, const char *other_lid,
                      const sbx_account_t *acc, bool lid);
/* <participant> with both forms. */
wagw_node_t *sbx_group_participant(wagw_arena_t *a, wagw_node_t *parent, const sbx_account_t *acc, bool lid);
/* <group>, complete or (`brief`) as somebody sees it who is no member. */
void sbx_group_node(wagw_arena_t *a, wagw_node_t *parent, const sbx_group_t *g, bool brief);
/* The w:gp2 notification to the companions of every member, or of `only`. */
void sbx_group_notify(sbx_group_t *g, const sbx_account_t *actor, const sbx_account_t *only, const wagw_node_t *child);
/* Every member's phone makes its key anew: somebody or a device went. */
void sbx_group_rotate(sbx_group_t *g);

/* ---- group_op.c: what members do ---- */

/* Each answers 0, or the code of an iq error; `out` gets the answer's content. */
int sbx_group_create(sbx_account_t *by, const wagw_node_t *create, bool lid, wagw_arena_t *a, wagw_node_t *out,
                     sbx_group_t **made);
int sbx_group_get(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a, wagw_node_t *out);
int sbx_group_set(sbx_group_t *g, sbx_account_t *by, const wagw_node_t *op, wagw_arena_t *a, wagw_node_t *out);
int sbx_group_leave(sbx_account_t *by, const wagw_node_t *leave, wagw_arena_t *a, wagw_node_t *out);
int sbx_group_by_code(sbx_account_t *by, wagw_str_t code, bool join, wagw_arena_t *a, wagw_node_t *out);
void sbx_group_participating(sbx_account_t *by, wagw_arena_t *a, wagw_node_t *out);

/* ---- group_relay.c ---- */

#define SBX_ANY_KEY ((void *)~(uintptr_t)0)

/* "sender>receiver" for `given`. */
void sbx_group_pair(char out[2 * WAGW_KEY_MAX], const sbx_device_t *from, const sbx_device_t *to);
/* Copies of a group message to every device of every member but the sending one. */
void sbx_group_fanout(sbx_group_t *g, sbx_device_t *from, const wagw_node_t *n);
/* One copy, for one device. */
void sbx_group_copy(sbx_group_t *g, sbx_device_t *from, sbx_device_t *to, const wagw_node_t *n, const wagw_node_t *encs,
                    const wagw_node_t *all);

/* A message in a chat of several, where authors are named by LID or by number:
 * what one device gets, and what all do (either may be NULL); mode: with addressing_mode. */
void sbx_shared_copy(const wagw_jid_t *chat, bool lid, bool mode, sbx_device_t *from, sbx_device_t *to,
                     const wagw_node_t *n, const wagw_node_t *encs, const wagw_node_t *all);

/* ---- group_phone.c ---- */

/* Message{senderKeyDistributionMessage}, or `message` with it; the chat as text. */
int sbx_phone_with_skdm(sbx_account_t *from, const char *group, wagw_str_t message, wagw_buf_t *out, uint32_t *id);
/* An skmsg of the padded message. */
int sbx_phone_seal(sbx_account_t *from, const char *group, wagw_str_t message, wagw_buf_t *out);

int sbx_group_phone_send(sbx_account_t *from, sbx_group_t *g, wagw_str_t message, const sbx_send_how_t *how,
                         char id[64]);

/* ---- status.c ---- */

/* To the devices of the audience (names; NULL: everybody who is linked), and to
 * the own companions; chat may also be a broadcast list. */
int sbx_status_send(sbx_account_t *from, const char *chat, const cJSON *audience, wagw_str_t message,
                    const sbx_send_how_t *how, char id[64]);
int sbx_status_resend(sbx_account_t *from, const char *chat, const char *type, const char *id, wagw_str_t message,
                      sbx_device_t *d, const wagw_bundle_t *given, unsigned count);

#endif
