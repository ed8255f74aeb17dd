//! "Did you mean".

/// The candidate nearest to what was written, where one is near enough (edit distance below 3, as Terraform has it).
#[must_use]
pub fn suggest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (distance(wanted, c), c))
        .filter(|(d, c)| *d < 3 && *d < c.chars().count().max(wanted.chars().count()))
        .min()
        .map(|(_, c)| c)
}

/// Edits (insert, delete, replace, swap neighbours) from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(suggest("inputs", ["input", "output", "id"]), Some("input"));
        assert_eq!(suggest("lenght", ["length", "lookup"]), Some("length"));
        assert_eq!(suggest("zone", ["input", "output"]), None);
        assert_eq!(suggest("b", ["a"]), None);
        assert_eq!(suggest("", ["ab"]), None);
    }

    #[test]
    fn of_two_equally_near_the_first_by_name_wins() {
        assert_eq!(suggest("cart", ["card", "cars"]), Some("card"));
        assert_eq!(suggest("cart", ["cars", "card"]), Some("card"));
    }
}
