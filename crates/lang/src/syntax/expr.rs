//! Expressions.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Number, Value};

use super::cursor::{Parsed, Parser};
use crate::expr::{Binary, Call, For, Node, NodeKind, Step, Unary};
use crate::functions;

/// Operators by precedence, loosest first. Longer ones stand before those that they start with.
const LEVELS: [&[(&str, Binary)]; 6] = [
    &[("||", Binary::Or)],
    &[("&&", Binary::And)],
    &[("==", Binary::Equal), ("!=", Binary::NotEqual)],
    &[
        (">=", Binary::GreaterOrEqual),
        ("<=", Binary::LessOrEqual),
        ("<", Binary::Less),
        (">", Binary::Greater),
    ],
    &[("+", Binary::Add), ("-", Binary::Subtract)],
    &[("*", Binary::Multiply), ("/", Binary::Divide), ("%", Binary::Remainder)],
];

impl Parser<'_> {
    /// One expression that takes all of the text.
    pub(super) fn whole_expr(&mut self) -> Result<Node, Diagnostics> {
        self.skip_lines();
        let mut result = self.expr();
        if result.is_ok() {
            self.skip_lines();
            if !self.at_end() {
                result = self.error(
                    "Extra characters after expression",
                    "An expression was successfully parsed, but extra characters were found after it.",
                );
            }
        }
        let mut diags = self.take_diagnostics();
        let node = diags.keep(result.map_err(|d| *d));
        match node {
            Some(node) if !diags.has_errors() => Ok(node),
            _ => Err(diags),
        }
    }

    /// An expression, with newlines as they are now.
    pub(super) fn expr(&mut self) -> Parsed<Node> {
        let newlines = self.newlines;
        self.nested(newlines, Self::conditional)
    }

    fn conditional(&mut self) -> Parsed<Node> {
        let condition = self.operators()?;
        self.skip();
        if !self.eat("?") {
            return Ok(condition);
        }
        let yes = self.expr()?;
        self.skip();
        if !self.eat(":") {
            return self.error_at(
                "Missing false expression in conditional",
                "The conditional operator (condition ? a : b) requires a false expression, after a colon.",
                self.span_here(),
            );
        }
        let no = self.expr()?;
        let span = condition.span.to(no.span);
        Ok(Node::new(NodeKind::Conditional(Box::new([condition, yes, no])), span))
    }

    /// Operands with operators between them.
    fn operators(&mut self) -> Parsed<Node> {
        let first = self.operand()?;
        let mut rest = Vec::new();
        while let Some((level, op)) = self.operator() {
            rest.push((level, op, self.operand()?));
        }
        Ok(if rest.is_empty() { first } else { group(first, rest, 0) })
    }

    fn operator(&mut self) -> Option<(usize, Binary)> {
        self.skip();
        for (level, ops) in LEVELS.iter().enumerate() {
            for (text, op) in *ops {
                if self.eat(text) {
                    return Some((level, *op));
                }
            }
        }
        None
    }

    fn operand(&mut self) -> Parsed<Node> {
        self.skip();
        let start = self.pos;
        let op = match self.peek() {
            Some('!') if !self.at("!=") => Unary::Not,
            Some('-') => Unary::Negate,
            _ => {
                let term = self.term()?;
                return self.steps_after(term);
            }
        };
        self.pos += 1;
        let newlines = self.newlines;
        let operand = self.nested(newlines, Self::operand)?;
        let span = self.span(start, operand.span.end as usize);
        if let (Unary::Negate, NodeKind::Literal(value)) = (op, &operand.kind)
            && let Some(number) = value.as_number()
        {
            return Ok(Node::new(NodeKind::Literal(number.neg().into()), span));
        }
        Ok(Node::new(NodeKind::Unary(op, Box::new(operand)), span))
    }

    fn term(&mut self) -> Parsed<Node> {
        let start = self.pos;
        match self.peek() {
            Some('0'..='9') => self.number(),
            Some('"') => self.quoted(),
            Some('<') if self.at("<<") => self.heredoc(),
            Some('[') => self.tuple(),
            Some('{') => self.object(),
            Some('(') => {
                self.pos += 1;
                let inner = self.nested(true, |p| {
                    let inner = p.conditional()?;
                    p.skip();
                    if p.eat(")") {
                        return Ok(inner);
                    }
                    p.error(
                        "Unbalanced parentheses",
                        "A closing parenthesis is required here to end the expression.",
                    )
                })?;
                Ok(Node::new(NodeKind::Parens(Box::new(inner)), self.span_from(start)))
            }
            Some('\'') => self.error(
                "Invalid character",
                "Single quotes are not valid. Use double quotes (\") to enclose strings.",
            ),
            _ => match self.ident() {
                Some(name) => self.name(name.name, start),
                None => self.missing(),
            },
        }
    }

    fn missing<T>(&self) -> Parsed<T> {
        if self.at("/*") {
            return self.error("Unterminated comment", "There is no \"*/\" that ends this comment.");
        }
        if self.at_end() {
            return self.error("Missing expression", "The text ended where an expression was expected.");
        }
        if self.at_newline() {
            return self.error(
                "Invalid expression",
                "Expected the start of an expression, but found the end of the line.",
            );
        }
        self.error(
            "Invalid expression",
            "Expected the start of an expression, but found an invalid expression token.",
        )
    }

    fn number(&mut self) -> Parsed<Node> {
        let start = self.pos;
        let digits = |p: &mut Self| {
            let rest = p.rest();
            p.pos += rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        };
        digits(self);
        let followed = |p: &Self, skip: usize| p.rest()[skip..].starts_with(|c: char| c.is_ascii_digit());
        if self.at(".") && followed(self, 1) {
            self.pos += 1;
            digits(self);
        }
        if self.at("e") || self.at("E") {
            let sign = usize::from(self.rest()[1..].starts_with(['+', '-']));
            if followed(self, 1 + sign) {
                self.pos += 1 + sign;
                digits(self);
            }
        }
        let span = self.span_from(start);
        if self.at(".") && followed(self, 1) {
            return self.error_at(
                "Invalid number literal",
                "Failed to recognize the value of this number literal.",
                span,
            );
        }
        match self.text()[start..self.pos].parse::<Number>() {
            Ok(number) => Ok(Node::new(NodeKind::Literal(number.into()), span)),
            Err(_) => self.error_at("Invalid number literal", "This number is too large or too small.", span),
        }
    }

    /// After a name: a keyword, a function call, or the start of a traversal.
    fn name(&mut self, mut name: Arc<str>, start: usize) -> Parsed<Node> {
        // Namespaced functions.
        while self.at("::") {
            self.pos += 2;
            match self.ident() {
                Some(more) => name = format!("{name}::{}", more.name).into(),
                None => {
                    return self
                        .error("Missing function name", "A function's name is required after \"::\".");
                }
            }
        }
        let name_span = self.span_from(start);
        let before = self.pos;
        self.skip();
        if self.at("(") {
            return self.call(name, name_span);
        }
        self.pos = before;
        let value = match &*name {
            "true" => Value::from(true),
            "false" => Value::from(false),
            "null" => Value::NULL,
            _ if name.contains("::") => {
                return self
                    .error("Missing open parenthesis", "Function names are followed by their arguments.");
            }
            _ => return Ok(Node::new(NodeKind::Name(name), name_span)),
        };
        Ok(Node::new(NodeKind::Literal(value), name_span))
    }

    fn call(&mut self, name: Arc<str>, name_span: Span) -> Parsed<Node> {
        self.pos += 1;
        let mut expand = false;
        let args = self.nested(true, |p| {
            let mut args = Vec::new();
            loop {
                p.skip();
                if p.eat(")") {
                    return Ok(args);
                }
                args.push(p.conditional()?);
                p.skip();
                if p.eat("...") {
                    expand = true;
                    p.skip();
                    if p.eat(")") {
                        return Ok(args);
                    }
                    return p.error(
                        "Missing closing parenthesis",
                        "An expanded function argument (with ...) must be followed by the closing parenthesis.",
                    );
                }
                if !p.eat(",") && !p.at(")") {
                    return p.error(
                        "Missing argument separator",
                        "A comma is required to separate each function argument from the next.",
                    );
                }
            }
        })?;
        let span = self.span(name_span.start as usize, self.pos);
        let function = functions::lookup(&name);
        let call = Call { name, name_span, function, args: args.into(), expand };
        Ok(Node::new(NodeKind::Call(Box::new(call)), span))
    }

    fn tuple(&mut self) -> Parsed<Node> {
        let start = self.pos;
        self.pos += 1;
        let kind = self.nested(true, |p| {
            p.skip();
            if p.at_word("for") {
                return p.for_expr(']');
            }
            let mut items = Vec::new();
            loop {
                p.skip();
                if p.eat("]") {
                    return Ok(NodeKind::Tuple(items.into()));
                }
                items.push(p.conditional()?);
                p.skip();
                if !p.eat(",") && !p.at("]") {
                    let open = p.span(start, start + 1);
                    return Err(Box::new(
                        Diagnostic::error("Missing item separator")
                            .detail("Expected a comma to mark the beginning of the next item.")
                            .span(p.span_here())
                            .related(open, "the list starts here"),
                    ));
                }
            }
        })?;
        Ok(Node::new(kind, self.span_from(start)))
    }

    fn object(&mut self) -> Parsed<Node> {
        let start = self.pos;
        self.pos += 1;
        let kind = self.nested(false, |p| {
            p.skip_lines();
            if p.at_word("for") {
                p.newlines = true;
                return p.for_expr('}');
            }
            let mut items = Vec::new();
            loop {
                p.skip_lines();
                if p.eat("}") {
                    return Ok(NodeKind::Object(items.into()));
                }
                if p.at_end() {
                    return p.error_at(
                        "Unterminated object constructor expression",
                        "There is no corresponding closing brace before the end of the file.",
                        p.span(start, start + 1),
                    );
                }
                let key = p.key()?;
                p.skip();
                if !(p.at("=") && !p.at("==") || p.at(":")) {
                    return p.error(
                        "Missing key/value separator",
                        "Expected an equals sign (\"=\") to mark the beginning of the attribute value.",
                    );
                }
                p.pos += 1;
                let value = p.conditional()?;
                items.push((key, value));
                p.skip();
                if !p.eat(",") && !p.at_newline() && !p.at("}") {
                    return p.error(
                        "Missing attribute separator",
                        "Expected a newline or comma to mark the beginning of the next attribute.",
                    );
                }
            }
        })?;
        Ok(Node::new(kind, self.span_from(start)))
    }

    /// A key: a bare name stands for itself.
    fn key(&mut self) -> Parsed<Node> {
        let key = self.conditional()?;
        if let NodeKind::Literal(value) = &key.kind
            && value.as_str().is_none()
            && value.as_number().is_none()
        {
            // `true = 1`, `null = 1`: keywords are names here.
            let name = &self.text()[key.span.start as usize..key.span.end as usize];
            return Ok(Node::new(NodeKind::Literal(name.into()), key.span));
        }
        Ok(match key.keyword() {
            Some(name) => Node::new(NodeKind::Literal(name.clone().into()), key.span),
            None => key,
        })
    }

    /// From `for` to the closing bracket.
    fn for_expr(&mut self, close: char) -> Parsed<NodeKind> {
        let start = self.pos;
        self.pos += 3;
        self.skip();
        let (key_name, value_name) = self.for_names()?;
        let collection = self.conditional()?;
        self.skip();
        if !self.eat(":") {
            return self.error(
                "Invalid 'for' expression",
                "For expression requires a colon after the collection expression.",
            );
        }
        let mut key = None;
        let mut value = self.conditional()?;
        self.skip();
        if self.eat("=>") {
            if close == ']' {
                return self.error_at(
                    "Invalid 'for' expression",
                    "Key expression is not valid when building a tuple.",
                    value.span,
                );
            }
            key = Some(std::mem::replace(&mut value, self.conditional()?));
            self.skip();
        } else if close == '}' {
            return self
                .error("Invalid 'for' expression", "Key expression is required when building an object.");
        }
        let group_at = self.span_here();
        let group = self.eat("...");
        if group && close == ']' {
            return self.error_at(
                "Invalid 'for' expression",
                "Grouping ellipsis (...) cannot be used when building a tuple.",
                group_at,
            );
        }
        self.skip();
        let condition = if self.at_word("if") {
            self.pos += 2;
            Some(self.conditional()?)
        } else {
            None
        };
        self.skip();
        if self.peek() != Some(close) {
            return Err(Box::new(
                Diagnostic::error("Invalid 'for' expression")
                    .detail("Extra characters after the end of the 'for' expression.")
                    .span(self.span_here())
                    .related(self.span(start, start + 3), "it starts here"),
            ));
        }
        self.bump();
        Ok(NodeKind::For(Box::new(For {
            key_name,
            value_name,
            collection,
            key,
            value,
            condition,
            group,
            join: false,
        })))
    }

    /// `k, v in`
    pub(super) fn for_names(&mut self) -> Parsed<(Option<Arc<str>>, Arc<str>)> {
        let Some(first) = self.ident() else {
            return self
                .error("Invalid 'for' expression", "For expression requires variable name after 'for'.");
        };
        self.skip();
        let second = if self.eat(",") {
            self.skip();
            match self.ident() {
                Some(name) => Some(name),
                None => {
                    return self.error(
                        "Invalid 'for' expression",
                        "For expression requires value variable name after comma.",
                    );
                }
            }
        } else {
            None
        };
        self.skip();
        if !self.at_word("in") {
            return self.error(
                "Invalid 'for' expression",
                "For expression requires the 'in' keyword after its name declarations.",
            );
        }
        self.pos += 2;
        Ok(match second {
            Some(second) => (Some(first.name), second.name),
            None => (None, first.name),
        })
    }

    /// `.a`, `[0]`, `.0`, `[*]` and `.*` after a term.
    fn steps_after(&mut self, term: Node) -> Parsed<Node> {
        let mut steps = Vec::new();
        self.steps(&mut steps, false)?;
        if steps.is_empty() {
            return Ok(term);
        }
        let span = self.span(term.span.start as usize, self.pos);
        // One chain, however it was written.
        Ok(Node::new(NodeKind::Traverse(Box::new(term), steps.into()), span))
    }

    /// With `names_only`, as after `.*`: stops before a bracket.
    fn steps(&mut self, steps: &mut Vec<Step>, names_only: bool) -> Parsed<()> {
        loop {
            let before = self.pos;
            self.skip();
            let start = self.pos;
            if self.at(".") && !self.at("...") {
                self.pos += 1;
                self.skip();
                if let Some(name) = self.ident() {
                    steps.push(Step::Attr(name.name, self.span_from(start)));
                } else if self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    let digits = self.rest();
                    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                    let at = self.pos;
                    self.pos += end;
                    if self.at(".") && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
                        return self.error_at(
                            "Invalid legacy index syntax",
                            "When using the legacy index syntax, chaining two indexes together is not permitted. Use the proper index syntax instead, like [0][1].",
                            self.span_from(start),
                        );
                    }
                    let Ok(index) = digits[..end].parse::<Number>() else {
                        return self.error_at(
                            "Invalid index",
                            "An index is a whole number.",
                            self.span_from(start),
                        );
                    };
                    let node = Node::new(NodeKind::Literal(index.into()), self.span_from(at));
                    steps.push(Step::Index(node, self.span_from(start)));
                } else if self.eat("*") {
                    if names_only {
                        return self.error_at(
                            "Nested splat expression not allowed",
                            "A splat expression (*) cannot be used inside another attribute-only splat expression.",
                            self.span_from(start),
                        );
                    }
                    let span = self.span_from(start);
                    let mut each = Vec::new();
                    self.steps(&mut each, true)?;
                    steps.push(Step::Splat(each.into(), span));
                } else {
                    return self
                        .error("Invalid attribute name", "An attribute name is required after a dot.");
                }
            } else if self.at("[") && !names_only {
                self.pos += 1;
                if let Some(span) = self.star(start) {
                    let mut each = Vec::new();
                    let newlines = self.newlines;
                    self.nested(newlines, |p| p.steps(&mut each, false))?;
                    steps.push(Step::Splat(each.into(), span));
                    return Ok(());
                }
                let index = self.nested(true, |p| {
                    let index = p.conditional()?;
                    p.skip();
                    if p.eat("]") {
                        return Ok(index);
                    }
                    p.error(
                        "Missing close bracket on index",
                        "The index operator must end with a closing bracket (\"]\").",
                    )
                })?;
                steps.push(Step::Index(index, self.span_from(start)));
            } else {
                self.pos = before;
                return Ok(());
            }
        }
    }

    /// `*]`
    fn star(&mut self, start: usize) -> Option<Span> {
        let before = self.pos;
        self.skip_lines();
        if self.eat("*") {
            self.skip_lines();
            if self.eat("]") {
                return Some(self.span_from(start));
            }
        }
        self.pos = before;
        None
    }
}

/// A flat list of operands to a tree, by precedence.
fn group(first: Node, rest: Vec<(usize, Binary, Node)>, level: usize) -> Node {
    if rest.is_empty() {
        return first;
    }
    // Runs of tighter operators between the operators of this level.
    let mut head = first;
    let mut tighter = Vec::new();
    let mut chain: Vec<(Binary, Node)> = Vec::new();
    let mut open: Option<Binary> = None;
    let mut start: Option<Node> = None;
    for (at, op, node) in rest {
        if at > level {
            tighter.push((at, op, node));
            continue;
        }
        let done = group(std::mem::replace(&mut head, node), std::mem::take(&mut tighter), level + 1);
        match open.replace(op) {
            None => start = Some(done),
            Some(before) => chain.push((before, done)),
        }
    }
    let last = group(head, tighter, level + 1);
    match (start, open) {
        (Some(start), Some(op)) => {
            chain.push((op, last));
            let span = chain.last().map_or(start.span, |(_, n)| start.span.to(n.span));
            Node::new(NodeKind::Binary(Box::new(start), chain.into()), span)
        }
        _ => last,
    }
}
