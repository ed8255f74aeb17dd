//! A ledger as the bytes of a snapshot, and back.
//!
//! A snapshot is one JSON object. The objects in it are sealed and written, read and opened, one after the other: what a large state takes in memory
//! is what it is, and not its JSON once more.

use std::fmt::Display;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_json::value::{RawValue, to_raw_value};

use grappe_value::addr::InstanceAddr;

use crate::data::{FORMAT, Object, Pending, State, WRITER, one_addr};
use crate::error::StateError;
use crate::ledger::Ledger;
use crate::seal::{SealError, Sealer};

/// The JSON form. `Part` is the text of one object, of an output or of an operation that was begun.
#[derive(Serialize, Deserialize)]
struct Form<Part> {
    format: u32,
    lineage: String,
    serial: u64,
    #[serde(default = "IndexMap::new")]
    objects: IndexMap<String, Part>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    deposed: Vec<Deposed<Part>>,
    #[serde(default = "IndexMap::new")]
    outputs: IndexMap<String, Part>,
    #[serde(default)]
    written_by: String,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pending: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Deposed<Part> {
    #[serde(with = "one_addr")]
    addr: InstanceAddr,
    key: String,
    object: Part,
}

/// As much as one must know to say what is wrong with the rest.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    format: Json,
    #[serde(default)]
    written_by: Json,
}

/// Why bytes are no snapshot.
#[derive(Debug)]
pub(crate) enum NoSnapshot {
    /// They can't be understood.
    Damaged(String),
    /// A newer program wrote them.
    Newer { format: u64, by: String },
    /// What is sealed can't be opened.
    Seal(SealError),
}

impl From<SealError> for NoSnapshot {
    fn from(error: SealError) -> Self {
        NoSnapshot::Seal(error)
    }
}

