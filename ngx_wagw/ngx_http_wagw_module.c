/* The module: directives, configuration, hooks.  No behaviour lives here. */

#include "ngx_wagw_http.h"

static ngx_int_t wagw_add_variables(ngx_conf_t *cf);
static ngx_int_t wagw_postconfiguration(ngx_conf_t *cf);
static void *wagw_create_main_conf(ngx_conf_t *cf);
static char *wagw_init_main_conf(ngx_conf_t *cf, void *conf);
static void *wagw_create_loc_conf(ngx_conf_t *cf);
static char *wagw_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
static ngx_int_t wagw_init_module(ngx_cycle_t *cycle);
static ngx_int_t wagw_init_process(ngx_cycle_t *cycle);
static void wagw_exit_process(ngx_cycle_t *cycle);

static ngx_conf_enum_t wagw_compat_names[] = {{ngx_string("off"), 0}, {ngx_string("seed"), 1}, {ngx_null_string, 0}};

static ngx_conf_enum_t wagw_event_names[] = {
    {ngx_string("canonical"), 0}, {ngx_string("doc"), 1}, {ngx_null_string, 0}};

static ngx_conf_enum_t wagw_request_logs[] = {
    {ngx_string("off"), 0}, {ngx_string("on"), 1}, {ngx_string("body"), 2}, {ngx_null_string, 0}};

#define ANYWHERE NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
#define MAIN(field) NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_wagw_main_conf_t, field), NULL
#define LOC(field) NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_wagw_loc_conf_t, field), NULL

