//! The built-in functions, one file a subject.
//!
//! A function is a row of a table: its name, what it does, its parameters, what it returns, and a plain function over values. What all have in
//! common is done once, in `call`, as Terraform does it: arguments are counted and converted; a null where none is allowed is an error; an
//! unknown argument makes the result unknown; marks are taken off before and put on the result after.

mod charsets;
mod collections;
mod conversion;
mod crypto;
mod csv;
mod dates;
mod encoding;
mod files;
mod fileset;
mod format;
mod gzip;
mod hashes;
mod lists;
mod maps;
mod net;
mod numbers;
mod sets;
mod strings;
mod templates;
mod yaml;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Kind, Marks, Range, Type, Value, convert};

use crate::Scope;
use crate::expr::{Call, Eval, Node, NodeKind, beginning, settled, unknown_function};

/// What a function gives: a value, or why not.
pub(crate) type Outcome = Result<Value, Refused>;

/// Why a function can't give a value, and which argument is to blame.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) arg: Option<usize>,
    pub(crate) message: String,
}

/// The call as a whole can't work.
pub(crate) fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { arg: None, message: message.into() })
}

/// An argument (from 0) is to blame.
pub(crate) fn refuse_arg<T>(arg: usize, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { arg: Some(arg), message: message.into() })
}

