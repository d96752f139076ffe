/*
 * RFC 6455, client side.  See ngx_wagw_ws.h.
 */

#include "ngx_wagw_ws.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

typedef struct {
    bool upgrade;
    bool connection;
    bool accept;
    bool offered; /* an extension or subprotocol that we never asked for */
} ws_seen_t;

static int ws_base64(const uint8_t *p, size_t n, char *out)
{
    return EVP_EncodeBlock((unsigned char *)out, p, (int)n);
}

int wagw_ws_accept(wagw_str_t key, char accept[29])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint8_t text[64 + sizeof(WS_GUID)];
    unsigned n = 0;

    if (key.n == 0 || key.n > 64) {
        return WAGW_LIMIT;
    }

    memcpy(text, key.p, key.n);
    memcpy(text + key.n, WS_GUID, sizeof(WS_GUID) - 1);

    if (EVP_Digest(text, key.n + sizeof(WS_GUID) - 1, digest, &n, EVP_sha1(), NULL) != 1 || n != 20) {
        return WAGW_ERROR;
    }

    ws_base64(digest, 20, accept);

    return WAGW_OK;
}

int wagw_ws_request(wagw_buf_t *out, wagw_str_t host, wagw_str_t path, const char *origin, const uint8_t nonce[16],
                    char accept[29])
{
    char key[25];
    int rc;

    ws_base64(nonce, 16, key);

    rc = wagw_ws_accept(wagw_str(key, 24), accept);
    if (rc != WAGW_OK) {
        return rc;
    }

    wagw_buf_printf(out,
                    "GET %.*s HTTP/1.1\r\n"
                    "Host: %.*s\r\n"
                    "Upgrade: websocket\r\n"
                    "Connection: Upgrade\r\n"
                    "Sec-WebSocket-Key: %s\r\n"
                    "Sec-WebSocket-Version: 13\r\n"
                    "Origin: %s\r\n"
                    "Cache-Control: no-cache\r\n"
                    "Pragma: no-cache\r\n"
                    "\r\n",
                    (int)path.n, (const char *)path.p, (int)host.n, (const char *)host.p, key, origin);

    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

static bool ws_name_is(wagw_str_t s, const char *lit)
{
    size_t n = strlen(lit);

    return s.n == n && strncasecmp((const char *)s.p, lit, n) == 0;
}

static wagw_str_t ws_trim(wagw_str_t s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }

    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }

    return s;
}

static bool ws_has_token(wagw_str_t list, const char *token)
{
    const uint8_t *comma;
    wagw_str_t item;

    for (;;) {
        comma = list.n ? memchr(list.p, ',', list.n) : NULL;
        item = wagw_str(list.p, comma ? (size_t)(comma - list.p) : list.n);

        if (ws_name_is(ws_trim(item), token)) {
            return true;
        }

        if (comma == NULL) {
            return false;
        }

        list.p += item.n + 1;
        list.n -= item.n + 1;
    }
}

static int ws_header(wagw_str_t line, const char accept[29], ws_seen_t *seen)
{
    wagw_str_t name, value;
    const uint8_t *colon;

    colon = memchr(line.p, ':', line.n);
    if (colon == NULL || colon == line.p || line.p[0] == ' ' || line.p[0] == '\t') {
        return WAGW_MALFORMED;
    }

    name = wagw_str(line.p, (size_t)(colon - line.p));
    value = ws_trim(wagw_str(colon + 1, line.n - name.n - 1));

    if (ws_name_is(name, "upgrade")) {
        seen->upgrade = ws_name_is(value, "websocket");

    } else if (ws_name_is(name, "connection")) {
        seen->connection = seen->connection || ws_has_token(value, "upgrade");

    } else if (ws_name_is(name, "sec-websocket-accept")) {
        seen->accept = wagw_str_eq(value, wagw_str(accept, 28));

    } else if (ws_name_is(name, "sec-websocket-extensions") || ws_name_is(name, "sec-websocket-protocol")) {
        seen->offered = seen->offered || value.n != 0;
    }

    return WAGW_OK;
}

static int ws_status(wagw_str_t line, int *status)
{
    if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[8] != ' ') {
        return WAGW_MALFORMED;
    }

    *status = 0;

    for (size_t i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9') {
            return WAGW_MALFORMED;
        }

        *status = *status * 10 + (line.p[i] - '0');
    }

    if (*status < 100 || (line.n > 12 && line.p[12] != ' ')) {
        return WAGW_MALFORMED;
    }

    return WAGW_OK;
}

