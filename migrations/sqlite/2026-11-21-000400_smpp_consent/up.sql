-- Pieces of long SMS that wait for the rest, and for a day those that were handed over, without their words.
CREATE TABLE inbound_sms_parts (
    carrier_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    to_number TEXT NOT NULL,
    reference INTEGER NOT NULL,
    total SMALLINT NOT NULL,
    number SMALLINT NOT NULL,
    coding INTEGER NOT NULL,
    octets BLOB NOT NULL,
    digest BLOB NOT NULL,
    first_at BIGINT NOT NULL,
    is_done BOOLEAN NOT NULL,
    PRIMARY KEY (carrier_id, sender, to_number, reference, total, number)
) WITHOUT ROWID;
CREATE INDEX inbound_sms_parts_waiting ON inbound_sms_parts (carrier_id, is_done, first_at);

-- SMS whose carrier's id is not known yet: a receipt may come before it, or in its place.
CREATE INDEX outbound_sms_open ON outbound_sms (to_number, from_number) WHERE state IN ('sending', 'unknown');

-- What a person has said about being written to from a number: the newest word counts.
CREATE TABLE consents (
    handset TEXT NOT NULL,
    number TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    state TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (handset, number)
) WITHOUT ROWID;

-- Every word that was said about it, for the operator; nothing is ever taken out.
CREATE TABLE consent_log (
    id BLOB NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    handset TEXT NOT NULL,
    number TEXT NOT NULL,
    carrier_id TEXT NOT NULL,
    word TEXT NOT NULL,
    source TEXT NOT NULL,
    keyword TEXT
) WITHOUT ROWID;
CREATE INDEX consent_log_handset ON consent_log (handset, id);

-- Whether the friend has said STOP to the number of this contact.
ALTER TABLE contacts ADD COLUMN texts_stopped BOOLEAN NOT NULL DEFAULT FALSE;

-- The emoji that each side has put on a message.
CREATE TABLE message_reactions (
    message_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    emoji TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (message_id, account_id)
) WITHOUT ROWID;
CREATE INDEX message_reactions_account ON message_reactions (account_id);
