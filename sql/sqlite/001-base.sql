-- The first schema.  One database serves all instances of an owner.
--
-- What is encrypted at rest when wagw_encryption_key_file is set (AES-256-GCM,
-- nonce || ciphertext || tag, bound to instance, kind and key of the row):
--     records.value                              credentials, Signal, app state
--     messages.content, .secret, .stanza         the message as on the wire
--     webhooks.secret, .headers                  they authenticate us
--     idempotency.body                           answers given to callers
-- What is NOT: ids, names, phone numbers, times, and the readable text of a
-- message (messages.body, .quoted, chats.last_body, and deliveries.payload
-- until its log entry is pruned).  Search, sorting and the delivery log read
-- them with SQL.  Who must hide those from a reader of the disk encrypts the
-- disk.

-- name = 'seal':  'plain', or 'sealed' with salt and check of the key
CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  BLOB NOT NULL
) WITHOUT ROWID;

-- AUTOINCREMENT: a number is never used twice, so rows that a deleted
-- instance left behind (keepMessages) never belong to another one.
CREATE TABLE instances (
    num                INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 TEXT NOT NULL UNIQUE,
    name               TEXT NOT NULL,
    phone              TEXT UNIQUE,                -- NULL: none given
    settings           TEXT NOT NULL,
    metadata           TEXT NOT NULL,
    active             INTEGER NOT NULL,
    auto_connect       INTEGER NOT NULL,
    deleted            INTEGER NOT NULL DEFAULT 0, -- kept for its messages only
    created_ms         INTEGER NOT NULL,
    updated_ms         INTEGER NOT NULL,
    event_seq          INTEGER NOT NULL DEFAULT 0,
    messages           INTEGER NOT NULL DEFAULT 0, -- kept by triggers: what listings show
    chats              INTEGER NOT NULL DEFAULT 0,
    -- what the engine knows
    jid                TEXT NOT NULL DEFAULT '',
    lid                TEXT NOT NULL DEFAULT '',
    push_name          TEXT NOT NULL DEFAULT '',
    platform           TEXT NOT NULL DEFAULT '',
    business_name      TEXT NOT NULL DEFAULT '',
    status             TEXT NOT NULL DEFAULT '',
    connected_ms       INTEGER NOT NULL DEFAULT 0,
    disconnect_code    INTEGER NOT NULL DEFAULT 0,
    disconnect_reason  TEXT NOT NULL DEFAULT '',
    disconnect_ms      INTEGER NOT NULL DEFAULT 0
);

-- The engine's opaque records.  A rowid table: values of 400 bytes and more
-- would make the inner nodes of a WITHOUT ROWID tree hold a handful of keys.
CREATE TABLE records (
    num    INTEGER PRIMARY KEY,
    inst   INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    key    BLOB NOT NULL,
    value  BLOB NOT NULL,
    UNIQUE (inst, kind, key)
);

-- Also the numbering of chats: a row with present = 0 only lends its number
-- to messages of a chat that the engine has not (or no longer) put.
CREATE TABLE chats (
    num            INTEGER PRIMARY KEY,
    inst           INTEGER NOT NULL,
    chat           TEXT NOT NULL,
    kind           INTEGER NOT NULL,            -- 0 person, 1 group, 2 channel, 3 broadcast
    present        INTEGER NOT NULL DEFAULT 0,
    name           TEXT NOT NULL DEFAULT '',
    lid            TEXT NOT NULL DEFAULT '',
    pn             TEXT NOT NULL DEFAULT '',
    unread         INTEGER NOT NULL DEFAULT 0,
    archived       INTEGER NOT NULL DEFAULT 0,
    pinned         INTEGER NOT NULL DEFAULT 0,
    muted_until    INTEGER NOT NULL DEFAULT 0,
    ephemeral      INTEGER NOT NULL DEFAULT 0,
    last_ms        INTEGER NOT NULL DEFAULT 0,
    last_id        TEXT NOT NULL DEFAULT '',
    last_body      TEXT NOT NULL DEFAULT '',
    last_type      TEXT NOT NULL DEFAULT '',
    last_from_me   INTEGER NOT NULL DEFAULT 0,
    marked_unread  INTEGER NOT NULL DEFAULT 0,
    messages       INTEGER NOT NULL DEFAULT 0,  -- kept by triggers
    UNIQUE (inst, chat)
);

-- sender is '' for own messages.  hidden repeats a bit of flags so that the
-- indexes of the listings can leave out what is never listed.
CREATE TABLE messages (
    num          INTEGER PRIMARY KEY,
    inst         INTEGER NOT NULL,
    chat         INTEGER NOT NULL,              -- chats.num
    id           TEXT NOT NULL,
    sender       TEXT NOT NULL,
    sender_alt   TEXT NOT NULL,
    from_me      INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    flags        INTEGER NOT NULL,
    hidden       INTEGER NOT NULL,
    t_ms         INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    edited_ms    INTEGER NOT NULL,
    type         TEXT NOT NULL,
    body         TEXT NOT NULL,
    push_name    TEXT NOT NULL,
    wire_to      TEXT NOT NULL,
    quoted       TEXT NOT NULL,
    mentions     TEXT NOT NULL,
    media        TEXT NOT NULL,
    content      BLOB,
    secret       BLOB,
    ref          TEXT NOT NULL,
    stanza       BLOB,
    edit         TEXT NOT NULL,
    stanza_type  TEXT NOT NULL,
    error        INTEGER NOT NULL,
    expiration   INTEGER NOT NULL,
    UNIQUE (inst, id, chat, sender)
);
CREATE INDEX messages_chat ON messages (chat, hidden, t_ms);
CREATE INDEX messages_inst ON messages (inst, hidden, t_ms);
CREATE INDEX messages_pending ON messages (inst) WHERE status = 0;

