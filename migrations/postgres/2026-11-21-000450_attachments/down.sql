DROP TABLE attachment_copies;
DROP TABLE attachment_bodies;
DROP TABLE attachments;
