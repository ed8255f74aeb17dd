//! Files on a host, by small sh scripts: they work under sudo, need no SFTP, and a file is replaced whole or not at all.

use crate::error::{Cause, SshError};
use crate::exec::{Exec, Output, quote};
use crate::host::Host;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;

/// A file to put on a host.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteFile {
    /// Absolute path. Missing folders are made; a symbolic link there is replaced, not followed.
    pub path: String,
    /// All of its content.
    pub content: Vec<u8>,
    /// Permission bits, as in `0o644`.
    pub mode: u32,
    /// Owner by name or number; left to who logs in (root under sudo) otherwise.
    pub owner: Option<String>,
    /// Group by name or number.
    pub group: Option<String>,
}

impl fmt::Debug for WriteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteFile({}, {} bytes, {:04o})", self.path, self.content.len(), self.mode)
    }
}

/// A file as it is on a host.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// All of its content.
    pub content: Vec<u8>,
    /// Permission bits, as in `0o644`.
    pub mode: u32,
    /// Owner's name (its number where it has no name).
    pub owner: String,
    /// Group's name (its number where it has no name).
    pub group: String,
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub sha256: String,
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RemoteFile { mode, owner, group, .. } = self;
        write!(f, "RemoteFile({} bytes, {mode:04o} {owner}:{group})", self.content.len())
    }
}

/// A file as it is on a host, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// Bytes.
    pub size: u64,
    /// Permission bits, as in `0o644`.
    pub mode: u32,
    /// Owner's name (its number where it has no name).
    pub owner: String,
    /// Group's name (its number where it has no name).
    pub group: String,
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub sha256: String,
}

/// What the scripts exit with when there is no such file; no tool they call uses it.
const ABSENT: u32 = 44;
/// There is something of that name, but it is not a file.
const NOT_A_FILE: u32 = 45;

impl Host {
    /// Reads a file and what `stat` says about it; `None` if there is none.
    ///
    /// # Errors
    /// The host cannot be reached, may not read it, or it is not a regular file.
    pub async fn read_file(&self, path: &str) -> Result<Option<RemoteFile>, SshError> {
        let script = format!("{} && stat -L -c '%a %U %G %s' \"$p\" && cat \"$p\"", look(path));
        let Some(output) = self.file_script(path, "read", Exec::new(script)).await? else { return Ok(None) };
        let end = output.stdout.iter().position(|&byte| byte == b'\n').unwrap_or(output.stdout.len());
        let (mode, owner, group, _) = self.parse_stat(path, &output.stdout[..end])?;
        let content = output.stdout.get(end + 1..).unwrap_or_default().to_vec();
        let sha256 = hex_sha256(&content);
        Ok(Some(RemoteFile { content, mode, owner, group, sha256 }))
    }

    /// Reads many files by one command: of each what [`Host::read_file`] would say, in their order.
    ///
    /// # Errors
    /// The host cannot be reached. What is wrong with one file is said in its place.
    pub async fn read_files(
        &self,
        paths: &[String],
    ) -> Result<Vec<Result<Option<RemoteFile>, SshError>>, SshError> {
        let (good, words): (Vec<&String>, Vec<String>) =
            paths.iter().filter(|path| self.check_path(path).is_ok()).map(|path| (path, quote(path))).unzip();
        // A line a file, its content in base64: no content can be taken for the next file's line.
        let script = format!(
            "for p in {}; do\n\
             if [ ! -e \"$p\" ]; then echo absent\n\
             elif [ ! -f \"$p\" ]; then echo other\n\
             elif s=$(stat -L -c '%a %U %G %s' \"$p\" 2>&1) && b=$(base64 -w0 \"$p\" 2>&1); then printf 'file %s %s\\n' \"$s\" \"$b\"\n\
             else printf 'error %s %s\\n' \"$s\" \"$b\" | tr '\\n' ' '; echo; fi; b=\n\
             done",
            words.join(" ")
        );
        let context = |path: &str| format!("{}: read {path}", self.endpoint());
        let mut answers = HashMap::new();
        if !good.is_empty() {
            let output = self.exec(Exec::new(script)).await?;
            let text = String::from_utf8_lossy(&output.stdout);
            let lines: Vec<&str> = text.lines().collect();
            if lines.len() != good.len() {
                let complaint = output.stderr_str();
                let why = if complaint.is_empty() { output.status.to_string() } else { complaint };
                return Err(SshError::new(context("files"), Cause::Remote(why)));
            }
            answers.extend(good.into_iter().zip(lines.into_iter().map(listed)));
        }
        let answer = |path: &String| {
            self.check_path(path)?;
            let remote = |why| SshError::new(context(path), Cause::Remote(why));
            answers.get(path).cloned().unwrap_or_else(|| Err("no answer".into())).map_err(remote)
        };
        Ok(paths.iter().map(answer).collect())
    }

