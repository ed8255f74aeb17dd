//! `set` and the flags of `sh`.

use super::Options;

impl Options {
    /// Sets a one-letter option; false if there is none.
    pub fn set_letter(&mut self, letter: char, on: bool) -> bool {
        match letter {
            'e' => self.errexit = on,
            'u' => self.nounset = on,
            'x' => self.xtrace = on,
            'f' => self.noglob = on,
            'n' => self.noexec = on,
            'a' => self.allexport = on,
            'v' | 'C' | 'm' | 'b' | 'h' | 'i' | 'I' | 'E' | 'T' | 'B' => self.other = on,
            _ => return false,
        }
        true
    }

    /// Sets a long option; false if this shell has none of that name.
    pub fn set_name(&mut self, name: &str, on: bool, bash: bool) -> bool {
        let letter = match name {
            "errexit" => 'e',
            "nounset" => 'u',
            "xtrace" => 'x',
            "noglob" => 'f',
            "noexec" => 'n',
            "allexport" => 'a',
            "verbose" => 'v',
            "noclobber" => 'C',
            "monitor" => 'm',
            "notify" => 'b',
            "errtrace" if bash => 'E',
            "functrace" if bash => 'T',
            "pipefail" if bash => {
                self.pipefail = on;
                return true;
            }
            "posix" | "vi" | "emacs" | "history" => return true,
            _ => return false,
        };
        self.set_letter(letter, on)
    }

    /// `$-`
    pub fn letters(&self) -> String {
        [
            ('e', self.errexit),
            ('u', self.nounset),
            ('x', self.xtrace),
            ('f', self.noglob),
            ('a', self.allexport),
        ]
        .iter()
        .filter(|(_, on)| *on)
        .map(|(c, _)| *c)
        .collect()
    }
}
