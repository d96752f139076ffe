/*
 * Instances of the owner: table, registry slots, staggered start, settings.
 * An instance outlives its drop until the jobs and tasks that know it came back.
 */

#include "ngx_wagw_media.h"
#include "ngx_wagw_queue.h"

#include <openssl/rand.h>

#define CACHE_BYTES (64 * 1024 * 1024)
#define START_MS 25   /* every so often, */
#define START_N 8     /* so many: 320 a second, */
#define START_CATCH 4 /* also when the loop is late: so many rounds at once */

static struct {
    ngx_wagw_main_conf_t *wmcf;
    wagw_client_shared_t shared;
    ngx_queue_t list; /* by creation */
    ngx_rbtree_t tree;
    ngx_rbtree_node_t sentinel;
    ngx_queue_t dirty;
    ngx_event_t dirty_ev;
    ngx_queue_t starting;
    ngx_event_t start_ev;
    ngx_msec_t start_due; /* of the next round */
} ins;

int64_t ngx_wagw_now_ms(void)
{
    ngx_time_t *t = ngx_timeofday();

    return (int64_t)t->sec * 1000 + t->msec;
}

wagw_client_shared_t *ngx_wagw_shared(void)
{
    return &ins.shared;
}

ngx_queue_t *ngx_wagw_instances(void)
{
    return &ins.list;
}

ngx_wagw_instance_t *ngx_wagw_instance_find(const u_char *id, size_t len)
{
    ngx_str_t s = {len, (u_char *)id};
    ngx_str_node_t *n;

    n = ngx_str_rbtree_lookup(&ins.tree, &s, ngx_crc32_long((u_char *)id, len));

    return n ? (ngx_wagw_instance_t *)((u_char *)n - offsetof(ngx_wagw_instance_t, node)) : NULL;
}

void ngx_wagw_instance_mark(ngx_wagw_instance_t *in)
{
    if (in->is_dirty || in->deleting) {
        return;
    }

    in->is_dirty = 1;
    ngx_queue_insert_tail(&ins.dirty, &in->dirty);

    if (!ins.dirty_ev.posted) {
        ngx_post_event(&ins.dirty_ev, &ngx_posted_events);
    }
}

/* ---- registry -------------------------------------------------------------- */

static char *instance_dup(const void *p, size_t n)
{
    char *s = malloc(n + 1);

    if (s) {
        ngx_memcpy(s, p, n);
        s[n] = '\0';
    }

    return s;
}

static ngx_int_t instance_text(ngx_str_t *s, wagw_str_t v)
{
    u_char *p = (u_char *)instance_dup(v.n ? v.p : (const uint8_t *)"", v.n);

    if (p == NULL) {
        return NGX_ERROR;
    }

    free(s->data);
    s->data = p;
    s->len = v.n;

    return NGX_OK;
}

static ngx_int_t instance_publish(ngx_wagw_instance_t *in)
{
    char jid[WAGW_JID_TEXT_MAX];
    wagw_client_info_t info;
    ngx_wagw_slot_info_t slot;
    size_t n;

    wagw_client_info(in->client, &info);

    if (info.linked) {
        n = wagw_jid_text(&info.jid, jid);

        if (n != in->jid.len || ngx_memcmp(jid, in->jid.data, n) != 0) {
            (void)instance_text(&in->jid, wagw_str(jid, n));
        }

    } else if (info.status == WAGW_STATUS_LOGGED_OUT || info.status == WAGW_STATUS_QR ||
               info.status == WAGW_STATUS_PAIRING) {
        in->jid.len = 0;
    }

    ngx_memzero(&slot, sizeof(slot));
    slot.id = in->id;
    slot.name = in->name;
    slot.status = info.status;
    slot.jid = in->jid;
    slot.reason = (uint32_t)info.disconnect_code;
    slot.created = in->created_ms;
    slot.connected = info.connected_ms;
    slot.last_seen = ngx_wagw_now_ms();
    slot.sent = info.sent;
    slot.received = info.received;
    slot.queue = info.queue;

    return ngx_wagw_registry_set(&slot);
}

