DROP INDEX account_photos_version;
DROP TABLE message_replies;