    /// What `stat` and `sha256sum` say about a file; `None` if there is none.
    ///
    /// # Errors
    /// As [`Host::read_file`].
    pub async fn stat_file(&self, path: &str) -> Result<Option<FileStat>, SshError> {
        let script = format!("{} && stat -L -c '%a %U %G %s' \"$p\" && sha256sum < \"$p\"", look(path));
        let Some(output) = self.file_script(path, "stat", Exec::new(script)).await? else { return Ok(None) };
        let text = output.stdout_str();
        let (stat, sum) = text.split_once('\n').unwrap_or((&text, ""));
        let (mode, owner, group, size) = self.parse_stat(path, stat.as_bytes())?;
        let sha256 = sum.split_whitespace().next().unwrap_or_default().to_owned();
        Ok(Some(FileStat { size, mode, owner, group, sha256 }))
    }

    /// Puts a file in its place in one step: whoever reads it sees the old one or the new one, whole, with its final
    /// mode and owner. A connection that dies in the middle changes nothing, since the checksum is compared first.
    ///
    /// # Errors
    /// The host cannot be reached, or may not write there, or has no such owner.
    pub async fn write_file(&self, file: &WriteFile) -> Result<(), SshError> {
        self.check_path(&file.path)?;
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let folder = if folder.is_empty() { "/" } else { folder };
        let owner = match (&file.owner, &file.group) {
            (None, None) => String::new(),
            (owner, group) => {
                let owner = owner.as_deref().unwrap_or_default();
                let group = group.as_ref().map(|group| format!(":{group}")).unwrap_or_default();
                format!(" && chown {} \"$t\"", quote(&format!("{owner}{group}")))
            }
        };
        // mktemp makes it 0600: nobody else sees the content before it has its owner. chown comes before chmod, since it
        // clears set-id bits.
        let script = format!(
            "p={path}; d={folder}\n\
             if [ -d \"$p\" ]; then exit {NOT_A_FILE}; fi\n\
             mkdir -p \"$d\" && t=$(mktemp \"$d\"/{template}) || exit 1\n\
             if cat > \"$t\" && [ \"$(sha256sum < \"$t\")\" = '{sum}  -' ]{owner} && chmod {mode:04o} \"$t\" && sync \"$t\" && mv -f \"$t\" \"$p\"; then\n\
             exit 0\n\
             fi\n\
             rm -f \"$t\"; exit 1",
            path = quote(&file.path),
            folder = quote(folder),
            template = quote(&format!(".{name}.grappe-XXXXXX")),
            sum = hex_sha256(&file.content),
            mode = file.mode,
        );
        let exec = Exec::new(script).stdin(file.content.clone());
        self.file_script(&file.path, "write", exec).await?;
        Ok(())
    }

    /// Removes a file; that there is none is fine.
    ///
    /// # Errors
    /// The host cannot be reached, or may not remove it, or it is a folder.
    pub async fn remove_file(&self, path: &str) -> Result<(), SshError> {
        self.file_script(path, "remove", Exec::new(format!("rm -f {}", quote(path)))).await?;
        Ok(())
    }