static void instances_dirty(ngx_event_t *ev)
{
    ngx_wagw_instance_t *in;
    wagw_client_info_t info;
    ngx_queue_t *q;

    (void)ev;

    while (!ngx_queue_empty(&ins.dirty)) {
        q = ngx_queue_head(&ins.dirty);
        ngx_queue_remove(q);
        in = ngx_queue_data(q, ngx_wagw_instance_t, dirty);
        in->is_dirty = 0;

        if (in->open_failed) {
            in->open_failed = 0;
            wagw_client_closed(in->client, 0, "no memory for a socket", ngx_wagw_now_ms());
        }

        (void)instance_publish(in);

        wagw_client_info(in->client, &info);

        if (info.status == WAGW_STATUS_FAILED && info.disconnect_code == 405) {
            ngx_wagw_version_refused(in);
        }

        if (info.status == WAGW_STATUS_CONNECTED) {
            ngx_wagw_queue_wake(in);
        }
    }
}

void ngx_wagw_instance_open_failed(ngx_wagw_instance_t *in)
{
    in->open_failed = 1;
    ngx_wagw_instance_mark(in);
}

/* ---- life of an instance ------------------------------------------------------ */

static const char *conf_text(const cJSON *o, const char *name, const char *dflt)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsString(v) && v->valuestring[0] ? v->valuestring : dflt;
}

static bool conf_flag(const cJSON *o, const char *name, bool dflt)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsBool(v) ? cJSON_IsTrue(v) : dflt;
}

static void instance_settings(ngx_wagw_instance_t *in, wagw_client_conf_t *conf)
{
    const cJSON *s = in->settings, *browser;

    browser = cJSON_GetObjectItemCaseSensitive(s, "browser");

    ngx_memzero(conf, sizeof(*conf));
    conf->os = conf_text(browser, "os", "Mac OS");
    conf->browser = conf_text(browser, "name", "Chrome");
    conf->country = conf_text(browser, "country", "US");
    conf->id = (const char *)in->id.data;
    conf->always_online = conf_flag(s, "alwaysOnline", false);
    conf->mark_read = conf_flag(s, "markReadOnReceive", false);
    conf->ignore_status = conf_flag(s, "ignoreStatus", true);
    conf->ignore_groups = conf_flag(s, "ignoreGroups", false);
    conf->ignore_channels = conf_flag(s, "ignoreChannels", false);
    conf->full_history = ngx_strcmp(conf_text(s, "syncHistory", "recent"), "full") == 0;
    conf->no_history = ngx_strcmp(conf_text(s, "syncHistory", "recent"), "none") == 0;
    conf->check_number = conf_flag(s, "checkNumberBeforeSend", false);
    conf->no_messages = !conf_flag(s, "storeMessages", true);
    conf->no_read_receipts = !conf_flag(s, "readReceipts", true);
    conf->link_preview = conf_flag(s, "linkPreview", true);
    conf->reject_calls = conf_flag(s, "rejectCalls", false);
    conf->reject_call_message = conf_text(s, "rejectCallMessage", NULL);
    conf->timeout_ms = 60000;
}

static cJSON *instance_json(wagw_str_t text)
{
    cJSON *j = text.n ? cJSON_ParseWithLength((const char *)text.p, text.n) : NULL;

    if (!cJSON_IsObject(j)) {
        cJSON_Delete(j);
        j = cJSON_CreateObject();
    }

    return j;
}

void ngx_wagw_instance_free(ngx_wagw_instance_t *in)
{
    if (in->jobs || in->works) {
        return;
    }

    if (in->client) {
        wagw_client_destroy(in->client);
    }

    free(in->id.data);
    free(in->name.data);
    free(in->phone.data);
    free(in->jid.data);
    cJSON_Delete(in->settings);
    cJSON_Delete(in->metadata);
    free(in);
}

/* What a stored status means before anything was tried. */
static wagw_status_t instance_status(const wagw_instance_t *row)
{
    bool linked = row->engine.jid.n != 0;
    unsigned i;

    for (i = 0; i <= WAGW_STATUS_FAILED; i++) {
        if (wagw_str_eq(row->engine.status, wagw_cstr(wagw_status_name(i)))) {
            break;
        }
    }

    switch (i) {
    case WAGW_STATUS_LOGGED_OUT:
        return linked ? WAGW_STATUS_DISCONNECTED : WAGW_STATUS_LOGGED_OUT;
    case WAGW_STATUS_BANNED:
    case WAGW_STATUS_CONFLICT:
    case WAGW_STATUS_FAILED:
        return (wagw_status_t)i;
    default:
        return row->active ? WAGW_STATUS_DISCONNECTED : WAGW_STATUS_PAUSED;
    }
}

