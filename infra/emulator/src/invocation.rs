//! One invocation, read as its answer comes.
//!
//! Owns: putting the parts together, and the end of the wait. Must never know: how the parts came.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    answer::{Answer, Chunk, Head},
    failure::Failure,
    process::Process,
    runtime_api::Part,
};

/// An invocation under way.
#[derive(Debug)]
pub struct Invocation {
    parts: mpsc::UnboundedReceiver<Part>,
    process: Arc<Process>,
    began: Instant,
    limit: Duration,
    streamed: bool,
    http: bool,
    head: Option<Head>,
    /// What has come and was not taken yet.
    waiting: Vec<Chunk>,
    ended: Option<Instant>,
}

impl Invocation {
    pub(crate) fn new(
        parts: mpsc::UnboundedReceiver<Part>,
        process: Arc<Process>,
        began: Instant,
        limit: Duration,
    ) -> Self {
        Self {
            parts,
            process,
            began,
            limit,
            streamed: false,
            http: false,
            head: None,
            waiting: Vec::new(),
            ended: None,
        }
    }

    /// The head of a streamed HTTP response, as soon as it is there.
    ///
    /// # Errors
    /// As [`Invocation::answer`], and when the answer is no such response.
    pub async fn head(&mut self) -> Result<Head, Failure> {
        while self.head.is_none() && self.ended.is_none() {
            self.take_part().await?;
        }
        let none = || self.broken("it is no streamed HTTP response".to_owned());
        self.head.clone().ok_or_else(none)
    }

    /// The next piece of the body, none at its end. Then the process is frozen.
    ///
    /// # Errors
    /// As [`Invocation::answer`].
    pub async fn chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        let headless = |this: &Self| this.http && this.head.is_none();
        while (self.waiting.is_empty() || headless(self)) && self.ended.is_none() {
            self.take_part().await?;
        }
        Ok((!self.waiting.is_empty()).then(|| self.waiting.remove(0)))
    }

    /// The answer, or what is left of it after pieces were taken.
    ///
    /// # Errors
    /// [`Failure`]: the function answers with an error, ends, or does not answer in time.
    pub async fn answer(mut self) -> Result<Answer, Failure> {
        while self.ended.is_none() {
            self.take_part().await?;
        }
        let took = self.ended.unwrap_or(self.began).duration_since(self.began);
        Ok(Answer { streamed: self.streamed, head: self.head, chunks: self.waiting, took })
    }

    async fn take_part(&mut self) -> Result<(), Failure> {
        let until = tokio::time::Instant::from_std(self.began + self.limit);
        let part = tokio::select! {
            biased;
            part = self.parts.recv() => part,
            how = self.process.ended() => {
                return Err(Failure::Exited { how, log: self.process.log() });
            }
            () = tokio::time::sleep_until(until) => {
                self.process.kill();
                let (what, limit) = ("the invocation", self.limit);
                return Err(Failure::Late { what, limit, log: self.process.log() });
            }
        };
        match part {
            Some(Part::Begin { streamed, http }) => (self.streamed, self.http) = (streamed, http),
            Some(Part::Data(bytes, at)) => {
                self.waiting.push(Chunk { bytes, at: at.duration_since(self.began) });
                if self.http && self.head.is_none() {
                    let head = Head::take(&mut self.waiting);
                    self.head = head.map_err(|reason| self.broken(reason))?;
                }
            }
            Some(Part::End(at)) => {
                if self.http && self.head.is_none() {
                    return Err(self.broken("it ended within its prelude".to_owned()));
                }
                self.ended = Some(at);
            }
            Some(Part::Error { kind, body }) => return Err(Failure::Error { kind, body }),
            // A process that is killed breaks its connections a moment before it has ended; then
            // that is the news.
            Some(Part::Broken(reason)) => {
                let grace = tokio::time::timeout(Duration::from_secs(1), self.process.ended());
                return Err(match grace.await {
                    Ok(how) => Failure::Exited { how, log: self.process.log() },
                    Err(_) => self.broken(reason),
                });
            }
            None => return Err(self.broken("the Runtime API has gone".to_owned())),
        }
        Ok(())
    }

    fn broken(&self, reason: String) -> Failure {
        Failure::Broken { reason, log: self.process.log() }
    }
}