CREATE TRIGGER messages_insert AFTER INSERT ON messages WHEN NEW.hidden = 0
BEGIN
    UPDATE instances SET messages = messages + 1 WHERE num = NEW.inst;
    UPDATE chats SET messages = messages + 1 WHERE num = NEW.chat;
END;
CREATE TRIGGER messages_delete AFTER DELETE ON messages WHEN OLD.hidden = 0
BEGIN
    UPDATE instances SET messages = messages - 1 WHERE num = OLD.inst;
    UPDATE chats SET messages = messages - 1 WHERE num = OLD.chat;
END;
CREATE TRIGGER messages_update AFTER UPDATE OF hidden, chat ON messages
WHEN OLD.hidden <> NEW.hidden OR OLD.chat <> NEW.chat
BEGIN
    UPDATE instances SET messages = messages + OLD.hidden - NEW.hidden WHERE num = NEW.inst;
    UPDATE chats SET messages = messages - 1 + OLD.hidden WHERE num = OLD.chat;
    UPDATE chats SET messages = messages + 1 - NEW.hidden WHERE num = NEW.chat;
END;
CREATE TRIGGER chats_insert AFTER INSERT ON chats WHEN NEW.present = 1
BEGIN
    UPDATE instances SET chats = chats + 1 WHERE num = NEW.inst;
END;
CREATE TRIGGER chats_delete AFTER DELETE ON chats WHEN OLD.present = 1
BEGIN
    UPDATE instances SET chats = chats - 1 WHERE num = OLD.inst;
END;
CREATE TRIGGER chats_update AFTER UPDATE OF present ON chats WHEN OLD.present <> NEW.present
BEGIN
    UPDATE instances SET chats = chats + NEW.present - OLD.present WHERE num = NEW.inst;
END;

CREATE TABLE receipts (
    chat       INTEGER NOT NULL,
    id         TEXT NOT NULL,
    user       TEXT NOT NULL,
    delivered  INTEGER NOT NULL,
    read       INTEGER NOT NULL,
    played     INTEGER NOT NULL,
    PRIMARY KEY (chat, id, user)
) WITHOUT ROWID;

-- emoji '': removed; the row stays so that an older reaction does not return
CREATE TABLE reactions (
    chat   INTEGER NOT NULL,
    id     TEXT NOT NULL,
    user   TEXT NOT NULL,
    emoji  TEXT NOT NULL,
    t_ms   INTEGER NOT NULL,
    PRIMARY KEY (chat, id, user)
) WITHOUT ROWID;

CREATE TABLE contacts (
    inst           INTEGER NOT NULL,
    jid            TEXT NOT NULL,
    lid            TEXT NOT NULL,
    pn             TEXT NOT NULL,
    name           TEXT NOT NULL,
    push_name      TEXT NOT NULL,
    verified_name  TEXT NOT NULL,
    business       INTEGER NOT NULL,
    blocked        INTEGER NOT NULL,
    PRIMARY KEY (inst, jid)
) WITHOUT ROWID;

-- Only SHA-256 of a key is stored.
CREATE TABLE api_keys (
    num           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    prefix        TEXT NOT NULL,
    hash          BLOB NOT NULL UNIQUE,
    permissions   INTEGER NOT NULL,
    instances     TEXT NOT NULL,
    ip_allow      TEXT NOT NULL,
    active        INTEGER NOT NULL,
    created_ms    INTEGER NOT NULL,
    last_used_ms  INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL
);

CREATE TABLE webhooks (
    num         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    inst        INTEGER REFERENCES instances (num) ON DELETE CASCADE,   -- NULL: global
    url         TEXT NOT NULL,
    events      TEXT NOT NULL,
    secret      BLOB,
    headers     BLOB,
    options     TEXT NOT NULL,
    ordered     INTEGER NOT NULL,               -- options.ordered
    enabled     INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
);
CREATE INDEX webhooks_inst ON webhooks (inst);

-- Outbox and log in one.  Status 0 pending, 1 success, 2 failed, 3 dead.
CREATE TABLE deliveries (
    num          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    webhook_id   TEXT NOT NULL,
    inst         INTEGER NOT NULL,
    instance_id  TEXT NOT NULL,
    url          TEXT NOT NULL,
    event        TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    chat         TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    status_code  INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    next_ms      INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    duration_ms  INTEGER NOT NULL,
    ordered      INTEGER NOT NULL,
    -- the long ones last: filters and statistics read only what is before
    error        TEXT NOT NULL,
    response     TEXT NOT NULL,
    payload      BLOB NOT NULL
);
-- The two questions of a webhook's queue: what is due, what is ahead in the
-- chat.  The second is asked for ordered webhooks only; ordered is copied to
-- their rows so that no other row pays for the index.
CREATE INDEX deliveries_due ON deliveries (webhook_id, next_ms) WHERE status = 0;
CREATE INDEX deliveries_order ON deliveries (webhook_id, inst, chat) WHERE status = 0 AND ordered = 1;
CREATE INDEX deliveries_created ON deliveries (created_ms);
CREATE INDEX deliveries_inst ON deliveries (inst, created_ms);

CREATE TABLE idempotency (
    key         BLOB PRIMARY KEY,
    body_hash   BLOB NOT NULL,
    done        INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    body        BLOB,
    message_id  TEXT NOT NULL,
    created_ms  INTEGER NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_ms);
