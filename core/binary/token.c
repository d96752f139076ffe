#include "token.h"
#include "tokens.h"

wagw_str_t wagw_token_word(unsigned number)
{
    if (number == 0 || number >= TOKEN_COUNT) {
        return WAGW_STR_NULL;
    }
    return wagw_str(token_text + token_at[number], (size_t)(token_at[number + 1] - token_at[number]));
}

unsigned wagw_token_find(wagw_str_t word)
{
    size_t i;
    uint32_t h = 0;

    if (word.n == 0 || word.n > 64) {
        return 0;
    }
    for (i = 0; i < word.n; i++) {
        h = (h * 31 + word.p[i]) & 0xffffff;
    }
    /* a third full, so that an empty slot ends every search */
    for (h %= TOKEN_SLOTS; token_slot[h] != 0; h = (h + 1) % TOKEN_SLOTS) {
        if (wagw_str_eq(wagw_token_word(token_slot[h]), word)) {
            return token_slot[h];
        }
    }
    return 0;
}
