/*
 * The handshake with a hostile other side.  The first byte says where the rest
 * arrives: as server hello, as certificate chain inside a sound one, as client
 * hello, as client finish, or as the byte stream before and around frames.
 */

#include <stdlib.h>

#include "../../core/noise/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void same_bytes(void *data, uint8_t *p, size_t n)
{
    memset(p, *(const uint8_t *)data, n);
}

static wagw_keypair_t key_of(uint8_t byte)
{
    wagw_keypair_t kp;

    need(wagw_x25519_keypair(&kp, same_bytes, &byte) == WAGW_OK);
    return kp;
}

static void client_reads(wagw_noise_t *client, wagw_str_t body)
{
    wagw_keypair_t key = key_of(3);
    wagw_buf_t out = {0};
    const char *why = NULL;

    /* nobody signs with the root's key here */
    need(wagw_noise_client_finish(client, &out, body, WAGW_STR("payload"), &key, key_of(9).pub, 1700000000, &why) < 0);
    need(out.n == 0 && why != NULL && client->state == WAGW_NOISE_FAILED);
    wagw_buf_free(&out);
}

static void handshake(uint8_t mode, wagw_str_t in)
{
    wagw_keypair_t e = key_of(1), server_key = key_of(5);
    uint8_t seed = 7, peer[32];
    wagw_noise_t client, server;
    wagw_buf_t up = {0}, down = {0};
    wagw_str_t body;
    size_t used;
    int rc;

    need(wagw_noise_client_init(&client, &e, NULL, NULL) == WAGW_OK);
    need(wagw_noise_client_hello(&client, &up, WAGW_STR_NULL) == WAGW_OK);
    need(wagw_noise_server_init(&server, same_bytes, &seed) == WAGW_OK);
    need(wagw_frame_next(wagw_str(up.p + 4, up.n - 4), 65536, &body, &used) == WAGW_OK);

    if (mode == 0) {
        client_reads(&client, in);
    } else if (mode == 2) {
        rc = wagw_noise_server_hello(&server, &down, in, &server_key, WAGW_STR("chain"));
        need((rc == WAGW_OK) == (server.state == WAGW_NOISE_WAIT_FINISH));
    } else if (wagw_noise_server_hello(&server, &down, body, &server_key, in) == WAGW_OK) {
        if (mode == 1) {
            need(wagw_frame_next(wagw_str(down.p, down.n), WAGW_FRAME_MAX, &body, &used) == WAGW_OK);
            client_reads(&client, body);
        } else {
            wagw_buf_reset(&down);
            need(wagw_noise_server_finish(&server, in, peer, &down) < 0 && down.n == 0);
        }
    }
    wagw_buf_free(&up);
    wagw_buf_free(&down);
}

static void stream(wagw_str_t in)
{
    wagw_noise_t s;
    wagw_buf_t out = {0};
    wagw_str_t routing, body;
    size_t used, n;

    /* a longer look at the same stream never changes what a shorter one settled */
    for (n = 0; n <= in.n && n < 64; n++) {
        size_t more;
        int rc = wagw_frame_intro(wagw_str(in.p, n), &used, &routing);

        need((rc == WAGW_OK) == (used > 0) && used <= n);
        if (rc != WAGW_AGAIN) {
            need(wagw_frame_intro(in, &more, &routing) == rc && more == used);
            break;
        }
    }
    if (wagw_frame_intro(in, &used, &routing) == WAGW_OK) {
        in = wagw_str(in.p + used, in.n - used);
    }
    memset(&s, 0, sizeof(s));
    s.state = WAGW_NOISE_TRANSPORT;
    while (wagw_frame_next(in, 4096, &body, &used) == WAGW_OK) {
        need(used == body.n + 3 && used <= in.n);
        if (wagw_noise_open(&s, &out, body) != WAGW_OK) {
            need(s.state == WAGW_NOISE_FAILED);
            break;
        }
        in = wagw_str(in.p + used, in.n - used);
    }
    wagw_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n == 0) {
        return 0;
    }
    if (p[0] % 5 == 4) {
        stream(wagw_str(p + 1, n - 1));
    } else {
        handshake(p[0] % 5, wagw_str(p + 1, n - 1));
    }
    return 0;
}
