/*
 * Media retry (06 section 9): a companion says that media is gone, its phone
 * uploads it again and says where.
 */

#include "sandbox.h"

#include "../../core/media/media.h"
#include "../../core/message/message.h"

#include <stdlib.h>

static sbx_inbox_t *sbx_media_message(sbx_account_t *a, wagw_str_t id)
{
    sbx_inbox_t *e;

    sbx_phone_read(a);
    for (e = a->inbox; e != NULL; e = e->next) {
        if (wagw_str_eq(wagw_cstr(e->id), id) && e->bytes.n != 0) {
            return e;
        }
    }
    return NULL;
}

/* What the receipt must hold: the message's id under its media key. */
static bool sbx_media_asked(const wagw_node_t *n, const wagw_message_file_t *f, uint8_t key[32])
{
    bool ok;
    uint8_t plain[256];
    wagw_str_t id, p, iv;
    const wagw_node_t *e;

    id = wagw_node_get(n, "id");
    e = wagw_node_find(n, "encrypt");
    p = e ? wagw_node_data(wagw_node_find(e, "enc_p")) : WAGW_STR_NULL;
    iv = e ? wagw_node_data(wagw_node_find(e, "enc_iv")) : WAGW_STR_NULL;
    if (f->key.n != 32 || iv.n != 12 || p.n < 16 || p.n > sizeof(plain) ||
        wagw_hkdf(key, 32, f->key, WAGW_STR_NULL, WAGW_STR("WhatsApp Media Retry Notification")) != WAGW_OK) {
        return false;
    }
    ok = wagw_gcm_open(plain, key, iv.p, id, p) == WAGW_OK;
    return ok && p.n - 16 == id.n + 2 && memcmp(plain + 2, id.p, id.n) == 0;
}

void sbx_media_retry(sbx_device_t *from, const wagw_node_t *receipt)
{
    char *path = NULL;
    uint8_t key[32], iv[12];
    wagw_str_t id, copy;
    wagw_buf_t plain = {0}, sealed = {0};
    wagw_arena_t a = {0};
    sbx_inbox_t *e;
    wagw_node_t *n, *k;
    wagw_message_file_t f;
    const wagw_node_t *rmr;

    id = wagw_node_get(receipt, "id");
    rmr = wagw_node_find(receipt, "rmr");
    n = wagw_node(&a, "notification");
    wagw_node_attr_server(&a, n, "from");
    wagw_node_attrc(&a, n, "type", "mediaretry");
    wagw_node_attr(&a, n, "id", id);
    wagw_node_attr_int(&a, n, "t", sbx_now_s());

    e = sbx_media_message(from->account, id);
    if (e != NULL && wagw_message_file(&f, &a, wagw_buf_view(&e->bytes)) == WAGW_OK) {
        if (rmr == NULL || !sbx_media_asked(receipt, &f, key)) {
            sbx_fault(from, "media retry: rmr or encrypt is not right");
        } else {
            path = sbx_media_again(f.enc_sha256);
        }
    }
    if (path != NULL) {
        sbx_pb_bytes(&plain, 1, id);
        sbx_pb_bytes(&plain, 2, wagw_cstr(path));
        sbx_pb_uint(&plain, 3, 1);
        free(path);
        sbx_random(NULL, iv, sizeof(iv));
        wagw_buf_reserve(&sealed, plain.n + 16);
        wagw_gcm_seal(sealed.p, key, iv, id, wagw_buf_view(&plain));
        copy = wagw_arena_str(&a, wagw_str(sealed.p, plain.n + 16));
        k = wagw_node_child(&a, n, "encrypt");
        wagw_node_bytes(wagw_node_child(&a, k, "enc_p"), copy);
        wagw_node_bytes(wagw_node_child(&a, k, "enc_iv"), wagw_arena_str(&a, wagw_str(iv, sizeof(iv))));
    } else {
        wagw_node_attrc(&a, wagw_node_child(&a, n, "error"), "code", "2");
    }
    if (rmr != NULL) {
        wagw_node_append(n, wagw_node_clone(&a, rmr));
    }
    sbx_deliver(from, n);
    wagw_buf_free(&plain);
    wagw_buf_free(&sealed);
    wagw_arena_free(&a);
}
