//! The account event log: append in the transaction, wake, resume by cursor.
