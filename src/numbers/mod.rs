//! The pool of virtual numbers and who holds which.