/// A built-in function.
pub struct Function {
    /// As it is called.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    params: &'static [Param],
    rest: Option<Param>,
    returns: Returns,
    run: Run,
    /// Unknown parts of arguments make the result unknown too.
    whole: bool,
    /// What can be wrong already while some argument is not known.
    check: fn(&[Value]) -> Result<(), Refused>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A parameter: its name as Terraform has it, its type, and what it takes.
#[derive(Clone, Copy)]
pub(crate) struct Param {
    name: &'static str,
    ty: P,
    null: bool,
    unknown: bool,
    marked: bool,
}

impl Param {
    /// Null is a value like others.
    const fn null(mut self) -> Self {
        self.null = true;
        self
    }
    /// The function looks at unknown values itself.
    const fn unknown(mut self) -> Self {
        self.unknown = true;
        self
    }
    /// The function looks at marks itself.
    const fn marked(mut self) -> Self {
        self.marked = true;
        self
    }
}

/// Types that can stand in a static table.
#[derive(Clone, Copy)]
enum P {
    Any,
    Bool,
    Number,
    String,
    Bools,
    Strings,
    StringSet,
    List,
    Set,
    StringLists,
}

impl P {
    fn ty(self) -> Type {
        match self {
            P::Any => Type::Any,
            P::Bool => Type::Bool,
            P::Number => Type::Number,
            P::String => Type::String,
            P::Bools => Type::list(Type::Bool),
            P::Strings => Type::list(Type::String),
            P::StringSet => Type::set(Type::String),
            P::List => Type::list(Type::Any),
            P::Set => Type::set(Type::Any),
            P::StringLists => Type::map(Type::list(Type::String)),
        }
    }
}

/// What is returned where an argument is unknown.
#[derive(Clone, Copy)]
enum Returns {
    Fixed(P),
    /// By the arguments.
    Of(fn(&[Value]) -> Type),
}

#[derive(Clone, Copy)]
enum Run {
    Plain(fn(&[Value]) -> Outcome),
    /// Needs files, the clock, …
    Scoped(fn(&[Value], &dyn Scope) -> Outcome),
    /// Evaluates its arguments itself.
    Lazy(fn(&mut Eval<'_>, &[Node], Span) -> Result<Value, Diagnostics>),
}

const fn arg(name: &'static str, ty: P) -> Param {
    Param { name, ty, null: false, unknown: false, marked: false }
}
const fn any(name: &'static str) -> Param {
    arg(name, P::Any)
}
const fn string(name: &'static str) -> Param {
    arg(name, P::String)
}
const fn number(name: &'static str) -> Param {
    arg(name, P::Number)
}

const fn function(
    name: &'static str,
    about: &'static str,
    params: &'static [Param],
    returns: Returns,
    run: Run,
) -> Function {
    Function { name, about, params, rest: None, returns, run, whole: false, check: |_| Ok(()) }
}

/// A function of values, with a fixed type.
const fn f(
    name: &'static str,
    about: &'static str,
    params: &'static [Param],
    returns: P,
    run: fn(&[Value]) -> Outcome,
) -> Function {
    function(name, about, params, Returns::Fixed(returns), Run::Plain(run))
}

/// A function of values whose type depends on them.
const fn of(
    name: &'static str,
    about: &'static str,
    params: &'static [Param],
    returns: fn(&[Value]) -> Type,
    run: fn(&[Value]) -> Outcome,
) -> Function {
    function(name, about, params, Returns::Of(returns), Run::Plain(run))
}

/// A function that reads from its scope.
const fn scoped(
    name: &'static str,
    about: &'static str,
    params: &'static [Param],
    returns: P,
    run: fn(&[Value], &dyn Scope) -> Outcome,
) -> Function {
    function(name, about, params, Returns::Fixed(returns), Run::Scoped(run))
}

/// A function that evaluates its arguments itself.
const fn lazy(
    name: &'static str,
    about: &'static str,
    returns: P,
    run: fn(&mut Eval<'_>, &[Node], Span) -> Result<Value, Diagnostics>,
) -> Function {
    function(name, about, &[], Returns::Fixed(returns), Run::Lazy(run))
}

impl Function {
    /// With any number of further arguments.
    const fn rest(mut self, param: Param) -> Self {
        self.rest = Some(param);
        self
    }

    /// Needs to know its arguments through and through.
    const fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Where arguments are not known yet, the others, and the types of all, are looked at nevertheless.
    const fn checked(mut self, check: fn(&[Value]) -> Result<(), Refused>) -> Self {
        self.check = check;
        self
    }

    /// `join(separator string, lists list(string)...) string`
    #[must_use]
    pub fn signature(&self) -> String {
        let mut params: Vec<String> =
            self.params.iter().map(|p| format!("{} {}", p.name, p.ty.ty())).collect();
        params.extend(self.rest.map(|p| format!("{} {}...", p.name, p.ty.ty())));
        let returns = match self.returns {
            Returns::Fixed(p) => p.ty().to_string(),
            Returns::Of(_) => "any".to_owned(),
        };
        format!("{}({}) {returns}", self.name, params.join(", "))
    }
}

fn table() -> &'static BTreeMap<&'static str, &'static Function> {
    static TABLE: OnceLock<BTreeMap<&'static str, &'static Function>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let all: [&'static [Function]; 20] = [
            charsets::FUNCTIONS,
            collections::FUNCTIONS,
            conversion::FUNCTIONS,
            crypto::FUNCTIONS,
            csv::FUNCTIONS,
            dates::FUNCTIONS,
            encoding::FUNCTIONS,
            files::FUNCTIONS,
            fileset::FUNCTIONS,
            format::FUNCTIONS,
            gzip::FUNCTIONS,
            hashes::FUNCTIONS,
            lists::FUNCTIONS,
            maps::FUNCTIONS,
            net::FUNCTIONS,
            numbers::FUNCTIONS,
            sets::FUNCTIONS,
            strings::FUNCTIONS,
            templates::FUNCTIONS,
            yaml::FUNCTIONS,
        ];
        all.into_iter().flatten().map(|function| (function.name, function)).collect()
    })
}

/// All functions, by name.
pub fn all() -> impl Iterator<Item = &'static Function> {
    table().values().copied()
}

/// The function of that name; `core::` before it is allowed.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static Function> {
    table().get(name.strip_prefix("core::").unwrap_or(name)).copied()
}

/// The names of all functions.
pub fn names() -> impl Iterator<Item = &'static str> {
    table().keys().copied()
}

/// The type that it returns whatever its arguments.
pub(crate) fn fixed_type(function: &Function) -> Option<Type> {
    match function.returns {
        Returns::Fixed(P::Any | P::List | P::Set) | Returns::Of(_) => None,
        Returns::Fixed(p) => Some(p.ty()),
    }
}

