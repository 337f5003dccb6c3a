//! A card, a task and an event in words, and words for a shell.
//!
//! Owns: what of an object a person wants to read. Must never know: terminals.

use std::borrow::Cow;

use a2a_core::{
    AgentCard, Artifact, Part, PartContent, Task, TaskPushNotificationConfig, TaskState,
    client::kafka::registry::Entry,
    wire::{kafka::BINDING, shown},
};

/// A state as people write it: `input-required`.
pub(crate) fn state(state: TaskState) -> String {
    if state == TaskState::Unspecified {
        return "unknown".to_owned();
    }
    let name = state.name();
    name.strip_prefix("TASK_STATE_").unwrap_or(name).to_ascii_lowercase().replace('_', "-")
}

/// Who the agent is, what it can do, and how it is reached.
pub(crate) fn card(card: &AgentCard) -> String {
    let mut lines = vec![format!("{} {}", card.name, card.version), line_of(&card.description)];
    let capabilities = [
        ("streams", card.capabilities.streaming),
        ("push notifications", card.capabilities.push_notifications),
        ("an extended card", card.capabilities.extended_agent_card),
    ];
    let able: Vec<&str> =
        capabilities.iter().filter(|it| it.1 == Some(true)).map(|it| it.0).collect();
    if !able.is_empty() {
        lines.push(format!("It has {}.", able.join(", ")));
    }
    for skill in &card.skills {
        lines.push(format!("  {}: {}", skill.name, skill.description));
        lines.extend(skill.examples.iter().map(|example| format!("    e.g. {example}")));
    }
    for interface in &card.supported_interfaces {
        let tenant = interface.tenant.as_deref().filter(|tenant| !tenant.is_empty());
        let tenant = tenant.map(|tenant| format!(" as tenant {tenant}")).unwrap_or_default();
        lines.push(format!("  {} at {}{tenant}", interface.protocol_binding, interface.url));
    }
    lines.retain(|line| !line.is_empty());
    // No line of the card's must look like another.
    Vec::from_iter(lines.iter().map(|line| shown::line(line))).join("\n")
}

/// An agent in a line of a cluster's list: its name, where it is reached over Kafka (else, where
/// first), and what it is for. Where its instances differ, which it is and all its addresses.
pub(crate) fn agent(entry: &Entry, differs: bool) -> String {
    let mut interfaces = entry.card.supported_interfaces.iter();
    let over_kafka = interfaces.clone().find(|interface| interface.protocol_binding == BINDING);
    let at = over_kafka.or_else(|| interfaces.next()).map_or("", |interface| &*interface.url);
    let what = line_of(&entry.card.description);
    let line = match differs {
        true => format!(
            "{}  {}  {what}",
            line_of(&Entry::key(&entry.agent, &entry.instance)),
            line_of(&entry.addresses().join(" "))
        ),
        false => format!("{}  {at}  {what}", entry.agent),
    };
    shown::line(line.trim_end()).into_owned()
}

/// How many agents these are, and which are there more than once.
pub(crate) fn agents(entries: &[Entry]) -> String {
    let mut names = Vec::from_iter(entries.iter().map(|entry| &*entry.agent));
    names.sort_unstable();
    let twice = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    let mut differ = Vec::from_iter(twice);
    differ.dedup();
    names.dedup();
    let told = count(names.len(), "agent");
    if differ.is_empty() {
        return told;
    }
    format!("{told}; the instances of {} point to different addresses", differ.join(", "))
}

/// A push configuration in a line: its id and its webhook.
pub(crate) fn push_config(config: &TaskPushNotificationConfig) -> String {
    let line = format!("{}  {}", config.id.as_deref().unwrap_or_default(), config.url);
    shown::line(&line).into_owned()
}

/// A task in a line of a list.
pub(crate) fn line(task: &Task) -> String {
    let when = task.status.timestamp.map(|at| at.to_string()).unwrap_or_default();
    let says = task.status.message.as_ref().map(|message| message.text()).unwrap_or_default();
    let says: String = line_of(&says).chars().take(60).collect();
    let state = state(task.status.state);
    let line = format!("{}  {state:<14}  {when}  {says}", task.id);
    shown::line(line.trim_end()).into_owned()
}

/// So many things.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A text on one line.
fn line_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text as one word of a shell: a line that is printed to be pasted may hold what an agent said.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "%+,-./:=@_".contains(sign);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

/// An artifact with its title.
pub(crate) fn artifact(artifact: &Artifact) -> String {
    let parts = parts(&artifact.parts);
    match title(artifact) {
        Some(title) => format!("{title}\n{parts}"),
        None => parts,
    }
}

/// What stands above an artifact.
pub(crate) fn title(artifact: &Artifact) -> Option<String> {
    let name = artifact.name.as_deref().filter(|name| !name.is_empty());
    name.map(|name| format!("# {}", shown::line(name)))
}

/// Parts one after the other: texts as they are, since they may be pieces of one; what is no text
/// on lines of its own.
pub(crate) fn parts(parts: &[Part]) -> String {
    let mut words = String::new();
    for part in parts {
        let PartContent::Text(text) = &part.content else {
            if !words.is_empty() && !words.ends_with('\n') {
                words.push('\n');
            }
            words.push_str(&thing(part));
            words.push('\n');
            continue;
        };
        words.push_str(text);
    }
    words
}

fn thing(part: &Part) -> String {
    let media_type = part.media_type.as_deref().map(|it| format!(", {it}")).unwrap_or_default();
    let name = part.filename.as_deref().unwrap_or("file");
    let thing = match &part.content {
        PartContent::Text(text) => return text.to_string(),
        PartContent::Data(data) => return shown::escaped(data.as_str(), None).into_owned(),
        PartContent::Raw(bytes) => format!("[{name}, {} bytes{media_type}]", bytes.len()),
        PartContent::Url(url) => format!("[{name} at {url}{media_type}]"),
    };
    shown::line(&thing).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_of_a_text_are_one_and_things_have_lines() {
        let all = [
            Part::text("58"),
            Part::text(" %"),
            Part::data(&json!({ "a": [1] })),
            Part::raw(&b"abc"[..]).named("a.bin").typed("x/y"),
            Part::url("https://a/b"),
            Part::text("end"),
        ];
        let expected = "58 %\n{\"a\":[1]}\n[a.bin, 3 bytes, x/y]\n[file at https://a/b]\nend";
        assert_eq!(parts(&all), expected);
        assert_eq!(state(TaskState::InputRequired), "input-required");
    }

    #[test]
    fn what_is_pasted_is_one_word() {
        for (text, word) in [
            ("kafka://a:1,b:2/agent.data.requests", "kafka://a:1,b:2/agent.data.requests"),
            ("a?reply-to=b", "'a?reply-to=b'"),
            ("x; rm -r ~", "'x; rm -r ~'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }
}
