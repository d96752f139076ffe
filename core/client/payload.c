/*
 * ClientPayload: what the client says of itself in the Noise finish (03
 * section 3).
 */

#include "client_i.h"

#include "wa.pb-c.h"

#include <stdio.h>

#define PLATFORM_TYPES_N (sizeof(platform_types) / sizeof(platform_types[0]))

static const struct {
    const char *name;
    Wa__DeviceProps__PlatformType type;
} platform_types[] = {{"chrome", 1},         {"firefox", 2}, {"ie", 3},      {"opera", 4},
                      {"safari", 5},         {"edge", 6},    {"desktop", 7}, {"ipad", 8},
                      {"android_tablet", 9}, {"ohana", 10},  {"aloha", 11},  {"catalina", 12},
                      {"tcl_tv", 13},        {"uwp", 21}};

bool wagw_same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        if ((*a | 0x20) != (*b | 0x20)) {
            return false;
        }
    }
    return *a == *b;
}

static Wa__DeviceProps__PlatformType platform_type(const char *browser)
{
    for (size_t i = 0; browser && i < PLATFORM_TYPES_N; i++) {
        if (wagw_same_word(browser, platform_types[i].name)) {
            return platform_types[i].type;
        }
    }
    return 1;
}

static int pack(wagw_buf_t *out, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);

    if (wagw_buf_reserve(out, n) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    out->n += protobuf_c_message_pack(m, out->p + out->n);
    return WAGW_OK;
}

static ProtobufCBinaryData bytes(const void *p, size_t n)
{
    return (ProtobufCBinaryData){n, (uint8_t *)p};
}

typedef struct {
    Wa__ClientPayload payload;
    Wa__ClientPayload__UserAgent agent;
    Wa__ClientPayload__UserAgent__AppVersion version;
    Wa__ClientPayload__WebInfo web;
} common_t;

/* The locale's country and the web sub-platform follow the configuration. */
static void common(common_t *c, const wagw_client_conf_t *conf, const uint32_t version[3])
{
    wa__client_payload__init(&c->payload);
    wa__client_payload__user_agent__init(&c->agent);
    wa__client_payload__user_agent__app_version__init(&c->version);
    wa__client_payload__web_info__init(&c->web);

    c->version.has_primary = c->version.has_secondary = c->version.has_tertiary = 1;
    c->version.primary = version[0];
    c->version.secondary = version[1];
    c->version.tertiary = version[2];

    c->agent.has_platform = 1;
    c->agent.platform = 14;
    c->agent.appversion = &c->version;
    c->agent.mcc = (char *)"000";
    c->agent.mnc = (char *)"000";
    c->agent.osversion = (char *)"0.1";
    c->agent.manufacturer = (char *)"";
    c->agent.device = (char *)"Desktop";
    c->agent.osbuildnumber = (char *)"0.1";
    c->agent.has_releasechannel = 1;
    c->agent.releasechannel = 0;
    c->agent.localelanguageiso6391 = (char *)"en";
    c->agent.localecountryiso31661alpha2 = (char *)(conf->country ? conf->country : "US");

    c->web.has_websubplatform = 1;
    c->web.websubplatform = 0;
    if (conf->full_history && conf->browser && wagw_same_word(conf->browser, "Desktop") && conf->os) {
        if (wagw_same_word(conf->os, "Mac OS")) {
            c->web.websubplatform = 3;
        } else if (wagw_same_word(conf->os, "Windows")) {
            c->web.websubplatform = 4;
        }
    }

    c->payload.useragent = &c->agent;
    c->payload.webinfo = &c->web;
    c->payload.has_connecttype = 1;
    c->payload.connecttype = 1;
    c->payload.has_connectreason = 1;
    c->payload.connectreason = 1;
    c->payload.has_passive = 1;
    c->payload.has_pull = 1;
}

