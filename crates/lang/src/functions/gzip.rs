//! `base64gzip`, byte for byte what Terraform gives: another compressor's output would be another `user_data`, and a new machine.
//!
//! That is DEFLATE as Go's `compress/flate` does it at its default level. What can be seen of that from outside: matches of four bytes at least, found
//! over chains of 128 positions with the same hash, a longer one at the next byte being preferred to one shorter than 16; blocks of 2^14 symbols;
//! each in whichever of the three forms is the shortest; the window moves on by halves.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Function, P, f, string, text};

pub(super) static FUNCTIONS: &[Function] =
    &[f("base64gzip", "the text compressed with gzip, in Base64", &[string("str")], P::String, |args| {
        Ok(STANDARD.encode(gzip(text(args, 0).as_bytes())).into())
    })];

/// No name, no time, an unknown system; a flush before the end, as Terraform does one.
fn gzip(data: &[u8]) -> Vec<u8> {
    let mut bits = Bits { out: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], ..Bits::default() };
    Matcher::new(data).run(&mut bits);
    stored(&mut bits, &[], false);
    stored(&mut bits, &[], true);
    let mut out = bits.out;
    out.extend(crc32(data).to_le_bytes());
    // The length modulo 2^32 is what the format asks for.
    out.extend(u32::try_from(data.len() & 0xffff_ffff).unwrap_or(0).to_le_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    /// The lowest bit comes first.
    fn put(&mut self, bits: u32, count: u32) {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.byte();
        }
    }

    fn byte(&mut self) {
        self.out.push(self.held.to_le_bytes()[0]);
        self.held >>= 8;
        self.count = self.count.saturating_sub(8);
    }

    /// To the next whole byte.
    fn align(&mut self) {
        if self.count > 0 {
            self.byte();
        }
    }
}

#[derive(Clone, Copy)]
enum Symbol {
    Literal(u8),
    Match { length: usize, distance: usize },
}

const WINDOW: usize = 1 << 15;
const LEAST: usize = 4;
const MOST: usize = 258;
const BLOCK: usize = 1 << 14;
const HASH_BITS: u32 = 17;
const GOOD_ENOUGH: usize = 128;
const LAZY: usize = 16;
const CHAIN: usize = 128;
/// Matches of four bytes cost more than they save when they are farther away.
const NEAR: usize = 4096;

/// Finds repetitions.
struct Matcher<'d> {
    data: &'d [u8],
    /// The position after the last one with a hash; 0 where there is none.
    heads: Vec<usize>,
    /// For each position in the window, the head before it.
    before: Vec<usize>,
    /// Nothing before it is looked at any more.
    base: usize,
    block: Vec<Symbol>,
    /// Where the block starts, as long as that is in the window.
    start: Option<usize>,
}

impl<'d> Matcher<'d> {
    fn new(data: &'d [u8]) -> Self {
        Matcher {
            data,
            heads: vec![0; 1 << HASH_BITS],
            before: vec![0; WINDOW],
            base: 0,
            block: Vec::new(),
            start: Some(0),
        }
    }

