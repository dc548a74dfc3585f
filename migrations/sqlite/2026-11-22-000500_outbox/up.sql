-- Since when a carrier refuses an SMS for now: our patience counts from there.
CREATE TABLE sms_refused (
    sms_id BLOB NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sms_refused_since ON sms_refused (since);

-- How fast SMS leave: a gate for the whole carrier (''), for its campaign ('*') and for each number.
CREATE TABLE sms_gates (
    carrier_id TEXT NOT NULL,
    gate TEXT NOT NULL,
    full_at BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    waiting BIGINT NOT NULL,
    PRIMARY KEY (carrier_id, gate)
) WITHOUT ROWID;
CREATE INDEX sms_gates_waiting ON sms_gates (carrier_id) WHERE waiting > 0;

-- Who waits at them, in fair order: by number, and among the numbers of a carrier.
CREATE TABLE sms_waiting (
    job_id BLOB NOT NULL PRIMARY KEY,
    carrier_id TEXT NOT NULL,
    number TEXT NOT NULL,
    in_campaign BOOLEAN NOT NULL,
    rank SMALLINT NOT NULL,
    share TEXT NOT NULL,
    segments SMALLINT NOT NULL,
    turn BIGINT NOT NULL,
    carrier_turn BIGINT NOT NULL,
    at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sms_waiting_turn ON sms_waiting (carrier_id, number, rank, turn, job_id);
CREATE INDEX sms_waiting_share ON sms_waiting (carrier_id, number, rank, share, turn);
CREATE INDEX sms_waiting_carrier_share ON sms_waiting (carrier_id, rank, share, carrier_turn);

-- Words of carriers on SMS that we do not know, or do not know yet.
CREATE TABLE early_receipts (
    carrier_id TEXT NOT NULL,
    sid TEXT NOT NULL,
    state TEXT NOT NULL,
    error_code TEXT,
    is_absent BOOLEAN NOT NULL,
    is_opted_out BOOLEAN NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (carrier_id, sid, state)
) WITHOUT ROWID;
CREATE INDEX early_receipts_at ON early_receipts (at);
