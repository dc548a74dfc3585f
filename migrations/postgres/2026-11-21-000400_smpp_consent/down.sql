DROP TABLE message_reactions;
ALTER TABLE contacts DROP COLUMN texts_stopped;
DROP TABLE consent_log;
DROP TABLE consents;
DROP INDEX outbound_sms_open;
DROP TABLE inbound_sms_parts;
