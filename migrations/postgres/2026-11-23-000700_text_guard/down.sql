DROP TABLE held_texts;
DROP TABLE handset_guards;
