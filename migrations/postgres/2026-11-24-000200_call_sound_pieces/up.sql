-- What is said is kept as bare mu-law in pieces of 256 KiB, so that a player that asks for a part of two hours costs that
-- part. Files that are not as this program writes them (58 bytes before the sound) are left without sound.
CREATE TABLE call_sound_pieces (
    sound_id BYTEA NOT NULL,
    place INTEGER NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (sound_id, place)
);
INSERT INTO call_sound_pieces (sound_id, place, body)
SELECT id, place, substr(body, 59 + place * 262144, 262144)
FROM call_sounds, generate_series(0, (length(body) - 59) / 262144) AS place
WHERE substr(body, 51, 4) = 'data'::bytea AND length(body) > 58;
ALTER TABLE call_sounds ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE call_sounds SET bytes =
    (SELECT coalesce(sum(length(body)), 0) FROM call_sound_pieces WHERE sound_id = call_sounds.id);
ALTER TABLE call_sounds DROP COLUMN body;
CREATE INDEX call_sounds_by_age ON call_sounds (purpose, created_at);
