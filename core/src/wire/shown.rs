//! Text from outside, as it is shown: on a terminal, in a log.
//!
//! Owns: which signs steer what shows them, and what stands there instead. Must never know: terminals.
//!
//! A terminal does what control characters say, a reader believes what marks of direction make of a
//! line, and a line break makes another line, which may look like one of the program's own.

use std::{borrow::Cow, fmt::Write};

/// Whether a sign steers what shows it: control characters (C0, DEL, C1), line and paragraph
/// separators, marks of direction, annotations and tags. A joiner, as in emoji, does not.
pub fn steers(sign: char) -> bool {
    sign.is_control()
        || matches!(
            sign,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text of several lines: `U+FFFD` in place of what steers.
pub fn text(text: &str) -> Cow<'_, str> {
    replaced(text, |sign| match sign {
        '\n' | '\t' => None,
        sign => steers(sign).then_some('\u{fffd}'),
    })
}

/// A text on one line: a blank in place of line breaks and tabs too.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, |sign| match sign {
        '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        sign => steers(sign).then_some('\u{fffd}'),
    })
}

fn replaced(text: &str, by: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if !text.chars().any(|sign| by(sign).is_some()) {
        return text.into();
    }
    text.chars().map(|sign| by(sign).unwrap_or(sign)).collect()
}

/// A text with `\u` and its number in place of what steers, but for `spared`: of JSON it makes the
/// same JSON.
pub fn escaped(text: &str, spared: Option<char>) -> Cow<'_, str> {
    let is_escaped = |sign: char| steers(sign) && Some(sign) != spared;
    if !text.contains(is_escaped) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 64);
    for sign in text.chars() {
        if !is_escaped(sign) {
            out.push(sign);
            continue;
        }
        for unit in sign.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` never fails.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers() {
        let plain = "a\tb\nc 승률 é 👩\u{200d}💻 می\u{200c}خواهم";
        assert_eq!(text(plain), plain);
        assert_eq!(line("a\tb\r\nc\u{85}d\u{2028}e"), "a b  c d e");
        for sign in ['\0', '\u{7}', '\u{1b}', '\r', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}'] {
            let given = format!("a{sign}b");
            assert_eq!(text(&given), "a\u{fffd}b", "{sign:?}");
            assert!(!line(&given).contains(steers), "{sign:?}");
        }
        let signs = ('\0'..=char::MAX).filter(|sign| steers(*sign));
        let json = serde_json::to_string(&signs.collect::<String>()).unwrap();
        let escaped = escaped(&json, None);
        assert!(!escaped.contains(steers));
        let [read, again] =
            [&json, &*escaped].map(|it| serde_json::from_str::<String>(it).unwrap());
        assert_eq!(read, again);
        assert_eq!(
            super::escaped("\u{1b}[2m\u{9b}\u{e0041}\n", Some('\u{1b}')),
            "\u{1b}[2m\\u009b\\udb40\\udc41\\u000a"
        );
    }
}
