//! The agent that the official A2A conformance kit (`a2aproject/a2a-tck`) talks to.
//!
//! The kit says what it wants by how a message's id begins; [`TRIGGERS`] is its list of wishes.
//! Owns: that list, and a card for it. Must never know: transports, and how the kit is run, which
//! is `cargo xtask conformance`.
//!
//! The programs are examples, so that `cargo lambda build` takes none of them for a function:
//! `runner` is the local runner and `function` the HTTP function, each with this agent.

use std::time::Duration;

use a2a_core::{
    Agent, AgentCapabilities, AgentCard, AgentError, AgentExecutor, AgentSkill, Artifact,
    EventQueue, Part, RequestContext, async_trait,
};
use serde_json::json;

use Step::{Ask, Authorize, Complete, Last, Make, Reject, Reply, Wait, Work};

/// One thing the agent does with a message.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Says that it is at work.
    Work,
    /// Makes [`ARTIFACT`] with one part.
    Make(fn() -> Part),
    /// Ends the artifact with another text.
    Last(&'static str),
    /// Lets time pass.
    Wait(Duration),
    /// Asks its client something.
    Ask(&'static str),
    /// Asks for an authorisation.
    Authorize(&'static str),
    /// Ends the task well, with these words if there are any.
    Complete(Option<&'static str>),
    /// Will not do it.
    Reject(&'static str),
    /// Answers without a task.
    Reply(&'static str),
}

/// The id of the only artifact a task gets.
pub const ARTIFACT: &str = "tck-artifact";

/// What is done with a message whose id begins with none of the prefixes.
pub const OTHERWISE: &[Step] = &[Complete(Some("Hello from TCK"))];

const DONE: Step = Complete(None);

/// How a message's id begins, and what is then done; of several that fit the longest counts. The
/// kit's `scenarios/*.feature` say this in Gherkin; the last two are its newest version's.
pub const TRIGGERS: &[(&str, &[Step])] = &[
    ("tck-complete-task", OTHERWISE),
    ("tck-artifact-text", &[Make(|| Part::text("Generated text content")), DONE]),
    ("tck-artifact-file", &[Make(file), DONE]),
    ("tck-artifact-file-url", &[Make(file_url), DONE]),
    ("tck-artifact-data", &[Make(|| Part::data(&json!({ "key": "value", "count": 42 }))), DONE]),
    ("tck-message-response", &[Reply("Direct message response")]),
    ("tck-input-required", &[Ask("What next?")]),
    ("tck-reject-task", &[Reject("rejected")]),
    ("tck-stream-001", &[Work, Make(|| Part::text("Stream hello from TCK")), DONE]),
    ("tck-stream-002", &[DONE]),
    ("tck-stream-003", &[Work, Make(|| Part::text("Stream task lifecycle")), DONE]),
    ("tck-stream-ordering-001", &[Work, Make(|| Part::text("Ordered output")), DONE]),
    ("tck-stream-artifact-text", &[Work, Make(|| Part::text("Streamed text content")), DONE]),
    ("tck-stream-artifact-file", &[Work, Make(file), DONE]),
    (
        "tck-stream-artifact-chunked",
        &[Work, Make(|| Part::text("chunk-1 ")), Last("chunk-2"), DONE],
    ),
    // Twice the time the kit listens to a stream that says nothing.
    ("test-resubscribe-message-id", &[Work, Wait(Duration::from_secs(4)), DONE]),
    ("tck-delayed-complete", &[Work, Wait(Duration::from_secs(2)), DONE]),
    ("tck-auth-required", &[Authorize("Please log in.")]),
];

fn file() -> Part {
    Part::raw("Generated file content").named("output.txt").typed("text/plain")
}

fn file_url() -> Part {
    Part::url("https://example.com/output.txt").named("output.txt").typed("text/plain")
}

/// The agent, as the programs want it.
pub fn agent() -> Agent {
    Agent::new(card(), TckExecutor)
}

/// Does what the kit's triggers say.
#[derive(Clone, Copy, Debug, Default)]
pub struct TckExecutor;

#[async_trait]
impl AgentExecutor for TckExecutor {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let id = &context.message().message_id;
        let fitting = TRIGGERS.iter().filter(|(prefix, _)| id.starts_with(prefix));
        let longest = fitting.max_by_key(|(prefix, _)| prefix.len());
        for step in longest.map_or(OTHERWISE, |(_, steps)| *steps) {
            match *step {
                Work => queue.working(()).await?,
                Make(part) => queue.artifact(Artifact::new(ARTIFACT, vec![part()])).await?,
                Last(text) => queue.last(ARTIFACT, text).await?,
                Wait(time) => tokio::time::sleep(time).await,
                Ask(question) => queue.require_input(question).await?,
                Authorize(request) => queue.require_auth(request).await?,
                Complete(Some(text)) => queue.complete(text).await?,
                Complete(None) => queue.complete(()).await?,
                Reject(why) => queue.reject(why).await?,
                Reply(text) => queue.reply(text).await?,
            }
        }
        Ok(())
    }
}

/// The agent's card, without the interfaces it is reached by.
///
/// It declares what is served: no push notifications yet, no extended card, no extension.
pub fn card() -> AgentCard {
    AgentCard {
        name: "tck".to_owned(),
        description: "Does what the A2A conformance kit asks for by its messages' ids.".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() },
        // The kit sends a part of a made-up type and wants it taken (its test of CORE-SEND-003,
        // against its own title: a2a-tck issue 202). This agent reads no part, so it takes all.
        default_input_modes: texts(&["*/*"]),
        default_output_modes: texts(&["text/plain", "application/json"]),
        skills: vec![AgentSkill {
            id: "tck".to_owned(),
            name: "Conformance".to_owned(),
            description: "Shows each behaviour that the kit checks.".to_owned(),
            tags: texts(&["conformance"]),
            ..AgentSkill::default()
        }],
        ..AgentCard::default()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[cfg(test)]
mod tests;
