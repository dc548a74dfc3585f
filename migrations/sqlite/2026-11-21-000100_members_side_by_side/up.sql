-- A message changes both sides of its conversation: side by side they are one page and not two.
CREATE TABLE conversation_members_new (
    account_id BLOB NOT NULL,
    conversation_id BLOB NOT NULL,
    contact_id BLOB NOT NULL,
    unread_count BIGINT NOT NULL,
    read_up_to BLOB,
    last_message_id BLOB,
    last_message_at BIGINT,
    PRIMARY KEY (conversation_id, account_id)
) WITHOUT ROWID;
INSERT INTO conversation_members_new SELECT account_id, conversation_id, contact_id, unread_count, read_up_to,
    last_message_id, last_message_at FROM conversation_members;
DROP TABLE conversation_members;
ALTER TABLE conversation_members_new RENAME TO conversation_members;
CREATE INDEX conversation_members_account ON conversation_members (account_id);
