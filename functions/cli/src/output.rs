//! What is printed, and where: for programs the protocol's own objects, one JSON per line; for
//! people the agent's words on standard output, and how it fares on standard error.
//!
//! Owns: the two ways, colours, and that nothing an agent says steers the terminal. Must never
//! know: calls, exit codes.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
};

use a2a_core::{
    AgentCard, Cursor, Error, Event, ListTaskPushNotificationConfigsResponse, ListTasksResponse,
    SendMessageResponse, StreamResponse, Task, TaskPushNotificationConfig, TaskState, TaskStatus,
    client::kafka::registry::Entry,
    wire::{shown, status},
};
use serde::Serialize;

use crate::words;

/// Where a command's output goes.
pub(crate) struct Output {
    json: bool,
    colours: bool,
    /// The agent's URL, for the command that answers its question.
    url: String,
    /// The task that is shown, once it was named.
    task: Option<String>,
    /// The last event of the stream that is watched.
    after: Option<Cursor>,
    /// Whether the last thing on standard output has no end of line yet.
    open_line: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (url, task, after) = (String::new(), None, None);
        Self { json, colours, url, task, after, open_line: false }
    }

    /// Says where the agent is that answers from here on.
    pub(crate) fn answered_with(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    pub(crate) fn card(&mut self, card: &AgentCard) -> io::Result<()> {
        if self.json { object(card) } else { self.say(&words::card(card)) }
    }

    pub(crate) fn agents(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            if self.json {
                object(&entry.card)?;
                continue;
            }
            let others = entries.iter().filter(|other| other.agent == entry.agent).count() > 1;
            self.say(&words::agent(entry, others))?;
        }
        if self.json { Ok(()) } else { self.note(&words::agents(entries)) }
    }

    pub(crate) fn sent(&mut self, response: &SendMessageResponse) -> io::Result<()> {
        if self.json {
            return object(response);
        }
        match response {
            SendMessageResponse::Task(task) => self.whole_task(task),
            SendMessageResponse::Message(message) => self.say(&words::parts(&message.parts)),
        }
    }

    pub(crate) fn task(&mut self, task: &Task) -> io::Result<()> {
        if self.json { object(task) } else { self.whole_task(task) }
    }

    pub(crate) fn tasks(&mut self, page: &ListTasksResponse) -> io::Result<()> {
        if self.json {
            return object(page);
        }
        for task in &page.tasks {
            self.say(&words::line(task))?;
        }
        let shown = page.tasks.len();
        self.note(&format!("{shown} of {} tasks", page.total_size))?;
        if !page.next_page_token.is_empty() {
            self.note(&format!("more: --page {}", page.next_page_token))?;
        }
        Ok(())
    }

    pub(crate) fn push_config(&mut self, config: &TaskPushNotificationConfig) -> io::Result<()> {
        if self.json { object(config) } else { self.say(&words::push_config(config)) }
    }

    pub(crate) fn push_configs(
        &mut self,
        page: &ListTaskPushNotificationConfigsResponse,
    ) -> io::Result<()> {
        if self.json {
            return object(page);
        }
        for config in &page.configs {
            self.say(&words::push_config(config))?;
        }
        self.note(&words::count(page.configs.len(), "configuration"))
    }

    /// A row of a table: for programs an object, for people a text.
    pub(crate) fn row(&mut self, row: &impl Serialize, text: &str) -> io::Result<()> {
        if self.json { object(row) } else { self.say(text) }
    }

    /// Something was done of which there is nothing to show.
    pub(crate) fn done(&mut self, what: &str) -> io::Result<()> {
        if self.json { object(&BTreeMap::<(), ()>::new()) } else { self.note(what) }
    }

    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        self.after = event.cursor.or(self.after);
        if self.json {
            let event_id = event.cursor.map(|cursor| cursor.to_string());
            return object(&JsonEvent { response: &event.response, event_id });
        }
        match &event.response {
            StreamResponse::Message(message) => self.say(&words::parts(&message.parts)),
            StreamResponse::Task(task) => {
                self.name_task(&task.id, &task.context_id)?;
                for artifact in &task.artifacts {
                    self.say(&words::artifact(artifact))?;
                }
                self.status(&task.status)
            }
            StreamResponse::StatusUpdate(update) => {
                self.name_task(&update.task_id, &update.context_id)?;
                self.status(&update.status)
            }
            StreamResponse::ArtifactUpdate(update) => {
                self.name_task(&update.task_id, &update.context_id)?;
                if !update.append {
                    self.end_line()?;
                    if let Some(title) = words::title(&update.artifact) {
                        self.say(&title)?;
                    }
                }
                self.grow(&words::parts(&update.artifact.parts), update.last_chunk)
            }
        }
    }

    /// The command was interrupted. The task that was watched goes on, and here is how to watch it
    /// again.
    pub(crate) fn interrupted(&mut self) {
        let _ = self.end_line();
        let Some(task) = self.task.clone().filter(|_| !self.json) else { return };
        let after = self.after.map(|cursor| format!(" --after {cursor}")).unwrap_or_default();
        let again = self.command(&format!("subscribe {}{after}", words::quoted(&task)));
        let _ = self.note(&format!("The task goes on; watch it again with: {again}"));
    }

    /// Why there is no more; on standard error. Nobody may be left to be told.
    pub(crate) fn error(&mut self, error: &Error) {
        #[derive(Serialize)]
        struct Failed<E> {
            error: E,
        }
        let _ = self.end_line();
        let told = Failed { error: status::jsonrpc_error(error) };
        let _ = match serde_json::to_string(&told) {
            Ok(told) if self.json => writeln!(io::stderr(), "{}", shown::escaped(&told, None)),
            _ => writeln!(io::stderr(), "{}", self.painted(&shown::line(error.message()), RED)),
        };
    }

    fn whole_task(&mut self, task: &Task) -> io::Result<()> {
        self.name_task(&task.id, &task.context_id)?;
        for artifact in &task.artifacts {
            self.say(&words::artifact(artifact))?;
        }
        self.status(&task.status)
    }

    fn name_task(&mut self, task: &str, context: &str) -> io::Result<()> {
        if self.task.as_deref() == Some(task) {
            return Ok(());
        }
        self.task = Some(task.to_owned());
        self.note(&format!("task {task} of context {context}"))
    }

    /// A state on standard error; what the agent says with it is an answer where the task is at
    /// rest, and progress before.
    fn status(&mut self, status: &TaskStatus) -> io::Result<()> {
        self.end_line()?;
        let said = status.message.as_ref().map(|message| words::parts(&message.parts));
        let state = words::state(status.state);
        let at_rest = status.state.is_terminal() || status.state.is_interrupted();
        match said.filter(|said| !said.is_empty()) {
            Some(said) if at_rest => {
                self.mark(status.state, &state)?;
                self.say(&said)?;
            }
            Some(said) => self.mark(status.state, &format!("{state}: {said}"))?,
            None => self.mark(status.state, &state)?,
        }
        if status.state == TaskState::InputRequired {
            let task = self.task.clone().unwrap_or_default();
            let answer = format!("send --task {} 'your answer'", words::quoted(&task));
            self.note(&format!("answer with: {}", self.command(&answer)))?;
        }
        Ok(())
    }

    /// A command to the same agent, as it is pasted into a shell.
    fn command(&self, command: &str) -> String {
        format!("a2a --url {} {command}", words::quoted(&self.url))
    }

    /// Adds to a text that is still growing.
    fn grow(&mut self, text: &str, ends: bool) -> io::Result<()> {
        let text = shown::text(text);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        self.open_line = if text.is_empty() { self.open_line } else { !text.ends_with('\n') };
        if ends && self.open_line {
            self.open_line = false;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.end_line()?;
        if text.is_empty() { Ok(()) } else { self.grow(text, true) }
    }

    /// Ends a text that is still growing.
    pub(crate) fn end_line(&mut self) -> io::Result<()> {
        self.grow("", true)
    }

    fn mark(&mut self, state: TaskState, text: &str) -> io::Result<()> {
        let colour = match state {
            TaskState::Completed => GREEN,
            TaskState::Failed | TaskState::Rejected | TaskState::Canceled => RED,
            TaskState::InputRequired | TaskState::AuthRequired => YELLOW,
            _ => DIM,
        };
        // A line of the agent's must not look like one of ours.
        let text = shown::text(text).replace('\n', "\n  ");
        writeln!(io::stderr(), "{}", self.painted(&text, colour))
    }

    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        self.end_line()?;
        writeln!(io::stderr(), "{}", self.painted(&shown::line(text), DIM))
    }

    fn painted(&self, text: &str, colour: &str) -> String {
        if self.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// An event for programs, with its cursor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonEvent<'a> {
    #[serde(flatten)]
    response: &'a StreamResponse,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
}

const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// One of the protocol's objects, on a line.
fn object(value: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_string(value)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", shown::escaped(&line, None))?;
    out.flush()
}
