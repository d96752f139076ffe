/*
 * Field tables of an instance's settings and limits: a part of
 * ngx_wagw_routes_fields.c, whose macros it uses; nobody else includes it.
 */

/* clang-format off */
#define NINT(n, min, max, help)    {n, NGX_WAGW_T_INT, F_NULLABLE, NULL, min, max, NULL, NULL, help}
#define NBOOL(n, dflt, help)       {n, NGX_WAGW_T_BOOL, F_NULLABLE, NULL, 0, 0, NULL, NULL, help ", default " dflt}
#define NENUM(n, choices, help)    {n, NGX_WAGW_T_ENUM, F_NULLABLE, NULL, 0, 0, choices, NULL, help}
#define NOBJ(n, help)              {n, NGX_WAGW_T_OBJ, F_NULLABLE, NULL, 0, 0, NULL, NULL, help}

/* null takes a setting back to its default */
const ngx_wagw_field_t ngx_wagw_fields_settings[] = {
    NBOOL("rejectCalls", "false", "calls are refused"),
    {"rejectCallMessage", NGX_WAGW_T_STR, F_NULLABLE, NULL, 0, 4096, NULL, NULL, "sent to who was refused"},
    NBOOL("ignoreGroups", "false", "messages of groups are neither stored nor told"),
    NBOOL("ignoreStatus", "true", "the same of status updates"),
    NBOOL("ignoreChannels", "false", "the same of channels"),
    NBOOL("alwaysOnline", "false", "available from the login on"),
    NBOOL("markReadOnReceive", "false", "what comes in is marked as read"),
    NBOOL("readReceipts", "true", "who wrote is told that it was read"),
    NBOOL("storeMessages", "true", "messages can be listed"),
    NBOOL("storeMedia", "false", "media that came in are kept"),
    NENUM("mediaAutoDownload", "none|image|all", "which media are fetched at once, default none"),
    NENUM("syncHistory", "none|recent|full", "of a newly linked account, default recent"),
    NBOOL("linkPreview", "true", "texts with an address get its preview"),
    NBOOL("checkNumberBeforeSend", "false", "422 NOT_ON_WHATSAPP for numbers without account"),
    NOBJ("pacing", "limits of sending, as in /api/rate-limit"),
    NINT("retentionDays", 0, 36500, "older messages are deleted, 0 never"),
    NOBJ("browser", "{os, name} that the phone shows"),
    END};

const ngx_wagw_field_t ngx_wagw_fields_rate_limit[] = {
    NINT("perMinute", 1, 1000000, "messages; null: no limit"),
    NINT("perHour", 1, 1000000, "the same"),
    NINT("perDay", 1, 10000000, "the same"),
    NINT("burst", 1, 1000000, "so many at once, then spread over the minute"),
    NINT("newChatsPerDay", 1, 1000000, "messages that begin a chat"),
    NINT("minDelayMs", 0, 3600000, "milliseconds between two"),
    NINT("jitterMs", 0, 3600000, "at most so many more, by chance"),
    NINT("maxQueue", 1, 10000, "so many may wait, default 1000; above it 429 INSTANCE_RATE_LIMITED"),
    {"warmup", NGX_WAGW_T_ANY, F_NULLABLE, NULL, 0, 0, "bool|obj", NULL, "the limits grow from a fifth to all of it in seven days"},
    END};

const ngx_wagw_field_t ngx_wagw_fields_webhook_delete[] = {
    STR("id", OPT, NULL, 1, 64, "the webhook; default: all of the instance"),
    END};
/* clang-format on */
