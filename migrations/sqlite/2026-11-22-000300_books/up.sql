-- What the user made of a friend's card (note, picture, groups) while the friend is not on the phone.
CREATE TABLE hidden_cards (
    account_id BLOB NOT NULL,
    contact_id BLOB NOT NULL,
    size_bytes BIGINT NOT NULL,
    base BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account_id, contact_id)
);

-- Who else may see a book, by the owner's account; the slug is the book's address in the member's home.
CREATE TABLE book_members (
    account_id BLOB NOT NULL,
    book_id BLOB NOT NULL,
    id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    access TEXT NOT NULL,
    state TEXT NOT NULL,
    slug TEXT NOT NULL,
    invited_at BIGINT NOT NULL,
    answered_at BIGINT,
    PRIMARY KEY (account_id, book_id, id),
    CONSTRAINT book_members_member UNIQUE (account_id, book_id, member_id)
) WITHOUT ROWID;
CREATE INDEX book_members_of_member ON book_members (member_id);