    /// Notes a position; returns the last one with the same four bytes (or the same hash).
    fn note(&mut self, at: usize) -> usize {
        let Some(four) = self.data.get(at..at + LEAST).and_then(|s| <[u8; LEAST]>::try_from(s).ok()) else {
            return 0;
        };
        let hash = u32::from_be_bytes(four).wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS);
        let head = std::mem::replace(&mut self.heads[hash as usize], at + 1);
        self.before[at % WINDOW] = head;
        head
    }

    /// The longest match, with its distance, along the chain that starts at a head.
    fn longest(&self, at: usize, head: usize) -> Option<(usize, usize)> {
        let most = MOST.min(self.data.len() - at);
        let nice = GOOD_ENOUGH.min(most);
        let oldest = at.saturating_sub(WINDOW).max(self.base);
        let here = &self.data[at..at + most];
        let (mut best, mut head) = (None, head);
        let mut longest = LEAST - 1;
        for _ in 0..CHAIN {
            let Some(from) = head.checked_sub(1).filter(|from| *from >= oldest) else { break };
            let there = &self.data[from..from + most];
            // The byte that would make it longer first: it tells most apart.
            if there[longest] == here[longest] {
                let length = there.iter().zip(here).take_while(|(a, b)| a == b).count();
                if length > longest && (length > LEAST || at - from <= NEAR) {
                    longest = length;
                    best = Some((length, at - from));
                    if length >= nice {
                        break;
                    }
                }
            }
            if from + WINDOW == at {
                break;
            }
            head = self.before[from % WINDOW];
        }
        best
    }

    fn push(&mut self, symbol: Symbol, next: usize, bits: &mut Bits) {
        self.block.push(symbol);
        if self.block.len() == BLOCK {
            self.flush(next, bits);
        }
    }

    fn flush(&mut self, next: usize, bits: &mut Bits) {
        let raw = self.start.replace(next).map(|start| &self.data[start..next]);
        block(bits, &std::mem::take(&mut self.block), raw);
    }

    fn run(mut self, bits: &mut Bits) {
        let end = self.data.len();
        let mut at = 0;
        // A match that was found one byte before, and whether that byte is still to be written.
        let mut last: Option<(usize, usize)> = None;
        let mut pending = false;
        loop {
            // The window moves on when what it holds comes to its end.
            let filled = end.min(self.base + 2 * WINDOW);
            if filled < end && filled - at < LEAST + MOST {
                self.base += WINDOW;
                self.start = self.start.filter(|start| *start >= self.base);
                continue;
            }
            if at >= end {
                break;
            }
            let head = self.note(at);
            let held = last.map_or(LEAST - 1, |(length, _)| length);
            let found = if end - at > held && held < LAZY { self.longest(at, head) } else { None };
            if let Some((length, distance)) = last
                && found.is_none_or(|(longer, _)| longer <= length)
            {
                let next = at + length - 1;
                for skipped in at + 1..next {
                    self.note(skipped);
                }
                at = next;
                (last, pending) = (None, false);
                self.push(Symbol::Match { length, distance }, at, bits);
                continue;
            }
            if pending {
                self.push(Symbol::Literal(self.data[at - 1]), at, bits);
            }
            (last, pending) = (found, true);
            at += 1;
        }
        if pending {
            self.block.push(Symbol::Literal(self.data[at - 1]));
        }
        if !self.block.is_empty() {
            self.flush(at, bits);
        }
    }
}

const END: usize = 256;

/// The code, the number of extra bits and their value for a number of a range that RFC 1951 (3.2.5) cuts up: `plain` codes without extra bits, then
/// groups with one bit more each.
fn ranged(number: usize, group: usize, plain: usize) -> (usize, u32, usize) {
    if number < plain {
        return (number, 0, 0);
    }
    let extra = (number / group).ilog2();
    let code = group * (extra as usize) + (number >> extra);
    (code, extra, number & ((1 << extra) - 1))
}

fn length_code(length: usize) -> (usize, u32, usize) {
    if length == MOST {
        return (285, 0, 0);
    }
    let (code, extra, value) = ranged(length - 3, 4, 8);
    (257 + code, extra, value)
}

fn distance_code(distance: usize) -> (usize, u32, usize) {
    ranged(distance - 1, 2, 4)
}

/// How symbols are written: bit lengths and codes.
struct Code {
    lengths: Vec<u32>,
    codes: Vec<u32>,
}

impl Code {
    /// Canonical (RFC 1951, 3.2.2); each code turned round, as it is written.
    fn canonical(lengths: Vec<u32>) -> Self {
        let mut codes = vec![0; lengths.len()];
        let mut next = 0u32;
        for bits in 1..=15 {
            next <<= 1;
            for (code, _) in codes.iter_mut().zip(&lengths).filter(|(_, length)| **length == bits) {
                *code = next.reverse_bits() >> (32 - bits);
                next += 1;
            }
        }
        Code { lengths, codes }
    }

