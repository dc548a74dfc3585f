-- What several nodes must agree on: links that set a phone up, and words that are good once.

CREATE TABLE setup_tickets (
    ticket_hash BYTEA NOT NULL PRIMARY KEY,
    account_id BYTEA NOT NULL,
    app_password_id BYTEA NOT NULL,
    -- The app password, veiled by the ticket, which stands nowhere here.
    veiled BYTEA NOT NULL,
    use_count INTEGER NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX setup_tickets_account ON setup_tickets (account_id);

CREATE TABLE spent_tickets (
    nonce BYTEA NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
