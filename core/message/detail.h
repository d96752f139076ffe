/* core/message: shared by detail.c and detail_choice.c, the members of one content as JSON. */

#ifndef WAGW_MESSAGE_DETAIL_H
#define WAGW_MESSAGE_DETAIL_H

#include "internal.h"

#define WAGW_DETAIL_LIST 1000   /* members of one list that are shown */
#define WAGW_DETAIL_BYTES 65536 /* of an unknown message or of a button's parameters */

/* Absent and empty strings, and absent numbers, are left out. */
void wagw_detail_str(wagw_json_t *j, const char *key, const char *s);
void wagw_detail_uint(wagw_json_t *j, const char *key, const void *m, const char *name);

/* detail_choice.c: `list`, `buttons` and `reply`. */
void wagw_detail_list(wagw_json_t *j, const Wa__Message__ListMessage *l);
void wagw_detail_template(wagw_json_t *j, const Wa__Message__TemplateMessage__HydratedFourRowTemplate *h);
void wagw_detail_interactive(wagw_json_t *j, const Wa__Message__InteractiveMessage *im);
void wagw_detail_button_list(wagw_json_t *j, const Wa__Message__ButtonsMessage *b);
void wagw_detail_reply(wagw_json_t *j, const wagw_open_t *o);

#endif
