/* The dictionary of the node codec.  Internal to core/binary and its tests. */

#ifndef WAGW_TOKEN_H
#define WAGW_TOKEN_H

#include "../base/base.h"

/* Numbers: 1..235 the single bytes, 236 + 256 * d + i byte i of dictionary d.
 * Words are static memory.  p == NULL: there is no such token. */
wagw_str_t wagw_token_word(unsigned number);
/* 0: the word is no token. */
unsigned wagw_token_find(wagw_str_t word);

#endif
