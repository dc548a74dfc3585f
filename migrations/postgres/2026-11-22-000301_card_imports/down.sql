DROP TABLE card_import_rows;
DROP TABLE card_imports;
