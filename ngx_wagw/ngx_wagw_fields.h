/*
 * Parameters of REST calls: the types of the field tables, and checking an
 * object against one.  No nginx: the unit tests and a fuzz target use it too.
 */

#ifndef NGX_WAGW_FIELDS_H
#define NGX_WAGW_FIELDS_H

#include "../core/base/base.h"

#include <cjson/cJSON.h>

#pragma GCC visibility push(hidden)

typedef enum {
    NGX_WAGW_T_STR = 1,
    NGX_WAGW_T_INT,
    NGX_WAGW_T_NUM,
    NGX_WAGW_T_BOOL,
    NGX_WAGW_T_JID,
    NGX_WAGW_T_PHONE,
    NGX_WAGW_T_URL,
    NGX_WAGW_T_ISO,
    NGX_WAGW_T_OBJ,
    NGX_WAGW_T_ARR,
    NGX_WAGW_T_STRS /* [str] */,
    NGX_WAGW_T_JIDS /* [jid] */,
    NGX_WAGW_T_ENUM,
    NGX_WAGW_T_ANY,
    NGX_WAGW_T_GROUP /* a JID that must be a group's; bare ids are groups here */
} ngx_wagw_type_t;

typedef struct {
    const char *name; /* canonical */
    ngx_wagw_type_t type;
    unsigned required : 1;
    unsigned nullable : 1;
    const char *alias;   /* accepted instead, or NULL */
    double min, max;     /* numbers; lengths in characters of strings; items of arrays; 0,0 = none */
    const char *choices; /* ENUM: "a|b|c" */
    const char *dflt;    /* text of the default, or NULL */
    const char *help;
} ngx_wagw_field_t;

/* How parameters arrive in call->params: JID and JIDS as
 * canonical text ("621@s.whatsapp.net", "x@lid", "y@g.us", no device); PHONE as
 * bare digits, or "x@lid" when a LID was given; ENUM in the spelling of the
 * table; query and form values converted to the field's type; null = absent
 * unless the field is nullable; fields not in the table are kept as they are. */

/* Checks and completes params.  WAGW_OK; WAGW_MALFORMED with the error code of
 * contract 1.6 and the details JSON appended; WAGW_NOMEM. */
int ngx_wagw_fields_check(const ngx_wagw_field_t *fields, cJSON *params, const char **code, wagw_buf_t *details);
/* A query or form value in its field's type; a string when it does not fit. */
cJSON *ngx_wagw_fields_value(const ngx_wagw_field_t *fields, const char *name, const char *value);

/* An http or https address with a host, as NGX_WAGW_T_URL takes it. */
bool ngx_wagw_fields_url_ok(const char *s);

/* Strict JSON (ngx_wagw_json.c): grammar, UTF-8, depth, number of values. */
#define NGX_WAGW_JSON_DEPTH 100
#define NGX_WAGW_JSON_VALUES 100000

typedef enum {
    NGX_WAGW_JSON_OK = 0,
    NGX_WAGW_JSON_SYNTAX,
    NGX_WAGW_JSON_DEEP,
    NGX_WAGW_JSON_MANY,
    NGX_WAGW_JSON_UTF8,
    NGX_WAGW_JSON_NUL /* a string holds \u0000 */
} ngx_wagw_json_rc_t;

ngx_wagw_json_rc_t ngx_wagw_json_check(const uint8_t *p, size_t n);

