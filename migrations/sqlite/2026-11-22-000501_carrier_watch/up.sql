-- What carriers did, minute by minute, of all nodes together.
CREATE TABLE carrier_tallies (
    carrier_id TEXT NOT NULL,
    minute BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    busy BIGINT NOT NULL,
    broken BIGINT NOT NULL,
    ours BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    undelivered BIGINT NOT NULL,
    inbound BIGINT NOT NULL,
    answer_ms BIGINT NOT NULL,
    PRIMARY KEY (carrier_id, minute)
) WITHOUT ROWID;

-- How each carrier is.
CREATE TABLE carrier_health (
    carrier_id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    since BIGINT NOT NULL,
    why TEXT NOT NULL,
    dead_since BIGINT
) WITHOUT ROWID;

-- Messages between our own numbers, by the word that they carry.
CREATE TABLE carrier_loops (
    word TEXT NOT NULL PRIMARY KEY,
    carrier_id TEXT NOT NULL,
    sent_at BIGINT NOT NULL,
    arrived_at BIGINT
) WITHOUT ROWID;
CREATE INDEX carrier_loops_sent ON carrier_loops (carrier_id, sent_at);

-- What an operator should look at; the same thing again is counted on the open one.
CREATE TABLE alarms (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    count BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    acknowledged_at BIGINT
) WITHOUT ROWID;
CREATE UNIQUE INDEX alarms_open ON alarms (kind, subject) WHERE acknowledged_at IS NULL;

-- Codes asked for and numbers proved, by the range of the number and the hour.
CREATE TABLE code_ranges (
    range TEXT NOT NULL,
    hour BIGINT NOT NULL,
    asked BIGINT NOT NULL,
    proved BIGINT NOT NULL,
    PRIMARY KEY (range, hour)
) WITHOUT ROWID;
