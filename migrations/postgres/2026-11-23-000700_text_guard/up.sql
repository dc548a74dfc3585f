-- How the texts of a handset come, and since when its owner is asked whether one is his. No row: nothing is known.
CREATE TABLE handset_guards (
    account_id BYTEA NOT NULL,
    handset_id BYTEA NOT NULL,
    always BOOLEAN NOT NULL,
    network TEXT,
    trusted_until BIGINT,
    asked_at BIGINT,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (account_id, handset_id)
);
-- Texts that wait until their sender has proved that he is who he says. `others`: the rest of a group, with spaces
-- between; `media`: JSON.
CREATE TABLE held_texts (
    account_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    handset_id BYTEA NOT NULL,
    carrier_id TEXT NOT NULL,
    sid TEXT NOT NULL,
    to_number TEXT NOT NULL,
    others TEXT NOT NULL,
    text TEXT NOT NULL,
    segment_count SMALLINT NOT NULL,
    media TEXT NOT NULL,
    network TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
);
