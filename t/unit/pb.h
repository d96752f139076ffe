/* Protobuf bytes by hand, for messages that no encoder would write. */

#ifndef UNIT_PB_H
#define UNIT_PB_H

#include "../../core/base/base.h"

static inline void put_varint(wagw_buf_t *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        wagw_buf_u8(b, (uint8_t)(v | 0x80));
    }
    wagw_buf_u8(b, (uint8_t)v);
}

/* length-delimited */
static inline void put_field(wagw_buf_t *b, uint32_t num, wagw_str_t v)
{
    put_varint(b, (uint64_t)num << 3 | 2);
    put_varint(b, v.n);
    wagw_buf_str(b, v);
}

#endif
