/*
 * API keys after they were made (contract 3.1): listed, changed, deleted; and
 * when each was used last, which is written at most once a minute.
 */

#include "ngx_wagw_calls.h"
#include "ngx_wagw_owner.h"

#define USED_SLOTS 1024
#define USED_STORE_MS 60000

/* ---- last use --------------------------------------------------------------------- */

typedef struct {
    char id[40];
    int64_t at_ms, stored_ms;
} used_t;

typedef struct {
    ngx_wagw_job_t job;
    char id[40];
    int64_t at_ms;
} used_job_t;

/* Two keys of one slot write more often than need be, no more. */
static used_t used[USED_SLOTS];

static int used_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    used_job_t *u = job->data;

    return wagw_store_key_used(s, wagw_cstr(u->id), u->at_ms);
}

static void used_done(ngx_wagw_job_t *job)
{
    free(job->data);
}

void ngx_wagw_key_used(ngx_str_t *id)
{
    used_t *u;
    used_job_t *j;

    if (id->len == 0 || id->len >= sizeof(u->id) || (id->len == 6 && ngx_memcmp(id->data, "master", 6) == 0)) {
        return;
    }

    u = &used[ngx_murmur_hash2(id->data, id->len) % USED_SLOTS];

    if (ngx_strlen(u->id) != id->len || ngx_memcmp(u->id, id->data, id->len) != 0) {
        ngx_memzero(u, sizeof(used_t));
        ngx_memcpy(u->id, id->data, id->len);
    }

    u->at_ms = ngx_wagw_now_ms();

    if (u->at_ms - u->stored_ms < USED_STORE_MS) {
        return;
    }

    j = calloc(1, sizeof(used_job_t));
    if (j == NULL) {
        return;
    }

    u->stored_ms = u->at_ms;
    ngx_memcpy(j->id, u->id, sizeof(j->id));
    j->at_ms = u->at_ms;
    j->job.run = used_run;
    j->job.done = used_done;
    j->job.data = j;
    j->job.write = 1;
    j->job.lazy = 1;
    ngx_wagw_store_post(&j->job);
}

static int64_t used_at(const wagw_api_key_t *k)
{
    used_t *u = &used[ngx_murmur_hash2((u_char *)k->id.p, k->id.n) % USED_SLOTS];

    return wagw_str_eq(wagw_cstr(u->id), k->id) && u->at_ms > k->last_used_ms ? u->at_ms : k->last_used_ms;
}

/* ---- the calls --------------------------------------------------------------------------- */

typedef struct {
    ngx_wagw_list_t list;
    wagw_json_t j;
    wagw_str_t id; /* of the one that is asked for; empty: all */
    uint32_t seen, admins;
    int64_t now;

    wagw_arena_t arena; /* what k points to */
    wagw_api_key_t k;   /* the one */
    wagw_str_t new_name, new_instances;
    uint32_t new_permissions;
    int64_t new_expires;
    int active; /* -1: as it is */
    unsigned change_instances : 1;
    unsigned change_expires : 1;
    unsigned remove : 1;
    unsigned last_admin : 1;
    unsigned found : 1;
} keys_t;

static bool key_rules(const keys_t *c, const wagw_api_key_t *k)
{
    return (k->permissions & NGX_WAGW_PERM_ADMIN) && k->active && (k->expires_ms == 0 || k->expires_ms > c->now);
}

static void key_json(wagw_json_t *j, const wagw_api_key_t *k)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", k->id);
    wagw_json_kstr(j, "name", k->name);
    wagw_json_key(j, "permissions");
    ngx_wagw_key_permissions_json(j, k->permissions);
    wagw_json_kraw(j, "instanceIds", k->instances.n ? k->instances : WAGW_STR("[]"));
    wagw_json_kstr(j, "prefix", k->prefix);
    wagw_json_kraw(j, "ipAllow", k->ip_allow.n ? k->ip_allow : WAGW_STR("[]"));
    wagw_json_kiso(j, "createdAt", k->created_ms);
    wagw_json_kiso(j, "lastUsedAt", used_at(k));
    wagw_json_kiso(j, "expiresAt", k->expires_ms);
    wagw_json_kbool(j, "isActive", k->active);
    wagw_json_close(j);
}

static int list_one(void *data, const wagw_api_key_t *k)
{
    keys_t *c = data;

    if (c->seen++ >= c->list.offset && c->list.count < c->list.limit) {
        key_json(&c->j, k);
        c->list.count++;
    }

    return WAGW_OK;
}

static int list_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    keys_t *c = ((ngx_wagw_call_t *)job->data)->data;

    wagw_buf_reset(&c->list.json);
    c->j = wagw_json(&c->list.json);
    c->seen = c->list.count = 0;
    wagw_json_open(&c->j, '[');
    rc = wagw_store_key_each(s, list_one, c);
    wagw_json_close(&c->j);
    c->list.total = c->seen;
    c->list.more = c->list.offset + c->list.count < c->seen;

    return rc;
}

static void list_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    keys_t *c = call->data;

    if (job->rc != WAGW_OK) {
        ngx_wagw_list_free(&c->list);
        ngx_wagw_call_store_failed(call);
        return;
    }

    ngx_wagw_call_list(call, &c->list, NULL);
}

