/*
 * RFC 6455, client side: the upgrade and the frames, over plain buffers.  No
 * nginx, no socket.  No extension is offered and none is accepted.
 *
 * Payload is handed out as it arrives (the stream inside the messages has
 * lengths of its own), so a connection at rest owns no buffer.
 */

#ifndef NGX_WAGW_WS_H
#define NGX_WAGW_WS_H

#include "../core/base/base.h"

#define WAGW_WS_HEAD_MAX (16 * 1024)            /* of the server's answer to the upgrade */
#define WAGW_WS_MESSAGE_MAX (16u * 1024 * 1024) /* protocol 01 section 1 */
#define WAGW_WS_CONTROL_MAX 125

typedef enum {
    WAGW_WS_CONTINUATION = 0x0,
    WAGW_WS_TEXT = 0x1,
    WAGW_WS_BINARY = 0x2,
    WAGW_WS_CLOSE = 0x8,
    WAGW_WS_PING = 0x9,
    WAGW_WS_PONG = 0xa
} wagw_ws_opcode_t;

/* Appends the GET request.  host goes into Host: as it is (with a port where
 * needed, IPv6 in brackets); nonce is 16 random bytes; accept gets the
 * Sec-WebSocket-Accept that the server owes us, NUL-terminated. */
int wagw_ws_request(wagw_buf_t *out, wagw_str_t host, wagw_str_t path, const char *origin, const uint8_t nonce[16],
                    char accept[29]);

/* The base64 SHA-1 answer to a Sec-WebSocket-Key (both sides need it). */
int wagw_ws_accept(wagw_str_t key, char accept[29]);

/*
 * Looks at all bytes received so far.  WAGW_AGAIN: the head is not whole.
 * WAGW_OK: upgraded, *used bytes belonged to the head.  WAGW_STATE: refused
 * with *status.  WAGW_MALFORMED, WAGW_LIMIT: not a WebSocket server.  why is
 * a static text for every failure.
 */
int wagw_ws_response(wagw_str_t in, const char accept[29], size_t *used, int *status, const char **why);

/* State of the receiving direction; zero-initialise at the upgrade. */
typedef struct {
    uint64_t left;  /* payload bytes of the present frame to come */
    uint64_t total; /* of the present message, against the limit */
    uint8_t head[10];
    uint8_t have;    /* bytes of the head */
    uint8_t opcode;  /* of the frame whose payload comes; 0 with in_frame false */
    uint8_t message; /* opcode of the fragmented or running data message, 0: none */
    uint8_t control_len;
    bool fin;
    bool in_frame;
    bool failed;
    uint8_t control[WAGW_WS_CONTROL_MAX];
} wagw_ws_t;

typedef struct {
    uint8_t opcode;     /* BINARY, TEXT, PING, PONG or CLOSE */
    bool last;          /* BINARY, TEXT: the message ends with this piece */
    wagw_str_t payload; /* view into the input or the state, until the next call */
    uint16_t code;      /* CLOSE: 1005 when the server gave none */
    const char *why;    /* of an error */
} wagw_ws_event_t;

/*
 * Takes bytes from the front of *in until something is worth telling: WAGW_OK
 * and ev.  WAGW_AGAIN: *in is used up.  WAGW_MALFORMED, WAGW_LIMIT: protocol
 * error, ev->code is the close code to send; the state stays failed.
 */
int wagw_ws_next(wagw_ws_t *ws, wagw_str_t *in, wagw_ws_event_t *ev);

/* Appends one whole masked frame. */
int wagw_ws_frame(wagw_buf_t *out, wagw_ws_opcode_t opcode, wagw_str_t payload, const uint8_t mask[4]);
/* Appends a masked close frame; no reason text. */
int wagw_ws_close_frame(wagw_buf_t *out, uint16_t code, const uint8_t mask[4]);

#endif
