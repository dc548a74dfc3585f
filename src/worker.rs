//! Every job and every long-lived listener.
