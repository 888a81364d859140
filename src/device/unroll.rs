//! Texts of shaders with parts that are repeated, so that what an array would hold has names, and stays in registers.
//!
//! `#shape NAME DEFAULT` declares a number that a plan may set; it becomes `const NAME = …u;`. `#repeat NAME COUNT` … `#end` stands for
//! COUNT copies of its lines, of which `$NAME` is the number, from 0; `$(…)` is an expression of such names. COUNT is an
//! expression too: integers and names, `+ - * / % << >>` with the same precedence, from the left, and parentheses.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A line (0-based), and what is wrong with it.
pub type Mistake = (usize, String);

/// A text without directives, and of each of its lines the line that it came from.
#[derive(Debug, Default)]
pub struct Unrolled {
    pub text: String,
    pub lines: Vec<usize>,
    /// The numbers that it declared, with their values.
    pub shape: Vec<(String, u32)>,
}

/// Repeats what is to be repeated, with the numbers of a plan.
pub fn unroll(text: &str, set: &[(&str, u32)]) -> Result<Unrolled, Mistake> {
    let lines: Vec<&str> = text.lines().collect();
    let mut unroller = Unroller { lines: &lines, set, names: BTreeMap::new(), out: Unrolled::default() };
    let end = unroller.block(0, false)?;
    debug_assert_eq!(end, lines.len());
    Ok(unroller.out)
}

struct Unroller<'a> {
    lines: &'a [&'a str],
    set: &'a [(&'a str, u32)],
    names: BTreeMap<String, u32>,
    out: Unrolled,
}

impl Unroller<'_> {
    /// The lines from `at` to the end of the block, whose place it returns.
    fn block(&mut self, mut at: usize, is_repeated: bool) -> Result<usize, Mistake> {
        while let Some(&line) = self.lines.get(at) {
            let (directive, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            match directive {
                "#end" if is_repeated => return Ok(at),
                "#end" => return Err((at, "#end without #repeat".to_owned())),
                "#shape" => {
                    let line = self.shape(rest).map_err(|message| (at, message))?;
                    self.line(at, &line);
                }
                "#repeat" => at = self.repeat(at, rest)?,
                _ => {
                    let line = if line.contains('$') { self.filled(line).map_err(|message| (at, message))? } else { line.to_owned() };
                    self.line(at, &line);
                }
            }
            at += 1;
        }
        if is_repeated { Err((at, "#repeat without #end".to_owned())) } else { Ok(at) }
    }

    fn line(&mut self, at: usize, line: &str) {
        self.out.text.push_str(line);
        self.out.text.push('\n');
        self.out.lines.push(at);
    }

    fn shape(&mut self, rest: &str) -> Result<String, String> {
        let (name, default) = rest.split_once(' ').ok_or("#shape takes a name and a number")?;
        let value = match self.set.iter().find(|(known, _)| *known == name) {
            Some(&(_, value)) => value,
            None => self.number(default)?,
        };
        self.names.insert(name.to_owned(), value);
        self.out.shape.push((name.to_owned(), value));
        Ok(format!("const {name} = {value}u;"))
    }

    /// Returns the place of its `#end`.
    fn repeat(&mut self, at: usize, rest: &str) -> Result<usize, Mistake> {
        let (name, count) = rest.split_once(' ').ok_or((at, "#repeat takes a name and a count".to_owned()))?;
        let count = self.number(count).map_err(|message| (at, message))?;
        if self.names.contains_key(name) {
            return Err((at, format!("{name} has a value already")));
        }
        for number in 0..count {
            self.names.insert(name.to_owned(), number);
            self.block(at + 1, true)?;
        }
        self.names.remove(name);
        self.end_of(at)
    }

    fn end_of(&self, at: usize) -> Result<usize, Mistake> {
        let mut depth = 0usize;
        for (place, line) in self.lines.iter().enumerate().skip(at) {
            match line.split_whitespace().next() {
                Some("#repeat") => depth += 1,
                Some("#end") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(place);
            }
        }
        Err((at, "#repeat without #end".to_owned()))
    }

    /// A line with the values of what follows each `$`.
    fn filled(&self, line: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut pieces = line.split('$');
        out.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let length = if piece.starts_with('(') { closing(piece)? } else { piece.find(|c: char| !is_word(c)).unwrap_or(piece.len()) };
            let (expression, after) = piece.split_at(length);
            let _ = write!(out, "{}{after}", self.number(expression)?);
        }
        Ok(out)
    }

    fn number(&self, expression: &str) -> Result<u32, String> {
        let mut rest = expression.trim();
        let value = self.expression(&mut rest)?;
        if rest.is_empty() { Ok(value) } else { Err(format!("`{rest}` is too much in `{expression}`")) }
    }

    fn expression(&self, rest: &mut &str) -> Result<u32, String> {
        let mut value = self.operand(rest)?;
        loop {
            *rest = rest.trim_start();
            let operator = if rest.starts_with("<<") || rest.starts_with(">>") { 2 } else { 1 };
            let Some((operator, after)) = rest.split_at_checked(operator).filter(|(operator, _)| !operator.starts_with(')')) else {
                return Ok(value);
            };
            *rest = after;
            let other = self.operand(rest)?;
            let result = match operator {
                "+" => value.checked_add(other),
                "-" => value.checked_sub(other),
                "*" => value.checked_mul(other),
                "/" => value.checked_div(other),
                "%" => value.checked_rem(other),
                "<<" => value.checked_shl(other),
                ">>" => value.checked_shr(other),
                _ => return Err(format!("unknown operator `{operator}`")),
            };
            value = result.ok_or_else(|| format!("{value} {operator} {other} is no number"))?;
        }
    }

    fn operand(&self, rest: &mut &str) -> Result<u32, String> {
        *rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('(') {
            *rest = inner;
            let value = self.expression(rest)?;
            *rest = rest.strip_prefix(')').ok_or("a parenthesis is open")?;
            return Ok(value);
        }
        let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        *rest = after;
        match word.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.names.get(word).copied().ok_or_else(|| format!("`{word}` has no value")),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Bytes up to the parenthesis that closes the first.
fn closing(text: &str) -> Result<usize, String> {
    let mut depth = 0;
    for (place, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(place + 1);
        }
    }
    Err(format!("a parenthesis is open in `{text}`"))
}
