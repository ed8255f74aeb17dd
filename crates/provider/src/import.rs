//! Taking over what exists: by what it is found, and what was found.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::Fault;

/// How an object that exists already is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importable {
    /// By an id. What that is, after "the id is": `the file's path`.
    By(&'static str),
    /// Not at all. Why, after "because": `its value is nowhere but in the state`.
    Not(&'static str),
}

/// What an import found: attributes by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported(Map<String, Json>);

impl Imported {
    /// What a type's state says.
    ///
    /// # Errors
    /// Where that is no object.
    pub fn new<S: Serialize>(state: &S) -> Result<Self, Fault> {
        match serde_json::to_value(state) {
            Ok(Json::Object(attributes)) => Ok(Imported(attributes)),
            _ => {
                Err(Fault::permanent("what was found can't be written as an object (a bug in the provider)"))
            }
        }
    }

    /// With an attribute more, or another value of one.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn into_json(self) -> Json {
        Json::Object(self.0)
    }
}
