//! `grappe fmt`: the canonical layout of a file, byte for byte that of `terraform fmt`.
//!
//! A file is cut into [tokens](scan) that keep how much space was before each. A few expressions that later versions of the language made needless are
//! [rewritten](rewrite); then the space before each token is [laid out](layout) anew, and that is all that changes: the tokens and the line ends stay.
//!
//! What the layout is was read off HCL's `hclwrite` and held against the `terraform` binary (`tests/it/format.rs`). Some of it is odd: it looks at
//! tokens, not at what they mean, so a `-` after a name is always a subtraction, and a line with a heredoc is one line.

mod layout;
mod rewrite;
mod scan;

use grappe_diag::{Diagnostics, SourceId};

/// Whether brackets, an interpolation or a heredoc are open at the end of a text: what a person types goes on in the next line.
#[must_use]
pub fn unfinished(text: &str) -> bool {
    scan::unfinished(text)
}

/// The file in the canonical layout. JSON files have none.
///
/// # Errors
/// Where it can't be parsed: what is wrong with it, and nothing is changed then.
pub fn format(source: SourceId, text: &str) -> Result<String, Diagnostics> {
    // A byte order mark goes.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Diagnostics::new();
    crate::syntax::parse_file(source, text, &mut found);
    if found.has_errors() {
        return Err(found);
    }
    let (tokens, left) = scan::scan(text);
    let mut tokens = rewrite::rewrite(tokens);
    layout::lay_out(&mut tokens);
    let mut out = String::with_capacity(text.len());
    for token in &tokens {
        out.extend(std::iter::repeat_n(' ', token.spaces));
        out.push_str(&token.text);
    }
    // Space behind the last line end is no line's.
    out.extend(std::iter::repeat_n(' ', left));
    Ok(out)
}
