//! Templates of replies.
//!
//! A template is the reply as it is after normalising. An object with the member `".."` may have
//! further members.

use serde_json::{Value, json};

/// Whether a reply matches its template; otherwise where it does not.
pub(crate) fn matches(template: &Value, reply: &Value) -> Result<(), String> {
    compare("$", template, reply)
}

fn compare(path: &str, template: &Value, reply: &Value) -> Result<(), String> {
    match (template, reply) {
        (Value::Object(wanted), Value::Object(found)) => {
            let open = wanted.contains_key("..");
            for (name, value) in wanted.iter().filter(|(name, _)| *name != "..") {
                let Some(found) = found.get(name) else { return Err(format!("no {path}.{name}")) };
                compare(&format!("{path}.{name}"), value, found)?;
            }
            match found.iter().find(|(name, _)| !open && !wanted.contains_key(*name)) {
                Some((name, value)) => Err(format!("{path}.{name} is not expected: {value}")),
                None => Ok(()),
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let mut pairs = wanted.iter().zip(found).enumerate();
            pairs.try_for_each(|(at, (wanted, found))| {
                compare(&format!("{path}[{at}]"), wanted, found)
            })
        }
        _ if template == reply => Ok(()),
        _ => Err(format!("{path} is {reply}, not {template}")),
    }
}

/// A task's template: its number and its context's, and its state without `TASK_STATE_`.
pub(crate) fn task(task: u8, context: u8, state: &str) -> Expected {
    Expected {
        task: format!("task-{task}"),
        context: format!("context-{context}"),
        state: state.to_owned(),
        says: None,
        history: Vec::new(),
        artifacts: Vec::new(),
    }
}

/// A task to be expected.
#[derive(Clone)]
pub(crate) struct Expected {
    task: String,
    context: String,
    state: String,
    says: Option<Value>,
    history: Vec<Value>,
    artifacts: Vec<Value>,
}

impl Expected {
    /// What the agent says with the state: the message's number and its text.
    pub(crate) fn says(mut self, message: u8, text: &str) -> Self {
        self.says = Some(self.agent(message, text));
        self
    }

    /// The next message in the history is the user's.
    pub(crate) fn user(self, text: &str) -> Self {
        self.user_parts(json!([{ "text": text }]))
    }

    pub(crate) fn user_parts(mut self, parts: Value) -> Self {
        self.history.push(json!({
            "messageId": "from-user", "role": "ROLE_USER", "parts": parts,
            "taskId": self.task, "contextId": self.context,
        }));
        self
    }

    /// The next message in the history is the agent's.
    pub(crate) fn asked(mut self, message: u8, text: &str) -> Self {
        self.history.push(self.agent(message, text));
        self
    }

    /// The next artifact.
    pub(crate) fn artifact(mut self, artifact: Value) -> Self {
        self.artifacts.push(artifact);
        self
    }

    fn agent(&self, message: u8, text: &str) -> Value {
        json!({
            "messageId": format!("message-{message}"), "role": "ROLE_AGENT",
            "parts": [{ "text": text }], "taskId": self.task, "contextId": self.context,
        })
    }

    fn status(&self) -> Value {
        let mut status = json!({ "state": format!("TASK_STATE_{}", self.state), "timestamp": "T" });
        if let Some(message) = &self.says {
            status["message"] = message.clone();
        }
        status
    }

    /// The bare task: a get's, a cancel's.
    pub(crate) fn json(&self) -> Value {
        let mut task =
            json!({ "id": self.task, "contextId": self.context, "status": self.status() });
        if !self.history.is_empty() {
            task["history"] = self.history.clone().into();
        }
        if !self.artifacts.is_empty() {
            task["artifacts"] = self.artifacts.clone().into();
        }
        task
    }

    /// A send's reply, and a stream's first event.
    pub(crate) fn sent(&self) -> Value {
        json!({ "task": self.json() })
    }

    /// A stream's event: this task's state is now that of this template.
    pub(crate) fn update(&self) -> Value {
        json!({ "statusUpdate":
            { "taskId": self.task, "contextId": self.context, "status": self.status() } })
    }

    /// A stream's event: an artifact, or a piece of one.
    pub(crate) fn artifact_update(&self, artifact: Value, append: bool, last: bool) -> Value {
        let mut event = json!({
            "taskId": self.task, "contextId": self.context, "artifact": artifact,
        });
        for (name, _) in [("append", append), ("lastChunk", last)].iter().filter(|it| it.1) {
            event[*name] = true.into();
        }
        json!({ "artifactUpdate": event })
    }
}

/// A stream of these events.
pub(crate) fn stream(events: impl IntoIterator<Item = Value>) -> Value {
    json!({ "stream": events.into_iter().collect::<Vec<Value>>() })
}

/// An artifact of one text.
pub(crate) fn text_artifact(id: &str, texts: &[&str]) -> Value {
    let parts: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
    json!({ "artifactId": id, "parts": parts })
}

/// An error of that reason with that sentence; its details are compared between the transports.
pub(crate) fn refused(reason: &str, sentence: &str) -> Value {
    json!({ "error": { "reason": reason, "message": sentence, "..": true } })
}

/// An error that names each field at fault.
pub(crate) fn invalid(violations: &[(&str, &str)]) -> Value {
    let sentences = violations.iter().map(|(field, fault)| format!("{field} {fault}"));
    let listed =
        violations.iter().map(|(field, fault)| json!({ "field": field, "description": fault }));
    json!({ "error": {
        "reason": "INVALID_PARAMS",
        "message": sentences.collect::<Vec<_>>().join("; "),
        "metadata": {},
        "violations": listed.collect::<Vec<_>>(),
    } })
}

#[test]
fn a_template_says_where_a_reply_differs() {
    let template = json!({ "a": [{ "b": 1, "..": true }], "c": "x" });
    assert_eq!(matches(&template, &json!({ "a": [{ "b": 1, "d": 2 }], "c": "x" })), Ok(()));
    for (reply, difference) in [
        (json!({ "a": [{ "b": 2 }], "c": "x" }), "$.a[0].b is 2, not 1"),
        (json!({ "a": [{ "d": 1 }], "c": "x" }), "no $.a[0].b"),
        (json!({ "a": [{ "b": 1 }], "c": "x", "d": 1 }), "$.d is not expected: 1"),
        (json!({ "a": [], "c": "x" }), r#"$.a is [], not [{"..":true,"b":1}]"#),
    ] {
        assert_eq!(matches(&template, &reply), Err(difference.to_owned()));
    }
}
