//! What a script is made of.

use std::cell::RefCell;
use std::rc::Rc;

/// Commands in a row.
#[derive(Debug, Clone, Default)]
pub struct List(pub Vec<Item>);

/// One and-or list of a [`List`].
#[derive(Debug, Clone)]
pub struct Item {
    /// First pipeline.
    pub first: Pipeline,
    /// `&&` (true) or `||` (false), and what follows.
    pub rest: Vec<(bool, Pipeline)>,
    /// Ended by `&`.
    pub background: bool,
}

/// `! a | b`.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Led by `!`.
    pub negate: bool,
    /// At least one.
    pub commands: Vec<Command>,
}

/// A command and the redirections after it.
#[derive(Debug, Clone)]
pub struct Command {
    /// What it is.
    pub body: Body,
    /// Redirections, in order.
    pub redirects: Vec<Redirect>,
    /// Line it starts on.
    pub line: usize,
}

/// Kinds of commands.
#[derive(Debug, Clone)]
pub enum Body {
    /// Assignments and words.
    Simple {
        /// `NAME=value` before the words.
        assigns: Vec<(String, Word)>,
        /// The command and its arguments.
        words: Vec<Word>,
    },
    /// `( … )`
    Subshell(List),
    /// `{ …; }`
    Group(List),
    /// `if … then … elif … else … fi`
    If {
        /// Conditions and what they guard.
        arms: Vec<(List, List)>,
        /// After `else`.
        otherwise: Option<List>,
    },
    /// `for NAME in words; do … done`
    For {
        /// Loop variable.
        name: String,
        /// Without `in`, the positional parameters.
        words: Option<Vec<Word>>,
        /// Loop body.
        body: List,
    },
    /// `while` or `until`
    While {
        /// What decides.
        condition: List,
        /// `until`.
        until: bool,
        /// Loop body.
        body: List,
    },
    /// `case word in … esac`
    Case {
        /// What is matched.
        word: Word,
        /// Patterns and what they guard.
        arms: Vec<(Vec<Word>, List)>,
    },
    /// `name() command`
    Function {
        /// Its name.
        name: String,
        /// Its body.
        body: Rc<Command>,
    },
    /// `[[ … ]]` of bash: words and operators as they stand.
    Conditional(Vec<Word>),
}

/// `2>file`.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// File descriptor; both 1 and 2 for `&>`.
    pub fd: u32,
    /// Kind and target.
    pub to: Target,
}

/// Where a descriptor goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// `<`
    Read(Word),
    /// `>`
    Write(Word),
    /// `>|` is the same; `>>`
    Append(Word),
    /// `<>`
    ReadWrite(Word),
    /// `>&` and `<&`: a number, `-`, or a word that expands to one.
    Duplicate(Word),
    /// `&>`
    Both(Word),
    /// `<<`: its body comes after the line, hence the cell.
    Here(Rc<RefCell<Word>>),
    /// `<<<` of bash.
    HereString(Word),
}

/// A word before expansion.
#[derive(Debug, Clone, Default)]
pub struct Word(pub Vec<Part>);

/// Part of a word.
#[derive(Debug, Clone)]
pub enum Part {
    /// Unquoted text; subject to globbing.
    Literal(String),
    /// Text whose characters stand for themselves.
    Quoted(String),
    /// `"…"`
    Double(Vec<Part>),
    /// `$x`, `${x…}`
    Parameter(Box<Parameter>),
    /// `$( … )` and backquotes
    Command(Box<List>),
    /// `$(( … ))`
    Arithmetic(Word),
    /// A leading `~` or `~user`.
    Tilde(String),
}

/// `${name op word}`.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Variable, number or special character.
    pub name: String,
    /// `${#name}`.
    pub length: bool,
    /// Operator and its word.
    pub operator: Option<(Operator, Word)>,
}

/// Operators of `${…}`; `colon` forms treat empty as unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `-`
    Default {
        /// `:-`
        colon: bool,
    },
    /// `=`
    Assign {
        /// `:=`
        colon: bool,
    },
    /// `?`
    Error {
        /// `:?`
        colon: bool,
    },
    /// `+`
    Alternative {
        /// `:+`
        colon: bool,
    },
    /// `#` and `##`
    Prefix {
        /// `##`
        longest: bool,
    },
    /// `%` and `%%`
    Suffix {
        /// `%%`
        longest: bool,
    },
    /// bash's `${x/pattern/text}`; the word is `pattern/text`
    Replace {
        /// `//`
        all: bool,
    },
    /// bash's `${x:offset:length}`
    Slice,
    /// bash's `^^` and `,,`
    Case {
        /// `^^`
        upper: bool,
    },
}
