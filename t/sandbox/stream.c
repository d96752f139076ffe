/*
 * The Noise side of a connection: handshake, login, reading and writing nodes,
 * dispatch by tag.
 */

#include "sandbox.h"

#include "wa.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define SBX_HANDSHAKE_MAX 65536
#define SBX_DEFLATE_FROM 2048

void sbx_stream_open(sbx_conn_t *c)
{
    if (wagw_noise_server_init(&c->noise, sbx_random, NULL) != WAGW_OK) {
        sbx_conn_close(c);
    }
}

void sbx_stream_gone(sbx_conn_t *c)
{
    sbx_device_t *d;

    sbx_pair_free(c);
    d = c->device;
    if (d != NULL) {
        c->device = NULL;
        if (d->conn == c) {
            d->conn = NULL;
            sbx_presence_gone(d);
        }
    }
    c->active = false;
    sbx_changed();
}

/*
 * As the real servers do: what compresses well goes out as a zlib stream.
 * Messages are ciphertext and stay as they are.
 */
static bool sbx_deflate(wagw_buf_t *out, wagw_str_t plain)
{
    uLongf n;

    if (plain.n < SBX_DEFLATE_FROM || (plain.p[0] & 2) != 0) {
        return false;
    }
    n = compressBound((uLong)plain.n);
    if (wagw_buf_reserve(out, n + 1) != WAGW_OK) {
        return false;
    }
    wagw_buf_u8(out, 2);
    if (compress2(out->p + out->n, &n, plain.p + 1, (uLong)(plain.n - 1), 1) != Z_OK || n + 1 >= plain.n) {
        wagw_buf_reset(out);
        return false;
    }
    out->n += n;
    return true;
}

static void sbx_send_plain(sbx_conn_t *c, wagw_str_t plain)
{
    wagw_buf_t frame = {0}, small = {0};

    if (c->closing || c->state != SBX_OPEN) {
        return;
    }

    if (c->corrupt == SBX_CORRUPT_NODE) {
        plain = WAGW_STR("\x00\xf8\x03\xf1\xf2\xf3\xf4");
    } else if (c->corrupt == SBX_CORRUPT_TRUNCATE) {
        plain.n -= plain.n / 3 + 1;
    } else if (sbx_deflate(&small, plain)) {
        plain = wagw_buf_view(&small);
    }

    if (wagw_noise_seal(&c->noise, &frame, plain) != WAGW_OK || frame.failed) {
        sbx_conn_close(c);
    } else {
        if (c->corrupt == SBX_CORRUPT_CIPHER) {
            frame.p[frame.n - 1] ^= 0x55;
        }
        sbx_ws_frame(c, 2, wagw_buf_view(&frame));
    }
    c->corrupt = SBX_CORRUPT_NONE;
    wagw_buf_free(&frame);
    wagw_buf_free(&small);
}

void sbx_send_stanza(sbx_conn_t *c, sbx_stanza_t *s)
{
    if (c->closing) {
        return;
    }
    sbx_log_add(c->device ? &c->device->log : &c->log, true, s);
    sbx_send_plain(c, wagw_str(s->data, s->n));
}

void sbx_send(sbx_conn_t *c, const wagw_node_t *n)
{
    sbx_stanza_t *s;

    s = sbx_stanza(n);
    sbx_chaos_send(c, s, n, false);
    sbx_stanza_unref(s);
}

wagw_node_t *sbx_iq_result(wagw_arena_t *a, const wagw_node_t *iq)
{
    wagw_str_t to;
    wagw_jid_t jid;
    wagw_node_t *n;

    n = wagw_node(a, "iq");
    to = wagw_node_get(iq, "to");
    if (to.n != 0 && wagw_jid_parse(&jid, to) == WAGW_OK && jid.user_len != 0) {
        wagw_node_attr_jid(a, n, "from", &jid);
    } else if (wagw_str_is(to, "@g.us")) {
        wagw_node_attr(a, n, "from", to);
        n->attrs_last->is_jid = true;
    } else {
        wagw_node_attr_server(a, n, "from");
    }
    wagw_node_attr(a, n, "id", wagw_node_get(iq, "id"));
    wagw_node_attrc(a, n, "type", "result");
    return n;
}

void sbx_iq_error(sbx_conn_t *c, const wagw_node_t *iq, int code, const char *text)
{
    wagw_node_t *n, *e;
    wagw_arena_t a = {0};

    n = sbx_iq_result(&a, iq);
    n->attrs_last->value = WAGW_STR("error");
    e = wagw_node_child(&a, n, "error");
    wagw_node_attr_int(&a, e, "code", code);
    wagw_node_attrc(&a, e, "text", text);
    sbx_send(c, n);
    wagw_arena_free(&a);
}

