/*
 * Catalogues of businesses (11 section 5): pages of products, which the admin
 * calls fill.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

#define SBX_CATALOG_PAGE 50

static void sbx_catalog_text(wagw_arena_t *a, wagw_node_t *n, const char *tag, const cJSON *product, const char *name)
{
    wagw_node_t *k;
    char number[32];
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(product, name);

    if (cJSON_IsNumber(v)) {
        snprintf(number, sizeof(number), "%.0f", v->valuedouble);
    } else if (!cJSON_IsString(v)) {
        return;
    }
    k = wagw_node_child(a, n, tag);
    wagw_node_bytes_copy(a, k, wagw_cstr(cJSON_IsNumber(v) ? number : v->valuestring));
}

static void sbx_catalog_product(wagw_arena_t *a, wagw_node_t *list, const cJSON *product)
{
    wagw_node_t *n = wagw_node_child(a, list, "product"), *k;

    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(product, "hidden"))) {
        wagw_node_attrc(a, n, "is_hidden", "true");
    }
    sbx_catalog_text(a, n, "id", product, "id");
    sbx_catalog_text(a, n, "name", product, "name");
    sbx_catalog_text(a, n, "description", product, "description");
    sbx_catalog_text(a, n, "retailer_id", product, "retailerId");
    sbx_catalog_text(a, n, "url", product, "url");
    sbx_catalog_text(a, n, "price", product, "price");
    sbx_catalog_text(a, n, "currency", product, "currency");
    if (cJSON_HasObjectItem(product, "imageUrl")) {
        k = wagw_node_child(a, wagw_node_child(a, n, "media"), "image");
        sbx_catalog_text(a, k, "request_image_url", product, "imageUrl");
        sbx_catalog_text(a, k, "original_image_url", product, "imageUrl");
    }
    k = wagw_node_child(a, wagw_node_child(a, n, "status_info"), "status");
    wagw_node_bytes(k, WAGW_STR("APPROVED"));
}

void sbx_iq_catalog(sbx_conn_t *c, const wagw_node_t *iq)
{
    int at = 0, n;
    uint64_t v = 0, limit = 10;
    wagw_jid_t jid;
    wagw_node_t *answer, *list;
    wagw_arena_t a = {0};
    sbx_account_t *who;
    const wagw_node_t *q = wagw_node_find(iq, "product_catalog");

    if (q == NULL || !wagw_node_attr_is(iq, "type", "get")) {
        sbx_unhandled(c, iq);
        sbx_iq_error(c, iq, 501, "feature-not-implemented");
        return;
    }
    who = wagw_node_get_jid(q, "jid", &jid) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
    if (who == NULL || who->products == NULL) {
        sbx_iq_error(c, iq, 404, "item-not-found");
        return;
    }
    (void)wagw_str_u64(wagw_node_data(wagw_node_find(q, "limit")), &limit);
    (void)wagw_str_u64(wagw_node_data(wagw_node_find(q, "after")), &v);
    n = cJSON_GetArraySize(who->products);
    limit = limit < 1 ? 1 : limit > SBX_CATALOG_PAGE ? SBX_CATALOG_PAGE : limit;

    answer = sbx_iq_result(&a, iq);
    list = wagw_node_child(&a, answer, "product_catalog");
    for (at = v > (uint64_t)n ? n : (int)v; at < n && limit; at++, limit--) {
        sbx_catalog_product(&a, list, cJSON_GetArrayItem(who->products, at));
    }
    if (at < n) {
        list = wagw_node_child(&a, wagw_node_child(&a, list, "paging"), "after");
        wagw_node_bytes(list, wagw_arena_printf(&a, "%d", at));
    }
    sbx_send(c, answer);
    wagw_arena_free(&a);
}

/* {phone, products: [{id, name, description?, price?, currency?, retailerId?, url?, imageUrl?, hidden?}]} */
int sbx_admin_user_products(sbx_req_t *r)
{
    char buf[64];
    const cJSON *list = sbx_arg_json(r, "products"), *one;
    sbx_account_t *a = sbx_account_find(sbx_arg(r, "phone", buf));

    if (a == NULL) {
        return sbx_error(r, 404, "no such account");
    }
    if (!cJSON_IsArray(list)) {
        return sbx_error(r, 400, "products is missing");
    }
    cJSON_ArrayForEach(one, list)
    {
        if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(one, "id"))) {
            return sbx_error(r, 400, "a product needs an id");
        }
    }
    cJSON_Delete(a->products);
    a->products = cJSON_Duplicate(list, 1);
    wagw_json_open(&r->j, '{');
    wagw_json_kint(&r->j, "products", cJSON_GetArraySize(list));
    wagw_json_close(&r->j);
    return 200;
}
