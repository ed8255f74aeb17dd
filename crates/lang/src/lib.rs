//! Terraform's language: HCL to a typed configuration, references, evaluation, functions.
