//! Sources, spans, and diagnostics with the snippet under them.
