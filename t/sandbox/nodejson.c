/*
 * Nodes as JSON: {"tag","attrs","content"}, bytes as {"$hex":"…"}.
 */

#include "sandbox.h"

#include <stdlib.h>

#define SBX_JSON_DEPTH 32

void sbx_node_json(wagw_json_t *j, const wagw_node_t *n)
{
    wagw_buf_t hex = {0};
    wagw_attr_t *at;
    const wagw_node_t *ch;

    wagw_json_open(j, '{');
    wagw_json_key(j, "tag");
    wagw_json_str(j, n->tag);
    wagw_json_key(j, "attrs");
    wagw_json_open(j, '{');
    for (at = n->attrs; at != NULL; at = at->next) {
        wagw_json_key_str(j, at->key);
        wagw_json_str(j, at->value);
    }
    wagw_json_close(j);

    switch (n->content) {

    case WAGW_CONTENT_NODES:
        wagw_json_key(j, "content");
        wagw_json_open(j, '[');
        for (ch = n->child; ch != NULL; ch = ch->next) {
            sbx_node_json(j, ch);
        }
        wagw_json_close(j);
        break;

    case WAGW_CONTENT_BYTES:
        wagw_hex_encode(&hex, n->data);
        wagw_json_key(j, "content");
        wagw_json_open(j, '{');
        wagw_json_key(j, "$hex");
        wagw_json_str(j, wagw_buf_view(&hex));
        wagw_json_close(j);
        wagw_buf_free(&hex);
        break;

    case WAGW_CONTENT_TEXT:
        wagw_json_key(j, "content");
        wagw_json_str(j, n->data);
        break;

    default:
        break;
    }
    wagw_json_close(j);
}

cJSON *sbx_node_cjson(const wagw_node_t *n)
{
    cJSON *json;
    wagw_buf_t b = {0};
    wagw_json_t j;

    j = wagw_json(&b);
    sbx_node_json(&j, n);
    json = b.failed ? NULL : cJSON_ParseWithLength((const char *)b.p, b.n);
    wagw_buf_free(&b);
    return json;
}

static int sbx_json_attrs(wagw_arena_t *a, wagw_node_t *n, const cJSON *attrs)
{
    wagw_jid_t jid;
    wagw_str_t v;
    const cJSON *at;

    cJSON_ArrayForEach(at, attrs)
    {
        if (cJSON_IsString(at)) {
            v = wagw_arena_str(a, wagw_cstr(at->valuestring));
        } else if (cJSON_IsNumber(at)) {
            v = wagw_arena_printf(a, "%.0f", at->valuedouble);
        } else if (cJSON_IsBool(at)) {
            v = cJSON_IsTrue(at) ? WAGW_STR("true") : WAGW_STR("false");
        } else if (cJSON_IsNull(at)) {
            continue;
        } else {
            return -1;
        }
        if (wagw_node_attr(a, n, (const char *)wagw_arena_str(a, wagw_cstr(at->string)).p, v) == NULL) {
            return -1;
        }
        n->attrs_last->is_jid = memchr(v.p, '@', v.n) != NULL && wagw_jid_parse(&jid, v) == WAGW_OK;
    }
    return 0;
}

static wagw_node_t *sbx_json_node(wagw_arena_t *a, const cJSON *json, const char **why, unsigned depth)
{
    wagw_buf_t b = {0};
    wagw_node_t *n, *ch;
    const cJSON *tag, *content, *hex, *item;

    tag = cJSON_GetObjectItemCaseSensitive(json, "tag");
    content = cJSON_GetObjectItemCaseSensitive(json, "content");
    if (!cJSON_IsObject(json) || !cJSON_IsString(tag) || *tag->valuestring == '\0' || depth > SBX_JSON_DEPTH) {
        *why = "a node is {tag, attrs, content}";
        return NULL;
    }

    n = wagw_node(a, (const char *)wagw_arena_str(a, wagw_cstr(tag->valuestring)).p);
    if (n == NULL || sbx_json_attrs(a, n, cJSON_GetObjectItemCaseSensitive(json, "attrs")) != 0) {
        *why = "attrs are an object of strings";
        return NULL;
    }

    if (cJSON_IsString(content)) {
        return wagw_node_text(n, wagw_arena_str(a, wagw_cstr(content->valuestring)));
    }

    if (cJSON_IsArray(content)) {
        n->content = WAGW_CONTENT_NODES;
        cJSON_ArrayForEach(item, content)
        {
            ch = sbx_json_node(a, item, why, depth + 1);
            if (ch == NULL) {
                return NULL;
            }
            wagw_node_append(n, ch);
        }
        return n;
    }

    if (cJSON_IsObject(content)) {
        hex = cJSON_GetObjectItemCaseSensitive(content, "$hex");
        if (!cJSON_IsString(hex) || wagw_hex_decode(&b, wagw_cstr(hex->valuestring)) != WAGW_OK) {
            wagw_buf_free(&b);
            *why = "bytes are {\"$hex\": \"…\"}";
            return NULL;
        }
        wagw_node_bytes_copy(a, n, wagw_buf_view(&b));
        wagw_buf_free(&b);
    }
    return n;
}

wagw_node_t *sbx_node_from_json(wagw_arena_t *a, const cJSON *json, const char **why)
{
    return sbx_json_node(a, json, why, 0);
}
