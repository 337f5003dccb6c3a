//! Answers of servers that are newer than this client.
//!
//! Owns: what of an answer is not known here and need not be, so that one unknown value does not
//! make a whole task or card unreadable. Must never know: what is asked. Requests are never read so:
//! a server says what it does not understand.
//!
//! An unknown state or role is none that is said. A part of an unknown kind is data: all of it, as it
//! came. A security scheme of an unknown kind is left out, since nobody could satisfy it.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::types::{Part, Role, SecurityScheme, TaskState};

/// How deep what is mended stands at most: a card's and a task's own members are less deep.
const MAX_DEPTH: usize = 16;

/// The members of an object. One that is there twice is told by who reads the result.
type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// That answer without what is not known here; none when it is no JSON.
pub(super) fn without_the_unknown(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    mend(&mut out, "", serde_json::from_str(text).ok()?, MAX_DEPTH);
    Some(out)
}

fn mend(out: &mut String, name: &str, value: &RawValue, depth: usize) {
    match (name, value.get().as_bytes()[0]) {
        // What is carried, and not interpreted.
        ("metadata" | "data" | "params" | "header", _) => out.push_str(value.get()),
        ("state", _) if !is_a::<TaskState>(value) => out.push('0'),
        ("role", _) if !is_a::<Role>(value) => out.push('0'),
        (_, b'[' | b'{') if depth == 0 => out.push_str(value.get()),
        ("parts", b'[') => each(out, value, |out, part| match is_unknown_part(part) {
            true => out.extend(["{\"data\":", part.get(), "}"]),
            false => out.push_str(part.get()),
        }),
        (_, b'[') => each(out, value, |out, it| mend(out, name, it, depth - 1)),
        (_, b'{') => {
            let mut members = read::<Members>(value);
            if matches!(name, "securitySchemes" | "security_schemes") {
                members.retain(|_, scheme| is_a::<SecurityScheme>(scheme));
            }
            let mut before = '{';
            for (name, member) in members {
                // A text can always be written as JSON.
                let _ = write!(out, "{before}{}:", serde_json::Value::from(&*name));
                mend(out, &name, member, depth - 1);
                before = ',';
            }
            out.push_str(if before == '{' { "{}" } else { "}" });
        }
        _ => out.push_str(value.get()),
    }
}

fn each(out: &mut String, list: &RawValue, write: impl Fn(&mut String, &RawValue)) {
    out.push('[');
    for (place, item) in read::<Vec<&RawValue>>(list).into_iter().enumerate() {
        out.push_str(if place == 0 { "" } else { "," });
        write(out, item);
    }
    out.push(']');
}

fn read<'a, T: serde::Deserialize<'a> + Default>(value: &'a RawValue) -> T {
    serde_json::from_str(value.get()).unwrap_or_default()
}

fn is_a<T: DeserializeOwned>(value: &RawValue) -> bool {
    serde_json::from_str::<T>(value.get()).is_ok()
}

/// Whether it is an object with none of the contents there are.
fn is_unknown_part(part: &RawValue) -> bool {
    let known = ["text", "raw", "url", "data"];
    part.get().starts_with('{')
        && !is_a::<Part>(part)
        && !read::<Members>(part).keys().any(|name| known.contains(&&**name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_stays_as_it_is() {
        for (newer, mended) in [
            (r#"{"state":99}"#, r#"{"state":0}"#),
            (r#"{"state":"TASK_STATE_PAUSED","b":1.0}"#, r#"{"b":1.0,"state":0}"#),
            (r#"{"history":[{"role":"ROLE_TOOL"}]}"#, r#"{"history":[{"role":0}]}"#),
            (r#"{"role":"ROLE_USER"}"#, r#"{"role":"ROLE_USER"}"#),
            (r#"{"metadata":{"state":99}}"#, r#"{"metadata":{"state":99}}"#),
            (
                r#"{"parts":[{"text":"a"},{"sound":1e400,"mediaType":"x/y"},{"data":{}},{"text":5}]}"#,
                concat!(
                    r#"{"parts":[{"text":"a"},{"data":{"sound":1e400,"mediaType":"x/y"}},"#,
                    r#"{"data":{}},{"text":5}]}"#
                ),
            ),
            (
                r#"{"securitySchemes":{"a":{"newSecurityScheme":{}},"b":{"mtlsSecurityScheme":{}}}}"#,
                r#"{"securitySchemes":{"b":{"mtlsSecurityScheme":{}}}}"#,
            ),
            (r#"{"securitySchemes":{"a":5},"é\"":[]}"#, r#"{"securitySchemes":{},"é\"":[]}"#),
            ("[]", "[]"),
        ] {
            assert_eq!(without_the_unknown(newer).as_deref(), Some(mended), "{newer}");
        }
        assert_eq!(without_the_unknown("{"), None);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(without_the_unknown(&deep), Some(deep));
    }
}