    async fn file_script(&self, path: &str, verb: &str, exec: Exec) -> Result<Option<Output>, SshError> {
        self.check_path(path)?;
        let output = self.exec(exec).await?;
        let context = || format!("{}: {verb} {path}", self.endpoint());
        match output.code() {
            Some(0) => Ok(Some(output)),
            Some(ABSENT) => Ok(None),
            Some(NOT_A_FILE) => {
                Err(SshError::new(context(), Cause::Remote("it is not a regular file".into())))
            }
            _ => {
                let complaint = output.stderr_str();
                let why = if complaint.is_empty() { output.status.to_string() } else { complaint };
                Err(SshError::new(context(), Cause::Remote(why)))
            }
        }
    }

    fn check_path(&self, path: &str) -> Result<(), SshError> {
        if path.starts_with('/') && !path.ends_with('/') && !path.contains(['\0', '\n']) {
            return Ok(());
        }
        let why = format!("{path:?} is not the absolute path of a file");
        Err(SshError::new(self.endpoint(), Cause::Invalid(why)))
    }

    fn parse_stat(&self, path: &str, line: &[u8]) -> Result<(u32, String, String, u64), SshError> {
        let text = String::from_utf8_lossy(line);
        parse_stat(&text).ok_or_else(|| {
            let why = format!("`stat -c '%a %U %G %s'` answered {text:?} (GNU coreutils are needed)");
            SshError::new(format!("{}: stat {path}", self.endpoint()), Cause::Remote(why))
        })
    }
}

/// The beginning of a reading script: `$p` is the path, and it is a file.
fn look(path: &str) -> String {
    format!(
        "p={}; if [ ! -e \"$p\" ]; then exit {ABSENT}; fi; if [ ! -f \"$p\" ]; then exit {NOT_A_FILE}; fi; true",
        quote(path)
    )
}

/// One file's line of [`Host::read_files`].
fn listed(line: &str) -> Result<Option<RemoteFile>, String> {
    let odd = || format!("the host answered {:?}", line.chars().take(80).collect::<String>());
    match line.split_once(' ') {
        None if line == "absent" => Ok(None),
        None if line == "other" => Err("it is not a regular file".into()),
        Some(("error", why)) => Err(why.trim().to_owned()),
        Some(("file", rest)) => {
            let (stat, text) = rest.rsplit_once(' ').ok_or_else(odd)?;
            let (mode, owner, group, _) = parse_stat(stat).ok_or_else(odd)?;
            let content = BASE64.decode(text).map_err(|_| odd())?;
            let sha256 = hex_sha256(&content);
            Ok(Some(RemoteFile { content, mode, owner, group, sha256 }))
        }
        _ => Err(odd()),
    }
}

/// `644 root root 12`. Names that do not exist print as UNKNOWN.
fn parse_stat(line: &str) -> Option<(u32, String, String, u64)> {
    let mut words = line.split_whitespace();
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let (owner, group) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some((mode, owner, group, words.next()?.parse().ok()?))
}

fn hex_sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_read() {
        assert_eq!(parse_stat("4755 root wheel 12\n"), Some((0o4755, "root".into(), "wheel".into(), 12)));
        assert_eq!(parse_stat("stat: not found"), None);
    }

    #[test]
    fn lines_of_many_files_are_read() {
        assert_eq!(listed("absent"), Ok(None));
        let file = listed("file 640 root adm 3 YQpi").unwrap().unwrap();
        assert_eq!(
            (file.content, file.mode, file.owner, file.group),
            (b"a\nb".to_vec(), 0o640, "root".into(), "adm".into())
        );
        assert_eq!(listed("file 644 root root 0 ").unwrap().unwrap().content, b"");
        assert_eq!(listed("error stat: no ").unwrap_err(), "stat: no");
        assert!(listed("other").unwrap_err().contains("not a regular file"));
        for odd in ["", "file", "file 644", "file x y z 1 YQ==", "file 644 root root 1 =", "else"] {
            assert!(listed(odd).unwrap_err().contains("answered"), "{odd}");
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let file = WriteFile {
            path: "/etc/key".into(),
            content: b"s3cret".to_vec(),
            mode: 0o600,
            owner: None,
            group: None,
        };
        assert_eq!(format!("{file:?}"), "WriteFile(/etc/key, 6 bytes, 0600)");
    }
}
