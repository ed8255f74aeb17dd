//! kubectl.
use crate::tools::{Cx, Status};
pub(crate) fn run(cx: &mut Cx<'_>) -> Status {
    Err(cx.unsupported("kubectl"))
}
