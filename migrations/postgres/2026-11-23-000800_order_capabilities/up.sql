-- What an ordered number can do; those that were ordered before can do SMS (1).
ALTER TABLE number_orders ADD COLUMN capabilities INTEGER NOT NULL DEFAULT 1;