ngx_wagw_instance_t *ngx_wagw_instance_make(const wagw_instance_t *row)
{
    ngx_wagw_instance_t *in;
    wagw_client_conf_t conf;
    wagw_status_t status;

    in = calloc(1, sizeof(*in));
    if (in == NULL) {
        return NULL;
    }

    in->num = row->num;
    in->active = row->active;
    in->auto_connect = row->auto_connect;
    in->created_ms = row->created_ms;
    in->updated_ms = row->updated_ms;
    in->epoch = 1;
    in->timer.handler = ngx_wagw_driver_tick;
    in->timer.data = in;
    in->timer.log = ngx_cycle->log;
    in->timer.cancelable = 1;
    ngx_queue_init(&in->webhooks);

    in->settings = instance_json(row->settings);
    in->metadata = instance_json(row->metadata);

    if (in->settings == NULL || in->metadata == NULL || instance_text(&in->id, row->id) != NGX_OK ||
        instance_text(&in->name, row->name) != NGX_OK || instance_text(&in->phone, row->phone) != NGX_OK ||
        instance_text(&in->jid, row->engine.jid) != NGX_OK) {
        ngx_wagw_instance_free(in);
        return NULL;
    }

    instance_settings(in, &conf);

    in->client = wagw_client_create(in->num, &ins.shared, &conf, &ngx_wagw_driver_ops, in, row->event_seq);
    if (in->client == NULL) {
        ngx_wagw_instance_free(in);
        return NULL;
    }

    in->node.str = in->id;
    in->node.node.key = ngx_crc32_long(in->id.data, in->id.len);
    ngx_rbtree_insert(&ins.tree, &in->node.node);
    ngx_queue_insert_tail(&ins.list, &in->queue);
    ngx_wagw_queue_conf(in);

    status = instance_status(row);

    if (status != WAGW_STATUS_DISCONNECTED) {
        wagw_client_set_status(in->client, status);
    }

    /* what does not fit into the zone is asked of us by the workers */
    if (instance_publish(in) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw instance %V: not in the registry", &in->id);
    }

    if (row->engine.jid.n && in->auto_connect &&
        (status == WAGW_STATUS_DISCONNECTED ||
         (status == WAGW_STATUS_FAILED && (row->engine.disconnect_code != 405 || !ins.wmcf->whatsapp_version_auto)))) {
        ngx_wagw_instance_autostart(in);
    }

    return in;
}

void ngx_wagw_instance_drop(ngx_wagw_instance_t *in)
{
    ngx_queue_t *q;
    ngx_wagw_hook_t *h;

    in->deleting = 1;

    ngx_rbtree_delete(&ins.tree, &in->node.node);
    ngx_queue_remove(&in->queue);

    if (in->is_dirty) {
        in->is_dirty = 0;
        ngx_queue_remove(&in->dirty);
    }

    if (in->is_starting) {
        in->is_starting = 0;
        ngx_queue_remove(&in->start);
    }

    while (!ngx_queue_empty(&in->webhooks)) {
        q = ngx_queue_head(&in->webhooks);
        h = ngx_queue_data(q, ngx_wagw_hook_t, queue);
        ngx_wagw_webhook_remove(h->w.id);
    }

    ngx_wagw_registry_remove(&in->id);
    ngx_wagw_queue_drop(in);
    ngx_wagw_socket_close(in);
    ngx_wagw_media_blob_drop(in);

    if (in->works == 0) {
        wagw_client_destroy(in->client);
        in->client = NULL;
    }

    /* destroying closes and may set timers: last */
    ngx_wagw_socket_close(in);

    if (in->timer.timer_set) {
        ngx_del_timer(&in->timer);
    }

    wagw_cache_forget(ins.shared.cache, in->num);
    ngx_wagw_instance_free(in);
}

void ngx_wagw_instance_conf(ngx_wagw_instance_t *in)
{
    wagw_client_conf_t conf;

    instance_settings(in, &conf);
    wagw_client_configure(in->client, &conf);
    ngx_wagw_queue_conf(in);
    ngx_wagw_retention_kick(in);
    instance_publish(in);
}

static void instances_start(ngx_event_t *ev)
{
    ngx_wagw_instance_t *in;
    ngx_queue_t *q;
    ngx_uint_t i, rounds;

    /* the timer fires late under load: what it missed is made up for */
    rounds =
        (ngx_msec_int_t)(ngx_current_msec - ins.start_due) > 0 ? 1 + (ngx_current_msec - ins.start_due) / START_MS : 1;

    if (rounds > START_CATCH) {
        rounds = START_CATCH;
        ins.start_due = ngx_current_msec + START_MS;

    } else {
        ins.start_due += rounds * START_MS;
    }

    for (i = 0; i < rounds * START_N && !ngx_queue_empty(&ins.starting); i++) {
        q = ngx_queue_head(&ins.starting);
        ngx_queue_remove(q);
        in = ngx_queue_data(q, ngx_wagw_instance_t, start);
        in->is_starting = 0;
        wagw_client_start(in->client, false, ngx_wagw_now_ms());
    }

    if (!ngx_queue_empty(&ins.starting)) {
        ngx_add_timer(ev,
                      (ngx_msec_int_t)(ins.start_due - ngx_current_msec) > 0 ? ins.start_due - ngx_current_msec : 1);
    }
}

