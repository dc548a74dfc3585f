-- The way back keeps what is known of sounds, and not what was said.
DROP INDEX call_sounds_by_age;
ALTER TABLE call_sounds ADD COLUMN body BYTEA NOT NULL DEFAULT '';
ALTER TABLE call_sounds DROP COLUMN bytes;
DROP TABLE call_sound_pieces;
