//! The telephone side: what a carrier can do and what it tells us.