int wagw_ws_response(wagw_str_t in, const char accept[29], size_t *used, int *status, const char **why)
{
    ws_seen_t seen = {0};
    wagw_str_t head, line;
    const uint8_t *end, *eol;

    *used = 0;
    *status = 0;
    *why = NULL;

    end = in.n ? memmem(in.p, in.n < WAGW_WS_HEAD_MAX ? in.n : WAGW_WS_HEAD_MAX, "\r\n\r\n", 4) : NULL;
    if (end == NULL) {
        if (in.n >= WAGW_WS_HEAD_MAX) {
            *why = "answer to the upgrade is too long";
            return WAGW_LIMIT;
        }

        if (in.n && memcmp(in.p, "HTTP/1.", in.n < 7 ? in.n : 7) != 0) {
            *why = "answer to the upgrade is not HTTP";
            return WAGW_MALFORMED;
        }

        return WAGW_AGAIN;
    }

    *used = (size_t)(end - in.p) + 4;
    head = wagw_str(in.p, *used - 2);

    for (bool first = true; head.n; first = false) {
        eol = memmem(head.p, head.n, "\r\n", 2);
        line = wagw_str(head.p, (size_t)(eol - head.p));
        head = wagw_str(eol + 2, head.n - line.n - 2);

        if ((first ? ws_status(line, status) : ws_header(line, accept, &seen)) != WAGW_OK) {
            *why = "answer to the upgrade is malformed";
            return WAGW_MALFORMED;
        }
    }

    if (*status != 101) {
        *why = "upgrade refused";
        return WAGW_STATE;
    }

    if (!seen.upgrade || !seen.connection) {
        *why = "101 without an upgrade to websocket";
        return WAGW_MALFORMED;
    }

    if (!seen.accept) {
        *why = "wrong Sec-WebSocket-Accept";
        return WAGW_MALFORMED;
    }

    if (seen.offered) {
        *why = "server chose an extension or protocol that was not offered";
        return WAGW_MALFORMED;
    }

    return WAGW_OK;
}

static int ws_fail(wagw_ws_t *ws, wagw_ws_event_t *ev, int rc, const char *why)
{
    ws->failed = true;
    ev->why = why;
    ev->code = rc == WAGW_LIMIT ? 1009 : 1002;

    return rc;
}

/* How many bytes the frame head has, as far as the first two tell. */
static size_t ws_head_len(const wagw_ws_t *ws)
{
    if (ws->have < 2) {
        return 2;
    }

    switch (ws->head[1] & 0x7f) {
    case 126:
        return 4;
    case 127:
        return 10;
    default:
        return 2;
    }
}

/* The head is whole: checks it and prepares for the payload. */
static int ws_frame_begin(wagw_ws_t *ws, wagw_ws_event_t *ev)
{
    size_t len = ws->head[1] & 0x7f;
    uint64_t n = len;
    uint8_t op = ws->head[0] & 0x0f;

    if (ws->head[0] & 0x70) {
        return ws_fail(ws, ev, WAGW_MALFORMED, "reserved frame bits set");
    }

    if (ws->head[1] & 0x80) {
        return ws_fail(ws, ev, WAGW_MALFORMED, "masked frame from the server");
    }

    if (len >= 126) {
        n = 0;

        for (size_t i = 2; i < ws_head_len(ws); i++) {
            n = (n << 8) | ws->head[i];
        }

        if (n <= (len == 126 ? 125 : UINT16_MAX) || n >> 63) {
            return ws_fail(ws, ev, WAGW_MALFORMED, "frame length is not in its shortest form");
        }
    }

    ws->fin = (ws->head[0] & 0x80) != 0;
    ws->have = 0;

    if (op & 0x8) {
        if (op > WAGW_WS_PONG) {
            return ws_fail(ws, ev, WAGW_MALFORMED, "unknown opcode");
        }

        if (!ws->fin || n > WAGW_WS_CONTROL_MAX) {
            return ws_fail(ws, ev, WAGW_MALFORMED, "fragmented or long control frame");
        }

        ws->control_len = 0;

    } else if (op == WAGW_WS_CONTINUATION) {
        if (ws->message == 0) {
            return ws_fail(ws, ev, WAGW_MALFORMED, "continuation of no message");
        }

    } else {
        if (op > WAGW_WS_BINARY) {
            return ws_fail(ws, ev, WAGW_MALFORMED, "unknown opcode");
        }

        if (ws->message != 0) {
            return ws_fail(ws, ev, WAGW_MALFORMED, "new message inside a fragmented one");
        }

        ws->message = op;
        ws->total = 0;
    }

    if (!(op & 0x8)) {
        if (n > WAGW_WS_MESSAGE_MAX - ws->total) {
            return ws_fail(ws, ev, WAGW_LIMIT, "message is too long");
        }

        ws->total += n;
    }

    ws->opcode = op;
    ws->left = n;
    ws->in_frame = true;

    return WAGW_OK;
}

