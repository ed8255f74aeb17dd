//! What a file holds, and the hashes of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grappe_value::{Attribute, Schema, Type};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};

use crate::run::hex;

/// The hashes that Terraform's types carry; its `id` is the SHA-1.
#[derive(Serialize, Deserialize, PartialEq)]
pub(super) struct Hashes {
    pub(super) id: String,
    content_md5: String,
    content_sha1: String,
    pub(super) content_sha256: String,
    content_sha512: String,
    content_base64sha256: String,
    content_base64sha512: String,
}

impl Hashes {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let sha1 = hex(&Sha1::digest(bytes));
        let (sha256, sha512) = (Sha256::digest(bytes), Sha512::digest(bytes));
        Hashes {
            id: sha1.clone(),
            content_md5: format!("{:x}", md5::compute(bytes)),
            content_sha1: sha1,
            content_sha256: hex(&sha256),
            content_sha512: hex(&sha512),
            content_base64sha256: STANDARD.encode(sha256),
            content_base64sha512: STANDARD.encode(sha512),
        }
    }

    /// Each with the name of its attribute.
    pub(super) fn each(&self) -> [(&'static str, &str); 7] {
        [
            ("id", &self.id),
            ("content_md5", &self.content_md5),
            ("content_sha1", &self.content_sha1),
            ("content_sha256", &self.content_sha256),
            ("content_sha512", &self.content_sha512),
            ("content_base64sha256", &self.content_base64sha256),
            ("content_base64sha512", &self.content_base64sha512),
        ]
    }

    /// A schema with their attributes added.
    pub(super) fn describe(schema: Schema) -> Schema {
        let hash = |description| Attribute::computed(Type::String, description);
        schema
            .attr("id", hash("The SHA-1 of the content in hexadecimal."))
            .attr("content_md5", hash("The MD5 of the content in hexadecimal."))
            .attr("content_sha1", hash("The SHA-1 of the content in hexadecimal."))
            .attr("content_sha256", hash("The SHA-256 of the content in hexadecimal."))
            .attr("content_sha512", hash("The SHA-512 of the content in hexadecimal."))
            .attr("content_base64sha256", hash("The SHA-256 of the content in base64."))
            .attr("content_base64sha512", hash("The SHA-512 of the content in base64."))
    }
}