/// Evaluates the arguments and calls the function.
pub(crate) fn call(eval: &mut Eval<'_>, call: &Call, span: Span) -> Result<Value, Diagnostics> {
    let Some(function) = call.function else {
        return Err(unknown_function(&call.name, call.name_span).into());
    };
    let lazy = match function.run {
        Run::Lazy(run) if !call.expand => return eval.strictly(|eval| run(eval, &call.args, span)),
        Run::Lazy(run) => Some(run),
        _ => None,
    };
    // Of a lazy function, only what is expanded is evaluated here.
    let before = &call.args[..call.args.len().saturating_sub(1)];
    let (args, failed) = eval.failing(|eval| match (lazy, call.args.last()) {
        (Some(_), Some(last)) => eval.node(last).map(|last| vec![last]),
        _ => eval.nodes(&call.args),
    });
    let mut args = args?;
    if failed {
        return Ok(Value::unknown(Type::Any));
    }
    let mut marks = Marks::NONE;
    if call.expand
        && let Some(last) = args.pop()
    {
        let last_span = call.args.last().map_or(span, |n| n.span);
        let (last, last_marks) = last.unmark();
        marks = last_marks;
        let bad = |detail: &str| {
            Diagnostic::error("Invalid expanding argument value").detail(detail).span(last_span)
        };
        match last.kind() {
            Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
                args.extend(items.iter().cloned());
            }
            Kind::Null(_) => {
                return Err(bad("The expanding argument (indicated by ...) must not be null.").into());
            }
            Kind::Unknown(u) if !u.ty.is_primitive() => {
                return Ok(unknown_result(function, &args).with_marks(marks));
            }
            _ => {
                return Err(bad(
                    "The expanding argument (indicated by ...) must be of a tuple, list, or set type.",
                )
                .into());
            }
        }
    }
    if let Some(run) = lazy {
        let span_of = call.args.last().map_or(span, |n| n.span);
        let expanded = args.into_iter().map(|value| Node::new(NodeKind::Literal(value), span_of));
        let nodes: Vec<Node> = before.iter().cloned().chain(expanded).collect();
        let value = eval.strictly(|eval| run(eval, &nodes, span));
        return value.map(|value| value.with_marks(marks));
    }
    let spans: Vec<Span> = call.args.iter().map(|n| n.span).collect();
    let place = |i: usize| spans.get(i).or(spans.last()).copied().unwrap_or(span);
    let scope = Some(eval.scope).filter(|_| eval.sketch.is_none());
    apply(function, args, scope, &place, span).map(|value| value.with_marks(marks))
}

/// Calls a function with values: counts, converts, looks at nulls, unknowns and marks. What would read from its scope gives something unknown where
/// there is none.
fn apply(
    function: &Function,
    args: Vec<Value>,
    scope: Option<&dyn Scope>,
    place: &dyn Fn(usize) -> Span,
    span: Span,
) -> Result<Value, Diagnostics> {
    let name = function.name;
    if let Some(missing) = function.params.get(args.len()) {
        let least = function.params.len();
        let or_more = if function.rest.is_some() { "at least " } else { "" };
        return Err(Diagnostic::error("Not enough function arguments")
            .detail(format!(
                "Function \"{name}\" expects {or_more}{least} argument(s). Missing value for \"{}\".",
                missing.name
            ))
            .span(span)
            .hint(format!("it is called as {}", function.signature()))
            .into());
    }
    if function.rest.is_none() && args.len() > function.params.len() {
        return Err(Diagnostic::error("Too many function arguments")
            .detail(format!("Function \"{name}\" expects only {} argument(s).", function.params.len()))
            .span(place(function.params.len()))
            .hint(format!("it is called as {}", function.signature()))
            .into());
    }
    let param = |i: usize| function.params.get(i).or(function.rest.as_ref());
    let blame = |i: usize, message: &str| {
        Diagnostic::error("Invalid function argument")
            .detail(format!(
                "Invalid value for \"{}\" parameter: {message}.",
                param(i).map_or("argument", |p| p.name)
            ))
            .span(place(i))
    };
    let mut diags = Diagnostics::new();
    let mut marks = Marks::NONE;
    let mut unknown = scope.is_none() && matches!(function.run, Run::Scoped(_));
    let mut open = false;
    let mut ready = Vec::with_capacity(args.len());
    for (i, value) in args.into_iter().enumerate() {
        let Some(param) = param(i) else { break };
        let value = match param.ty {
            P::Any => value,
            ty => match convert(&value, &ty.ty()) {
                Ok(value) => value,
                Err(_) if open => value,
                Err(error) => {
                    diags.push(blame(i, &error.to_string()));
                    continue;
                }
            },
        };
        // Behind one of which even the type is open, the others are not looked at.
        open |= !param.unknown && value.is_unknown() && value.ty() == Type::Any;
        if value.is_null() && !param.null && !open {
            diags.push(blame(i, "argument must not be null"));
            continue;
        }
        let value = if param.marked {
            value
        } else {
            let (value, own) = value.unmark_deep();
            marks = marks.union(own);
            value
        };
        unknown |= !param.unknown && value.is_unknown() || function.whole && !value.is_wholly_known();
        ready.push(value);
    }
    if diags.has_errors() {
        return Err(diags);
    }
    let result = match (function.run, scope) {
        _ if open => Ok(unknown_result(function, &ready)),
        _ if unknown => (function.check)(&ready).map(|()| unknown_result(function, &ready)),
        (Run::Plain(run), _) => run(&ready),
        (Run::Scoped(run), Some(scope)) => run(&ready, scope),
        _ => refuse("it can't be called this way"),
    };
    match result {
        Ok(value) => Ok(value.with_marks(marks)),
        Err(Refused { arg: Some(i), message }) => Err(blame(i, &message).into()),
        Err(Refused { arg: None, message }) => Err(Diagnostic::error("Error in function call")
            .detail(format!("Call to function \"{name}\" failed: {message}."))
            .span(span)
            .into()),
    }
}

