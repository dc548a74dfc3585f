//! Everything a person reads, in English and Korean, from one catalogue.
