//! What exists: snapshot, journal, lock, sealing, and the files they live in.
