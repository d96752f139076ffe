/* core/message: what the builders of build.c and compose.c share. */

#ifndef WAGW_MESSAGE_DRAFT_H
#define WAGW_MESSAGE_DRAFT_H

#include "internal.h"

typedef struct {
    wagw_arena_t *a;
    const wagw_build_t *b;
    wagw_built_t *out;
    const char **field; /* names the culprit of WAGW_MALFORMED */
    Wa__Message *m;     /* under construction */
    bool no_secret;     /* reactions and votes carry none */
    bool sealed;        /* m is complete: no context info is added */
    uint32_t add_on;    /* messageAddOnDurationInSecs */
    bool has_add_on;
    const char *body; /* in place of what the content says */
} wagw_draft_t;

/* Everything lives in the arena, so an early return leaks nothing. */
#define WAGW_DRAFT_NEW(d, var, lower)                                                                                  \
    do {                                                                                                               \
        (var) = WAGW_PB_NEW((d)->a, lower);                                                                            \
        if ((var) == NULL) {                                                                                           \
            return WAGW_NOMEM;                                                                                         \
        }                                                                                                              \
    } while (0)

/* A REST field: the first of the given names that is there; NULL-terminated. */
const cJSON *wagw_draft_get(const wagw_draft_t *d, const char *name, const char *alias);
const char *wagw_draft_str(const wagw_draft_t *d, const char *name, const char *alias);
int wagw_draft_bad(const wagw_draft_t *d, const char *field); /* WAGW_MALFORMED */
/* Arena copy; WAGW_NOMEM. */
int wagw_draft_dup(const wagw_draft_t *d, char **out, const char *s);
int wagw_draft_jid(const wagw_draft_t *d, char **out, const wagw_jid_t *j);
/* Base64 of a string member, when it is there. */
int wagw_draft_base64(const wagw_draft_t *d, const cJSON *item, const char *field, protobuf_c_boolean *has,
                      ProtobufCBinaryData *out);
/* Key of the target (05 section 3.1). */
int wagw_draft_key(const wagw_draft_t *d, Wa__MessageKey **out);
/* Quote, mentions and timer; *out stays NULL when none is wanted. */
int wagw_draft_context(const wagw_draft_t *d, Wa__ContextInfo **out);
/* The caller's text, with each mention written as the name that clients look
 * for: `@<user of the resolved jid>`. */
int wagw_draft_text(const wagw_draft_t *d, const char *text, char **out);

/* Where a content keeps its context info; NULL when it can have none. */
Wa__ContextInfo **wagw_draft_context_slot(ProtobufCMessage *sub);
/* A Message with only the content of an opened one. */
Wa__Message *wagw_draft_only_content(wagw_arena_t *a, const wagw_open_t *o);

/* compose.c: the kinds that make a new content. */
int wagw_compose(wagw_draft_t *d);
/* special.c: everything that is not a text. */
int wagw_compose_special(wagw_draft_t *d);
/* media.c */
int wagw_compose_media(wagw_draft_t *d);
/* "#RRGGBB" or "#RRGGBBAA" as 0xAARRGGBB. */
int wagw_compose_colour(const wagw_draft_t *d, const char *s, uint32_t *argb);
int wagw_compose_album(wagw_draft_t *d);
int wagw_compose_thumbnail(const wagw_draft_t *d, const cJSON *from, Wa__Message__ExtendedTextMessage *x);
/* response.c: the answer to an event; its cancellation. */
int wagw_compose_response(wagw_draft_t *d);
int wagw_compose_cancel(wagw_draft_t *d);
/* commerce.c, raw.c */
int wagw_compose_product(wagw_draft_t *d);
int wagw_compose_raw(wagw_draft_t *d);
/* choice.c: lists and buttons. */
int wagw_compose_choice(wagw_draft_t *d);
/* native_flow name of its <biz> node, or NULL. */
const char *wagw_choice_biz(const wagw_open_t *o);

#endif
