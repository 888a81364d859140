//! As much JSON as the header of a weights file needs. A general reader would be a sixth of the
//! library's size in a browser.

use std::fmt;

/// Where the text is not what it must be.
#[derive(Debug)]
pub(super) struct Fault {
    at: usize,
    expected: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its header has no {} at byte {}", self.expected, self.at)
    }
}

/// Reads values one after the other.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Calls `entry` with every key; it must read the value.
    pub(super) fn object(&mut self, mut entry: impl FnMut(&mut Self, String) -> Result<(), Fault>) -> Result<(), Fault> {
        self.list(b'{', b'}', |reader| {
            let key = reader.string()?;
            reader.token(b':', "colon")?;
            entry(reader, key)
        })
    }

    /// An array of whole numbers.
    pub(super) fn numbers(&mut self) -> Result<Vec<usize>, Fault> {
        let mut found = Vec::new();
        self.list(b'[', b']', |reader| {
            found.push(reader.number()?);
            Ok(())
        })?;
        Ok(found)
    }

    pub(super) fn string(&mut self) -> Result<String, Fault> {
        self.token(b'"', "string")?;
        let mut found = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.find(['"', '\\']) else { return Err(self.fault("end of a string")) };
            found.push_str(&rest[..length]);
            self.at += length + 1;
            if rest.as_bytes()[length] == b'"' {
                return Ok(found);
            }
            found.push(self.escaped()?);
        }
    }

    /// Any value, unread.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => drop(self.string()?),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                    let rest = &self.text.as_bytes()[self.at..];
                    let scalar = |b: &&u8| matches!(b, b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E');
                    self.at += rest.iter().take_while(scalar).count();
                }
                _ => return Err(self.fault("value")),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Nothing but space is left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("end")),
        }
    }

    fn list(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.token(open, if open == b'{' { "object" } else { "array" })?;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b) if b == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("comma or end of a list")),
            }
        }
    }

    fn number(&mut self) -> Result<usize, Fault> {
        self.peek();
        let digits = self.text[self.at..].bytes().take_while(u8::is_ascii_digit).count();
        let found = self.text[self.at..][..digits].parse().map_err(|_| self.fault("whole number that fits this machine"))?;
        self.at += digits;
        Ok(found)
    }

    /// What follows a backslash.
    fn escaped(&mut self) -> Result<char, Fault> {
        let letter = self.text.as_bytes().get(self.at).copied();
        self.at += usize::from(letter.is_some_and(|b| b.is_ascii()));
        Ok(match letter {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let high = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    let low = self.hex()?;
                    0x1_0000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00).min(0x11_0000)
                } else {
                    high
                };
                char::from_u32(code).ok_or_else(|| self.fault("character"))?
            }
            _ => return Err(self.fault("escape")),
        })
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let found = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or_else(|| self.fault("four hexadecimal digits"))?;
        self.at += 4;
        Ok(found)
    }

    fn token(&mut self, token: u8, name: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(token) {
            return Err(self.fault(name));
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, expected: &'static str) -> Fault {
        Fault { at: self.at, expected }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Keys and their numbers; other values are skipped.
    fn read(text: &str) -> Result<Vec<(String, Vec<usize>)>, Fault> {
        let mut found = Vec::new();
        let mut reader = Reader::new(text);
        reader.object(|reader, key| {
            if key.starts_with('_') {
                return reader.skip();
            }
            found.push((key, reader.numbers()?));
            Ok(())
        })?;
        reader.end()?;
        Ok(found)
    }

    #[test]
    fn objects_of_numbers_are_read() {
        assert!(read(" { } ").unwrap().is_empty());
        let found = read("{\"a\" : [ 1 , 23 ],\"b\":[]}\n  ").unwrap();
        assert_eq!(found, [("a".to_owned(), vec![1, 23]), ("b".to_owned(), vec![])]);
    }

    #[test]
    fn strings_have_all_escapes() {
        let escaped = r#"{"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀": []}"#;
        assert_eq!(read(escaped).unwrap()[0].0, "\"\\/\u{8}\u{c}\n\r\té😀é😀");
        // serde_json agrees.
        let other: std::collections::HashMap<String, Vec<u32>> = serde_json::from_str(escaped).unwrap();
        assert!(other.contains_key(&read(escaped).unwrap()[0].0));
    }

    #[test]
    fn other_values_are_skipped() {
        let text = r#"{"_": {"x": [1, {"y": "]}\"" }], "z": null}, "a": [7], "_2": -1.5e+3, "_3": "s", "_4": [], "_5": true}"#;
        assert_eq!(read(text).unwrap(), [("a".to_owned(), vec![7])]);
    }

    #[test]
    fn what_is_no_json_is_a_fault_and_no_panic() {
        for text in [
            "",
            "{",
            "}",
            "[]",
            "x",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":[",
            "{\"a\":[1",
            "{\"a\":[1,",
            "{\"a\":[1,]}",
            "{\"a\":[-1]}",
            "{\"a\":[1.5]}",
            "{\"a\":[99999999999999999999999]}",
            "{\"a\":[1]",
            "{\"a\":[1]}x",
            "{\"a\":[1]},",
            "{a:[1]}",
            "{\"a\" [1]}",
            "{\"\\x\":[]}",
            "{\"\\",
            "{\"\\é\":[]}",
            "{\"\\u12",
            "{\"\\u12é\":[]}",
            "{\"\\ud83d\":[]}",
            "{\"\\ud83d\\u0041\":[]}",
            "{\"\\udc00\":[]}",
            "{\"_\":}",
            "{\"_\":{",
            "{\"_\":[1,{]",
            "{\"_\":]}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let whole = r#"{"_": {"x": ["é\ud83d\ude00"]}, "a": [7]}"#;
        for (length, _) in whole.char_indices() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }
}
