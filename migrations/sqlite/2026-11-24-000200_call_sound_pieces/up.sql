-- What is said is kept as bare mu-law in pieces of 256 KiB, so that a player that asks for a part of two hours costs that
-- part. Files that are not as this program writes them (58 bytes before the sound) are left without sound.
CREATE TABLE call_sound_pieces (
    sound_id BLOB NOT NULL,
    place INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (sound_id, place)
);
INSERT INTO call_sound_pieces (sound_id, place, body)
WITH RECURSIVE pieces (id, place) AS (
    SELECT id, 0 FROM call_sounds WHERE substr(body, 51, 4) = CAST('data' AS BLOB) AND length(body) > 58
    UNION ALL
    SELECT pieces.id, pieces.place + 1 FROM pieces JOIN call_sounds ON call_sounds.id = pieces.id
    WHERE (pieces.place + 1) * 262144 < length(call_sounds.body) - 58
)
SELECT pieces.id, pieces.place, substr(call_sounds.body, 59 + pieces.place * 262144, 262144)
FROM pieces JOIN call_sounds ON call_sounds.id = pieces.id;
ALTER TABLE call_sounds ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE call_sounds SET bytes =
    (SELECT coalesce(sum(length(body)), 0) FROM call_sound_pieces WHERE sound_id = call_sounds.id);
ALTER TABLE call_sounds DROP COLUMN body;
CREATE INDEX call_sounds_by_age ON call_sounds (purpose, created_at);
