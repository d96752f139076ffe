/*
 * Field tables of the groups' calls (contract 3.6): a part of
 * ngx_wagw_routes_fields.c, whose macros it uses; nobody else includes it.
 */

/* clang-format off */
#define GROUP_ID GROUP("groupId", REQ, "the group; a bare id is fine")
#define GROUP_SETTINGS                                                                                                 \
    BOOL("announcement", NULL, "only admins write"),                                                                   \
        BOOL("locked", NULL, "only admins edit name, description and picture"),                                        \
        INT("ephemeral", 0, 7776000, NULL, "disappearing timer in seconds: 0, 86400, 604800 or 7776000"),              \
        ENUM("memberAddMode", OPT, "admin|all", NULL, "who may add members"),                                          \
        BOOL("joinApproval", NULL, "an admin must approve who joins")

const ngx_wagw_field_t ngx_wagw_fields_groups_list[] = {BOOL("participants", "true", "with their participants"),
                                                        LIMIT("500"), OFFSET, END};

const ngx_wagw_field_t ngx_wagw_fields_group[] = {GROUP_ID, END};

const ngx_wagw_field_t ngx_wagw_fields_group_picture_get[] = {GROUP_ID, PICTURE_TYPE, END};

const ngx_wagw_field_t ngx_wagw_fields_group_picture_put[] = {GROUP_ID, MEDIA_FIELDS("image"), END};

const ngx_wagw_field_t ngx_wagw_fields_group_create[] = {STR("name", REQ, "subject", 1, 100, "its name"),
                                                         JIDS("participants", REQ, 0, 1023, "who is in it besides you"),
                                                         STR("description", OPT, NULL, 0, 2048, "its description"),
                                                         MEDIA_FIELDS("picture"),
                                                         JID("communityId", OPT, NULL, "the community it belongs to"),
                                                         GROUP_SETTINGS,
                                                         END};

const ngx_wagw_field_t ngx_wagw_fields_group_code[] = {STR("code", REQ, "inviteCode", 1, 512, "invite code or link"),
                                                       END};

const ngx_wagw_field_t ngx_wagw_fields_group_accept_message[] = {MESSAGE_ID, END};

const ngx_wagw_field_t ngx_wagw_fields_group_name[] = {GROUP_ID, STR("name", REQ, NULL, 1, 100, "its new name"), END};

const ngx_wagw_field_t ngx_wagw_fields_group_subject[] = {GROUP_ID, STR("subject", REQ, NULL, 1, 100, "its new name"),
                                                          END};

const ngx_wagw_field_t ngx_wagw_fields_group_description[] = {
    GROUP_ID, STR("description", REQ, NULL, 0, 2048, "empty removes it"), END};

const ngx_wagw_field_t ngx_wagw_fields_group_members[] = {GROUP_ID,
                                                          JIDS("participants", REQ, 1, 1024, "whom it is about"), END};

const ngx_wagw_field_t ngx_wagw_fields_group_settings[] = {GROUP_ID, GROUP_SETTINGS, END};

const ngx_wagw_field_t ngx_wagw_fields_group_restrict[] = {
    GROUP_ID,
    {"restrict", NGX_WAGW_T_BOOL, F_REQ, NULL, 0, 0, NULL, NULL, "only admins edit name, description and picture"},
    END};

const ngx_wagw_field_t ngx_wagw_fields_group_announce[] = {
    GROUP_ID, {"announce", NGX_WAGW_T_BOOL, F_REQ, NULL, 0, 0, NULL, NULL, "only admins write"}, END};

const ngx_wagw_field_t ngx_wagw_fields_group_export[] = {GROUP_ID,
                                                         ENUM("format", OPT, "csv|json", "csv", "csv or json"), END};

const ngx_wagw_field_t ngx_wagw_fields_group_send[] = {
    GROUP_ID,
    {"type", NGX_WAGW_T_STR, F_OPT, NULL, 1, 32, NULL, "text",
     "last word of a send call: text, image, live_location ...; its fields beside, message for a text"},
    END};

const ngx_wagw_field_t ngx_wagw_fields_group_invite[] = {
    GROUP_ID, JIDS("participants", REQ, 1, 100, "who is invited"),
    STR("message", OPT, NULL, 1, 1024, "goes with the invite"), END};
