//! A journal, read as the story of its messages: which attempts were made at each, and what came of
//! it. Whatever does not fit is the fault this program looks for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use a2a_core::{
    Message, PartContent,
    task::{Entry, Slot},
};
use anyhow::{Context, Result, bail, ensure};

use crate::agent::{Words, signed};

/// A message of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The request's name.
    pub(crate) name: String,
    /// How many attempts were made at it.
    pub(crate) attempts: u32,
    /// Which of its steps were recorded as done, and during which attempt.
    pub(crate) steps: HashMap<Arc<str>, u32>,
    /// When its outcome was recorded, in milliseconds since 1970, where that was said.
    pub(crate) ended: Option<i64>,
}

/// A journal's messages, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    pub(crate) messages: Vec<Told>,
    /// Whether the journal has its end: a terminal state or a reply.
    pub(crate) over: bool,
    /// Whether somebody is at work.
    at_work: bool,
    /// Who is.
    runner: Option<Arc<str>>,
    runners: HashSet<Arc<str>>,
}

impl Story {
    /// Reads a whole journal.
    ///
    /// # Errors
    /// In words, the first entry that should not be where it is.
    pub(crate) fn read(slots: &[Slot]) -> Result<Self> {
        let mut story = Self::default();
        for (slot, version) in slots.iter().zip(1..) {
            ensure!(slot.version == version, "slot {version} is missing");
            for (entry, index) in slot.entries.iter().zip(0..) {
                story.take(entry).with_context(|| format!("{version}-{index}"))?;
            }
        }
        Ok(story)
    }

    fn take(&mut self, entry: &Entry) -> Result<()> {
        ensure!(!self.over, "an entry after the end");
        match entry {
            Entry::Submitted(submitted) => self.submit(&submitted.message)?,
            Entry::Started(started) => {
                let attempts = self.newest()?.attempts + 1;
                let attempt = started.attempt;
                ensure!(attempt == attempts, "attempt {attempt} where {attempts} is due");
                ensure!(attempts == 1 || self.at_work, "an attempt after the outcome");
                let is_new = self.runners.insert(Arc::clone(&started.runner));
                ensure!(is_new, "a runner begins twice");
                self.newest()?.attempts = attempts;
                (self.at_work, self.runner) = (true, Some(Arc::clone(&started.runner)));
            }
            Entry::Heartbeat(beat) => {
                let is_current = self.runner.as_ref() == Some(&beat.runner);
                ensure!(is_current, "a heartbeat of a runner that was fenced");
            }
            // The next attempt may begin; this runner is done.
            Entry::Released(released) => {
                let is_current = self.runner.take() == Some(Arc::clone(&released.runner));
                ensure!(is_current, "a release by a runner that was fenced");
            }
            Entry::Step(step) => {
                let told = self.newest()?;
                let attempt = told.attempts;
                told.steps.entry(Arc::clone(&step.name)).or_insert(attempt);
            }
            Entry::KeyUsed(_) => bail!("an idempotency key's journal where a task's is due"),
            Entry::Artifact(event) => {
                for part in &event.artifact.parts {
                    let PartContent::Text(text) = &part.content else { continue };
                    self.hear(text)?;
                }
            }
            Entry::Status(event) => {
                let state = event.status.state;
                let text = event.status.message.as_ref().map(|it| it.text()).unwrap_or_default();
                // One that is not the agent's, a cancel or a failure, is signed by nobody.
                if signed(&text).is_some() {
                    self.hear(&text)?;
                }
                let may_be = self.at_work || state.is_terminal();
                ensure!(may_be, "{} while nobody is at work", state.name());
                if state.is_terminal() || state.is_interrupted() {
                    (self.at_work, self.over) = (false, state.is_terminal());
                    let newest = self.newest()?;
                    newest.ended = newest.ended.or(event.status.timestamp.map(|at| at.as_millis()));
                }
            }
            Entry::Replied(message) => {
                self.over = true;
                self.hear(&message.text())?;
            }
            _ => {}
        }
        Ok(())
    }

    fn submit(&mut self, message: &Message) -> Result<()> {
        ensure!(!self.at_work, "a message was admitted while another was worked on");
        let text = message.text();
        let (name, _) = Words::read(&text).with_context(|| format!("{text:?} was never sent"))?;
        let is_new = self.messages.iter().all(|told| told.name != name);
        ensure!(is_new, "{name} was admitted twice");
        self.messages.push(Told { name: name.to_owned(), ..Told::default() });
        Ok(())
    }

