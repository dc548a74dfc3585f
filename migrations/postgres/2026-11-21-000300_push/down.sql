ALTER TABLE address_books DROP COLUMN watched;
DROP TABLE push_registrations;
