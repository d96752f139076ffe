/*
 * References to encrypted blobs; core/media opens what they name.
 */

#include "internal.h"

int wagw_app_blob(wagw_str_t reference, wagw_app_blob_t *out)
{
    int rc;
    wagw_wire_t w = wagw_wire(reference);
    wagw_wire_field_t f;

    memset(out, 0, sizeof(*out));
    while ((rc = wagw_wire_next(&w, &f)) == WAGW_OK) {
        if (f.num == 4 && f.type == 0) {
            out->length = f.u;
        }
        if (f.type != 2) {
            continue;
        }
        switch (f.num) {
        case 1:
            out->media_key = f.val;
            break;
        case 2:
            out->direct_path = f.val;
            break;
        case 5:
            out->sha256 = f.val;
            break;
        case 6:
            out->enc_sha256 = f.val;
            break;
        }
    }
    if (rc != WAGW_NOT_FOUND || out->media_key.n != 32 || out->direct_path.n == 0 || out->direct_path.p[0] != '/' ||
        (out->sha256.n && out->sha256.n != 32) || (out->enc_sha256.n && out->enc_sha256.n != 32)) {
        return WAGW_MALFORMED;
    }
    return WAGW_OK;
}

int wagw_app_patch_blob(wagw_str_t patch, wagw_app_blob_t *out)
{
    int rc;
    wagw_wire_field_t f;

    rc = wagw_wire_find(patch, 3, &f);
    return rc == WAGW_OK ? wagw_app_blob(f.val, out) : rc;
}
