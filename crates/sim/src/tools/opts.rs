//! Options as getopt_long reads them.

/// Options in order, and operands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opts {
    found: Vec<(String, Option<String>)>,
    /// Operands.
    pub(crate) rest: Vec<String>,
}

impl Opts {
    /// Whether one of these options was given.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.found.iter().any(|(n, _)| names.contains(&n.as_str()))
    }

    /// The last value of one of these options.
    pub(crate) fn value(&self, names: &[&str]) -> Option<&str> {
        self.found.iter().rev().find(|(n, _)| names.contains(&n.as_str())).and_then(|(_, v)| v.as_deref())
    }

    /// All values of these options.
    pub(crate) fn values(&self, names: &[&str]) -> Vec<&str> {
        self.found
            .iter()
            .filter(|(n, _)| names.contains(&n.as_str()))
            .filter_map(|(_, v)| v.as_deref())
            .collect()
    }
}

/// Reads options. `short` is as in getopt (`a:` takes a value, a leading `+` stops at the first operand); in `long`, `x=` takes a value, `x?`
/// may take one after `=`.
///
/// # Errors
/// A message as GNU's tools print it.
pub(crate) fn getopt(args: &[String], short: &str, long: &[&str]) -> Result<Opts, String> {
    let (in_order, short) = match short.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, short),
    };
    let mut opts = Opts::default();
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        at += 1;
        if arg == "--" {
            opts.rest.extend_from_slice(&args[at..]);
            break;
        }
        if let Some(name) = arg.strip_prefix("--") {
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let spec = long.iter().find(|l| l.trim_end_matches(['=', '?']) == name);
            let Some(spec) = spec else {
                return Err(format!("unrecognized option '--{name}' (simulated host)"));
            };
            let value = match (spec.ends_with('='), value) {
                (true, None) => {
                    let Some(next) = args.get(at) else {
                        return Err(format!("option '--{name}' requires an argument"));
                    };
                    at += 1;
                    Some(next.clone())
                }
                (false, Some(_)) if !spec.ends_with('?') => {
                    return Err(format!("option '--{name}' doesn't allow an argument"));
                }
                (_, value) => value,
            };
            opts.found.push((name.to_owned(), value));
            continue;
        }
        if arg.len() < 2 || !arg.starts_with('-') {
            if in_order {
                opts.rest.extend_from_slice(&args[at - 1..]);
                break;
            }
            opts.rest.push(arg.clone());
            continue;
        }
        let letters: Vec<char> = arg.chars().skip(1).collect();
        for (n, letter) in letters.iter().enumerate() {
            let place = short.find(*letter).filter(|_| *letter != ':' && *letter != '+');
            let Some(place) = place else {
                return Err(format!("invalid option -- '{letter}' (simulated host)"));
            };
            if !short[place + letter.len_utf8()..].starts_with(':') {
                opts.found.push((letter.to_string(), None));
                continue;
            }
            let attached: String = letters[n + 1..].iter().collect();
            let value = if attached.is_empty() {
                let Some(next) = args.get(at) else {
                    return Err(format!("option requires an argument -- '{letter}'"));
                };
                at += 1;
                next.clone()
            } else {
                attached
            };
            opts.found.push((letter.to_string(), Some(value)));
            break;
        }
    }
    Ok(opts)
}
