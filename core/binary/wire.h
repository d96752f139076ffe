/* Tag bytes and limits of the node codec (protocol 02 sections 2 and 7).
 * Internal to core/binary. */

#ifndef WAGW_WIRE_H
#define WAGW_WIRE_H

enum {
    WIRE_LIST_EMPTY = 0,
    WIRE_DICT_0 = 236,
    WIRE_DICT_3 = 239,
    WIRE_INTEROP_JID = 245,
    WIRE_FB_JID = 246,
    WIRE_AD_JID = 247,
    WIRE_LIST_8 = 248,
    WIRE_LIST_16 = 249,
    WIRE_JID_PAIR = 250,
    WIRE_HEX_8 = 251,
    WIRE_BINARY_8 = 252,
    WIRE_BINARY_20 = 253,
    WIRE_BINARY_32 = 254,
    WIRE_NIBBLE_8 = 255
};

#define WIRE_FLAG_ZLIB 0x02
#define WIRE_PLAIN_MAX (16u << 20)
#define WIRE_DEPTH_MAX 64
#define WIRE_NODES_MAX 200000
#define WIRE_LIST_MAX 65535
/* Not in the page: keep the search for repeated keys and the memory for
 * attributes in bounds.  Real stanzas stay below 30 per node. */
#define WIRE_ATTRS_MAX 512
#define WIRE_MEMORY_MAX (64u << 20)
/* The server of a JID may be written as a JID itself (the vectors do). */
#define WIRE_JID_NEST_MAX 4

/* Domain types of AD_JID. */
#define WIRE_DOMAIN_PN 0
#define WIRE_DOMAIN_LID 1
#define WIRE_DOMAIN_HOSTED 128
#define WIRE_DOMAIN_HOSTED_LID 129

#define WIRE_PACKED_MAX 127

#endif
