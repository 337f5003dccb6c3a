//! The workspace's own source as [`tidy`](crate::tidy) reads it: each file as it is, and as code
//! alone, without comments and tests. Only as much of a lexer as that takes.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// A Rust file.
pub(crate) struct Source {
    /// From the workspace's root, for example `core/src/run.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Without comments, tests and what stands in string literals; as long as the text, so that
    /// lines are the same.
    pub(crate) code: String,
    /// The string literals outside of tests: their line and what stands in them.
    pub(crate) strings: Vec<(usize, String)>,
}

impl Source {
    pub(crate) fn new(path: &str, text: String) -> Self {
        let (mut code, literals) = blanked(&text);
        let tests = test_items(&code);
        for range in &tests {
            blank(&mut code, range.clone());
        }
        let strings = literals
            .into_iter()
            .filter(|literal| !tests.iter().any(|test| test.contains(&literal.start)))
            .map(|literal| (line_of(&text, literal.start), text[literal].to_owned()))
            .collect();
        Self { path: path.to_owned(), text, code, strings }
    }

    /// The lines of code in which the word stands, by itself or as the end of a longer name if it
    /// begins with a sign.
    pub(crate) fn lines_with(&self, word: &str) -> Vec<usize> {
        let found = self.code.match_indices(word).filter(|(at, _)| {
            let before = self.code[..*at].chars().next_back();
            let after = self.code[at + word.len()..].chars().next();
            let joins = |sign: Option<char>, edge: Option<char>| {
                sign.is_some_and(is_name) && edge.is_some_and(is_name)
            };
            !joins(before, word.chars().next()) && !joins(after, word.chars().next_back())
        });
        found.map(|(at, _)| line_of(&self.code, at)).collect()
    }

    /// The first folder or file below `core/src`, for example `wire`.
    pub(crate) fn module(&self) -> Option<&str> {
        let path = self.path.strip_prefix("core/src/")?;
        Some(path.split('/').next()?.trim_end_matches(".rs"))
    }
}

fn is_name(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Overwrites with blanks, line breaks apart.
fn blank(text: &mut String, range: Range<usize>) {
    let blanks: String = text[range.clone()]
        .chars()
        .flat_map(|sign| match sign {
            '\n' => vec!['\n'],
            sign => vec![' '; sign.len_utf8()],
        })
        .collect();
    text.replace_range(range, &blanks);
}

/// The text without comments and literals, and where the string literals' insides are.
fn blanked(text: &str) -> (String, Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let (mut code, mut literals, mut gone) = (text.to_owned(), Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let named = at > 0 && is_name(char::from(bytes[at - 1]));
        if rest.starts_with("//") {
            let end = at + rest.find('\n').unwrap_or(rest.len());
            gone.push(at..end);
            at = end;
        } else if rest.starts_with("/*") {
            let end = at + rest.find("*/").map_or(rest.len(), |end| end + 2);
            gone.push(at..end);
            at = end;
        } else if let Some((start, end)) = raw_string(rest).filter(|_| !named) {
            literals.push(at + start..at + end);
            at += end + start - 1;
        } else if let Some(inside) = rest.strip_prefix('"') {
            let inside = string_end(inside);
            literals.push(at + 1..at + 1 + inside);
            at += inside + 2;
        } else if let Some(end) = char_end(rest).filter(|_| !named || bytes[at - 1] == b'b') {
            gone.push(at..at + end);
            at += end;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    for range in gone.iter().chain(&literals) {
        blank(&mut code, range.clone());
    }
    (code, literals)
}

/// Where the inside of a raw string begins and ends.
fn raw_string(text: &str) -> Option<(usize, usize)> {
    let prefix = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = prefix.len() - prefix.trim_start_matches('#').len();
    let inside = prefix[hashes..].strip_prefix('"')?;
    let start = text.len() - inside.len();
    let end = inside.find(&format!("\"{}", "#".repeat(hashes)))?;
    Some((start, start + end))
}

fn string_end(inside: &str) -> usize {
    let mut escaped = false;
    for (at, sign) in inside.char_indices() {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    inside.len()
}

/// How long a character literal is; none for a lifetime.
fn char_end(text: &str) -> Option<usize> {
    let mut signs = text.char_indices();
    signs.next().filter(|(_, sign)| *sign == '\'')?;
    match signs.next()? {
        (_, '\\') => {
            signs.next()?;
            signs.find(|(_, sign)| *sign == '\'').map(|(at, _)| at + 1)
        }
        _ => signs.next().filter(|(_, sign)| *sign == '\'').map(|(at, _)| at + 1),
    }
}

/// The items under `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let items = code.match_indices("#[cfg(test)]").map(|(start, _)| {
        let mut depth = 0;
        for (at, sign) in code[start..].char_indices() {
            match sign {
                '{' => depth += 1,
                '}' if depth == 1 => return start..start + at + 1,
                '}' => depth -= 1,
                ';' if depth == 0 => return start..start + at + 1,
                _ => {}
            }
        }
        start..code.len()
    });
    items.collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the workspace that is not Rust.
pub(crate) fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether the workspace has this file.
pub(crate) fn exists(path: &str) -> bool {
    root().join(path).is_file()
}

/// The names in a folder of the workspace.
pub(crate) fn entries(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap);
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Every Rust file of the workspace, in order.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let mut sources = Vec::new();
        for folder in ["core", "functions", "infra"] {
            collect(&root().join(folder), folder, &mut sources);
        }
        sources
    });
    assert!(SOURCES.iter().any(|source| source.path == "core/src/lib.rs"));
    &SOURCES
}

fn collect(folder: &Path, path: &str, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{path}/{name}");
        if entry.file_type().unwrap().is_dir() {
            if !matches!(&*name, "target" | "node_modules") && !name.starts_with('.') {
                collect(&entry.path(), &path, sources);
            }
        } else if name.ends_with(".rs") {
            // An editor may be at it.
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            sources.push(Source::new(&path, text));
        }
    }
}

#[test]
fn code_is_told_from_what_is_not() {
    let source = Source::new(
        "core/src/wire/x.rs",
        [
            "//! unsafe",
            "use crate::{store::{Store, Head}, types};  // crate::run",
            "fn f<'a>(x: &'a str) -> char { let y = r#\"unsafe \" {\"#; /* unsafe */ '\"' }",
            "fn g() { h('\\'', b'{', \"a\\\"unsafe\"); crate::handler::i(); my_unsafe(); }",
            "#[cfg(test)]",
            "mod tests { fn f() { unsafe { \"}\" } } }",
            "fn k() { unsafe_code(); x.unwrap() }",
        ]
        .join("\n"),
    );
    assert_eq!(source.lines_with("unsafe"), [0; 0]);
    assert_eq!(source.lines_with(".unwrap("), [7]);
    let strings: Vec<_> = source.strings.iter().map(|(line, text)| (*line, &**text)).collect();
    assert_eq!(strings, [(3, "unsafe \" {"), (4, "a\\\"unsafe")]);
    assert_eq!(source.module(), Some("wire"));
    assert_eq!(source.code.len(), source.text.len());
}
