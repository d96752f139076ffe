/* The server's certificate chain.  Internal to core/noise. */

#ifndef WAGW_CERT_H
#define WAGW_CERT_H

#include "noise.h"

/* All seven checks of protocol 01 section 5; why gets a static text. */
int wagw_cert_check(wagw_str_t chain, const uint8_t root[32], const uint8_t server_static[32], int64_t now_s,
                    const char **why);

#endif
