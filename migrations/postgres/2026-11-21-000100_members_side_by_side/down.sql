ALTER TABLE conversation_members SET (fillfactor = 80);
