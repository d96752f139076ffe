-- Sends of the future.  A due time is claimed by moving next_ms on in the
-- transaction that makes its job: a job with the ids of its messages is there,
-- or the due time is.

-- status: 0 scheduled, 1 running, 2 done, 3 failed, 4 cancelled
CREATE TABLE schedules (
    num          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    inst         INTEGER NOT NULL REFERENCES instances (num) ON DELETE CASCADE,
    status       INTEGER NOT NULL DEFAULT 0,
    priority     INTEGER NOT NULL,
    next_ms      INTEGER NOT NULL,              -- due; 0 never again
    send_ms      INTEGER NOT NULL,              -- 0: cron
    cron         TEXT NOT NULL,
    timezone     TEXT NOT NULL,
    until_ms     INTEGER NOT NULL,              -- 0 none
    ttl_ms       INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    finished_ms  INTEGER NOT NULL DEFAULT 0,
    last_ms      INTEGER NOT NULL DEFAULT 0,    -- due time of the last run
    runs         INTEGER NOT NULL DEFAULT 0,
    sent         INTEGER NOT NULL DEFAULT 0,    -- messages
    failed       INTEGER NOT NULL DEFAULT 0,
    code         TEXT NOT NULL DEFAULT '',      -- of the last one that failed
    error        TEXT NOT NULL DEFAULT '',
    template     TEXT NOT NULL,                 -- id, or empty
    recipients   TEXT NOT NULL,                 -- JSON array
    body         BLOB NOT NULL                  -- {type, content, variables}
);
CREATE INDEX schedules_inst ON schedules (inst);
CREATE INDEX schedules_due ON schedules (next_ms) WHERE next_ms <> 0;
CREATE INDEX schedules_finished ON schedules (finished_ms) WHERE finished_ms <> 0;

ALTER TABLE jobs ADD COLUMN schedule INTEGER NOT NULL DEFAULT 0; -- schedules.num
CREATE INDEX jobs_schedule ON jobs (schedule) WHERE schedule <> 0;
