//! Types and values as Terraform has them, and the schemas made of them.
//!
//! A [`Value`] is immutable and cheap to clone. It may be *unknown* (it exists only once something was created) and it may
//! carry *marks* (it is sensitive); both travel through every expression. A [`Type`] says what a value may be; a [`Schema`]
//! is the type of a block with what a planner needs to know of each argument. An [`addr::InstanceAddr`] names one object.
//!
//! Nothing in this crate does I/O or knows of a clock: it is the vocabulary that all other rooms share.

pub mod addr;
mod convert;
pub mod duration;
pub mod json;
mod number;
mod path;
mod schema;
mod types;
mod unify;
mod value;
pub mod wire;

pub use convert::{ConvertError, convert};
pub use number::Number;
pub use path::{Path, Step};
pub use schema::{Attribute, Block, Nesting, OnChange, Presence, Schema};
pub use types::{ObjectType, Type};
pub use unify::unify;
pub use value::{Bound, Kind, Marks, Range, Unknown, Value};
