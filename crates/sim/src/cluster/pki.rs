//! Certificates.
use crate::tools::{Cx, Status};
pub(crate) fn openssl(cx: &mut Cx<'_>) -> Status {
    Err(cx.unsupported("openssl"))
}