static keys_t *keys_ctx(ngx_wagw_call_t *call)
{
    keys_t *c = ngx_wagw_call_ctx(call, sizeof(keys_t));

    if (c) {
        c->now = ngx_wagw_now_ms();
        c->active = -1;
        c->id = ngx_wagw_param_str(call, "keyId");
    }

    return c;
}

NGX_WAGW_HANDLER(keys_list)
{
    keys_t *c = keys_ctx(call);

    if (c) {
        ngx_wagw_list_page(call, &c->list, 50);
        ngx_wagw_call_store(call, 0, list_run, list_done);
    }
}

/* Keeps the one that is asked for, and counts who else could manage keys. */
static int find_one(void *data, const wagw_api_key_t *k)
{
    keys_t *c = data;

    if (!wagw_str_eq(k->id, c->id)) {
        c->admins += key_rules(c, k);
        return WAGW_OK;
    }

    c->found = 1;
    c->k = *k;
    c->k.id = wagw_arena_str(&c->arena, k->id);
    c->k.name = wagw_arena_str(&c->arena, k->name);
    c->k.prefix = wagw_arena_str(&c->arena, k->prefix);
    c->k.instances = wagw_arena_str(&c->arena, k->instances);
    c->k.ip_allow = wagw_arena_str(&c->arena, k->ip_allow);

    return c->k.id.p && c->k.name.p && c->k.prefix.p ? WAGW_OK : WAGW_NOMEM;
}

static void key_change(keys_t *c)
{
    if (c->new_name.n) {
        c->k.name = c->new_name;
    }

    if (c->new_permissions) {
        c->k.permissions = c->new_permissions;
    }

    if (c->change_instances) {
        c->k.instances = c->new_instances;
    }

    if (c->change_expires) {
        c->k.expires_ms = c->new_expires;
    }

    if (c->active >= 0) {
        c->k.active = c->active == 1;
    }
}

static int one_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    bool ruled;
    keys_t *c = ((ngx_wagw_call_t *)job->data)->data;

    wagw_arena_reset(&c->arena);
    c->found = c->last_admin = c->admins = 0;
    rc = wagw_store_key_each(s, find_one, c);

    if (rc != WAGW_OK || !c->found) {
        return rc != WAGW_OK ? rc : WAGW_NOT_FOUND;
    }

    if (!job->write) {
        return WAGW_OK;
    }

    ruled = key_rules(c, &c->k);
    key_change(c);
    c->last_admin = ruled && c->admins == 0 && (c->remove || !key_rules(c, &c->k));

    if (c->last_admin) {
        return WAGW_OK;
    }

    return c->remove ? wagw_store_key_delete(s, c->id) : wagw_store_key_update(s, &c->k);
}

static void one_done(ngx_wagw_job_t *job)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    ngx_wagw_call_t *call = job->data;
    keys_t *c = call->data;
    wagw_arena_t arena = c->arena; /* c goes with the call's answer */

    if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "NOT_FOUND", "API key not found", WAGW_STR_NULL);

    } else if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);

    } else if (c->last_admin) {
        ngx_wagw_call_fail(call, 409, "LAST_ADMIN_KEY", "This is the last key that can manage keys", WAGW_STR_NULL);

    } else if (c->remove) {
        ngx_wagw_registry_key_remove(c->id);
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "id", c->id);
        wagw_json_close(&j);
        ngx_wagw_call_data(call, 200, &b, "API key deleted successfully");

    } else {

        if (job->write) {
            /* in force before the answer: every worker reads the zone */
            (void)ngx_wagw_registry_key_set(&c->k);
        }

        key_json(&j, &c->k);
        ngx_wagw_call_data(call, 200, &b, job->write ? "API key updated successfully" : NULL);
    }

    wagw_arena_free(&arena);
}

NGX_WAGW_HANDLER(key_get)
{
    if (keys_ctx(call)) {
        ngx_wagw_call_store(call, 0, one_run, one_done);
    }
}

NGX_WAGW_HANDLER(key_delete)
{
    keys_t *c = keys_ctx(call);

    if (c) {
        c->remove = 1;
        ngx_wagw_call_store(call, 1, one_run, one_done);
    }
}

NGX_WAGW_HANDLER(key_update)
{
    cJSON *expires;
    keys_t *c = keys_ctx(call);

    if (c == NULL) {
        return;
    }

    c->new_name = ngx_wagw_param_str(call, "name");
    c->active = ngx_wagw_param_bool(call, "isActive");
    expires = ngx_wagw_param(call, "expiresAt");

    if (expires) {
        c->change_expires = 1;
        c->new_expires = cJSON_IsNull(expires) ? 0 : ngx_wagw_param_time(call, "expiresAt");

        if (!cJSON_IsNull(expires) && c->new_expires <= c->now) {
            ngx_wagw_call_invalid(call, "expiresAt", "must be a time in the future");
            return;
        }
    }

    if (ngx_wagw_param(call, "permissions") && ngx_wagw_key_permissions(call, &c->new_permissions) != NGX_OK) {
        return;
    }

    if (ngx_wagw_param(call, "instanceIds")) {
        c->change_instances = 1;

        switch (ngx_wagw_key_instances(call, &c->new_instances)) {
        case NGX_OK:
            break;
        case NGX_ERROR:
            ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
            return;
        default:
            return;
        }
    }

    ngx_wagw_call_store(call, 1, one_run, one_done);
}
