/* A client and a server of core/noise with keys of their own; included by the
 * tests that set the two against each other. */

#ifndef WAGW_T_NOISE_PAIR_H
#define WAGW_T_NOISE_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/noise/noise.h"
#include "vectors.h"

#define NOW 1700000000

typedef struct {
    uint64_t seed;
    wagw_keypair_t root, middle, server_key, client_key;
    wagw_noise_t client, server;
    wagw_buf_t chain;
    wagw_buf_t up, down; /* bytes on their way */
    const char *why;
} pair_t;

static inline void pair_init(pair_t *p)
{
    memset(p, 0, sizeof(*p));
    p->seed = 42;
    assert_int_equal(wagw_x25519_keypair(&p->root, vec_random, &p->seed), WAGW_OK);
    assert_int_equal(wagw_x25519_keypair(&p->middle, vec_random, &p->seed), WAGW_OK);
    assert_int_equal(wagw_x25519_keypair(&p->server_key, vec_random, &p->seed), WAGW_OK);
    assert_int_equal(wagw_x25519_keypair(&p->client_key, vec_random, &p->seed), WAGW_OK);
    assert_int_equal(wagw_noise_make_chain(&p->chain, &p->root, &p->middle, p->server_key.pub, NOW - 10, NOW + 10,
                                           vec_random, &p->seed),
                     WAGW_OK);
}

static inline void pair_free(pair_t *p)
{
    wagw_buf_free(&p->chain);
    wagw_buf_free(&p->up);
    wagw_buf_free(&p->down);
}

/* The body of the one frame in a buffer. */
static inline wagw_str_t only_frame(const wagw_buf_t *b, size_t skip)
{
    wagw_str_t body;
    size_t used;

    assert_int_equal(wagw_frame_next(wagw_str(b->p + skip, b->n - skip), 65536, &body, &used), WAGW_OK);
    assert_int_equal(skip + used, b->n);
    return body;
}

/* Up to what the client makes of the server's hello at now. */
static inline int pair_hello(pair_t *p, int64_t now, wagw_str_t client_payload)
{
    size_t intro;
    wagw_str_t routing;

    wagw_buf_reset(&p->up);
    wagw_buf_reset(&p->down);
    assert_int_equal(wagw_noise_client_init(&p->client, NULL, vec_random, &p->seed), WAGW_OK);
    assert_int_equal(wagw_noise_server_init(&p->server, vec_random, &p->seed), WAGW_OK);
    assert_int_equal(wagw_noise_client_hello(&p->client, &p->up, WAGW_STR("\x08\x0c\x08\x05")), WAGW_OK);
    assert_int_equal(wagw_frame_intro(wagw_buf_view(&p->up), &intro, &routing), WAGW_OK);
    assert_true(wagw_str_is(routing, "\x08\x0c\x08\x05"));
    assert_int_equal(wagw_noise_server_hello(&p->server, &p->down, only_frame(&p->up, intro), &p->server_key,
                                             wagw_buf_view(&p->chain)),
                     WAGW_OK);
    wagw_buf_reset(&p->up);
    return wagw_noise_client_finish(&p->client, &p->up, only_frame(&p->down, 0), client_payload, &p->client_key,
                                    p->root.pub, now, &p->why);
}

#endif