void ngx_wagw_instance_autostart(ngx_wagw_instance_t *in)
{
    if (in->is_starting) {
        return;
    }

    in->is_starting = 1;
    ngx_queue_insert_tail(&ins.starting, &in->start);

    if (!ins.start_ev.timer_set) {
        ins.start_due = ngx_current_msec + 1;
        ngx_add_timer(&ins.start_ev, 1);
    }
}

/* ---- all of them ------------------------------------------------------------------ */

static void random_now(uint8_t *p, size_t n)
{
    while (n) {
        int part = n > INT_MAX ? INT_MAX : (int)n;

        if (RAND_bytes(p, part) != 1) {
            ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0, "wagw: no randomness");
            ngx_abort();
        }

        p += part;
        n -= (size_t)part;
    }
}

/* A call of RAND_bytes() costs the same for 16 bytes as for 512, and a message
 * takes several short ones.  What was given out is wiped here. */
void ngx_wagw_random(void *data, uint8_t *p, size_t n)
{
    static _Thread_local uint8_t pool[512];
    static _Thread_local size_t left;

    (void)data;

    if (n > sizeof(pool) / 4) {
        random_now(p, n);
        return;
    }

    if (left < n) {
        random_now(pool, sizeof(pool));
        left = sizeof(pool);
    }

    left -= n;
    ngx_memcpy(p, pool + left, n);
    ngx_explicit_memzero(pool + left, n);
}

ngx_int_t ngx_wagw_instances_init(ngx_cycle_t *cycle, ngx_wagw_main_conf_t *wmcf)
{
    unsigned i;

    ngx_memzero(&ins, sizeof(ins));

    ins.wmcf = wmcf;
    ngx_queue_init(&ins.list);
    ngx_queue_init(&ins.dirty);
    ngx_queue_init(&ins.starting);
    ngx_rbtree_init(&ins.tree, &ins.sentinel, ngx_str_rbtree_insert_value);

    ins.dirty_ev.handler = instances_dirty;
    ins.dirty_ev.log = cycle->log;
    ins.start_ev.handler = instances_start;
    ins.start_ev.data = &ngx_wagw_no_connection;
    ins.start_ev.log = cycle->log;
    ins.start_ev.cancelable = 1;

    ins.shared.random = ngx_wagw_random;
    ngx_memcpy(ins.shared.root, wmcf->whatsapp_root, 32);

    for (i = 0; i < 3; i++) {
        ins.shared.version[i] = (uint32_t)wmcf->whatsapp_version[i];
    }

    ins.shared.cache = wagw_cache_create(CACHE_BYTES);

    if (ins.shared.cache == NULL || wagw_signal_create(&ins.shared.signal, ngx_wagw_random, NULL) != WAGW_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "wagw: no memory for the engines");
        return NGX_ERROR;
    }

    return NGX_OK;
}

/* Silent: what was connected is to be connected again at the next start. */
void ngx_wagw_instances_stop(void)
{
    ngx_queue_t *q;

    for (q = ngx_queue_head(&ins.list); q != ngx_queue_sentinel(&ins.list); q = ngx_queue_next(q)) {
        ngx_wagw_socket_close(ngx_queue_data(q, ngx_wagw_instance_t, queue));
    }
}

void ngx_wagw_instances_done(void)
{
    ngx_wagw_instance_t *in;

    while (!ngx_queue_empty(&ins.list)) {
        in = ngx_queue_data(ngx_queue_head(&ins.list), ngx_wagw_instance_t, queue);
        ngx_wagw_instance_drop(in);
    }

    if (ins.start_ev.timer_set) {
        ngx_del_timer(&ins.start_ev);
    }

    if (ins.dirty_ev.posted) {
        ngx_delete_posted_event(&ins.dirty_ev);
    }

    if (ins.shared.signal) {
        wagw_signal_destroy(ins.shared.signal);
        ins.shared.signal = NULL;
    }

    if (ins.shared.cache) {
        wagw_cache_destroy(ins.shared.cache);
        ins.shared.cache = NULL;
    }
}