/* clang-format off */
static ngx_command_t wagw_commands[] = {

    {ngx_string("wagw_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, ngx_wagw_conf_zone, MAIN(zone_name)},
    {ngx_string("wagw_state_dir"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_state_dir, MAIN(state_dir)},
    {ngx_string("wagw_store"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_store, MAIN(store)},
    {ngx_string("wagw_store_password_file"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_store_password,
     MAIN(store_password)},
    {ngx_string("wagw_api_key"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_api_key, MAIN(master_key)},
    {ngx_string("wagw_encryption_key_file"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_encryption_key,
     MAIN(encryption_key)},
    {ngx_string("wagw_whatsapp_url"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_whatsapp_url,
     MAIN(whatsapp_url)},
    {ngx_string("wagw_whatsapp_root"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_whatsapp_root,
     MAIN(whatsapp_root)},
    {ngx_string("wagw_whatsapp_version"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_whatsapp_version,
     MAIN(whatsapp_version)},
    {ngx_string("wagw_trusted_certificate"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_wagw_conf_trusted,
     MAIN(trusted_certificate)},
    {ngx_string("wagw_outbound_allow"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, ngx_wagw_conf_outbound_allow,
     MAIN(outbound_allow)},
    {ngx_string("wagw_media_limit"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, ngx_wagw_conf_media_limit, MAIN(media_limit)},
    {ngx_string("wagw_media_url_limit"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, ngx_wagw_conf_media_limit,
     MAIN(media_url_limit)},
    {ngx_string("wagw_media_uploads"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, ngx_wagw_conf_media_keep,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("wagw_media_store"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, ngx_wagw_conf_media_keep,
     NGX_HTTP_MAIN_CONF_OFFSET, 1, NULL},
    {ngx_string("wagw_owner_connections"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot,
     MAIN(owner_connections)},
    {ngx_string("wagw"), NGX_HTTP_LOC_CONF | NGX_CONF_1MORE, ngx_wagw_conf_serve, LOC(serve)},
    {ngx_string("wagw_rate_limit"), ANYWHERE | NGX_CONF_TAKE1, ngx_wagw_conf_rate, LOC(rate)},
    {ngx_string("wagw_timeout"), ANYWHERE | NGX_CONF_TAKE1, ngx_conf_set_msec_slot, LOC(timeout)},
    {ngx_string("wagw_auth"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot, LOC(auth)},
    {ngx_string("wagw_query_key"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot, LOC(query_key)},
    {ngx_string("wagw_cors"), ANYWHERE | NGX_CONF_1MORE, ngx_wagw_conf_cors, LOC(cors)},
    {ngx_string("wagw_process_control"), NGX_HTTP_MAIN_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     MAIN(process_control)},
    {ngx_string("wagw_raw_messages"), NGX_HTTP_MAIN_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, MAIN(raw_messages)},
    {ngx_string("wagw_dashboard"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, ngx_wagw_conf_place,
     NGX_HTTP_LOC_CONF_OFFSET, 0, "/dashboard"},
    {ngx_string("wagw_metrics"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, ngx_wagw_conf_place,
     NGX_HTTP_LOC_CONF_OFFSET, 0, "/metrics"},
    {ngx_string("wagw_events"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, ngx_wagw_conf_place,
     NGX_HTTP_LOC_CONF_OFFSET, 0, "/api/stream"},
    {ngx_string("wagw_compat"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_wagw_main_conf_t, compat), wagw_compat_names},
    {ngx_string("wagw_event_names"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_wagw_main_conf_t, event_names), wagw_event_names},
    {ngx_string("wagw_webhook_signature"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, ngx_wagw_conf_signature,
     MAIN(webhook_signature)},
    {ngx_string("wagw_request_log"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_wagw_main_conf_t, request_log), wagw_request_logs},

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t wagw_module_ctx = {
    wagw_add_variables,   wagw_postconfiguration, wagw_create_main_conf, wagw_init_main_conf, NULL, NULL,
    wagw_create_loc_conf, wagw_merge_loc_conf};

ngx_module_t ngx_http_wagw_module = {NGX_MODULE_V1,
                                     &wagw_module_ctx,
                                     wagw_commands,
                                     NGX_HTTP_MODULE,
                                     NULL,
                                     wagw_init_module,
                                     wagw_init_process,
                                     NULL,
                                     NULL,
                                     wagw_exit_process,
                                     NULL,
                                     NGX_MODULE_V1_PADDING};

static ngx_int_t wagw_add_variables(ngx_conf_t *cf)
{
    return ngx_wagw_variables_add(cf);
}

static ngx_int_t wagw_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt *h;
    ngx_http_core_main_conf_t *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_wagw_main_conf_t *wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_wagw_module);

    if (!wmcf->used) {
        return NGX_OK;
    }
    /* runs before limit_req and limit_conn: the last registered comes first */
    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }
    *h = ngx_wagw_preaccess_handler;
    return ngx_wagw_reply_init(cf);
}

static void *wagw_create_main_conf(ngx_conf_t *cf)
{
    ngx_wagw_main_conf_t *wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_wagw_main_conf_t));

    if (wmcf == NULL) {
        return NULL;
    }
    wmcf->master_key = NGX_CONF_UNSET;
    wmcf->whatsapp_version_auto = NGX_CONF_UNSET;
    wmcf->owner_connections = NGX_CONF_UNSET_UINT;
    wmcf->process_control = NGX_CONF_UNSET;
    wmcf->raw_messages = NGX_CONF_UNSET;
    wmcf->webhook_signature = NGX_CONF_UNSET_UINT;
    wmcf->event_names = NGX_CONF_UNSET_UINT;
    wmcf->compat = NGX_CONF_UNSET_UINT;
    wmcf->request_log = NGX_CONF_UNSET_UINT;
    return wmcf;
}

static char *wagw_init_main_conf(ngx_conf_t *cf, void *conf)
{
    char *rc;
    ngx_wagw_main_conf_t *wmcf = conf;

    rc = ngx_wagw_conf_complete(cf, wmcf);
    if (rc != NGX_CONF_OK || !wmcf->used) {
        return rc;
    }
    wmcf->zone = ngx_shared_memory_add(cf, &wmcf->zone_name, wmcf->zone_size, &ngx_http_wagw_module);
    if (wmcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }
    wmcf->zone->init = ngx_wagw_zone_init;
    return NGX_CONF_OK;
}

static void *wagw_create_loc_conf(ngx_conf_t *cf)
{
    ngx_wagw_loc_conf_t *wlcf = ngx_pcalloc(cf->pool, sizeof(ngx_wagw_loc_conf_t));

    if (wlcf == NULL) {
        return NULL;
    }
    wlcf->serve = NGX_CONF_UNSET_UINT;
    wlcf->rate = NGX_CONF_UNSET_UINT;
    wlcf->window = NGX_CONF_UNSET_UINT;
    wlcf->timeout = NGX_CONF_UNSET_MSEC;
    wlcf->auth = NGX_CONF_UNSET;
    wlcf->query_key = NGX_CONF_UNSET;
    wlcf->cors = NGX_CONF_UNSET_UINT;
    return wlcf;
}

static char *wagw_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_wagw_loc_conf_t *prev = parent, *conf = child;
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* as proxy_pass: `if` and limit_except serve what their location serves */
    if ((clcf->noname || clcf->lmt_excpt) && conf->serve == NGX_CONF_UNSET_UINT && conf->place == NULL &&
        clcf->handler == NULL) {
        conf->serve = prev->serve;
        conf->groups = prev->groups;
        conf->place = prev->place;
        if ((conf->serve != NGX_CONF_UNSET_UINT && conf->serve) || conf->place) {
            clcf->handler = ngx_wagw_content_handler;
        }
    }
    if (conf->serve == NGX_CONF_UNSET_UINT) {
        conf->serve = 0;
    }
    ngx_conf_merge_uint_value(conf->window, prev->window, 60);
    ngx_conf_merge_uint_value(conf->rate, prev->rate, 600);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 60000);
    ngx_conf_merge_value(conf->auth, prev->auth, 1);
    ngx_conf_merge_value(conf->query_key, prev->query_key, 0);
    if (conf->cors == NGX_CONF_UNSET_UINT) {
        conf->cors = prev->cors == NGX_CONF_UNSET_UINT ? NGX_WAGW_CORS_ANY : prev->cors;
        conf->origins = prev->origins;
    }
    return NGX_CONF_OK;
}

static ngx_wagw_main_conf_t *wagw_main_conf(ngx_cycle_t *cycle)
{
    return cycle->conf_ctx[ngx_http_module.index] ? ngx_http_cycle_get_module_main_conf(cycle, ngx_http_wagw_module)
                                                  : NULL;
}

static ngx_int_t wagw_init_module(ngx_cycle_t *cycle)
{
    ngx_wagw_main_conf_t *wmcf = wagw_main_conf(cycle);

    return wmcf ? ngx_wagw_process_register(cycle, wmcf) : NGX_OK;
}

static ngx_int_t wagw_init_process(ngx_cycle_t *cycle)
{
    ngx_wagw_main_conf_t *wmcf = wagw_main_conf(cycle);

    return wmcf ? ngx_wagw_process_init(cycle, wmcf) : NGX_OK;
}

static void wagw_exit_process(ngx_cycle_t *cycle)
{
    ngx_wagw_main_conf_t *wmcf = wagw_main_conf(cycle);

    if (wmcf) {
        ngx_wagw_process_exit(cycle, wmcf);
    }
}
