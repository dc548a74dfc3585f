//! Friends and address books.