static int device_props(wagw_buf_t *out, const wagw_client_conf_t *conf)
{
    Wa__DeviceProps props = WA__DEVICE_PROPS__INIT;
    Wa__DeviceProps__AppVersion version = WA__DEVICE_PROPS__APP_VERSION__INIT;
    Wa__DeviceProps__HistorySyncConfig hist = WA__DEVICE_PROPS__HISTORY_SYNC_CONFIG__INIT;

    version.has_primary = version.has_secondary = version.has_tertiary = 1;
    version.primary = 10;
    version.secondary = 15;
    version.tertiary = 7;

#define SET(field, value) (hist.has_##field = 1, hist.field = (value))
    SET(storagequotamb, 10240);
    SET(inlineinitialpayloadine2eemsg, 1);
    SET(supportcallloghistory, 0);
    SET(supportbotuseragentchathistory, 1);
    SET(supportcagreactionsandpolls, 1);
    SET(supportbizhostedmsg, 1);
    SET(supportrecentsyncchunkmessagecounttuning, 1);
    SET(supporthostedgroupmsg, 1);
    SET(supportfbidbotchathistory, 1);
    SET(supportmessageassociation, 1);
    SET(supportgrouphistory, 0);
#undef SET

    props.os = (char *)(conf->os ? conf->os : "Mac OS");
    props.version = &version;
    props.has_platformtype = 1;
    props.platformtype = platform_type(conf->browser);
    props.has_requirefullsync = 1;
    props.requirefullsync = conf->full_history;
    props.historysyncconfig = &hist;
    return pack(out, &props.base);
}

int wagw_payload_registration(wagw_buf_t *out, const wagw_creds_t *c, const wagw_client_conf_t *conf,
                              const uint32_t version[3])
{
    int rc;
    int n;
    char text[48];
    uint8_t regid[4], skey[3], hash[16], type = 5;
    common_t m;
    wagw_buf_t props = {0};
    Wa__ClientPayload__DevicePairingRegistrationData reg;

    common(&m, conf, version);
    wa__client_payload__device_pairing_registration_data__init(&reg);

    for (int i = 0; i < 4; i++) {
        regid[i] = (uint8_t)(c->registration_id >> (24 - 8 * i));
    }
    for (int i = 0; i < 3; i++) {
        skey[i] = (uint8_t)(c->spk_id >> (16 - 8 * i));
    }
    n = snprintf(text, sizeof(text), "%u.%u.%u", version[0], version[1], version[2]);

    rc = wagw_md5(hash, wagw_str(text, (size_t)n));
    if (rc == WAGW_OK) {
        rc = device_props(&props, conf);
    }
    if (rc == WAGW_OK) {
#define SET(field, p, len) (reg.has_##field = 1, reg.field = bytes(p, len))
        SET(eregid, regid, 4);
        SET(ekeytype, &type, 1);
        SET(eident, c->identity.pub, 32);
        SET(eskeyid, skey, 3);
        SET(eskeyval, c->spk_pub, 32);
        SET(eskeysig, c->spk_sig, 64);
        SET(buildhash, hash, 16);
        SET(deviceprops, props.p, props.n);
#undef SET
        m.payload.devicepairingdata = &reg;
        m.payload.passive = 0;
        m.payload.pull = 0;
        rc = pack(out, &m.payload.base);
    }
    wagw_buf_free(&props);
    return rc;
}

int wagw_payload_login(wagw_buf_t *out, const wagw_creds_t *c, const wagw_client_conf_t *conf,
                       const uint32_t version[3])
{
    uint64_t user;
    common_t m;

    WAGW_TRY(wagw_str_u64(wagw_str(c->jid.user, c->jid.user_len), &user));
    common(&m, conf, version);
    m.payload.has_username = 1;
    m.payload.username = user;
    m.payload.has_device = 1;
    m.payload.device = c->jid.device;
    m.payload.passive = 1;
    m.payload.pull = 1;
    m.payload.has_lc = 1;
    m.payload.lc = 1;
    m.payload.has_liddbmigrated = 1;
    m.payload.liddbmigrated = 1;
    return pack(out, &m.payload.base);
}
