-- Both sides of a conversation are inserted together and so share a page here anyway; room for their new versions.
ALTER TABLE conversation_members SET (fillfactor = 70);
