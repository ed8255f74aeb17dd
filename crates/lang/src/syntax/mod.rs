//! Text to blocks and expressions.
