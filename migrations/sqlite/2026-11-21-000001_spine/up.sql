-- The spine. Ids are UUIDv7 in 16 bytes, times are microseconds UTC, keys of per-account tables begin with the account.

CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    handle TEXT NOT NULL,
    display_name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    locale TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    quiet_from SMALLINT,
    quiet_to SMALLINT,
    admin BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT accounts_handle UNIQUE (handle)
);

-- One narrow row per account, touched by every change: the event counter and the turn for number assignment.
CREATE TABLE account_counters (
    account_id BLOB NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    floor_seq BIGINT NOT NULL,
    number_turn BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE account_events (
    account_id BLOB NOT NULL,
    seq BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    ref BLOB,
    data TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (account_id, seq)
) WITHOUT ROWID;

CREATE TABLE account_photos (
    account_id BLOB NOT NULL PRIMARY KEY,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE handsets (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    number TEXT NOT NULL,
    region TEXT NOT NULL,
    state TEXT NOT NULL,
    code_hash BLOB,
    text_hash BLOB,
    code_expires_at BIGINT,
    code_attempts INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    verified_at BIGINT,
    last_heard_at BIGINT,
    absent_since BIGINT,
    PRIMARY KEY (account_id, id),
    CONSTRAINT handsets_account_number UNIQUE (account_id, number)
);
CREATE UNIQUE INDEX handsets_verified_number ON handsets (number) WHERE state = 'verified';
CREATE INDEX handsets_text_hash ON handsets (text_hash) WHERE text_hash IS NOT NULL;

CREATE TABLE emails (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    address TEXT NOT NULL,
    state TEXT NOT NULL,
    code_hash BLOB,
    link_hash BLOB,
    code_expires_at BIGINT,
    code_attempts INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    verified_at BIGINT,
    PRIMARY KEY (account_id, id),
    CONSTRAINT emails_account_address UNIQUE (account_id, address)
);
CREATE UNIQUE INDEX emails_verified_address ON emails (address) WHERE state = 'verified';
CREATE INDEX emails_link_hash ON emails (link_hash) WHERE link_hash IS NOT NULL;

CREATE TABLE sessions (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    generation INTEGER NOT NULL,
    secret_hash BLOB NOT NULL,
    label TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
);

CREATE TABLE app_passwords (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    label TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    user_agent TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    PRIMARY KEY (account_id, id),
    CONSTRAINT app_passwords_secret UNIQUE (secret_hash)
);

-- Sliding counters that outlive a restart: whatever sends or guesses is counted here.
CREATE TABLE rate_limits (
    bucket TEXT NOT NULL PRIMARY KEY,
    window_at BIGINT NOT NULL,
    count BIGINT NOT NULL,
    previous_count BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    account_id BLOB NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status SMALLINT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
) WITHOUT ROWID;

CREATE TABLE numbers (
    id BLOB NOT NULL PRIMARY KEY,
    number TEXT NOT NULL,
    region TEXT NOT NULL,
    area TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    capabilities INTEGER NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    CONSTRAINT numbers_number UNIQUE (number)
);
CREATE INDEX numbers_region ON numbers (region, state);

-- A row names a contact while active, keeps the pair from others while resting, and remembers it when past.
CREATE TABLE assignments (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    number_id BLOB NOT NULL,
    contact_id BLOB NOT NULL,
    state TEXT NOT NULL,
    assigned_at BIGINT NOT NULL,
    released_at BIGINT,
    rests_until BIGINT,
    PRIMARY KEY (account_id, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX assignments_pair ON assignments (account_id, number_id) WHERE state <> 'past';
CREATE UNIQUE INDEX assignments_contact ON assignments (account_id, contact_id) WHERE state = 'active';
CREATE INDEX assignments_resting ON assignments (rests_until) WHERE state = 'resting';

CREATE TABLE contacts (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    network TEXT NOT NULL,
    address TEXT NOT NULL,
    peer_account_id BLOB,
    peer_contact_id BLOB,
    display_name TEXT NOT NULL,
    custom_name TEXT,
    state TEXT NOT NULL,
    direction TEXT,
    number_state TEXT NOT NULL,
    hidden_on_phone BOOLEAN NOT NULL,
    conversation_id BLOB,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id),
    CONSTRAINT contacts_address UNIQUE (account_id, network, address)
);
CREATE INDEX contacts_waiting ON contacts (account_id) WHERE number_state = 'waiting';
CREATE INDEX contacts_peer ON contacts (peer_account_id) WHERE peer_account_id IS NOT NULL;

CREATE TABLE address_books (
    account_id BLOB NOT NULL,
    id BLOB NOT NULL,
    slug TEXT NOT NULL,
    kind TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT NOT NULL,
    seq BIGINT NOT NULL,
    floor_seq BIGINT NOT NULL,
    object_count BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id),
    CONSTRAINT address_books_slug UNIQUE (account_id, slug)
);

-- The bodies stand last: what stands behind a large value is slow to reach.
CREATE TABLE address_objects (
    account_id BLOB NOT NULL,
    book_id BLOB NOT NULL,
    name TEXT NOT NULL,
    uid TEXT NOT NULL,
    etag TEXT NOT NULL,
    contact_id BLOB,
    size_bytes INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    body BLOB NOT NULL,
    base BLOB,
    PRIMARY KEY (account_id, book_id, name),
    CONSTRAINT address_objects_uid UNIQUE (account_id, book_id, uid)
);
CREATE INDEX address_objects_contact ON address_objects (account_id, contact_id) WHERE contact_id IS NOT NULL;
-- Covers lists and deltas: neither reads a card.
CREATE INDEX address_objects_seq ON address_objects
    (account_id, book_id, seq, name, etag, size_bytes, created_at, updated_at);

-- What is gone from a book, for phones that still have it. What is there needs no row: it carries its seq itself.
CREATE TABLE address_tombstones (
    account_id BLOB NOT NULL,
    book_id BLOB NOT NULL,
    seq BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account_id, book_id, seq, name)
) WITHOUT ROWID;

-- Properties that clients set and we only keep; an empty name means the book itself.
CREATE TABLE dav_properties (
    account_id BLOB NOT NULL,
    book_id BLOB NOT NULL,
    name TEXT NOT NULL,
    property TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account_id, book_id, name, property)
) WITHOUT ROWID;

