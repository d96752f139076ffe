#include "ngx_wagw_media.h"

/*
 * media_conn of each instance that lately needed it.  Few at a time do: a
 * short list, the one that was longest unused gives way.
 */

#define HOSTS_KEPT 256

typedef struct {
    ngx_queue_t queue; /* last used first */
    uint32_t num;
    int64_t until;
    cJSON *conn;
} hosts_t;

static struct {
    ngx_queue_t list;
    ngx_uint_t n;
} hosts;

static hosts_t *hosts_find(uint32_t num)
{
    hosts_t *h;
    ngx_queue_t *q;

    if (hosts.list.next == NULL) {
        ngx_queue_init(&hosts.list);
    }
    for (q = ngx_queue_head(&hosts.list); q != ngx_queue_sentinel(&hosts.list); q = ngx_queue_next(q)) {
        h = ngx_queue_data(q, hosts_t, queue);
        if (h->num == num) {
            ngx_queue_remove(q);
            ngx_queue_insert_head(&hosts.list, q);
            return h;
        }
    }
    return NULL;
}

static void hosts_drop(hosts_t *h)
{
    ngx_queue_remove(&h->queue);
    hosts.n--;
    cJSON_Delete(h->conn);
    free(h);
}

static void hosts_keep(uint32_t num, const cJSON *conn)
{
    double ttl = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(conn, "ttl"));
    hosts_t *h = hosts_find(num);

    if (h) {
        hosts_drop(h);
    } else if (hosts.n == HOSTS_KEPT) {
        hosts_drop(ngx_queue_data(ngx_queue_last(&hosts.list), hosts_t, queue));
    }
    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return;
    }
    h->num = num;
    h->until = ngx_wagw_now_ms() + (ttl > 0 ? (int64_t)ttl * 1000 : 0);
    h->conn = cJSON_Duplicate(conn, 1);
    ngx_queue_insert_head(&hosts.list, &h->queue);
    hosts.n++;
}

void ngx_wagw_media_hosts_told(ngx_wagw_media_t *m, const wagw_result_t *r)
{
    ngx_wagw_instance_t *in = m->call ? ngx_wagw_call_instance(m->call) : m->in;

    cJSON_Delete(m->conn);
    m->conn = r->status == 200 ? cJSON_ParseWithLength((const char *)r->data.p, r->data.n) : NULL;
    if (in && m->conn) {
        hosts_keep(in->num, m->conn);
    }
    ngx_wagw_media_later(m, m->next);
}

static void hosts_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    call->reply = NULL;
    if (r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }
    ngx_wagw_media_hosts_told(call->data, r);
}

void ngx_wagw_media_hosts(ngx_wagw_media_t *m, ngx_uint_t force, void (*next)(ngx_wagw_media_t *m))
{
    hosts_t *h;
    ngx_wagw_instance_t *in = m->call ? ngx_wagw_call_instance(m->call) : m->in;

    m->next = next;
    h = in && !force ? hosts_find(in->num) : NULL;
    if (h && h->until > ngx_wagw_now_ms()) {
        cJSON_Delete(m->conn);
        m->conn = cJSON_Duplicate(h->conn, 1);
        next(m);
        return;
    }
    if (m->call) {
        m->call->data = m;
        m->call->reply = hosts_reply;
        ngx_wagw_call_command(m->call, WAGW_CMD_MEDIA_CONN);
    } else {
        ngx_wagw_media_blob_ask(m);
    }
}

const char *ngx_wagw_media_host(ngx_wagw_media_t *m, size_t i)
{
    return cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(m->conn, "hosts"), (int)i));
}

size_t ngx_wagw_media_nhosts(ngx_wagw_media_t *m)
{
    return (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(m->conn, "hosts"));
}
