/*
 * core/message: building a Message from REST fields, reading a Message into
 * the contract's JSON form (protocol 05, contract 1.9, 3.3, 3.4).  No state,
 * no store: what a message refers to (quoted, target) is handed in.
 */

#ifndef WAGW_MESSAGE_H
#define WAGW_MESSAGE_H

#include "../base/base.h"
#include "../crypto/crypto.h"
#include "../store/row.h"

#include <cjson/cJSON.h>

/* What is built.  Kinds of later issues are added here. */
typedef enum {
    WAGW_BUILD_TEXT = 1,      /* message|text, mentions, quote, linkPreview given by the caller */
    WAGW_BUILD_REACTION,      /* emoji|reaction, target */
    WAGW_BUILD_EDIT,          /* newText|text, target */
    WAGW_BUILD_REVOKE,        /* target */
    WAGW_BUILD_FORWARD,       /* target */
    WAGW_BUILD_LINK_PREVIEW,  /* text?, url?, title?, description?, thumbnail? (base64 JPEG) */
    WAGW_BUILD_LOCATION,      /* latitude, longitude, name?, address?, url? */
    WAGW_BUILD_LIVE_LOCATION, /* latitude, longitude, accuracy?, speed?, heading?, caption? */
    WAGW_BUILD_CONTACT,       /* contacts[{displayName|name, vcard | phoneNumber, organization?}] | contactName,
                                 contactNumber, organization? */
    WAGW_BUILD_POLL,          /* question, options, selectableCount | multipleAnswers, toAnnouncementGroup? */
    WAGW_BUILD_POLL_VOTE,     /* selectedOptions; target with secret; `secret` gives the iv */
    WAGW_BUILD_EVENT, /* name, description?, startTime|start, endTime?|end?, location?, extraGuestsAllowed?, callLink?,
                         cancelled? */
    WAGW_BUILD_LIST,  /* title, text?, buttonText, sections, footer? */
    WAGW_BUILD_BUTTONS,      /* text, footer?, header?, buttons */
    WAGW_BUILD_GROUP_INVITE, /* groupId, code, name?, expiration?, caption? */
    WAGW_BUILD_PIN,          /* target; pin (true), duration? */
    WAGW_BUILD_KEEP,         /* target; keep (true) */
    WAGW_BUILD_DISAPPEARING, /* duration s: the chat's timer */
    WAGW_BUILD_RAW,          /* message: protobuf JSON; what raw.c refuses is MALFORMED with its path */
    WAGW_BUILD_MEDIA,        /* _media{type image|video|gif|ptv|audio|voice|document|sticker, url, directPath, mediaKey,
                                fileSha256,        fileEncSha256, size, keyTime, mimetype, fileName?, title?, seconds?, width?,
                                height?, pages?,        thumbnail?, sidecar?, waveform?, animated?, viewOnce?} (bytes as
                                base64);        caption?, albumParent{id}? */
    WAGW_BUILD_ALBUM,        /* images, videos: how many will follow */
    WAGW_BUILD_EVENT_RESPONSE, /* response going|maybe|not_going; target with secret; `secret` gives the iv */
    WAGW_BUILD_EVENT_CANCEL,   /* target: an own event with secret; `secret` gives the iv */
    WAGW_BUILD_PRODUCT /* _product{productId, title, description?, currency?, priceAmount1000?, retailerId?, url?,
                          businessJid}; body?, footer? */
} wagw_build_kind_t;

/* All views must live until the build returns. */
typedef struct {
    wagw_build_kind_t kind;
    const cJSON *params; /* REST fields, already validated by the route table */
    wagw_jid_t chat;     /* wire chat (LID or PN namespace of the stanza) */
    wagw_jid_t self;     /* own user JID in that namespace */
    int64_t now_ms;
    const uint8_t *secret;            /* 32 random bytes for messageContextInfo (kinds that carry none ignore it) */
    uint32_t expiration;              /* s, 0 off */
    const wagw_row_message_t *quoted; /* stored message, or NULL: params.quoted may describe it */
    wagw_jid_t quoted_author;         /* wire form */
    bool quoted_elsewhere;            /* it is of another chat, whatever the two jids look like */
    const wagw_row_message_t *target; /* of reaction, edit, revoke, forward */
    wagw_jid_t target_author;         /* wire form */
    const wagw_jid_t *mentions;       /* resolved into the stanza's namespace */
    size_t nmentions;
    bool mention_all;
} wagw_build_t;

