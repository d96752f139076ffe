-- Receipts by the number of their message and not by its id: ids are random, so
-- that every receipt of a burst changed another page.  They go with their message.
CREATE TABLE receipts_of (
    msg        INTEGER NOT NULL,               -- messages.num
    user       TEXT NOT NULL,
    delivered  INTEGER NOT NULL,
    read       INTEGER NOT NULL,
    played     INTEGER NOT NULL,
    PRIMARY KEY (msg, user)
) WITHOUT ROWID;
INSERT INTO receipts_of (msg, user, delivered, read, played)
    SELECT m.num, r.user, r.delivered, r.read, r.played FROM receipts r JOIN chats c ON c.num = r.chat
    JOIN messages m ON m.inst = c.inst AND m.id = r.id AND m.chat = r.chat AND m.sender = '';
DROP TABLE receipts;
ALTER TABLE receipts_of RENAME TO receipts;

CREATE TRIGGER messages_receipts AFTER DELETE ON messages
BEGIN
    DELETE FROM receipts WHERE msg = OLD.num;
END;
