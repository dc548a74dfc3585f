-- Calls between two accounts, whatever the ends. Every change is one UPDATE guarded by version.
CREATE TABLE calls (
    id BYTEA NOT NULL PRIMARY KEY,
    caller_account_id BYTEA NOT NULL,
    callee_account_id BYTEA NOT NULL,
    conversation_id BYTEA,
    state TEXT NOT NULL,
    end_reason TEXT,
    version BIGINT NOT NULL,
    node TEXT NOT NULL,
    ring_until BIGINT,
    created_at BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at BIGINT,
    alive_until BIGINT NOT NULL,
    message_id BYTEA,
    facts TEXT NOT NULL
);
CREATE INDEX calls_by_caller ON calls (caller_account_id, id);
CREATE INDEX calls_by_callee ON calls (callee_account_id, id);
CREATE INDEX calls_open ON calls (alive_until) WHERE state <> 'ended';

-- One end of a call, and what is left of it: the record for billing and for quality.
CREATE TABLE call_legs (
    id BYTEA NOT NULL PRIMARY KEY,
    call_id BYTEA NOT NULL,
    side TEXT NOT NULL,
    kind TEXT NOT NULL,
    carrier_id TEXT,
    carrier_call_id TEXT,
    from_number TEXT,
    to_number TEXT,
    state TEXT NOT NULL,
    cause TEXT,
    sequence INTEGER NOT NULL,
    token_hash BYTEA,
    token_until BIGINT,
    created_at BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at BIGINT
);
CREATE INDEX call_legs_by_call ON call_legs (call_id);
CREATE UNIQUE INDEX call_legs_carrier_call ON call_legs (carrier_id, carrier_call_id) WHERE carrier_call_id IS NOT NULL;
CREATE UNIQUE INDEX call_legs_token ON call_legs (token_hash) WHERE token_hash IS NOT NULL;

-- How a leg was heard: our figures of what came in, and the browser's of what went out.
CREATE TABLE call_quality (
    leg_id BYTEA NOT NULL PRIMARY KEY,
    call_id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    codec TEXT NOT NULL,
    network TEXT NOT NULL,
    region TEXT NOT NULL,
    mos_hundredths INTEGER NOT NULL,
    loss_ppm INTEGER NOT NULL,
    jitter_ms INTEGER NOT NULL,
    rtt_ms INTEGER
);
CREATE INDEX call_quality_by_call ON call_quality (call_id);
CREATE INDEX call_quality_by_time ON call_quality (at);

-- Sound that is kept: WAV with mu-law at 8 kHz.
CREATE TABLE call_sounds (
    id BYTEA NOT NULL PRIMARY KEY,
    account_id BYTEA NOT NULL,
    call_id BYTEA,
    purpose TEXT NOT NULL,
    millis INTEGER NOT NULL,
    body BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX call_sounds_by_account ON call_sounds (account_id);
CREATE INDEX call_sounds_by_call ON call_sounds (call_id) WHERE call_id IS NOT NULL;

-- What callers left; the account is the one that was called.
CREATE TABLE voicemails (
    id BYTEA NOT NULL PRIMARY KEY,
    account_id BYTEA NOT NULL,
    call_id BYTEA NOT NULL UNIQUE,
    contact_id BYTEA NOT NULL,
    sound_id BYTEA NOT NULL,
    message_id BYTEA,
    seconds INTEGER NOT NULL,
    listened_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX voicemails_by_account ON voicemails (account_id, id);

-- How an account wants to be called; no row: as the program says.
CREATE TABLE call_settings (
    account_id BYTEA NOT NULL PRIMARY KEY,
    do_not_disturb BOOLEAN NOT NULL,
    ring TEXT NOT NULL,
    also_ring TEXT,
    forward_to TEXT,
    forward_when TEXT NOT NULL,
    screening BOOLEAN NOT NULL,
    voicemail_enabled BOOLEAN NOT NULL,
    greeting_text TEXT NOT NULL,
    greeting_sound_id BYTEA,
    voicemail_seconds_max SMALLINT NOT NULL,
    voicemail_by_mail BOOLEAN NOT NULL,
    voicemail_by_sms BOOLEAN NOT NULL,
    pin_hash BYTEA,
    ring_seconds SMALLINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Messages that are more than words: a call, a voicemail. What they say of it is JSON.
CREATE TABLE message_notes (
    message_id BYTEA NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
);