void sbx_unhandled(sbx_conn_t *c, const wagw_node_t *n)
{
    char jid[WAGW_JID_TEXT_MAX];
    cJSON *item;
    wagw_jid_t j;

    if (cJSON_GetArraySize(sbx.unhandled) >= 1000) {
        return;
    }
    item = cJSON_CreateObject();
    if (c->device != NULL) {
        j = sbx_device_jid(c->device, false);
        wagw_jid_text(&j, jid);
        cJSON_AddStringToObject(item, "device", jid);
    } else {
        cJSON_AddNullToObject(item, "device");
    }
    cJSON_AddNumberToObject(item, "t", (double)sbx_now_ms());
    cJSON_AddItemToObject(item, "node", sbx_node_cjson(n));
    cJSON_AddItemToArray(sbx.unhandled, item);
}

void sbx_stream_error(sbx_conn_t *c, const char *code, const char *conflict)
{
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};

    n = wagw_node(&a, "stream:error");
    if (code != NULL && *code != '\0') {
        wagw_node_attrc(&a, n, "code", code);
    }
    if (conflict != NULL && *conflict != '\0') {
        k = wagw_node_child(&a, n, "conflict");
        wagw_node_attrc(&a, k, "type", conflict);
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
    sbx_conn_ws_close(c);
}

static void sbx_failure(sbx_conn_t *c, int code)
{
    wagw_node_t *n;
    wagw_arena_t a = {0};

    n = wagw_node(&a, "failure");
    wagw_node_attr_int(&a, n, "reason", code);
    wagw_node_attrc(&a, n, "location", "lla");
    sbx_send(c, n);
    wagw_arena_free(&a);
    sbx_conn_ws_close(c);
}

static void sbx_login(sbx_conn_t *c, const Wa__ClientPayload *p, const uint8_t noise[32])
{
    int code;
    char user[SBX_USER_MAX];
    uint8_t routing[4];
    wagw_jid_t lid;
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_account_t *acc;
    sbx_device_t *d;

    snprintf(user, sizeof(user), "%llu", (unsigned long long)p->username);
    acc = sbx_account_pn(user);
    d = acc && p->has_device && p->device != 0 ? sbx_device_get(acc, p->device) : NULL;

    code = sbx_login_rule(d);
    if (code == 0 && (d == NULL || !wagw_ct_equal(d->noise, noise, 32) || d->adv.n == 0)) {
        code = 401;
    }
    if (code != 0) {
        sbx_failure(c, code);
        return;
    }

    if (d->conn != NULL) {
        sbx_stream_error(d->conn, NULL, "replaced");
    }
    d->conn = c;
    c->device = d;
    c->active = !(p->has_passive && p->passive);
    d->connects++;
    sbx.logins++;

    n = wagw_node(&a, "success");
    wagw_node_attr_int(&a, n, "t", sbx_now_s());
    wagw_node_attrc(&a, n, "location", "lla");
    lid = sbx_device_jid(d, true);
    wagw_node_attr_jid(&a, n, "lid", &lid);
    wagw_node_attr(&a, n, "display_name", wagw_cstr(acc->name));
    sbx_send(c, n);

    n = wagw_node(&a, "ib");
    wagw_node_attr_server(&a, n, "from");
    k = wagw_node_child(&a, n, "edge_routing");
    k = wagw_node_child(&a, k, "routing_info");
    memcpy(routing, "\x08\x0c\x08\x05", 4);
    wagw_node_bytes(k, wagw_str(routing, 4));
    sbx_send(c, n);
    wagw_arena_free(&a);

    if (c->active) {
        sbx_activate(c);
    }
    sbx_changed();
}

void sbx_activate(sbx_conn_t *c)
{
    c->active = true;
    sbx_queue_backlog(c);
    if (c->device != NULL && !c->device->welcomed) {
        c->device->welcomed = true;
        sbx_phone_welcome(c->device);
    }
}

static void sbx_dispatch(sbx_conn_t *c, const wagw_node_t *n)
{
    if (wagw_node_is(n, "iq")) {
        sbx_iq(c, n);
        return;
    }

    if (wagw_node_is(n, "xmlstreamend")) {
        sbx_conn_ws_close(c);
        return;
    }

    if (c->device == NULL) {
        /* an unpaired client acknowledges the pairing notification and little else */
        if (!wagw_node_is(n, "ack") && !wagw_node_is(n, "ib") && !wagw_node_is(n, "presence")) {
            sbx_unhandled(c, n);
        }
        return;
    }

    if (wagw_node_is(n, "message")) {
        sbx_message(c, n);
    } else if (wagw_node_is(n, "receipt")) {
        sbx_receipt(c, n);
    } else if (wagw_node_is(n, "ack")) {
        sbx_acknowledged(c->device, n);
    } else if (wagw_node_is(n, "presence")) {
        sbx_presence(c, n);
    } else if (wagw_node_is(n, "chatstate")) {
        sbx_chatstate(c, n);
    } else if (wagw_node_is(n, "call")) {
        sbx_call(c, n);
    } else if (!wagw_node_is(n, "ib")) {
        sbx_unhandled(c, n);
    }
}

