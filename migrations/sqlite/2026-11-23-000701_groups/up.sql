-- Group MMS: a conversation for each of our members in a group; `key` is a hash of the set of participants.
CREATE TABLE group_conversations (
    conversation_id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    number TEXT NOT NULL,
    opener_id BLOB NOT NULL,
    key BLOB NOT NULL,
    created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX group_conversations_key ON group_conversations (key, number);
CREATE INDEX group_conversations_account ON group_conversations (account_id);
CREATE INDEX group_conversations_opener ON group_conversations (opener_id);
CREATE TABLE group_participants (
    conversation_id BLOB NOT NULL,
    number TEXT NOT NULL,
    account_id BLOB,
    PRIMARY KEY (conversation_id, number)
) WITHOUT ROWID;
CREATE INDEX group_participants_account ON group_participants (account_id);
-- Who wrote a message of a group; its row in `messages` knows two sides only.
CREATE TABLE group_senders (
    message_id BLOB NOT NULL PRIMARY KEY,
    number TEXT NOT NULL
) WITHOUT ROWID;
