//! WebDAV words and their XML: Depth, multistatus, propfind, reports, preconditions.