/* Strings are static or live in the arena. */
typedef struct {
    wagw_str_t bytes;        /* serialised Message, unpadded */
    const char *stanza_type; /* text, media, reaction, poll, event */
    const char *mediatype;   /* of enc, or NULL */
    const char *edit;        /* "1" "2" "7" "8" or NULL */
    bool hide_fail;          /* decrypt-fail="hide" on every enc */
    const char *polltype;    /* meta polltype, or NULL */
    const char *biz;         /* native_flow name for the <biz> node (04 section 11.3), or NULL */
    const char *type;        /* contract type */
    wagw_str_t body;
    wagw_str_t quoted;   /* JSON or empty */
    wagw_str_t mentions; /* JSON or empty */
    wagw_str_t media;    /* JSON or empty (forwards) */
    wagw_str_t raw;      /* as in wagw_content_t */
    wagw_str_t secret;   /* messageSecret in the bytes, or empty */
    uint32_t flags;      /* wagw_row_flag_t: FORWARDED, EPHEMERAL, VIEW_ONCE */
    bool hidden;         /* not a message of its own in listings: reaction, edit, revoke */
} wagw_built_t;

/* WAGW_OK; WAGW_MALFORMED with *field naming the culprit; WAGW_STATE when the
 * target cannot be used so (forwarding view-once, editing another type). */
int wagw_message_build(wagw_built_t *out, wagw_arena_t *a, const wagw_build_t *b, const char **field);

/* Message{deviceSentMessage} for own devices (04 section 7.2). */
int wagw_message_dsm(wagw_buf_t *out, wagw_str_t message, wagw_str_t destination_jid);
/* Adds an SKDM to a serialised Message / makes one that holds only it. */
int wagw_message_add_skdm(wagw_buf_t *out, wagw_str_t message, wagw_str_t group, wagw_str_t skdm);

typedef enum {                      /* what a received Message is about */
               WAGW_IS_NOTHING = 0, /* protocol-only: sender key, empty */
               WAGW_IS_CONTENT,     /* a message for the application */
               WAGW_IS_REACTION,
               WAGW_IS_EDIT,
               WAGW_IS_REVOKE,
               WAGW_IS_POLL_VOTE,
               WAGW_IS_EVENT_RESPONSE,
               WAGW_IS_ENC_REACTION,
               WAGW_IS_PIN,
               WAGW_IS_KEEP,
               WAGW_IS_EPHEMERAL_SETTING,
               WAGW_IS_HISTORY_SYNC, /* self only from here ... */
               WAGW_IS_APP_STATE_KEY_SHARE,
               WAGW_IS_APP_STATE_KEY_REQUEST,
               WAGW_IS_LID_MAPPING,
               WAGW_IS_PEER_RESPONSE,
               WAGW_IS_PEER_OTHER, /* ... to here */
               WAGW_IS_PROTOCOL_OTHER,
               WAGW_IS_SECRET_EDIT /* edit under the target's secret: vote_payload, secret_type 1 event, 2 message */
} wagw_message_is_t;

typedef struct {
    bool present;
    wagw_str_t remote; /* as written by the sender: see 05 section 3.1 */
    bool from_me;
    wagw_str_t id;
    wagw_str_t participant;
} wagw_message_key_t;

typedef struct {
    wagw_message_is_t is;
    wagw_str_t dsm_to;      /* deviceSentMessage.destinationJid, empty when none */
    wagw_str_t content;     /* the Message without the DSM wrapper (context info carried over): what is stored */
    const char *type;       /* contract type: text, image, ..., unknown */
    const char *proto_name; /* field name of the content, e.g. "extendedTextMessage" */
    wagw_str_t body;
    uint32_t flags; /* wagw_row_flag_t: FORWARDED, EPHEMERAL, VIEW_ONCE */
    uint32_t expiration;
    wagw_str_t quoted; /* JSON {"id","participant","text","type"} or empty */
    wagw_str_t quoted_id;
    wagw_str_t mentions;   /* JSON array or empty */
    wagw_str_t media;      /* JSON {"mimetype","size","fileName","duration","width","height","sha256"} or empty */
    wagw_str_t secret;     /* messageSecret */
    wagw_str_t skdm_group; /* sender key distribution, when present */
    wagw_str_t skdm;
    wagw_message_key_t key; /* target of reaction, edit, revoke, vote, pin */
    wagw_str_t emoji;       /* reaction; empty removes */
    int64_t target_ms;      /* senderTimestampMs of reaction, timestampMs of edit */
    wagw_str_t edited;      /* edit: the new content as serialised Message */
    wagw_str_t edited_body;
    uint32_t ephemeral;               /* EPHEMERAL_SETTING */
    wagw_str_t payload;               /* serialised sub-message of the self-only kinds */
    wagw_str_t vote_payload, vote_iv; /* encrypted vote / response / reaction / edit */
    uint32_t secret_type;             /* SECRET_EDIT */
    bool undo;                        /* PIN, KEEP: taken back */
    wagw_str_t
        raw; /* JSON of the content (contract type-specific fields: location, contacts, poll options ...) or empty */
} wagw_content_t;