-- Which device has been handed which card.
CREATE TABLE card_fetches (
    account_id BLOB NOT NULL,
    app_password_id BLOB NOT NULL,
    book_id BLOB NOT NULL,
    name TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (account_id, app_password_id, book_id, name)
) WITHOUT ROWID;

-- What a person has chosen, when a client of his was last active, and until when one counts as connected.
CREATE TABLE presence (
    account_id BLOB NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    note TEXT,
    updated_at BIGINT NOT NULL,
    connected_until BIGINT
) WITHOUT ROWID;
CREATE INDEX presence_connected ON presence (connected_until) WHERE connected_until IS NOT NULL;

CREATE TABLE conversations (
    id BLOB NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE conversation_members (
    account_id BLOB NOT NULL,
    conversation_id BLOB NOT NULL,
    contact_id BLOB NOT NULL,
    unread_count BIGINT NOT NULL,
    read_up_to BLOB,
    last_message_id BLOB,
    last_message_at BIGINT,
    PRIMARY KEY (account_id, conversation_id)
) WITHOUT ROWID;

CREATE TABLE messages (
    id BLOB NOT NULL PRIMARY KEY,
    conversation_id BLOB NOT NULL,
    sender_account_id BLOB NOT NULL,
    recipient_account_id BLOB NOT NULL,
    source TEXT NOT NULL,
    via TEXT NOT NULL,
    text TEXT NOT NULL,
    state TEXT NOT NULL,
    error_code TEXT,
    segment_count SMALLINT,
    client_id TEXT,
    sent_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX messages_conversation ON messages (conversation_id, id);
CREATE UNIQUE INDEX messages_client_id ON messages (sender_account_id, client_id) WHERE client_id IS NOT NULL;

-- Every SMS that leaves, whoever caused it. `sending` is written before the request, so a crash leaves a trace.
CREATE TABLE outbound_sms (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB,
    message_id BLOB,
    purpose TEXT NOT NULL,
    order_key TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    text TEXT NOT NULL,
    state TEXT NOT NULL,
    segment_count SMALLINT NOT NULL,
    attempts INTEGER NOT NULL,
    carrier_message_id TEXT,
    error_code TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX outbound_sms_unknown ON outbound_sms (updated_at) WHERE state = 'unknown';
CREATE INDEX outbound_sms_account ON outbound_sms (account_id) WHERE account_id IS NOT NULL;

-- What carriers have told us, once each; and, for our own sends, which SMS a carrier's id means.
CREATE TABLE carrier_callbacks (
    carrier_id TEXT NOT NULL,
    kind SMALLINT NOT NULL,
    sid TEXT NOT NULL,
    status TEXT NOT NULL,
    ref BLOB,
    at BIGINT NOT NULL,
    PRIMARY KEY (carrier_id, sid, kind, status)
) WITHOUT ROWID;

CREATE TABLE jobs (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    order_key TEXT,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    locked_until BIGINT,
    last_error TEXT,
    created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_due ON jobs (state, run_at);
CREATE INDEX jobs_order ON jobs (order_key, id) WHERE order_key IS NOT NULL AND state <> 'dead';