/* The tables (ngx_wagw_routes_fields.c), each ended by name NULL. */
extern const ngx_wagw_field_t ngx_wagw_fields_none[];
extern const ngx_wagw_field_t ngx_wagw_fields_key_create[];
extern const ngx_wagw_field_t ngx_wagw_fields_keys_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_key_update[];
extern const ngx_wagw_field_t ngx_wagw_fields_instance_create[];
extern const ngx_wagw_field_t ngx_wagw_fields_instance_update[];
extern const ngx_wagw_field_t ngx_wagw_fields_instance_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_instance_qr[];
extern const ngx_wagw_field_t ngx_wagw_fields_instance_delete[];
extern const ngx_wagw_field_t ngx_wagw_fields_pairing_code[];
extern const ngx_wagw_field_t ngx_wagw_fields_webhook_put[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_text[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_image[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_file[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_voice[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_audio[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_video[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_sticker[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_media[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_video_note[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_media[];
extern const ngx_wagw_field_t ngx_wagw_fields_media_convert[];
extern const ngx_wagw_field_t ngx_wagw_fields_media_upload[];
extern const ngx_wagw_field_t ngx_wagw_fields_media_download[];
extern const ngx_wagw_field_t ngx_wagw_fields_forward[];
extern const ngx_wagw_field_t ngx_wagw_fields_link_preview[];
extern const ngx_wagw_field_t ngx_wagw_fields_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_buttons[];
extern const ngx_wagw_field_t ngx_wagw_fields_poll[];
extern const ngx_wagw_field_t ngx_wagw_fields_poll_vote[];
extern const ngx_wagw_field_t ngx_wagw_fields_location[];
extern const ngx_wagw_field_t ngx_wagw_fields_live_location[];
extern const ngx_wagw_field_t ngx_wagw_fields_contact_send[];
extern const ngx_wagw_field_t ngx_wagw_fields_event[];
extern const ngx_wagw_field_t ngx_wagw_fields_event_send[];
extern const ngx_wagw_field_t ngx_wagw_fields_event_respond[];
extern const ngx_wagw_field_t ngx_wagw_fields_event_cancel[];
extern const ngx_wagw_field_t ngx_wagw_fields_product[];
extern const ngx_wagw_field_t ngx_wagw_fields_raw[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_send[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_pinned[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_media[];
extern const ngx_wagw_field_t ngx_wagw_fields_bulk[];
extern const ngx_wagw_field_t ngx_wagw_fields_send_template[];
extern const ngx_wagw_field_t ngx_wagw_fields_template_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_template_create[];
extern const ngx_wagw_field_t ngx_wagw_fields_template_update[];
extern const ngx_wagw_field_t ngx_wagw_fields_template_render[];
extern const ngx_wagw_field_t ngx_wagw_fields_template_send[];
extern const ngx_wagw_field_t ngx_wagw_fields_schedule_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_schedule_create[];
extern const ngx_wagw_field_t ngx_wagw_fields_schedule_update[];
extern const ngx_wagw_field_t ngx_wagw_fields_status_text[];
extern const ngx_wagw_field_t ngx_wagw_fields_status_image[];
extern const ngx_wagw_field_t ngx_wagw_fields_status_voice[];
extern const ngx_wagw_field_t ngx_wagw_fields_status_video[];
extern const ngx_wagw_field_t ngx_wagw_fields_status_delete[];
extern const ngx_wagw_field_t ngx_wagw_fields_status_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_status_privacy[];
extern const ngx_wagw_field_t ngx_wagw_fields_settings[];
extern const ngx_wagw_field_t ngx_wagw_fields_rate_limit[];
extern const ngx_wagw_field_t ngx_wagw_fields_webhook_delete[];
extern const ngx_wagw_field_t ngx_wagw_fields_pin[];
extern const ngx_wagw_field_t ngx_wagw_fields_keep[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_pin_message[];
extern const ngx_wagw_field_t ngx_wagw_fields_ephemeral[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_search[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_put[];
extern const ngx_wagw_field_t ngx_wagw_fields_seen[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat[];
extern const ngx_wagw_field_t ngx_wagw_fields_typing_state[];
extern const ngx_wagw_field_t ngx_wagw_fields_typing[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_presence[];
extern const ngx_wagw_field_t ngx_wagw_fields_presence_set[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_picture[];
extern const ngx_wagw_field_t ngx_wagw_fields_phone_picture[];
extern const ngx_wagw_field_t ngx_wagw_fields_presence_get[];
extern const ngx_wagw_field_t ngx_wagw_fields_call_reject[];
extern const ngx_wagw_field_t ngx_wagw_fields_calls[];
extern const ngx_wagw_field_t ngx_wagw_fields_profile_status[];
extern const ngx_wagw_field_t ngx_wagw_fields_profile_picture[];
extern const ngx_wagw_field_t ngx_wagw_fields_privacy[];
extern const ngx_wagw_field_t ngx_wagw_fields_business[];
extern const ngx_wagw_field_t ngx_wagw_fields_business_put[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_picture_get[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_picture_put[];
extern const ngx_wagw_field_t ngx_wagw_fields_reaction[];
extern const ngx_wagw_field_t ngx_wagw_fields_reaction_delete[];
extern const ngx_wagw_field_t ngx_wagw_fields_edit[];
extern const ngx_wagw_field_t ngx_wagw_fields_revoke[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_chats[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_all[];
extern const ngx_wagw_field_t ngx_wagw_fields_message_delete[];
extern const ngx_wagw_field_t ngx_wagw_fields_star[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_mute[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_delete[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_clear[];
extern const ngx_wagw_field_t ngx_wagw_fields_contact_update[];
extern const ngx_wagw_field_t ngx_wagw_fields_contact_put[];
extern const ngx_wagw_field_t ngx_wagw_fields_profile_name[];
extern const ngx_wagw_field_t ngx_wagw_fields_history_sync[];
extern const ngx_wagw_field_t ngx_wagw_fields_label_create[];
extern const ngx_wagw_field_t ngx_wagw_fields_label_update[];
extern const ngx_wagw_field_t ngx_wagw_fields_labels_set[];
extern const ngx_wagw_field_t ngx_wagw_fields_chats_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_messages[];
extern const ngx_wagw_field_t ngx_wagw_fields_chats_read[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_message_delete[];
extern const ngx_wagw_field_t ngx_wagw_fields_chat_message_put[];
extern const ngx_wagw_field_t ngx_wagw_fields_contacts_all[];
extern const ngx_wagw_field_t ngx_wagw_fields_contact[];
extern const ngx_wagw_field_t ngx_wagw_fields_phone[];
extern const ngx_wagw_field_t ngx_wagw_fields_phones[];
extern const ngx_wagw_field_t ngx_wagw_fields_lids[];
extern const ngx_wagw_field_t ngx_wagw_fields_lid[];
extern const ngx_wagw_field_t ngx_wagw_fields_groups_list[];
extern const ngx_wagw_field_t ngx_wagw_fields_group[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_create[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_code[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_accept_message[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_name[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_subject[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_description[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_members[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_settings[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_restrict[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_announce[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_export[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_send[];
extern const ngx_wagw_field_t ngx_wagw_fields_group_invite[];
extern const ngx_wagw_field_t ngx_wagw_fields_webhook_test[];
extern const ngx_wagw_field_t ngx_wagw_fields_webhook_logs[];
extern const ngx_wagw_field_t ngx_wagw_fields_webhook_stats[];
extern const ngx_wagw_field_t ngx_wagw_fields_webhook_prune[];

#pragma GCC visibility pop

#endif
