ALTER TABLE emails DROP COLUMN is_findable;
