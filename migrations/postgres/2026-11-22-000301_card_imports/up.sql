-- Files of cards on their way into a book; forgotten after a day.
CREATE TABLE card_imports (
    account_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    owner_id BYTEA NOT NULL,
    book_id BYTEA NOT NULL,
    format TEXT NOT NULL,
    charset TEXT NOT NULL,
    region TEXT NOT NULL,
    state TEXT NOT NULL,
    fallback TEXT,
    row_count BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX card_imports_age ON card_imports (created_at);

-- The body stands last: what stands behind a large value is slow to reach.
CREATE TABLE card_import_rows (
    account_id BYTEA NOT NULL,
    import_id BYTEA NOT NULL,
    place INTEGER NOT NULL,
    line INTEGER NOT NULL,
    name TEXT NOT NULL,
    fault_code TEXT,
    fault_detail TEXT,
    duplicate_of TEXT,
    duplicate_place INTEGER,
    reasons TEXT NOT NULL,
    choice TEXT,
    outcome TEXT,
    result_name TEXT,
    body BYTEA,
    PRIMARY KEY (account_id, import_id, place)
);