/// The bytes of a ledger's snapshot.
///
/// # Errors
/// Where a secret can't be sealed.
pub(crate) fn write(ledger: &Ledger, sealer: &Sealer) -> Result<Vec<u8>, StateError> {
    fn sealed<T: Serialize>(part: &T, sealer: &Sealer) -> Result<Box<RawValue>, StateError> {
        let mut json = serde_json::to_value(part)?;
        sealer.seal(&mut json)?;
        Ok(to_raw_value(&json)?)
    }
    let state = &ledger.state;
    let objects = state.objects.iter().map(|(addr, object)| Ok((addr.to_string(), sealed(object, sealer)?)));
    let deposed = state.deposed.iter().map(|((addr, key), object)| {
        Ok(Deposed { addr: addr.clone(), key: key.clone(), object: sealed(object, sealer)? })
    });
    let outputs = state.outputs.iter().map(|(name, value)| Ok((name.clone(), sealed(value, sealer)?)));
    let form = Form {
        format: FORMAT,
        lineage: state.lineage.clone(),
        serial: state.serial,
        objects: objects.collect::<Result<_, StateError>>()?,
        deposed: deposed.collect::<Result<_, StateError>>()?,
        outputs: outputs.collect::<Result<_, StateError>>()?,
        written_by: WRITER.to_owned(),
        pending: ledger.pending().map(|pending| sealed(pending, sealer)).collect::<Result<_, _>>()?,
    };
    let mut bytes = serde_json::to_vec(&form)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The ledger of a snapshot's bytes.
pub(crate) fn read(bytes: &[u8], sealer: &Sealer) -> Result<Ledger, NoSnapshot> {
    fn opened<T: DeserializeOwned>(part: &RawValue, sealer: &Sealer) -> Result<T, NoSnapshot> {
        let mut json = serde_json::from_str(part.get()).map_err(damaged)?;
        sealer.open(&mut json)?;
        serde_json::from_value(json).map_err(damaged)
    }
    let form = match serde_json::from_slice::<Form<&RawValue>>(bytes) {
        Ok(form) if form.format <= FORMAT => form,
        Ok(form) => return Err(NoSnapshot::Newer { format: form.format.into(), by: form.written_by }),
        Err(error) => return Err(refused(bytes, &error)),
    };
    let mut state = State { lineage: form.lineage, serial: form.serial, ..State::default() };
    for (addr, object) in form.objects {
        let object = opened_object(&addr, object, sealer)?;
        state.objects.insert(addr.parse().map_err(damaged)?, object);
    }
    for Deposed { addr, key, object } in form.deposed {
        let object = opened_object(&addr, object, sealer)?;
        state.deposed.insert((addr, key), object);
    }
    for (name, output) in form.outputs {
        state.outputs.insert(name, opened(output, sealer)?);
    }
    let pending: Result<Vec<Pending>, _> =
        form.pending.into_iter().map(|part| opened(part, sealer)).collect();
    Ok(Ledger::new(state, pending?))
}

/// What is sealed in an object is in its attributes.
fn opened_object(addr: &impl Display, part: &RawValue, sealer: &Sealer) -> Result<Object, NoSnapshot> {
    let mut object: Object = serde_json::from_str(part.get()).map_err(|e| damaged(format!("{addr}: {e}")))?;
    sealer.open(&mut object.attributes)?;
    Ok(object)
}

/// Whether bytes are those of a snapshot that can be read, as far as that can be told without a key.
pub(crate) fn is_good(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Form<&RawValue>>(bytes).is_ok_and(|form| {
        form.format <= FORMAT
            && form.objects.iter().all(|(addr, object)| {
                addr.parse::<InstanceAddr>().is_ok() && serde_json::from_str::<Object>(object.get()).is_ok()
            })
    })
}

fn damaged(error: impl Display) -> NoSnapshot {
    NoSnapshot::Damaged(error.to_string())
}

/// What is wrong with bytes that have another form.
fn refused(bytes: &[u8], error: &serde_json::Error) -> NoSnapshot {
    let head = match serde_json::from_slice::<Head>(bytes) {
        Ok(head) => head,
        Err(e) if e.is_eof() => return damaged(format!("it was cut ({e})")),
        Err(e) if e.is_syntax() => return damaged(e),
        Err(_) => return damaged("it is not a state of grappe"),
    };
    match head.format.as_u64() {
        Some(format) if format > u64::from(FORMAT) => {
            NoSnapshot::Newer { format, by: head.written_by.as_str().unwrap_or("unknown").to_owned() }
        }
        Some(_) => damaged(error),
        None => damaged("it is not a state of grappe"),
    }
}

#[cfg(test)]
mod tests {
    use grappe_value::Type;
    use serde_json::json;

    use super::*;
    use crate::data::OutputValue;

    fn sealer() -> Sealer {
        Sealer::from_text(format!("{}=", "A".repeat(43)))
    }

    #[test]
    fn a_ledger_reads_back_and_is_compact_and_sealed() {
        let addr: InstanceAddr = "module.m[\"x\"].host_file.a[1]".parse().unwrap();
        let object = Object {
            provider: "host".into(),
            attributes: json!({"path": "/etc/motd", "text": {"$sensitive": "hunter2"}}),
            dependencies: vec!["host_machine.b".parse().unwrap()],
            key: "k".into(),
            duration_ms: Some(12),
            ..Object::default()
        };
        let mut state = State::new();
        state.put(addr.clone(), None, object.clone());
        state.put(addr, Some("00ff".into()), Object { tainted: true, ..object });
        let value = json!({"$sensitive": "hunter2"});
        state.outputs.insert("ip".into(), OutputValue { value, ty: Type::String, sensitive: true });
        let ledger = Ledger::new(state, Vec::new());
        let bytes = write(&ledger, &sealer()).unwrap();
        assert_eq!(read(&bytes, &sealer()).unwrap().state, ledger.state);
        assert!(is_good(&bytes));
        let text = String::from_utf8(bytes).unwrap();
        for no in ["hunter2", "tainted\":false", "schema_version", "pending"] {
            assert!(!text.contains(no), "{no}: {text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| read(text.as_bytes(), &sealer()).err();
        for newer in [
            r#"{"format": 3, "lineage": "x", "serial": 1, "written_by": "grappe 9"}"#,
            r#"{"format": 3, "objects": [], "written_by": "grappe 9"}"#,
        ] {
            let error = said(newer);
            assert!(
                matches!(&error, Some(NoSnapshot::Newer { format: 3, by }) if by == "grappe 9"),
                "{error:?}"
            );
        }
        for (text, why) in [
            (r#"{"format": 2, "lineage": "x", "ser"#, "it was cut"),
            (r#"{"format": 2,, }"#, "line 1 column 14"),
            ("[]", "not a state of grappe"),
            ("{}", "not a state of grappe"),
            (r#"{"format": 2, "lineage": 7}"#, "expected a string"),
            (r#"{"format": 2, "lineage": "x", "serial": 1, "objects": {"a": {}}}"#, "a"),
            (
                r#"{"format": 2, "lineage": "x", "serial": 1, "objects": {"t.a": {"key": 1}}}"#,
                "expected a string",
            ),
        ] {
            let error = said(text);
            assert!(
                matches!(&error, Some(NoSnapshot::Damaged(said)) if said.contains(why)),
                "{text}: {error:?}"
            );
        }
    }
}