static void sbx_stream_frame(sbx_conn_t *c, wagw_str_t body)
{
    wagw_buf_t plain = {0};
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_stanza_t *s;

    if (wagw_noise_open(&c->noise, &plain, body) != WAGW_OK) {
        sbx_fault(c->device, "a frame does not decrypt");
        sbx_conn_close(c);
        goto done;
    }

    s = sbx_stanza_bytes(wagw_buf_view(&plain));
    sbx_log_add(c->device ? &c->device->log : &c->log, false, s);
    sbx_stanza_unref(s);

    if (wagw_node_decode(&n, &a, wagw_buf_view(&plain)) != WAGW_OK) {
        sbx_fault(c->device, "a frame is not a node");
        sbx_stream_error(c, "500", NULL);
        goto done;
    }
    sbx_dispatch(c, n);

done:

    wagw_arena_free(&a);
    wagw_buf_free(&plain);
}

static void sbx_stream_hello(sbx_conn_t *c, wagw_str_t body)
{
    wagw_buf_t out = {0};

    if (wagw_noise_server_hello(&c->noise, &out, body, &sbx.server_static, wagw_buf_view(&sbx.chain)) != WAGW_OK) {
        sbx_fault(NULL, "client hello refused");
        sbx_conn_close(c);
    } else {
        sbx_ws_frame(c, 2, wagw_buf_view(&out));
        c->state = SBX_FINISH;
    }
    wagw_buf_free(&out);
}

static void sbx_stream_finish(sbx_conn_t *c, wagw_str_t body)
{
    uint8_t noise[32];
    wagw_buf_t payload = {0};
    Wa__ClientPayload *p;

    p = NULL;
    if (wagw_noise_server_finish(&c->noise, body, noise, &payload) != WAGW_OK) {
        sbx_fault(NULL, "client finish refused");
        sbx_conn_close(c);
        goto done;
    }
    c->state = SBX_OPEN;

    p = wa__client_payload__unpack(NULL, payload.n, payload.p);
    if (p == NULL || p->useragent == NULL || p->useragent->appversion == NULL) {
        sbx_fault(NULL, "client payload unreadable or without userAgent");
        sbx_failure(c, 400);
        goto done;
    }

    if (p->devicepairingdata != NULL) {
        sbx_pair_begin(c, wagw_buf_view(&payload), noise);
    } else if (p->has_username) {
        sbx_login(c, p, noise);
    } else {
        sbx_fault(NULL, "client payload neither registers nor logs in");
        sbx_failure(c, 400);
    }

done:

    if (p != NULL) {
        wa__client_payload__free_unpacked(p, NULL);
    }
    wagw_buf_wipe(&payload);
}

void sbx_stream_read(sbx_conn_t *c)
{
    int rc;
    size_t used, at;
    wagw_str_t in, body, routing;

    at = 0;
    while (!c->closing) {
        in = wagw_str(c->stream.p + at, c->stream.n - at);

        if (c->state == SBX_INTRO) {
            rc = wagw_frame_intro(in, &used, &routing);
            if (rc == WAGW_OK) {
                at += used;
                c->state = SBX_HELLO;
                continue;
            }
        } else {
            rc = wagw_frame_next(in, c->state == SBX_OPEN ? WAGW_FRAME_MAX : SBX_HANDSHAKE_MAX, &body, &used);
            if (rc == WAGW_OK) {
                switch (c->state) {
                case SBX_HELLO:
                    sbx_stream_hello(c, body);
                    break;
                case SBX_FINISH:
                    sbx_stream_finish(c, body);
                    break;
                default:
                    sbx_stream_frame(c, body);
                }
                at += used;
                continue;
            }
        }

        if (rc != WAGW_AGAIN) {
            sbx_fault(c->device, "the byte stream is not framed as it should be");
            sbx_conn_close(c);
            return;
        }
        break;
    }

    /* a connection without a partial frame owns no buffer */
    if (at == c->stream.n) {
        wagw_buf_free(&c->stream);
    } else if (at != 0) {
        wagw_buf_consume(&c->stream, at);
    }
}
