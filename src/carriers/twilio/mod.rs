//! Twilio: bytes to our values and back.