/* Unpadded bytes.  WAGW_MALFORMED, WAGW_LIMIT (05 section 1 limits). */
int wagw_message_read(wagw_content_t *out, wagw_arena_t *a, wagw_str_t bytes);

/* Where the media of a message is, and what opens it; views live in the arena. */
typedef struct {
    const char *type; /* name for wagw_media_type() */
    wagw_str_t url, direct_path, mimetype, file_name;
    wagw_str_t key, sha256, enc_sha256; /* as claimed: lengths are not checked */
    uint64_t size;                      /* claimed, 0 when absent */
} wagw_message_file_t;

/* WAGW_NOT_FOUND: the message holds no media. */
int wagw_message_file(wagw_message_file_t *out, wagw_arena_t *a, wagw_str_t content);
/* The message with its media in another place. */
int wagw_message_file_moved(wagw_arena_t *a, wagw_str_t content, wagw_str_t direct_path, wagw_str_t *out);
/* What the stanza of a stored message says of it: mediatype (or NULL) alone, or with polltype and biz. */
const char *wagw_message_mediatype(wagw_arena_t *a, wagw_str_t content);
void wagw_message_attributes(wagw_arena_t *a, wagw_str_t content, wagw_built_t *out);

/* The whole Message as JSON with protobuf field names (bytes as base64), by
 * protobuf-c's descriptors; for `raw:true` and for debugging. */
int wagw_message_json(wagw_buf_t *out, wagw_str_t bytes);
/* The reverse, for /send/raw and the sandbox: protobuf JSON -> bytes
 * (bytes as base64 or {"$hex":..}). */
int wagw_message_from_json(wagw_buf_t *out, const cJSON *json, const char **field);
/* The same; path gets the culprit of WAGW_MALFORMED as "a.b[1].c" (names of the caller, at most 400 bytes of them). */
int wagw_message_from_json_at(wagw_buf_t *out, const cJSON *json, wagw_buf_t *path);

/* Message-secret add-ons (04 section 20): key derivation and open/seal. */
int wagw_addon_open(wagw_buf_t *out, wagw_str_t secret, wagw_str_t target_id, wagw_str_t target_sender,
                    wagw_str_t modifier, const char *label, bool with_aad, wagw_str_t iv, wagw_str_t payload);
int wagw_addon_seal(wagw_buf_t *out, wagw_str_t secret, wagw_str_t target_id, wagw_str_t target_sender,
                    wagw_str_t modifier, const char *label, bool with_aad, const uint8_t iv[12], wagw_str_t plain);
/* PollVoteMessage plain <-> option hashes. */
int wagw_poll_option_hash(uint8_t out[32], wagw_str_t option);

/* EventResponseMessage, decrypted: "going", "not_going", "maybe". */
int wagw_event_response_read(wagw_str_t plain, const char **response, int64_t *at_ms);
/* A decrypted encReactionMessage: text (empty removes) and senderTimestampMs. */
int wagw_enc_reaction_read(wagw_arena_t *a, wagw_str_t plain, wagw_str_t *emoji, int64_t *at_ms);

/* A decrypted vote: the hashes of the chosen options (none: withdrawn). */
int wagw_poll_vote_read(wagw_arena_t *a, wagw_str_t plain, wagw_str_t **hashes, size_t *n);
/* The option names of a stored poll; WAGW_STATE when it is no poll. */
int wagw_poll_options(wagw_arena_t *a, wagw_str_t poll, wagw_str_t **options, size_t *n);

/* Reporting token (04 section 19) over unpadded bytes; *n is 0 when none is due. */
int wagw_reporting_token(uint8_t out[16], size_t *n, wagw_str_t bytes, wagw_str_t secret, wagw_str_t id,
                         wagw_str_t sender, wagw_str_t chat);
/* The same under the message's own secret; none is due without one (reactions, votes, answers). */
int wagw_reporting_token_of(uint8_t out[16], size_t *n, wagw_str_t bytes, wagw_str_t id, wagw_str_t sender,
                            wagw_str_t chat);

/* The members of the contract's message object (3.4; also the core of the message.* events) from a stored row, into
 * an object that is open; self is the own user
 * jid, which rows do not hold (empty: `from`/`to` of the own side are null). */
void wagw_message_members(wagw_json_t *j, const wagw_row_message_t *m, wagw_str_t instance_id, wagw_str_t self);
/* What no column holds: location, contacts, poll, the raw content of an unknown type ... */
void wagw_message_detail_members(wagw_json_t *j, const wagw_row_message_t *m);
/* mediaUrl and media of it (contract 3.4, 4.4); without an id the address is null. */
void wagw_message_media_members(wagw_json_t *j, const wagw_row_message_t *m, wagw_str_t instance_id);

#endif
