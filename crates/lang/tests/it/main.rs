//! The language as its users see it: files in, values and diagnostics out.

mod expressions;
mod support;
