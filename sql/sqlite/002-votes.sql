-- Votes in polls and answers to events, one per person: the last one counts.
-- options: JSON array of names ([]: withdrawn; the row stays so that an older
-- vote does not return)
CREATE TABLE votes (
    chat     INTEGER NOT NULL,
    id       TEXT NOT NULL,
    user     TEXT NOT NULL,
    options  TEXT NOT NULL,
    t_ms     INTEGER NOT NULL,
    PRIMARY KEY (chat, id, user)
) WITHOUT ROWID;
