-- New messages are counted by the driver, once for all of a transaction: the
-- trigger was two more rows for each message.
DROP TRIGGER messages_insert;
