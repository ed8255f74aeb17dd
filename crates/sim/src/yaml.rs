//! YAML as JSON values, read as Kubernetes reads it (`0644` is octal).

use serde_json::Value;

/// Parses one document.
///
/// # Errors
/// The parser's message.
pub fn parse(text: &str) -> Result<Value, String> {
    Ok(documents(text)?.into_iter().next().unwrap_or_default())
}

/// Parses all documents of a file, empty ones left out.
///
/// # Errors
/// The parser's message.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let all: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())?;
    Ok(all.into_iter().filter(|v| !v.is_null()).collect())
}
