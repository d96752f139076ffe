/*
 * RFC 6455, server side, without extensions.
 */

#include "sandbox.h"

#include <openssl/evp.h>

#include <stdio.h>

#define SBX_WS_MAX (1u << 24)
#define SBX_WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void sbx_ws_upgrade(sbx_conn_t *c, wagw_str_t key)
{
    uint8_t sha[20];
    wagw_buf_t in = {0}, out = {0};

    wagw_buf_str(&in, key);
    wagw_buf_cstr(&in, SBX_WS_GUID);
    EVP_Digest(in.p, in.n, sha, NULL, EVP_sha1(), NULL);

    wagw_buf_cstr(&out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: ");
    wagw_base64_encode(&out, wagw_str(sha, sizeof(sha)));
    wagw_buf_cstr(&out, "\r\n\r\n");
    bufferevent_write(c->bev, out.p, out.n);

    wagw_buf_free(&in);
    wagw_buf_free(&out);

    c->state = SBX_INTRO;
    sbx.nconns++;
    sbx_stream_open(c);
}

void sbx_ws_frame(sbx_conn_t *c, unsigned opcode, wagw_str_t payload)
{
    size_t n;
    uint8_t h[10];

    if (c->closing) {
        return;
    }

    h[0] = (uint8_t)(0x80 | opcode);
    if (payload.n < 126) {
        h[1] = (uint8_t)payload.n;
        n = 2;
    } else if (payload.n < 65536) {
        h[1] = 126;
        sbx_be(h + 2, (uint32_t)payload.n, 2);
        n = 4;
    } else {
        h[1] = 127;
        sbx_be(h + 2, 0, 4);
        sbx_be(h + 6, (uint32_t)payload.n, 4);
        n = 10;
    }
    bufferevent_write(c->bev, h, n);
    if (payload.n != 0) {
        bufferevent_write(c->bev, payload.p, payload.n);
    }
}

static void sbx_ws_close(sbx_conn_t *c, unsigned code)
{
    uint8_t b[2];

    sbx_be(b, code, 2);
    sbx_ws_frame(c, 8, wagw_str(b, 2));
    sbx_conn_finish(c);
}

void sbx_conn_ws_close(sbx_conn_t *c)
{
    sbx_ws_close(c, 1000);
}

static void sbx_ws_message(sbx_conn_t *c, unsigned opcode, wagw_str_t p)
{
    switch (opcode) {

    case 0:
    case 2:
        /* the Noise stream does not care where messages end */
        wagw_buf_str(&c->stream, p);
        sbx_stream_read(c);
        break;

    case 1: /* text says nothing to us */
        break;

    case 8:
        sbx_ws_frame(c, 8, wagw_str(p.p, p.n < 2 ? 0 : 2));
        sbx_conn_finish(c);
        break;

    case 9:
        sbx_ws_frame(c, 10, p);
        break;

    case 10:
        break;

    default:
        sbx_ws_close(c, 1002);
    }
}

void sbx_ws_read(sbx_conn_t *c)
{
    size_t have, head, i;
    uint64_t n;
    uint8_t h[14], *p;
    struct evbuffer *in;

    in = bufferevent_get_input(c->bev);

    while (!c->closing) {
        have = evbuffer_get_length(in);
        if (have < 2) {
            return;
        }
        evbuffer_copyout(in, h, have < sizeof(h) ? have : sizeof(h));

        /* a client's frames are masked, ours have no extension bits */
        if ((h[0] & 0x70) != 0 || (h[1] & 0x80) == 0) {
            sbx_ws_close(c, 1002);
            return;
        }

        n = h[1] & 0x7f;
        head = 6;
        if (n == 126) {
            head = 8;
        } else if (n == 127) {
            head = 14;
        }
        if (have < head) {
            return;
        }
        if (head == 8) {
            n = sbx_be_read(h + 2, 2);
        } else if (head == 14) {
            n = (uint64_t)sbx_be_read(h + 2, 4) << 32 | sbx_be_read(h + 6, 4);
        }
        if (n > SBX_WS_MAX || ((h[0] & 0x08) != 0 && n > 125)) {
            sbx_ws_close(c, 1009);
            return;
        }
        if (have < head + n) {
            return;
        }

        p = evbuffer_pullup(in, (ev_ssize_t)(head + n));
        if (p == NULL) {
            sbx_conn_close(c);
            return;
        }
        for (i = 0; i < n; i++) {
            p[head + i] ^= p[head - 4 + (i & 3)];
        }
        sbx_ws_message(c, h[0] & 0x0f, wagw_str(p + head, (size_t)n));
        evbuffer_drain(in, head + (size_t)n);
    }
}