    /// The shortest for these frequencies, with no code longer than `most` bits.
    fn shortest(frequencies: &[u64], most: usize) -> Self {
        let mut lengths = vec![0; frequencies.len()];
        let mut leaves: Vec<(u64, usize)> =
            frequencies.iter().enumerate().filter(|(_, f)| **f > 0).map(|(i, f)| (*f, i)).collect();
        leaves.sort_unstable();
        if leaves.len() <= 2 {
            leaves.iter().for_each(|(_, symbol)| lengths[*symbol] = 1);
            return Self::canonical(lengths);
        }
        // Package-merge: a list for each level, made of the leaves and of pairs of the list before; of equals, pairs come first.
        let levels = most.min(leaves.len() - 1);
        let mut lists: Vec<Vec<(u64, bool)>> = vec![leaves.iter().map(|(f, _)| (*f, true)).collect()];
        for level in 1..levels {
            let pairs = lists[level - 1].chunks_exact(2).map(|pair| (pair[0].0 + pair[1].0, false));
            let mut list: Vec<(u64, bool)> = pairs.chain(leaves.iter().map(|(f, _)| (*f, true))).collect();
            list.sort_by_key(|(f, leaf)| (*f, *leaf));
            lists.push(list);
        }
        // From the top down: a leaf that is taken is one bit longer, a pair takes two of the list below.
        let mut taken = 2 * leaves.len() - 2;
        for list in lists.iter().rev() {
            let of_leaves = list[..taken].iter().filter(|(_, leaf)| *leaf).count();
            leaves[..of_leaves].iter().for_each(|(_, symbol)| lengths[*symbol] += 1);
            taken = 2 * (taken - of_leaves);
        }
        Self::canonical(lengths)
    }

    fn cost(&self, frequencies: &[u64]) -> u64 {
        frequencies.iter().zip(&self.lengths).map(|(f, bits)| f * u64::from(*bits)).sum()
    }

    fn put(&self, bits: &mut Bits, symbol: usize) {
        bits.put(self.codes[symbol], self.lengths[symbol]);
    }
}

fn stored(bits: &mut Bits, raw: &[u8], last: bool) {
    bits.put(u32::from(last), 3);
    bits.align();
    let length = u16::try_from(raw.len()).unwrap_or(u16::MAX);
    bits.put(u32::from(length), 16);
    bits.put(u32::from(!length), 16);
    bits.out.extend_from_slice(raw);
}

