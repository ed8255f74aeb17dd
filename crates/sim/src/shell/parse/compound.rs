//! Compound commands: if, for, case, `[[ ]]`.

use super::super::ast::*;
use super::{Parsed, Parser, is_name};

impl Parser {
    pub(super) fn if_clause(&mut self) -> Parsed<Body> {
        self.skip("if");
        let mut arms = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.non_empty(&condition, "then")?;
            self.expect_keyword("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            self.non_empty(&body, "fi")?;
            arms.push((condition, body));
            if self.keyword("elif")? {
                continue;
            }
            let otherwise = if self.keyword("else")? {
                let body = self.list(&["fi"])?;
                self.non_empty(&body, "fi")?;
                Some(body)
            } else {
                None
            };
            self.expect_keyword("fi")?;
            return Ok(Body::If { arms, otherwise });
        }
    }

    pub(super) fn do_group(&mut self) -> Parsed<List> {
        self.expect_keyword("do")?;
        let body = self.list(&["done"])?;
        self.non_empty(&body, "done")?;
        self.expect_keyword("done")?;
        Ok(body)
    }

    pub(super) fn for_clause(&mut self) -> Parsed<Body> {
        self.skip("for");
        self.blanks();
        let name = self.bare_word();
        if !is_name(&name) {
            return self.error("Bad for loop variable");
        }
        self.skip(&name);
        self.linebreak()?;
        let mut words = None;
        if self.keyword("in")? {
            let mut list = Vec::new();
            loop {
                self.blanks();
                match self.peek() {
                    None | Some('\n' | ';') => break,
                    Some(c @ ('&' | '|' | '(' | ')' | '<' | '>')) => return Err(self.unexpected(c)),
                    Some(_) => list.push(self.word()?),
                }
            }
            words = Some(list);
        }
        self.blanks();
        if self.peek() == Some(';') {
            self.next();
        }
        Ok(Body::For { name, words, body: self.do_group()? })
    }

    pub(super) fn case_clause(&mut self) -> Parsed<Body> {
        self.skip("case");
        self.blanks();
        if matches!(self.peek(), None | Some('\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>')) {
            return match self.peek() {
                None => self.error("end of file unexpected"),
                Some(c) => Err(self.unexpected(c)),
            };
        }
        let word = self.word()?;
        self.expect_keyword("in")?;
        let mut arms = Vec::new();
        loop {
            self.linebreak()?;
            if self.keyword("esac")? {
                return Ok(Body::Case { word, arms });
            }
            self.skip("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                match self.peek() {
                    None => return self.error("end of file unexpected (expecting \"esac\")"),
                    Some(c @ (')' | '|' | ';' | '&' | '<' | '>' | '(' | '\n')) => {
                        return Err(self.unexpected(c));
                    }
                    Some(_) => patterns.push(self.word()?),
                }
                self.blanks();
                match self.next() {
                    Some('|') => {}
                    Some(')') => break,
                    None => return self.error("end of file unexpected (expecting \")\")"),
                    Some(_) => return self.error("word unexpected (expecting \")\")"),
                }
            }
            let body = self.list(&[";;", "esac"])?;
            arms.push((patterns, body));
            self.linebreak()?;
            if !self.skip(";;") && self.bare_word() != "esac" {
                return self.error("end of file unexpected (expecting \";;\")");
            }
        }
    }

    pub(super) fn conditional(&mut self) -> Parsed<Body> {
        self.skip("[[");
        let mut words = Vec::new();
        loop {
            self.linebreak()?;
            if self.keyword("]]")? {
                return Ok(Body::Conditional(words));
            }
            let operator = ["&&", "||", "(", ")", "<", ">"].into_iter().find(|o| self.looking_at(o));
            if let Some(operator) = operator {
                self.skip(operator);
                words.push(Word(vec![Part::Literal(operator.to_owned())]));
                continue;
            }
            if self.peek().is_none() {
                return self.error("end of file unexpected (expecting \"]]\")");
            }
            let before = self.at;
            words.push(self.word()?);
            if self.at == before {
                return match self.peek() {
                    Some(c) => Err(self.unexpected(c)),
                    None => self.error("end of file unexpected"),
                };
            }
        }
    }
}