    fn newest(&mut self) -> Result<&mut Told> {
        self.messages.last_mut().context("an entry before any message")
    }

    /// What the agent says must be of the attempt that is under way.
    fn hear(&mut self, text: &str) -> Result<()> {
        ensure!(self.at_work, "{text:?} while nobody is at work");
        let Told { name, attempts, .. } = self.newest()?;
        let is_theirs = signed(text) == Some((&**name, *attempts));
        ensure!(is_theirs, "{text:?} in attempt {attempts} at {name}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use a2a_core::{
        Artifact, Part, TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent,
        Timestamp,
        task::{Started, Submitted},
    };

    use super::*;
    use crate::agent::{piece, signature};

    fn submitted(words: &str) -> Entry {
        let message = Message::user("m", vec![Part::text(words)]);
        Entry::from(Submitted::new(Arc::new(message), Timestamp::from_millis(1)))
    }

    fn started(attempt: u32, runner: &str) -> Entry {
        Entry::Started(Started {
            runner: runner.into(),
            host: None,
            attempt,
            at: Timestamp::from_millis(2),
        })
    }

    fn said(text: &str) -> Entry {
        Entry::Artifact(Arc::new(TaskArtifactUpdateEvent {
            artifact: Artifact::new("pieces", vec![Part::text(text)]),
            ..TaskArtifactUpdateEvent::default()
        }))
    }

    fn status(state: TaskState, text: &str) -> Entry {
        let message = Arc::new(Message::user("m", vec![Part::text(text)]));
        let timestamp = Some(Timestamp::from_millis(9));
        Entry::Status(Arc::new(TaskStatusUpdateEvent {
            status: TaskStatus { state, message: Some(message), timestamp },
            ..TaskStatusUpdateEvent::default()
        }))
    }

    fn read(entries: Vec<Entry>) -> Result<Story> {
        let slot = |(entry, version)| Slot { version, entries: Arc::new([entry]) };
        Story::read(&entries.into_iter().zip(1..).map(slot).collect::<Vec<_>>())
    }

    #[test]
    fn a_good_journal_is_told() {
        let story = read(vec![
            submitted(&Words::Ask.text("r1")),
            started(1, "a"),
            status(TaskState::InputRequired, &signature("r1", 1)),
            submitted(&Words::Work(2, 0).text("r2")),
            started(1, "b"),
            status(TaskState::Working, ""),
            said(&piece("r2", 1, 0)),
            started(2, "c"),
            said(&piece("r2", 2, 0)),
            said(&piece("r2", 2, 1)),
            status(TaskState::Completed, &signature("r2", 2)),
        ]);
        let story = story.expect("nothing is wrong with it");
        let told = |name: &str, attempts| Told {
            name: name.to_owned(),
            attempts,
            ended: Some(9),
            ..Told::default()
        };
        assert_eq!((story.messages, story.over), (vec![told("r1", 1), told("r2", 2)], true));
    }

    #[test]
    fn what_does_not_fit_is_found() {
        let begun = || vec![submitted(&Words::Work(2, 0).text("r1")), started(1, "a")];
        let done = |attempt| status(TaskState::Completed, &signature("r1", attempt));
        for (more, found) in [
            (vec![started(2, "b"), said(&piece("r1", 1, 0))], "in attempt 2 at r1"),
            (vec![started(2, "b"), done(1)], "in attempt 2 at r1"),
            (vec![started(3, "b")], "attempt 3 where 2 is due"),
            (vec![started(2, "a")], "a runner begins twice"),
            (vec![done(1), started(2, "b")], "an entry after the end"),
            (vec![submitted(&Words::Ask.text("r2"))], "while another was worked on"),
            (
                vec![status(TaskState::InputRequired, ""), said(&piece("r1", 1, 0))],
                "while nobody is at work",
            ),
            (vec![said(&piece("r2", 1, 0))], "in attempt 1 at r1"),
        ] {
            let what = format!("{:#}", read([begun(), more].concat()).expect_err(found));
            assert!(what.contains(found), "{what}");
        }
    }
}
