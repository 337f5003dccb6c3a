//! One request: what it asks for, and the records that ask.
//!
//! Owns: the binding's forms as a client writes them, by hand: the project's own client would only
//! show that the two agree. Must never know: when it is sent, whether the answer is right.

use serde_json::{Value, json};

use crate::agent::Words;

/// A request of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Its place in the plan.
    pub(crate) number: usize,
    /// The first of its chain: the one that made the task.
    pub(crate) first: usize,
    /// Where it is sent.
    pub(crate) partition: i32,
    /// What it asks for.
    pub(crate) kind: Kind,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// That the agent does something.
    Say(Form, Words),
    /// Cancel the task of the chain's first.
    Cancel,
    /// Show that task, which has ended.
    Get,
    /// Show a task that there is not.
    GetUnknown,
    /// List that task's context.
    List,
    /// What is no request.
    Poison(&'static Poison),
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the brief's form.
    Brief,
    /// By JSON-RPC.
    Send,
    /// So that it is answered with a stream.
    Stream,
    /// Under an idempotency key.
    Keyed,
    /// The same, which the client sends twice.
    Twice,
    /// As the answer to the question of the chain's first.
    Tell,
    /// The same, answered with a stream.
    TellStream,
    /// In the conversation of this number, without waiting for what was said there before.
    Lane(usize),
}

/// What is no request, or none that can be served.
#[derive(Debug)]
pub(crate) struct Poison {
    /// The record's value.
    pub(crate) value: Option<&'static [u8]>,
    /// What makes a good value bad: a header.
    pub(crate) header: Option<(&'static str, &'static str)>,
    /// Whether it has a key.
    pub(crate) has_key: bool,
    /// The reason that its answer gives.
    pub(crate) reason: &'static str,
}

impl Poison {
    const fn value(reason: &'static str, value: &'static [u8]) -> Self {
        Self { value: Some(value), header: None, has_key: true, reason }
    }

    const fn header(reason: &'static str, name: &'static str, text: &'static str) -> Self {
        let value = br#"{"message":{"text":"r0 {\"Work\":[1,0]}"}}"#;
        Self { value: Some(value), header: Some((name, text)), has_key: true, reason }
    }
}

