ALTER TABLE call_quality DROP COLUMN account_id;
