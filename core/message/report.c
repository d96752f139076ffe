#include "internal.h"

/*
 * Reporting token (04 section 19): an HMAC over the parts of the message that
 * a report shows, cut out of the serialised bytes.  A field without `sub` is
 * kept as it is; one with `sub` is cut itself.
 */

typedef struct wagw_report_s wagw_report_t;

struct wagw_report_s {
    uint32_t num;
    const wagw_report_t *sub;
};

#define END                                                                                                            \
    {                                                                                                                  \
        0, NULL                                                                                                        \
    }

/* an embedded Message: nothing of it counts */
static const wagw_report_t wagw_report_message[] = {END};
static const wagw_report_t wagw_report_context[] = {{21, NULL}, {22, NULL}, END};
static const wagw_report_t wagw_report_wrapper[] = {{1, wagw_report_message}, END};
static const wagw_report_t wagw_report_option[] = {{1, NULL}, {2, NULL}, END};
static const wagw_report_t wagw_report_votes[] = {{1, NULL}, END};

static const wagw_report_t wagw_report_image[] = {
    {2, NULL}, {3, NULL}, {8, NULL}, {11, NULL}, {17, wagw_report_context}, {25, NULL}, END,
};
static const wagw_report_t wagw_report_contact[] = {{1, NULL}, {16, NULL}, {17, wagw_report_context}, END};
static const wagw_report_t wagw_report_location[] = {
    {3, NULL}, {4, NULL}, {5, NULL}, {16, NULL}, {17, wagw_report_context}, END,
};
static const wagw_report_t wagw_report_text[] = {{1, NULL}, {17, wagw_report_context}, {30, NULL}, END};
static const wagw_report_t wagw_report_document[] = {
    {2, NULL}, {7, NULL}, {10, NULL}, {17, wagw_report_context}, {20, NULL}, END,
};
static const wagw_report_t wagw_report_audio[] = {
    {2, NULL}, {7, NULL}, {9, NULL}, {17, wagw_report_context}, {21, NULL}, END,
};
static const wagw_report_t wagw_report_video[] = {
    {2, NULL}, {6, NULL}, {7, NULL}, {13, NULL}, {17, wagw_report_context}, {20, NULL}, END,
};
static const wagw_report_t wagw_report_protocol[] = {
    {1, NULL}, {2, NULL}, {14, wagw_report_message}, {15, NULL}, END,
};
static const wagw_report_t wagw_report_live[] = {{6, NULL}, {16, NULL}, {17, wagw_report_context}, END};
static const wagw_report_t wagw_report_sticker[] = {
    {4, NULL}, {5, NULL}, {8, NULL}, {13, NULL}, {17, wagw_report_context}, END,
};
static const wagw_report_t wagw_report_invite[] = {
    {1, NULL}, {2, NULL}, {4, NULL}, {5, NULL}, {6, NULL}, {7, wagw_report_context}, END,
};
static const wagw_report_t wagw_report_poll[] = {
    {2, NULL}, {3, wagw_report_option}, {5, wagw_report_context}, {8, wagw_report_option}, END,
};
static const wagw_report_t wagw_report_result[] = {{1, NULL}, {2, wagw_report_votes}, {3, wagw_report_context}, END};

static const wagw_report_t wagw_report_root[] = {
    {1, NULL},
    {3, wagw_report_image},
    {4, wagw_report_contact},
    {5, wagw_report_location},
    {6, wagw_report_text},
    {7, wagw_report_document},
    {8, wagw_report_audio},
    {9, wagw_report_video},
    {12, wagw_report_protocol},
    {18, wagw_report_live},
    {26, wagw_report_sticker},
    {28, wagw_report_invite},
    {37, wagw_report_wrapper},
    {49, wagw_report_poll},
    {53, wagw_report_wrapper},
    {55, wagw_report_wrapper},
    {58, wagw_report_wrapper},
    {59, wagw_report_wrapper},
    {60, wagw_report_poll},
    {64, wagw_report_poll},
    {66, wagw_report_video},
    {74, wagw_report_wrapper},
    {87, wagw_report_wrapper},
    {88, wagw_report_result},
    {92, wagw_report_wrapper},
    {93, wagw_report_wrapper},
    {94, wagw_report_wrapper},
    END,
};

/* The table is in ascending order, so one pass per entry sorts, stable. */
static int wagw_report_cut(wagw_buf_t *out, const wagw_report_t *table, wagw_str_t bytes)
{
    int rc;
    wagw_wire_t w;
    wagw_wire_field_t f;

    for (; table->num; table++) {
        w = wagw_wire(bytes);

        while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
            wagw_buf_t sub = {0};

            if (f.num != table->num) {
                continue;
            }

            if (table->sub == NULL) {
                wagw_buf_str(out, f.raw);
                continue;
            }

            if (f.type != 2) {
                continue;
            }

            rc = wagw_report_cut(&sub, table->sub, f.val);

            if (rc == WAGW_OK && sub.n) {
                wagw_wire_put_bytes(out, f.num, wagw_buf_view(&sub));
            }

            rc = sub.failed ? WAGW_NOMEM : rc;
            wagw_buf_free(&sub);

            if (rc != WAGW_OK) {
                return rc;
            }
        }

        if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }

    return out->failed ? WAGW_NOMEM : WAGW_OK;
}

int wagw_reporting_token(uint8_t out[16], size_t *n, wagw_str_t bytes, wagw_str_t secret, wagw_str_t id,
                         wagw_str_t sender, wagw_str_t chat)
{
    int rc;
    uint8_t key[32], mac[32];
    wagw_buf_t info = {0}, content = {0};

    *n = 0;

    if (secret.n != 32) {
        return WAGW_OK;
    }

    rc = wagw_report_cut(&content, wagw_report_root, bytes);
    if (rc != WAGW_OK || content.n == 0) {
        wagw_buf_free(&content);
        return rc;
    }

    wagw_buf_str(&info, id);
    wagw_buf_str(&info, sender);
    wagw_buf_str(&info, chat);
    wagw_buf_cstr(&info, "Report Token");

    rc = info.failed ? WAGW_NOMEM : wagw_hkdf(key, sizeof(key), secret, WAGW_STR_NULL, wagw_buf_view(&info));

    if (rc == WAGW_OK) {
        rc = wagw_hmac_sha256(mac, wagw_str(key, sizeof(key)), wagw_buf_view(&content));
    }

    if (rc == WAGW_OK) {
        memcpy(out, mac, 16);
        *n = 16;
    }

    wagw_wipe(key, sizeof(key));
    wagw_buf_free(&info);
    wagw_buf_free(&content);

    return rc;
}

/* messageContextInfo (35), messageSecret (3): at the outer level alone. */
int wagw_reporting_token_of(uint8_t out[16], size_t *n, wagw_str_t bytes, wagw_str_t id, wagw_str_t sender,
                            wagw_str_t chat)
{
    wagw_wire_field_t info, secret;

    *n = 0;

    if (wagw_wire_find(bytes, 35, &info) != WAGW_OK || wagw_wire_find(info.val, 3, &secret) != WAGW_OK) {
        return WAGW_OK;
    }

    return wagw_reporting_token(out, n, bytes, secret.val, id, sender, chat);
}
