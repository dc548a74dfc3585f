-- Pictures and files: what a message has, the bytes by their hash, and copies that fit somewhere.

CREATE TABLE attachments (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    peer_account_id BLOB,
    message_id BLOB,
    position SMALLINT NOT NULL,
    state TEXT NOT NULL,
    name TEXT,
    media_type TEXT,
    size_bytes BIGINT NOT NULL,
    width INTEGER,
    height INTEGER,
    body_hash BLOB,
    error_code TEXT,
    carrier_id TEXT,
    source_url TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX attachments_message ON attachments (message_id, position) WHERE message_id IS NOT NULL;
CREATE INDEX attachments_loose ON attachments (created_at) WHERE message_id IS NULL;
CREATE INDEX attachments_account ON attachments (account_id);
CREATE INDEX attachments_peer ON attachments (peer_account_id) WHERE peer_account_id IS NOT NULL;
CREATE INDEX attachments_body ON attachments (body_hash) WHERE body_hash IS NOT NULL;

-- The same bytes lie here once. The body stands last: what stands behind a large value is slow to reach.
CREATE TABLE attachment_bodies (
    hash BLOB NOT NULL PRIMARY KEY,
    media_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX attachment_bodies_used ON attachment_bodies (used_at);

CREATE TABLE attachment_copies (
    attachment_id BLOB NOT NULL,
    bytes_max BIGINT NOT NULL,
    body_hash BLOB NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    PRIMARY KEY (attachment_id, bytes_max)
) WITHOUT ROWID;
CREATE INDEX attachment_copies_body ON attachment_copies (body_hash);
