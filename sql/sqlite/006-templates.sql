-- Stored send bodies.  Names, and which placeholders there are, are in clear;
-- content is sealed where a key is set.

CREATE TABLE templates (
    num         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    inst        INTEGER REFERENCES instances (num) ON DELETE CASCADE, -- NULL: of no instance
    owner       TEXT NOT NULL,                  -- key that made it
    name        TEXT NOT NULL,
    type        TEXT NOT NULL,
    language    TEXT NOT NULL,
    variables   TEXT NOT NULL,                  -- JSON array of names
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    content     BLOB NOT NULL
);
CREATE UNIQUE INDEX templates_of_instance ON templates (inst, name) WHERE inst IS NOT NULL;
CREATE UNIQUE INDEX templates_of_key ON templates (owner, name) WHERE inst IS NULL;
