//! Redirections and here-documents.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::ast::*;
use super::{Parsed, Parser, Pending, ends_word, is_descriptor};

impl Parser {
    pub(super) fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let digits = self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        let number: String = self.chars[self.at..self.at + digits].iter().collect();
        if !matches!(self.peek_at(digits), Some('<' | '>')) {
            if self.bash && digits == 0 && self.looking_at("&>") {
                self.skip("&>");
                self.blanks();
                return Ok(Some(Redirect { fd: 1, to: Target::Both(self.target()?) }));
            }
            return Ok(None);
        }
        let fd = if digits == 0 { None } else { number.parse::<u32>().ok() };
        self.at += digits;
        let operators = ["<<<", "<<-", "<<", "<>", "<&", ">>", ">&", ">|", "<", ">"];
        let operator = operators.into_iter().find(|o| (*o != "<<<" || self.bash) && self.looking_at(o));
        let Some(operator) = operator else { return Ok(None) };
        self.skip(operator);
        self.blanks();
        let default = u32::from(operator.starts_with('>'));
        let fd = fd.unwrap_or(default);
        if operator.starts_with("<<") && operator != "<<<" {
            return self.here(fd, operator == "<<-").map(Some);
        }
        let word = self.target()?;
        let to = match operator {
            "<" => Target::Read(word),
            ">" | ">|" => Target::Write(word),
            ">>" => Target::Append(word),
            "<>" => Target::ReadWrite(word),
            "<<<" => Target::HereString(word),
            ">&" if self.bash && digits == 0 && !is_descriptor(&word) => Target::Both(word),
            _ => Target::Duplicate(word),
        };
        Ok(Some(Redirect { fd, to }))
    }

    fn target(&mut self) -> Parsed<Word> {
        match self.peek() {
            None => self.error("end of file unexpected"),
            Some(c) if ends_word(c) => Err(self.unexpected_char(c)),
            Some(_) => self.word(),
        }
    }

    fn here(&mut self, fd: u32, strip: bool) -> Parsed<Redirect> {
        let word = self.target()?;
        let mut delimiter = String::new();
        let mut quoted = false;
        for part in word.0 {
            match part {
                Part::Literal(text) => delimiter.push_str(&text),
                Part::Quoted(text) => {
                    quoted = true;
                    delimiter.push_str(&text);
                }
                Part::Double(parts) => {
                    quoted = true;
                    for part in parts {
                        match part {
                            Part::Quoted(text) | Part::Literal(text) => delimiter.push_str(&text),
                            _ => {
                                return self.error("expansion in a here-document delimiter (simulated host)");
                            }
                        }
                    }
                }
                _ => return self.error("expansion in a here-document delimiter (simulated host)"),
            }
        }
        let body = Rc::new(RefCell::new(Word::default()));
        self.pending.push(Pending { body: body.clone(), delimiter, strip, quoted });
        Ok(Redirect { fd, to: Target::Here(body) })
    }
}
