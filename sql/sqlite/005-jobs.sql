-- Sends that wait: bulk jobs, and single messages held back by pacing or a
-- paused queue.  A message has its id here before its first try.
--
-- content and variables are sealed where a key is set; who it is for, and
-- what came of it, is not.

-- kind: 0 bulk, 1 one message (content: the engine's command), 2 of a schedule
-- status: 0 open, 1 done, 2 cancelled, 3 failed (its time was over)
CREATE TABLE jobs (
    num          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    inst         INTEGER NOT NULL REFERENCES instances (num) ON DELETE CASCADE,
    kind         INTEGER NOT NULL,
    status       INTEGER NOT NULL DEFAULT 0,
    priority     INTEGER NOT NULL,
    delay_ms     INTEGER NOT NULL,
    jitter_ms    INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    next_ms      INTEGER NOT NULL,              -- not before
    expires_ms   INTEGER NOT NULL,
    finished_ms  INTEGER NOT NULL DEFAULT 0,
    total        INTEGER NOT NULL,
    pending      INTEGER NOT NULL,
    sent         INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    code         TEXT NOT NULL DEFAULT '',      -- why it ended early
    content      BLOB NOT NULL
);
CREATE INDEX jobs_inst ON jobs (inst);
CREATE INDEX jobs_open ON jobs (num) WHERE status = 0;
CREATE INDEX jobs_finished ON jobs (finished_ms) WHERE status <> 0;

-- status: 0 pending, 1 sent, 2 failed, 3 cancelled
CREATE TABLE job_items (
    job         INTEGER NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
    at          INTEGER NOT NULL,               -- 0, 1, ...
    recipient   TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    status      INTEGER NOT NULL DEFAULT 0,
    code        TEXT NOT NULL DEFAULT '',
    error       TEXT NOT NULL DEFAULT '',
    at_ms       INTEGER NOT NULL DEFAULT 0,
    variables   BLOB,
    PRIMARY KEY (job, at)
) WITHOUT ROWID;

-- An instance's queue as a whole: paused by the operator, and what pacing has
-- counted (JSON), which a restart must not forget.
CREATE TABLE queues (
    inst    INTEGER PRIMARY KEY REFERENCES instances (num) ON DELETE CASCADE,
    paused  INTEGER NOT NULL,
    used    TEXT NOT NULL
);
