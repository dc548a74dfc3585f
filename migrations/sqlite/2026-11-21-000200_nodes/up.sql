-- What several nodes must agree on: links that set a phone up, and words that are good once.

CREATE TABLE setup_tickets (
    ticket_hash BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    app_password_id BLOB NOT NULL,
    -- The app password, veiled by the ticket, which stands nowhere here.
    veiled BLOB NOT NULL,
    use_count INTEGER NOT NULL,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX setup_tickets_account ON setup_tickets (account_id);

CREATE TABLE spent_tickets (
    nonce BLOB NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
