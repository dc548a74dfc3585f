//! Who you are: accounts, handsets, e-mail addresses, sessions, app passwords.
