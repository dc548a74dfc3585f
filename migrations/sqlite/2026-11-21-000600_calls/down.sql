DROP TABLE message_notes;
DROP TABLE call_settings;
DROP TABLE voicemails;
DROP TABLE call_sounds;
DROP TABLE call_quality;
DROP TABLE call_legs;
DROP TABLE calls;
