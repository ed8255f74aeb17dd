//! What is known of a value that is not known yet: how a text begins, between which numbers a number is, how many elements a collection has. By the rules
//! of cty, so that what Terraform knows while planning is known here too.

use std::sync::Arc;

use grappe_value::{Bound, Kind, Number, Range, Type, Value};

/// A text that is not known yet and begins so. The last letter does not count: an accent that follows would change it.
pub(crate) fn beginning(text: &str) -> Value {
    let mut end = text.len();
    if let Some(last) = text.chars().next_back()
        && !is_delimiter(last)
    {
        // The whole of what is one letter to the eye.
        end = unicode_segmentation::UnicodeSegmentation::grapheme_indices(text, true)
            .next_back()
            .map_or(0, |(at, _)| at);
    }
    let value = Value::unknown_not_null(Type::String);
    if end == 0 { value } else { value.within(Range::Prefix(text[..end].into())) }
}

/// Characters with which nothing combines in texts that machines read.
fn is_delimiter(c: char) -> bool {
    matches!(
        c,
        '-' | '_'
            | ':'
            | ';'
            | '/'
            | '\\'
            | ','
            | '.'
            | '('
            | ')'
            | '{'
            | '}'
            | '['
            | ']'
            | '|'
            | '?'
            | '!'
            | '~'
            | ' '
            | '\t'
            | '@'
            | '#'
            | '$'
            | '%'
            | '^'
            | '&'
            | '*'
            | '+'
            | '"'
            | '\''
    )
}

/// What is known of a value that will be one of these two, which have this type.
pub(crate) fn either(yes: &Value, no: &Value, ty: &Type) -> Range {
    let both = |kind: fn(&Type) -> bool| kind(&yes.ty()) && kind(&no.ty());
    if *ty == Type::Number && both(|ty| *ty == Type::Number) {
        let ((low, high), (other_low, other_high)) = (Range::of_number(yes), Range::of_number(no));
        let least = outer(low, other_low, |a, b| a < b);
        let most = outer(high, other_high, |a, b| a > b);
        return if least.is_none() && most.is_none() { Range::Open } else { Range::Between(least, most) };
    }
    if yes.ty() == no.ty() && both(|ty| matches!(ty, Type::List(_) | Type::Set(_) | Type::Map(_))) {
        let ((few, many), (other_few, other_many)) = (Range::of_length(yes), Range::of_length(no));
        let most = many.zip(other_many).map(|(a, b)| a.max(b));
        return length(few.min(other_few), most);
    }
    Range::Open
}

/// What is narrowed down to one value is known: a number between two that are the same, a collection of known length as far as that goes.
pub(crate) fn settled(value: Value) -> Value {
    let Kind::Unknown(unknown) = value.kind() else { return value };
    if !unknown.not_null {
        return value;
    }
    let open = |element: &Type, n: usize| std::iter::repeat_n(Value::unknown(element.clone()), n);
    match (&unknown.range, &unknown.ty) {
        (Range::Between(Some((least, true)), Some((most, true))), _) if least == most => least.clone().into(),
        (Range::Length(0, Some(0)), Type::Map(element)) => Value::map::<Arc<str>>((**element).clone(), []),
        (Range::Length(n @ 0..=1, Some(most)), Type::Set(element)) if n == most => {
            Value::set((**element).clone(), open(element, *n))
        }
        (Range::Length(n, Some(most)), Type::List(element)) if n == most => {
            Value::list((**element).clone(), open(element, *n))
        }
        _ => value,
    }
}

/// The bound that is further out; none where one side has none.
fn outer(a: Bound, b: Bound, further: fn(&Number, &Number) -> bool) -> Bound {
    let ((a, itself), (b, other_itself)) = (a?, b?);
    Some(match (further(&a, &b), further(&b, &a)) {
        (true, _) => (a, itself),
        (_, true) => (b, other_itself),
        _ => (a, itself || other_itself),
    })
}

/// Between how many elements: nothing where that says nothing.
fn length(least: usize, most: Option<usize>) -> Range {
    if least == 0 && most.is_none() { Range::Open } else { Range::Length(least, most) }
}

/// How many elements a collection has that is not known yet.
pub(crate) fn counted(least: usize, most: Option<usize>) -> Value {
    match most {
        Some(most) if most == least => Number::from(least).into(),
        _ => Value::unknown_not_null(Type::Number)
            .within(Range::Between(Some((least.into(), true)), most.map(|most| (most.into(), true)))),
    }
}

/// Whether `a < b` for all that they can be; `None` where that is open. Bounds count as if they were not reached, as in Terraform.
pub(crate) fn below(a: &Value, b: &Value) -> Option<bool> {
    let ((a_least, a_most), (b_least, b_most)) = (Range::of_number(a), Range::of_number(b));
    if let (Some((a, _)), Some((b, _))) = (&a_most, &b_least)
        && a < b
    {
        return Some(true);
    }
    if let (Some((a, _)), Some((b, _))) = (&a_least, &b_most)
        && b < a
    {
        return Some(false);
    }
    None
}