/// Writes a block in its shortest form.
fn block(bits: &mut Bits, symbols: &[Symbol], raw: Option<&[u8]>) {
    let (mut literals, mut distances) = (vec![0u64; 286], vec![0u64; 30]);
    let mut extras = 0u64;
    for symbol in symbols {
        match *symbol {
            Symbol::Literal(byte) => literals[usize::from(byte)] += 1,
            Symbol::Match { length, distance } => {
                let (length, distance) = (length_code(length), distance_code(distance));
                literals[length.0] += 1;
                distances[distance.0] += 1;
                extras += u64::from(length.1 + distance.1);
            }
        }
    }
    literals[END] = 1;
    let used = |frequencies: &[u64]| frequencies.iter().rposition(|f| *f > 0).map_or(0, |i| i + 1);
    let many = used(&literals);
    if used(&distances) == 0 {
        // There must be one.
        distances[0] = 1;
    }
    let far = used(&distances);
    let (short, near) = (Code::shortest(&literals, 15), Code::shortest(&distances, 15));
    let table = Table::new(&short.lengths[..many], &near.lengths[..far]);
    let fixed = Code::canonical(
        (0..288)
            .map(|i| [8, 9, 7, 8][usize::from(i >= 144) + usize::from(i >= 256) + usize::from(i >= 280)])
            .collect(),
    );
    let fixed_distance = Code::canonical(vec![5; 30]);
    let plain = 3 + fixed.cost(&literals) + fixed_distance.cost(&distances) + extras;
    let dynamic = 17 + table.cost() + short.cost(&literals) + near.cost(&distances) + extras;
    if let Some(raw) = raw.filter(|raw| raw.len() <= 65_535)
        && (raw.len() as u64 + 5) * 8 < plain.min(dynamic)
    {
        return stored(bits, raw, false);
    }
    let (code, distance_codes) = if dynamic < plain {
        bits.put(0b100, 3);
        table.put(bits, many, far);
        (short, near)
    } else {
        bits.put(0b010, 3);
        (fixed, fixed_distance)
    };
    let extra =
        |bits: &mut Bits, count: u32, value: usize| bits.put(u32::try_from(value).unwrap_or(0), count);
    for symbol in symbols {
        match *symbol {
            Symbol::Literal(byte) => code.put(bits, usize::from(byte)),
            Symbol::Match { length, distance } => {
                let (symbol, count, value) = length_code(length);
                code.put(bits, symbol);
                extra(bits, count, value);
                let (symbol, count, value) = distance_code(distance);
                distance_codes.put(bits, symbol);
                extra(bits, count, value);
            }
        }
    }
    code.put(bits, END);
}

/// The lengths of two codes as a dynamic block begins with them: run-length encoded, with a code of their own (RFC 1951, 3.2.7).
struct Table {
    /// A symbol, its extra bits and their number.
    runs: Vec<(usize, u32, u32)>,
    code: Code,
    frequencies: Vec<u64>,
    /// How many lengths of `code` are written.
    written: usize,
}

const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl Table {
    fn new(literals: &[u32], distances: &[u32]) -> Self {
        let all: Vec<u32> = [literals, distances].concat();
        let mut runs = Vec::new();
        for run in all.chunk_by(|a, b| a == b) {
            let (length, mut left) = (run[0], u32::try_from(run.len()).unwrap_or(0));
            if length > 0 {
                runs.push((length as usize, 0, 0));
                left -= 1;
            }
            while left >= 3 {
                // Zeros: up to 138 or up to 10; others: up to 6 times the one before.
                let (symbol, least, most, bits) = match (length, left) {
                    (0, 11..) => (18, 11, 138, 7),
                    (0, _) => (17, 3, 10, 3),
                    _ => (16, 3, 6, 2),
                };
                let times = left.min(most);
                runs.push((symbol, times - least, bits));
                left -= times;
            }
            runs.extend((0..left).map(|_| (length as usize, 0, 0)));
        }
        let mut frequencies = vec![0; ORDER.len()];
        runs.iter().for_each(|(symbol, ..)| frequencies[*symbol] += 1);
        let written = ORDER.iter().rposition(|symbol| frequencies[*symbol] > 0).map_or(4, |i| (i + 1).max(4));
        Table { code: Code::shortest(&frequencies, 7), runs, frequencies, written }
    }

    /// Without the 17 bits of the head.
    fn cost(&self) -> u64 {
        3 * self.written as u64
            + self.code.cost(&self.frequencies)
            + self.runs.iter().map(|(.., bits)| u64::from(*bits)).sum::<u64>()
    }

    fn put(&self, bits: &mut Bits, literals: usize, distances: usize) {
        for (count, width) in [(literals - 257, 5), (distances - 1, 5), (self.written - 4, 4)] {
            bits.put(u32::try_from(count).unwrap_or(0), width);
        }
        for symbol in &ORDER[..self.written] {
            bits.put(self.code.lengths[*symbol], 3);
        }
        for (symbol, value, count) in &self.runs {
            self.code.put(bits, *symbol);
            bits.put(*value, *count);
        }
    }
}
