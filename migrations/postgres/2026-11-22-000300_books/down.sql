DROP TABLE book_members;
DROP TABLE hidden_cards;
