#include "draft.h"

/* A product card (05): what the catalogue said of the product is in _product. */

static int wagw_commerce_text(const wagw_draft_t *d, const cJSON *from, const char *name, char **out)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, name));

    return s ? wagw_draft_dup(d, out, s) : WAGW_OK;
}

int wagw_compose_product(wagw_draft_t *d)
{
    int rc;
    const cJSON *p = wagw_draft_get(d, "_product", NULL), *price;
    Wa__Message__ProductMessage *m;
    Wa__Message__ProductMessage__ProductSnapshot *s;

    if (!cJSON_IsObject(p)) {
        return wagw_draft_bad(d, "productId");
    }

    WAGW_DRAFT_NEW(d, m, message__product_message);
    WAGW_DRAFT_NEW(d, s, message__product_message__product_snapshot);

    rc = wagw_commerce_text(d, p, "productId", &s->productid);
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, p, "title", &s->title);
    }
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, p, "description", &s->description);
    }
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, p, "currency", &s->currencycode);
    }
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, p, "retailerId", &s->retailerid);
    }
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, p, "url", &s->url);
    }
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, p, "businessJid", &m->businessownerjid);
    }
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, d->b->params, "body", &m->body);
    }
    if (rc == WAGW_OK) {
        rc = wagw_commerce_text(d, d->b->params, "footer", &m->footer);
    }
    if (rc == WAGW_OK) {
        rc = wagw_draft_context(d, &m->contextinfo);
    }

    price = cJSON_GetObjectItemCaseSensitive(p, "priceAmount1000");
    if (cJSON_IsNumber(price) && price->valuedouble >= 0 && price->valuedouble <= 9007199254740992.0) {
        s->has_priceamount1000 = 1;
        s->priceamount1000 = (int64_t)price->valuedouble;
    }

    m->product = s;
    d->m->productmessage = m;

    return rc;
}
