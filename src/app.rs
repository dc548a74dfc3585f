//! What edges and jobs can reach.
