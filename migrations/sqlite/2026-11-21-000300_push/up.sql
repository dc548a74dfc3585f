-- Who wants a push for what: a phone for an address book, a browser for messages. `pending` has not been sent yet,
-- `sending` is on its way; both are bits of `wants`.
-- `subscriber_keys` is the public key and the shared secret, 65 and 16 bytes.
CREATE TABLE push_registrations (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    owner_id BLOB NOT NULL,
    subject BLOB NOT NULL,
    credential BLOB,
    endpoint TEXT NOT NULL,
    endpoint_hash BLOB NOT NULL,
    subscriber_keys BLOB NOT NULL,
    wants SMALLINT NOT NULL,
    pending SMALLINT NOT NULL,
    sending SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_sent_at BIGINT,
    failing_since BIGINT,
    PRIMARY KEY (account_id, id),
    CONSTRAINT push_registrations_endpoint UNIQUE (account_id, kind, subject, endpoint_hash)
);
CREATE INDEX push_registrations_subject ON push_registrations (owner_id, kind, subject);
CREATE INDEX push_registrations_expires ON push_registrations (expires_at);

-- Whether anybody wants a push for the book: a write must not ask for each card.
ALTER TABLE address_books ADD COLUMN watched BOOLEAN NOT NULL DEFAULT FALSE;
