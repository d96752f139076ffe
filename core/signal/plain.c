/*
 * What surrounds a Signal message: addresses, padding, participant hash,
 * message ids (protocol 04 sections 1.2, 5.3, 7.1, 17).
 */

#include "signal.h"

#include <stdio.h>
#include <stdlib.h>

wagw_signal_addr_t wagw_signal_addr(const wagw_jid_t *jid)
{
    const char *domain;
    wagw_signal_addr_t a;

    switch (jid->server) {

    case WAGW_SRV_LID:
        domain = "_1";
        break;

    case WAGW_SRV_HOSTED:
        domain = "_128";
        break;

    case WAGW_SRV_HOSTED_LID:
        domain = "_129";
        break;

    default:
        domain = "";
        break;
    }

    /* by hand, as the key below: both are made ten times per message */
    memset(&a, 0, sizeof(a));
    memcpy(a.name, jid->user, strlen(jid->user));
    strcat(a.name, domain);
    a.device = jid->device;

    return a;
}

size_t wagw_signal_key(char out[WAGW_KEY_MAX], const wagw_signal_addr_t *addr)
{
    size_t n = strlen(addr->name);

    memcpy(out, addr->name, n);
    out[n++] = '.';

    return n + wagw_u64_text(addr->device, out + n);
}

int wagw_pad(wagw_buf_t *b, uint8_t random)
{
    uint8_t n, pad[16];

    n = (random & 15) + 1;
    memset(pad, n, n);

    return wagw_buf_add(b, pad, n);
}

int wagw_unpad(wagw_str_t *plain)
{
    size_t i, n;

    if (plain->n == 0) {
        return WAGW_MALFORMED;
    }

    n = plain->p[plain->n - 1];
    if (n > plain->n) {
        return WAGW_MALFORMED;
    }

    for (i = plain->n - n; i < plain->n; i++) {
        if (plain->p[i] != n) {
            return WAGW_MALFORMED;
        }
    }

    plain->n -= n;
    return WAGW_OK;
}

typedef struct {
    char text[WAGW_JID_TEXT_MAX + 8];
    size_t len;
} wagw_phash_item_t;

static int wagw_phash_cmp(const void *a, const void *b)
{
    return strcmp(((const wagw_phash_item_t *)a)->text, ((const wagw_phash_item_t *)b)->text);
}

int wagw_phash(char out[16], const wagw_jid_t *devices, size_t n)
{
    int rc;
    size_t i;
    uint8_t hash[32];
    wagw_buf_t all, text;
    wagw_phash_item_t *items;

    memset(&all, 0, sizeof(all));
    memset(&text, 0, sizeof(text));

    items = calloc(n != 0 ? n : 1, sizeof(wagw_phash_item_t));
    if (items == NULL) {
        return WAGW_NOMEM;
    }

    for (i = 0; i < n; i++) {
        items[i].len = (size_t)snprintf(items[i].text, sizeof(items[i].text), "%s.0:%u@%s", devices[i].user,
                                        devices[i].device, wagw_server_name(devices[i].server));
    }

    qsort(items, n, sizeof(wagw_phash_item_t), wagw_phash_cmp);

    for (i = 0; i < n; i++) {
        wagw_buf_add(&all, items[i].text, items[i].len);
    }
    if (all.failed) {
        rc = WAGW_NOMEM;
        goto done;
    }

    rc = wagw_sha256(hash, wagw_buf_view(&all));
    if (rc != WAGW_OK) {
        goto done;
    }

    rc = wagw_base64_encode(&text, wagw_str(hash, 6));
    if (rc != WAGW_OK) {
        goto done;
    }

    snprintf(out, 16, "2:%.*s", (int)text.n, (const char *)text.p);

done:

    wagw_buf_free(&text);
    wagw_buf_free(&all);
    free(items);

    return rc;
}

int wagw_message_id(char out[24], int64_t now_s, wagw_str_t own_user, const uint8_t random[16])
{
    int rc;
    size_t i;
    uint8_t hash[32];
    wagw_buf_t in;
    static const char hex[] = "0123456789ABCDEF";

    memset(&in, 0, sizeof(in));

    wagw_buf_be(&in, (uint64_t)now_s, 8);
    if (own_user.n != 0) {
        wagw_buf_str(&in, own_user);
        wagw_buf_cstr(&in, "@c.us");
    }
    wagw_buf_add(&in, random, 16);
    if (in.failed) {
        rc = WAGW_NOMEM;
        goto done;
    }

    rc = wagw_sha256(hash, wagw_buf_view(&in));
    if (rc != WAGW_OK) {
        goto done;
    }

    memcpy(out, "3EB0", 4);
    for (i = 0; i < 9; i++) {
        out[4 + i * 2] = hex[hash[i] >> 4];
        out[5 + i * 2] = hex[hash[i] & 15];
    }
    out[22] = '\0';

done:

    wagw_buf_free(&in);
    return rc;
}
