-- Whether friends who have this address on a card of theirs may find its owner by it: only with his consent.
ALTER TABLE emails ADD COLUMN is_findable BOOLEAN NOT NULL DEFAULT FALSE;