/// All of them.
pub(crate) const POISONS: &[Poison] = &[
    Poison { value: None, header: None, has_key: true, reason: "INVALID_REQUEST" },
    Poison::value("INVALID_REQUEST", b""),
    Poison::value("PARSE_ERROR", b"\xff\xfe"),
    Poison::value("PARSE_ERROR", b"{\"message\":"),
    Poison::value("INVALID_PARAMS", b"{\"message\":5}"),
    Poison::value("INVALID_REQUEST", b"[]"),
    Poison::value("METHOD_NOT_FOUND", br#"{"jsonrpc":"2.0","id":1,"method":"Sing"}"#),
    Poison::value(
        "INVALID_PARAMS",
        br#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":7}}"#,
    ),
    Poison::header("VERSION_NOT_SUPPORTED", "a2a-version", "99.0"),
    Poison::header("DEADLINE_EXCEEDED", "a2a-deadline", "2001-01-01T00:00:00Z"),
    Poison::header("INVALID_PARAMS", "a2a-deadline", "soon"),
    Poison::header("PERMISSION_DENIED", "a2a-reply-to", "elsewhere"),
    Poison::header("INVALID_REQUEST", "a2a-event-id", "1-1"),
    Poison::header("INVALID_REQUEST", "a2a-last", "true"),
    Poison {
        value: Some(br#"{"message":"nobody to answer to"}"#),
        header: None,
        has_key: false,
        reason: "INVALID_REQUEST",
    },
];

/// What the chain's first request has brought.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The task's id.
    pub(crate) task: String,
    /// Its context's.
    pub(crate) context: String,
}

/// A record to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) partition: i32,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// The header under which a client's own key travels.
const IDEMPOTENCY_KEY: &str = "a2a-idempotency-key";
/// The header by which the answer to a record without a key is found again.
const TRACEPARENT: &str = "traceparent";

impl Step {
    /// How the agent names it in all it says.
    pub(crate) fn name(&self) -> String {
        format!("r{}", self.number)
    }

    /// What the agent is asked for, if it is.
    pub(crate) fn words(&self) -> Option<Words> {
        if let Kind::Say(_, words) = self.kind { Some(words) } else { None }
    }

    fn is(&self, forms: &[Form]) -> bool {
        matches!(&self.kind, Kind::Say(form, _) if forms.contains(form))
    }

    /// Whether it is answered with a stream.
    pub(crate) fn streams(&self) -> bool {
        self.is(&[Form::Stream, Form::TellStream])
    }

    /// Whether it says something to the task of the chain's first.
    pub(crate) fn follows_up(&self) -> bool {
        self.is(&[Form::Tell, Form::TellStream])
    }

    /// The number of its conversation, where there are several messages at once.
    pub(crate) fn lane(&self) -> Option<usize> {
        if let Kind::Say(Form::Lane(lane), _) = self.kind { Some(lane) } else { None }
    }

    /// Whether it is sent in a transaction.
    pub(crate) fn in_transaction(&self) -> bool {
        self.number % 10 == 3 && self.lane().is_none()
    }

    /// Whether it makes a task that is at work for a while.
    pub(crate) fn holds(&self) -> bool {
        matches!(self.words(), Some(Words::Hold(_)))
    }

    /// How many records ask for it.
    pub(crate) fn copies(&self) -> usize {
        if self.is(&[Form::Twice]) { 2 } else { 1 }
    }

    /// The key that the client chose for it, if it did.
    pub(crate) fn idempotency_key(&self) -> Option<String> {
        self.is(&[Form::Keyed, Form::Twice]).then(|| self.name())
    }

    /// Its record. The chain's first needs to know nothing.
    pub(crate) fn record(&self, known: Option<&Known>) -> Outgoing {
        let has_key = !matches!(self.kind, Kind::Poison(Poison { has_key: false, .. }));
        let own = match self.kind {
            Kind::Poison(Poison { header, .. }) => {
                header.map(|(name, text)| (name, text.to_owned()))
            }
            _ => self.idempotency_key().map(|key| (IDEMPOTENCY_KEY, key)),
        };
        let trace = || (TRACEPARENT, format!("00-{:032x}-{:016x}-01", self.number + 1, 1));
        let headers = own.into_iter().chain((!has_key).then(trace)).collect();
        let value = match self.kind {
            Kind::Poison(Poison { value, .. }) => value.map(<[u8]>::to_vec),
            _ => Some(self.value(known).to_string().into_bytes()),
        };
        let key = has_key.then(|| format!("c{}", self.number));
        Outgoing { partition: self.partition, key, value, headers }
    }

    fn value(&self, known: Option<&Known>) -> Value {
        let task = known.map_or("there-is-none", |known| &known.task);
        let text = self.words().map(|words| words.text(&self.name())).unwrap_or_default();
        let mut message =
            json!({"messageId": self.name(), "role": "ROLE_USER", "parts": [{"text": text}]});
        if self.follows_up() {
            message["taskId"] = task.into();
        }
        if let Some(lane) = self.lane() {
            message["contextId"] = format!("lane-{lane}").into();
        }
        let (method, params) = match self.kind {
            Kind::Say(Form::Brief, _) => return json!({"message": {"text": text}}),
            Kind::Cancel => ("CancelTask", json!({"id": task})),
            Kind::Get | Kind::GetUnknown => ("GetTask", json!({"id": task})),
            Kind::List => {
                let context = known.map_or("", |known| &known.context);
                ("ListTasks", json!({"contextId": context, "includeArtifacts": true}))
            }
            _ if self.streams() => ("SendStreamingMessage", json!({"message": message})),
            _ => ("SendMessage", json!({"message": message})),
        };
        json!({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
    }
}

/// Which request an answer is to, by its key or, without one, by its trace.
pub(crate) fn number(key: Option<&[u8]>, traceparent: Option<&str>) -> Option<usize> {
    match key {
        Some(key) => std::str::from_utf8(key).ok()?.strip_prefix('c')?.parse().ok(),
        None => {
            let trace = traceparent?.split('-').nth(1)?;
            usize::from_str_radix(trace, 16).ok()?.checked_sub(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_by_its_key_or_its_trace() {
        for poison in POISONS {
            let step = Step { number: 70, first: 70, partition: 0, kind: Kind::Poison(poison) };
            let record = step.record(None);
            let trace = record.headers.iter().find(|(name, _)| *name == TRACEPARENT);
            let trace = trace.map(|(_, value)| value.as_str());
            assert_eq!(number(record.key.as_deref().map(str::as_bytes), trace), Some(70));
        }
        assert_eq!(number(Some(b"x"), None), None);
        assert_eq!(number(None, None), None);
    }

    #[test]
    fn a_follow_up_names_the_task() {
        let kind = Kind::Say(Form::Tell, Words::Work(1, 0));
        let step = Step { number: 8, first: 7, partition: 0, kind };
        let known = Known { task: "t".to_owned(), context: "c".to_owned() };
        let value = step.value(Some(&known));
        assert_eq!(value["params"]["message"]["taskId"], "t");
        assert_eq!(value["params"]["message"]["parts"][0]["text"], Words::Work(1, 0).text("r8"));
    }
}
