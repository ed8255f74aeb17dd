//! YAML as JSON values.

use serde_json::Value;

/// Parses one document.
///
/// # Errors
/// The parser's message.
pub fn parse(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|e| first_line(&e.to_string()))
}

/// Parses all documents of a file, empty ones left out.
///
/// # Errors
/// The parser's message.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    let mut part = String::new();
    let mut end = |part: &mut String| -> Result<(), String> {
        let value = if part.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
            Value::Null
        } else {
            parse(part)?
        };
        part.clear();
        if !value.is_null() {
            documents.push(value);
        }
        Ok(())
    };
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") || line == "..." {
            end(&mut part)?;
        } else {
            part.push_str(line);
            part.push('\n');
        }
    }
    end(&mut part)?;
    Ok(documents)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