static int ws_control_end(wagw_ws_t *ws, wagw_ws_event_t *ev)
{
    ws->in_frame = false;

    ev->opcode = ws->opcode;
    ev->last = true;
    ev->payload = wagw_str(ws->control, ws->control_len);

    if (ws->opcode != WAGW_WS_CLOSE) {
        return WAGW_OK;
    }

    if (ws->control_len == 0) {
        ev->code = 1005;
        return WAGW_OK;
    }

    ev->code = ws->control_len < 2 ? 0 : (uint16_t)(ws->control[0] << 8 | ws->control[1]);

    if (ev->code < 1000 || ev->code > 4999) {
        return ws_fail(ws, ev, WAGW_MALFORMED, "malformed close frame");
    }

    ev->payload = wagw_str(ws->control + 2, ws->control_len - 2u);

    return WAGW_OK;
}

int wagw_ws_next(wagw_ws_t *ws, wagw_str_t *in, wagw_ws_event_t *ev)
{
    size_t n;
    int rc;

    *ev = (wagw_ws_event_t){0};

    if (ws->failed) {
        return ws_fail(ws, ev, WAGW_MALFORMED, "stream failed before");
    }

    for (;;) {
        if (!ws->in_frame) {
            n = ws_head_len(ws);

            while (ws->have < n && in->n) {
                ws->head[ws->have++] = *in->p++;
                in->n--;

                if (ws->have == 2) {
                    n = ws_head_len(ws);
                }
            }

            if (ws->have < n) {
                return WAGW_AGAIN;
            }

            rc = ws_frame_begin(ws, ev);
            if (rc != WAGW_OK) {
                return rc;
            }
        }

        n = ws->left < in->n ? (size_t)ws->left : in->n;

        if (ws->opcode & 0x8) {
            if (n) {
                memcpy(ws->control + ws->control_len, in->p, n);
                ws->control_len += (uint8_t)n;
                ws->left -= n;
                in->p += n;
                in->n -= n;
            }

            return ws->left ? WAGW_AGAIN : ws_control_end(ws, ev);
        }

        if (n == 0 && ws->left) {
            return WAGW_AGAIN;
        }

        ev->payload = wagw_str(in->p, n);
        ev->opcode = ws->message;
        ws->left -= n;
        in->p += n;
        in->n -= n;

        if (ws->left == 0) {
            ws->in_frame = false;

            if (ws->fin) {
                ev->last = true;
                ws->message = 0;
            }
        }

        /* an empty fragment in the middle is nothing to tell */
        if (n || ev->last) {
            return WAGW_OK;
        }
    }
}

int wagw_ws_frame(wagw_buf_t *out, wagw_ws_opcode_t opcode, wagw_str_t payload, const uint8_t mask[4])
{
    uint8_t *p;

    wagw_buf_u8(out, 0x80 | opcode);

    if (payload.n < 126) {
        wagw_buf_u8(out, 0x80 | (uint8_t)payload.n);

    } else if (payload.n <= UINT16_MAX) {
        wagw_buf_u8(out, 0x80 | 126);
        wagw_buf_be(out, payload.n, 2);

    } else {
        wagw_buf_u8(out, 0x80 | 127);
        wagw_buf_be(out, payload.n, 8);
    }

    wagw_buf_add(out, mask, 4);
    wagw_buf_str(out, payload);

    if (out->failed) {
        return WAGW_NOMEM;
    }

    p = out->p + out->n - payload.n;

    for (size_t i = 0; i < payload.n; i++) {
        p[i] ^= mask[i & 3];
    }

    return WAGW_OK;
}

int wagw_ws_close_frame(wagw_buf_t *out, uint16_t code, const uint8_t mask[4])
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    return wagw_ws_frame(out, WAGW_WS_CLOSE, wagw_str(payload, 2), mask);
}