/// Whether an argument is a list, a set or a tuple, or may turn out to be one.
fn sequence(args: &[Value], i: usize) -> Result<(), Refused> {
    let fits = |ty: &Type| matches!(ty, Type::Any | Type::List(_) | Type::Set(_) | Type::Tuple(_));
    one_of(args, i, "a list, set or tuple", fits)
}

/// Whether an argument is a map or an object, or may turn out to be one.
fn mapping(args: &[Value], i: usize) -> Result<(), Refused> {
    one_of(args, i, "a map", |ty| matches!(ty, Type::Any | Type::Map(_) | Type::Object(_)))
}

/// Whether the type of an argument is what its function takes.
fn one_of(args: &[Value], i: usize, what: &str, fits: fn(&Type) -> bool) -> Result<(), Refused> {
    match args.get(i).map(Value::ty) {
        Some(ty) if !fits(&ty) => refuse_arg(i, format!("{what} is required, not {}", ty.friendly())),
        _ => Ok(()),
    }
}

fn unknown_result(function: &Function, args: &[Value]) -> Value {
    let ty = match function.returns {
        Returns::Fixed(p) => p.ty(),
        Returns::Of(of) => of(args),
    };
    match (function.name, ty) {
        ("format", _) => beginning(text(args, 0).split('%').next().unwrap_or_default()),
        ("jsonencode", _) => beginning(encoding::first_of_json(&args[0])),
        // As many as before.
        ("sort", ty) => {
            let (least, most) = Range::of_length(&args[0]);
            settled(Value::unknown_not_null(ty).within(Range::Length(least, most)))
        }
        (_, Type::Any) => Value::unknown(Type::Any),
        (_, ty) => Value::unknown_not_null(ty),
    }
}

/// The text of an argument that was converted to a string.
fn text(args: &[Value], i: usize) -> &str {
    args.get(i).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number.
fn integer(args: &[Value], i: usize) -> Result<i64, Refused> {
    let number = args.get(i).and_then(Value::as_number);
    number.and_then(grappe_value::Number::as_i64).ok_or_else(|| Refused {
        arg: Some(i),
        message: "value must be a whole number, between -9223372036854775808 and 9223372036854775807".into(),
    })
}

/// The elements of a list, set or tuple.
fn items(args: &[Value], i: usize) -> &[Value] {
    args.get(i).and_then(Value::as_items).unwrap_or_default()
}

#[cfg(test)]
mod tests;
