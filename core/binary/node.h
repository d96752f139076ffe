/*
 * core/binary: the node codec (protocol 02).  Nodes live in an arena; decoded
 * strings point into the arena or into the caller's plaintext, which must
 * outlive them.  Building copies nothing unless said.
 */

#ifndef WAGW_NODE_H
#define WAGW_NODE_H

#include "../base/base.h"

typedef struct wagw_node_s wagw_node_t;
typedef struct wagw_attr_s wagw_attr_t;

struct wagw_attr_s {
    wagw_str_t key;
    wagw_str_t value; /* JIDs in text form */
    bool is_jid;      /* encode as JID (02 section 5); free text never */
    wagw_attr_t *next;
};

typedef enum {
    WAGW_CONTENT_NONE = 0,
    WAGW_CONTENT_NODES, /* possibly zero children */
    WAGW_CONTENT_BYTES,
    WAGW_CONTENT_TEXT /* goes through the string encoder */
} wagw_node_content_t;

struct wagw_node_s {
    wagw_str_t tag;
    wagw_attr_t *attrs; /* in wire order */
    wagw_attr_t *attrs_last;
    uint32_t nattrs;
    uint8_t content;    /* wagw_node_content_t */
    bool text_is_jid;   /* TEXT that is a JID */
    wagw_str_t data;    /* BYTES and TEXT */
    wagw_node_t *child; /* first child */
    wagw_node_t *last;
    uint32_t nchildren;
    wagw_node_t *next; /* sibling */
};

/* One frame's plaintext: flag byte, perhaps zlib, one node, nothing behind it.
 * Limits of 02 section 7.  WAGW_MALFORMED, WAGW_LIMIT, WAGW_NOMEM. */
int wagw_node_decode(wagw_node_t **out, wagw_arena_t *a, wagw_str_t plaintext);

/* Appends flag 0x00 and the node. */
int wagw_node_encode(wagw_buf_t *out, const wagw_node_t *n);

/* Building.  NULL nodes are passed through, so that a chain is checked once at
 * its end.  An attribute without a value (p == NULL, what wagw_node_get gives
 * for an absent one) is left out.  wagw_node() copies neither tag nor values. */
wagw_node_t *wagw_node(wagw_arena_t *a, const char *tag);
wagw_node_t *wagw_node_child(wagw_arena_t *a, wagw_node_t *parent, const char *tag); /* made and appended */
wagw_node_t *wagw_node_append(wagw_node_t *parent, wagw_node_t *child);              /* returns child */
/* value must outlive; returns n */
wagw_node_t *wagw_node_attr(wagw_arena_t *a, wagw_node_t *n, const char *key, wagw_str_t value);
wagw_node_t *wagw_node_attrc(wagw_arena_t *a, wagw_node_t *n, const char *key, const char *value);
wagw_node_t *wagw_node_attr_int(wagw_arena_t *a, wagw_node_t *n, const char *key, int64_t value);
/* copies */
wagw_node_t *wagw_node_attr_jid(wagw_arena_t *a, wagw_node_t *n, const char *key, const wagw_jid_t *jid);
wagw_node_t *wagw_node_attr_server(wagw_arena_t *a, wagw_node_t *n, const char *key); /* "@s.whatsapp.net" */
wagw_node_t *wagw_node_bytes(wagw_node_t *n, wagw_str_t data);
wagw_node_t *wagw_node_bytes_copy(wagw_arena_t *a, wagw_node_t *n, wagw_str_t data);
wagw_node_t *wagw_node_text(wagw_node_t *n, wagw_str_t text);
/* Deep copy into another arena. */
wagw_node_t *wagw_node_clone(wagw_arena_t *a, const wagw_node_t *n);

/* Reading. */
wagw_str_t wagw_node_get(const wagw_node_t *n, const char *key); /* absent: p == NULL */
bool wagw_node_has(const wagw_node_t *n, const char *key);
bool wagw_node_is(const wagw_node_t *n, const char *tag);
bool wagw_node_attr_is(const wagw_node_t *n, const char *key, const char *value);
/* WAGW_NOT_FOUND, WAGW_MALFORMED */
int wagw_node_get_u64(const wagw_node_t *n, const char *key, uint64_t *out);
int wagw_node_get_jid(const wagw_node_t *n, const char *key, wagw_jid_t *out); /* likewise */
const wagw_node_t *wagw_node_find(const wagw_node_t *n, const char *tag);      /* first child of that tag */
/* next sibling of that tag */
const wagw_node_t *wagw_node_find_next(const wagw_node_t *child, const char *tag);
wagw_str_t wagw_node_data(const wagw_node_t *n);  /* bytes or text; NULL node gives NULL */
bool wagw_attr_from_server(const wagw_node_t *n); /* from is the server JID, in either form */

/* Debug text `<tag a="b">…</tag>`, binary as hex capped at 64 bytes. */
int wagw_node_dump(wagw_buf_t *out, const wagw_node_t *n);

#endif
