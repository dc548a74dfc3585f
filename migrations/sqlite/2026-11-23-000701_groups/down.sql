DROP TABLE group_senders;
DROP TABLE group_participants;
DROP TABLE group_conversations;
