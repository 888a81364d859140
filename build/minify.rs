//! Texts made small. For browsers, whose pages load them: names that the shaders declare become short, and no space is left that a compiler does not
//! need; the lines stay.

use std::collections::{BTreeMap, BTreeSet};

/// Drops comments and indentation: the text travels in every binary.
pub fn squeeze(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .fold(String::new(), |out, line| out + line + "\n")
}

/// Shortens the texts of all variants together, so that what they share stays the same. What the texts of slots declare keeps its
/// name.
pub fn minify(texts: &[String], slots: &[&str]) -> Vec<String> {
    let texts: Vec<Vec<&str>> = texts.iter().map(|text| tokens(text)).collect();
    let fixed = slots.iter().flat_map(|slot| declared(&tokens(slot))).collect();
    let names = short_names(&texts, fixed);
    texts.iter().map(|text| joined(text, &names)).collect()
}

/// Words, numbers, operators that stand together, and other characters; spaces are none, the ends of lines are.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let length = match first {
            _ if is_word(first) => {
                let part = |c: char, before: char| is_word(c) || (is_number && (c == '.' || (c == '-' && before == 'e')));
                let mut before = first;
                rest.find(|c| !part(c, std::mem::replace(&mut before, c))).unwrap_or(rest.len())
            }
            _ if is_operator(first) => rest.find(|c| !is_operator(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if first == '\n' || !first.is_whitespace() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_operator(c: char) -> bool {
    "+-*/&|<>=!%^~".contains(c)
}

/// Whether a token is a name, and not that of an attribute or of a builtin value.
fn is_name(text: &[&str], at: usize) -> bool {
    let before = |places: usize| at.checked_sub(places).map_or("", |at| text[at]);
    let is_fixed = before(1) == "@" || (before(1) == "(" && before(2) == "builtin");
    !is_fixed && text[at].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// A short name for each that every text that has it declares too; those of the language, its builtins and the constants that plans
/// set by name are not among them.
fn short_names<'a>(texts: &[Vec<&'a str>], fixed: BTreeSet<&'a str>) -> BTreeMap<&'a str, String> {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kept = fixed;
    kept.extend(["main", "default"]);
    for text in texts {
        let declared = declared(text);
        for (at, &token) in text.iter().enumerate().filter(|&(at, _)| is_name(text, at)) {
            *uses.entry(token).or_default() += 1;
            let is_override = at >= 1 && text[at - 1] == "override";
            if !declared.contains(token) || is_override || is_swizzle(token) {
                kept.insert(token);
            }
        }
    }
    let mut names: Vec<(usize, &str)> = uses.iter().map(|(&name, &count)| (count, name)).filter(|(_, name)| !kept.contains(name)).collect();
    names.sort_by(|a, b| b.cmp(a));
    let letters = || ('a'..='z').chain('A'..='Z');
    let two = letters().flat_map(|a| letters().map(move |b| format!("{a}{b}")));
    let three = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
    let free = letters()
        .map(String::from)
        .chain(two)
        .chain(three)
        .filter(|name| !kept.contains(&**name) && !is_swizzle(name) && !is_reserved(name));
    names.into_iter().map(|(_, name)| name).zip(free).collect()
}

/// Names that a text declares: of functions, types, constants, variables, parameters and members.
fn declared<'a>(text: &[&'a str]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (at, &token) in text.iter().enumerate() {
        let place = match token {
            "fn" | "struct" | "alias" | "let" | "const" => Some(at + 1),
            "var" if text.get(at + 1) == Some(&"<") => text[at..].iter().position(|&token| token == ">").map(|length| at + length + 1),
            "var" => Some(at + 1),
            ":" => at.checked_sub(1),
            _ => None,
        };
        names.extend(place.filter(|&place| place < text.len() && is_name(text, place)).map(|place| text[place]));
    }
    names
}

/// Whether it may stand for components of a vector.
fn is_swizzle(name: &str) -> bool {
    name.len() <= 4 && ["xyzw", "rgba"].iter().any(|letters| name.chars().all(|c| letters.contains(c)))
}

/// Short words that WGSL keeps for itself.
fn is_reserved(name: &str) -> bool {
    [
        "as", "do", "fn", "if", "in", "is", "of", "asm", "for", "get", "let", "mod", "mut", "new", "pub", "ref", "set", "std", "try",
        "use", "var", "abs", "all", "any", "cos", "dot", "exp", "log", "max", "min", "pow", "sin", "tan", "f16", "f32", "i32", "u32",
    ]
    .contains(&name)
}

fn joined(text: &[&str], names: &BTreeMap<&str, String>) -> String {
    let mut out = String::new();
    for (at, &token) in text.iter().enumerate() {
        let token = names.get(token).filter(|_| is_name(text, at)).map_or(token, |name| name.as_str());
        let (before, first) = (out.chars().next_back().unwrap_or('\n'), token.chars().next().unwrap_or('\n'));
        // Two operators side by side might become another one.
        if (is_word(before) && is_word(first)) || (is_operator(before) && is_operator(first)) {
            out.push(' ');
        }
        out.push_str(token);
    }
    out
}
