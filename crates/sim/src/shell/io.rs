//! File descriptors of a simulated process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc::Receiver;

/// Bytes to read: some at hand, more perhaps to come from a client.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    at: usize,
    more: Option<Receiver<Vec<u8>>>,
}

impl Input {
    /// What is at hand is all.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0, more: None }
    }

    /// Chunks come until the sender is dropped.
    pub fn stream(more: Receiver<Vec<u8>>) -> Self {
        Self { bytes: Vec::new(), at: 0, more: Some(more) }
    }

    fn fetch(&mut self) -> bool {
        match self.more.as_ref().map(Receiver::recv) {
            Some(Ok(chunk)) => {
                self.bytes.extend_from_slice(&chunk);
                true
            }
            _ => {
                self.more = None;
                false
            }
        }
    }

    /// All that is left.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fetch() {}
        let rest = self.bytes.split_off(self.at);
        self.at = 0;
        self.bytes.clear();
        rest
    }

    /// The next line without its newline, and whether it had one; none at the end.
    pub fn line(&mut self) -> Option<(Vec<u8>, bool)> {
        loop {
            let rest = &self.bytes[self.at..];
            if let Some(n) = rest.iter().position(|b| *b == b'\n') {
                let line = rest[..n].to_vec();
                self.at += n + 1;
                return Some((line, true));
            }
            if !self.fetch() {
                let line = self.rest();
                return (!line.is_empty()).then_some((line, false));
            }
        }
    }
}

/// Takes what is written.
pub type Sink = Rc<dyn Fn(&[u8])>;

/// What a descriptor is open on.
#[derive(Clone)]
pub enum Fd {
    /// /dev/null.
    Null,
    /// Readable.
    Input(Rc<RefCell<Input>>),
    /// Memory: pipes and substitutions.
    Buffer(Rc<RefCell<Vec<u8>>>),
    /// The client.
    Client(Sink),
    /// A file of the host, by its resolved path; writes go to its end.
    File(String),
}

impl std::fmt::Debug for Fd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fd::Null => "null",
            Fd::Input(_) => "input",
            Fd::Buffer(_) => "buffer",
            Fd::Client(_) => "client",
            Fd::File(path) => path,
        })
    }
}

/// The descriptor table. Clones share it, as commands of one shell do (`exec >file` is seen by what follows); [`Io::fork`] copies it.
#[derive(Debug, Clone, Default)]
pub struct Io {
    fds: Rc<RefCell<BTreeMap<u32, Fd>>>,
}

/// How much a pipe or substitution may hold; a writer beyond it is killed as by SIGPIPE.
pub const BUFFER_LIMIT: usize = 16 << 20;

impl Io {
    /// The three standard descriptors.
    pub fn new(stdin: Fd, stdout: Fd, stderr: Fd) -> Self {
        Self { fds: Rc::new(RefCell::new(BTreeMap::from([(0, stdin), (1, stdout), (2, stderr)]))) }
    }

    /// A table of its own.
    pub fn fork(&self) -> Self {
        Self { fds: Rc::new(RefCell::new(self.fds.borrow().clone())) }
    }

    /// What a descriptor is open on.
    pub fn get(&self, fd: u32) -> Option<Fd> {
        self.fds.borrow().get(&fd).cloned()
    }

    /// Opens or closes one, for all that share the table.
    pub fn set(&self, fd: u32, to: Option<Fd>) {
        match to {
            Some(to) => self.fds.borrow_mut().insert(fd, to),
            None => self.fds.borrow_mut().remove(&fd),
        };
    }

    /// Takes over all of another table, for all that share this one.
    pub fn adopt(&self, other: &Io) {
        let fds = other.fds.borrow().clone();
        *self.fds.borrow_mut() = fds;
    }

    /// A table of its own with one changed.
    pub fn with(&self, fd: u32, to: Fd) -> Self {
        let io = self.fork();
        io.set(fd, Some(to));
        io
    }

    /// Everything left on standard input.
    pub fn read_all(&self) -> Vec<u8> {
        match self.get(0) {
            Some(Fd::Input(input)) => input.borrow_mut().rest(),
            _ => Vec::new(),
        }
    }

    /// The next line of standard input.
    pub fn read_line(&self) -> Option<(Vec<u8>, bool)> {
        match self.get(0) {
            Some(Fd::Input(input)) => input.borrow_mut().line(),
            _ => None,
        }
    }
}
