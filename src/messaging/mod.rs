//! Messages between telephone and chat.
