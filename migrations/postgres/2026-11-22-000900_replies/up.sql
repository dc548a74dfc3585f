-- Which message quotes which. Beside the messages: what comes by SMS quotes nothing, and its rows stay narrow.
CREATE TABLE message_replies (
    message_id BYTEA NOT NULL PRIMARY KEY,
    reply_to_id BYTEA NOT NULL
);
-- Whether friends have a photo, and since when, without reading past the pictures themselves.
CREATE INDEX account_photos_version ON account_photos (account_id, updated_at);
