//! Types and values as Terraform has them, and the schemas made of them.
