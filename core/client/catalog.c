/*
 * A product of a business' catalogue, looked up page by page and sent as a
 * card (11 section 5, 05).
 */

#include "client_i.h"

#define PAGE "50"
#define PAGES_MAX 40

static wagw_str_t text_of(const wagw_node_t *n, const char *tag)
{
    return wagw_node_data(wagw_node_find(n, tag));
}

static void member(cJSON *o, wagw_turn_t *t, const char *key, const wagw_node_t *n, const char *tag)
{
    wagw_str_t v = wagw_arena_str(&t->arena, text_of(n, tag)); /* NUL-terminated */

    if (v.n && wagw_utf8_valid(v) && memchr(v.p, 0, v.n) == NULL) {
        cJSON_AddStringToObject(o, key, (const char *)v.p);
    }
}

static cJSON *product_json(wagw_turn_t *t, const wagw_node_t *p, const char *business)
{
    uint64_t price;
    cJSON *o = cJSON_CreateObject();

    member(o, t, "productId", p, "id");
    member(o, t, "title", p, "name");
    member(o, t, "description", p, "description");
    member(o, t, "retailerId", p, "retailer_id");
    member(o, t, "url", p, "url");
    member(o, t, "currency", p, "currency");
    if (wagw_str_u64(text_of(p, "price"), &price) == WAGW_OK && price < (1ull << 53)) {
        cJSON_AddNumberToObject(o, "priceAmount1000", (double)price);
    }
    cJSON_AddStringToObject(o, "businessJid", business);
    return o;
}

static int product_page(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_str_t after, int page);

/* Found: it becomes a message like any other. */
static int product_send(wagw_turn_t *t, uint64_t command, const wagw_node_t *p)
{
    cJSON *params = (cJSON *)t->asked, *o;

    o = product_json(t, p, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, "_business")));
    cJSON_DeleteItemFromObjectCaseSensitive(params, "_product"); /* of a run before */
    if (o == NULL || !cJSON_AddItemToObject(params, "_product", o)) {
        cJSON_Delete(o);
        return WAGW_NOMEM;
    }
    return wagw_send_command(t, command, WAGW_BUILD_PRODUCT, params);
}

static int product_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int code = node ? wagw_iq_error(node, NULL) : 0;
    int page = (int)wagw_param_int(t->asked, "_page", 0);
    wagw_str_t want = wagw_param_str(t->asked, "productId"), after;
    wagw_result_t r;
    const wagw_node_t *list, *p;

    if (node == NULL || code) {
        wagw_iq_result(&r, &t->arena, code, WAGW_STR_NULL);
        if (code == 404) {
            r.error = "This account has no catalogue";
        } else if (code == 0) {
            r.details = WAGW_STR("{\"sent\":false}");
        }
        return wagw_turn_reply(t, command, &r);
    }
    list = wagw_node_find(node, "product_catalog");
    for (p = wagw_node_find(list, "product"); p; p = wagw_node_find_next(p, "product")) {
        if (wagw_str_eq(text_of(p, "id"), want)) {
            return product_send(t, command, p);
        }
    }
    after = text_of(wagw_node_find(list, "paging"), "after");
    if (after.n && page + 1 < PAGES_MAX) {
        return product_page(t, command, t->asked, after, page + 1);
    }
    return wagw_turn_fail(t, command, 404, "NOT_FOUND", "The catalogue has no such product");
}

static int product_page(wagw_turn_t *t, uint64_t command, const cJSON *params, wagw_str_t after, int page)
{
    int rc;
    cJSON *asked;
    wagw_jid_t business;
    wagw_node_t *iq, *q;
    char text[WAGW_JID_TEXT_MAX];

    WAGW_TRY(wagw_param_jid(t, command, params, "businessJid", NULL, &business));
    if (wagw_jid_empty(&business)) {
        return WAGW_OK; /* answered */
    }
    if (!wagw_jid_is_person(&business)) {
        return wagw_turn_fail(t, command, 400, "INVALID_JID", "Not a business account");
    }
    WAGW_TRY(wagw_lid_in(t, &business, false, &business));
    business = wagw_jid_user(&business);
    text[wagw_jid_text(&business, text)] = '\0';

    iq = wagw_iq(t, "get", "w:biz:catalog");
    q = wagw_node_child(&t->arena, iq, "product_catalog");
    wagw_node_attr_jid(&t->arena, q, "jid", &business);
    wagw_node_attrc(&t->arena, q, "allow_shop_source", "true");
    wagw_node_bytes(wagw_node_child(&t->arena, q, "limit"), WAGW_STR(PAGE));
    wagw_node_bytes(wagw_node_child(&t->arena, q, "width"), WAGW_STR("100"));
    wagw_node_bytes(wagw_node_child(&t->arena, q, "height"), WAGW_STR("100"));
    if (after.n) {
        wagw_node_bytes(wagw_node_child(&t->arena, q, "after"), after);
    }

    asked = cJSON_Duplicate(params, 1);
    cJSON_DeleteItemFromObjectCaseSensitive(asked, "_business");
    cJSON_DeleteItemFromObjectCaseSensitive(asked, "_page");
    if (cJSON_AddStringToObject(asked, "_business", text) == NULL ||
        cJSON_AddNumberToObject(asked, "_page", page) == NULL) {
        cJSON_Delete(asked);
        return WAGW_NOMEM;
    }
    rc = wagw_iq_send_params(t, iq, product_answer, command, asked);
    cJSON_Delete(asked);
    return rc;
}

int wagw_product_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    return product_page(t, command, params, WAGW_STR_NULL, 0);
}
