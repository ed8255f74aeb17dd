//! The space before each token.
//!
//! A line has up to three cells: what leads, from `=` on, and a comment at the end. Indentation is by brackets that stay open; inside a cell the space
//! goes by pairs of neighbours; in lines that follow one another, `=` and comments are put below each other.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::scan::{Kind, Token};

/// The cells of a line, as ranges of tokens.
struct Line {
    lead: Range<usize>,
    assign: Range<usize>,
    comment: Range<usize>,
}

/// Sets the space before each token.
pub(super) fn lay_out(tokens: &mut [Token<'_>]) {
    let lines = lines(tokens);
    indent(tokens, &lines);
    for line in &lines {
        space(tokens, line.lead.clone());
        if !line.assign.is_empty() {
            tokens[line.assign.start].spaces = 1;
            space(tokens, line.assign.clone());
        }
    }
    align(tokens, &lines, |line| line.assign.start, |line| line.assign.is_empty());
    align(tokens, &lines, |line| line.comment.start, |line| line.comment.is_empty());
}

/// How many brackets a token opens (or closes).
fn opens(token: &Token<'_>) -> isize {
    match token.kind {
        Kind::Open(_) | Kind::Sequence => 1,
        Kind::Close(_) | Kind::Unsequence => -1,
        _ => 0,
    }
}

fn lines(tokens: &[Token<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    while start < tokens.len() {
        let end = tokens[start..].iter().position(Token::ends_line).map_or(tokens.len(), |i| start + i + 1);
        // A comment alone leads its line.
        let comment = end - start > 1 && tokens[end - 1].kind == Kind::Comment;
        let code = end - usize::from(comment);
        let equal = (start + 1..code).find(|i| tokens[*i].kind == Kind::Equal);
        // A value that goes on in the next lines is not put below others.
        let whole = equal.filter(|at| tokens[*at..code].iter().map(opens).sum::<isize>() == 0);
        let assign = whole.unwrap_or(code);
        lines.push(Line { lead: start..assign, assign: assign..code, comment: code..end });
        start = end;
    }
    lines
}

fn indent(tokens: &mut [Token<'_>], lines: &[Line]) {
    // How many brackets each deeper line opened.
    let mut open: Vec<isize> = Vec::new();
    for line in lines {
        let lead = &tokens[line.lead.clone()];
        if lead[0].kind == Kind::Newline {
            tokens[line.lead.start].spaces = 0;
            continue;
        }
        let heredoc = lead.iter().position(|t| t.kind == Kind::Heredoc).unwrap_or(lead.len());
        let net: isize = lead[..heredoc].iter().chain(&tokens[line.assign.clone()]).map(opens).sum();
        let mut closed = -net;
        while closed > 0
            && let Some(last) = open.last_mut()
        {
            if *last > closed {
                *last -= closed;
                break;
            }
            closed -= *last;
            open.pop();
        }
        tokens[line.lead.start].spaces = 2 * open.len();
        if net > 0 {
            open.push(net);
        }
    }
}

fn space(tokens: &mut [Token<'_>], cell: Range<usize>) {
    for i in cell.clone().skip(1) {
        let before = (i - 1 > cell.start).then(|| &tokens[i - 2]);
        tokens[i].spaces = usize::from(spaced(before, &tokens[i - 1], &tokens[i]));
    }
}

/// Whether there is a space between two tokens, with the one before them.
fn spaced(before: Option<&Token<'_>>, left: &Token<'_>, right: &Token<'_>) -> bool {
    use Kind::{
        Bang, Close, Colon, Comma, Dot, DoubleColon, Ellipsis, Equal, Heredoc, Ident, Literal, Minus,
        Newline, Number, Open, Operator, Question, Quote, Sequence, Unheredoc, Unquote, Unsequence,
    };
    let name = |token: &Token<'_>| token.kind == Ident;
    match (left.kind, right.kind) {
        // Before line ends; calls; names with `::`; steps; before what separates.
        (_, Newline) | (Ident, Open(b'(')) | (Ident, DoubleColon) | (DoubleColon, Ident) => false,
        (Dot, _) | (_, Dot) | (_, Comma | Ellipsis) => false,
        (Comma, _) => true,
        // Templates are left as they are.
        (Literal | Quote | Heredoc, _) | (_, Literal | Unquote | Unheredoc) => false,
        // `for x in [1]` is no index.
        _ if name(left) && left.text == "in" && before.is_some_and(name) => true,
        (Ident | Number | Close(_) | Unsequence, Open(b'[')) => false,
        (Bang, _) => false,
        // A sign, where no operand is before it.
        (Minus, _) => !matches!(
            before.map(|t| t.kind),
            None | Some(Open(_) | Equal | Colon | Comma | Question | Operator | Minus | Bang)
        ),
        (Open(b'{'), Close(b'}')) => false,
        (Open(b'{'), _) | (_, Close(b'}')) => true,
        (Sequence, Open(b'{')) | (Close(b'}'), Unsequence) => true,
        (Unsequence, Sequence) => false,
        (Open(_) | Sequence, _) | (_, Close(_) | Unsequence) => false,
        _ => true,
    }
}

/// How many columns tokens take.
fn columns(tokens: &[Token<'_>]) -> usize {
    tokens.iter().map(|t| t.spaces + t.text.graphemes(true).count()).sum()
}

/// Puts a cell of lines that follow one another below each other.
fn align(tokens: &mut [Token<'_>], lines: &[Line], cell: fn(&Line) -> usize, lacks: fn(&Line) -> bool) {
    for group in lines.chunk_by(|a, b| !lacks(a) && !lacks(b)) {
        let widths: Vec<usize> = group.iter().map(|l| columns(&tokens[l.lead.start..cell(l)])).collect();
        let most = widths.iter().copied().max().unwrap_or(0);
        for (line, width) in group.iter().zip(widths).filter(|(line, _)| !lacks(line)) {
            tokens[cell(line)].spaces = most - width + 1;
        }
    }
}
