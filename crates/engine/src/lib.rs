//! The event loop that owns a run: refresh, apply, destroy, retry, limits, recovery.
