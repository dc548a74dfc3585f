ALTER TABLE number_orders DROP COLUMN capabilities;
