//! One invocation, read as its answer comes.
//!
//! Owns: putting the parts together, and the end of the wait. Must never know: how the parts came.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::sync::mpsc;

use crate::{
    answer::{Answer, Chunk, Head},
    failure::{Failure, Log},
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
    /// The beginning of a streamed HTTP response, until its prelude is whole.
    front: Option<BytesMut>,
    /// What has come and was not taken yet.
    answer: Answer,
    ended: bool,
}

impl Invocation {
    pub(crate) fn new(
        parts: mpsc::UnboundedReceiver<Part>,
        process: Arc<Process>,
        began: Instant,
        limit: Duration,
    ) -> Self {
        let answer = Answer::default();
        Self { parts, process, began, limit, front: None, answer, ended: false }
    }

    /// The head of a streamed HTTP response, as soon as it is there.
    ///
    /// # Errors
    /// As [`Invocation::answer`], and when the answer is no such response.
    pub async fn head(&mut self) -> Result<Head, Failure> {
        while self.answer.head.is_none() && !self.ended {
            self.take_part().await?;
        }
        let head = self.answer.head.clone();
        head.ok_or_else(|| self.broken("it is no streamed HTTP response"))
    }

    /// The next piece of the body, none at its end. Then the process is frozen.
    ///
    /// # Errors
    /// As [`Invocation::answer`].
    pub async fn chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        while self.answer.chunks.is_empty() && !self.ended {
            self.take_part().await?;
        }
        let waiting = &mut self.answer.chunks;
        Ok((!waiting.is_empty()).then(|| waiting.remove(0)))
    }

    /// The answer, or what is left of it after pieces were taken.
    ///
    /// # Errors
    /// [`Failure`]: the function answers with an error, ends, or does not answer in time.
    pub async fn answer(mut self) -> Result<Answer, Failure> {
        while !self.ended {
            self.take_part().await?;
        }
        Ok(self.answer)
    }

    async fn take_part(&mut self) -> Result<(), Failure> {
        let bounds = (self.began, self.limit);
        let part = self.process.bound(self.parts.recv(), "the invocation", bounds).await?;
        match part {
            Some(Part::Begin { streamed, http }) => {
                self.answer.streamed = streamed;
                self.front = http.then(BytesMut::new);
            }
            Some(Part::Data(mut bytes, at)) => {
                if let Some(mut front) = self.front.take() {
                    front.extend_from_slice(&bytes);
                    self.answer.head = Head::take(&mut front).map_err(|why| self.broken(&why))?;
                    if self.answer.head.is_none() {
                        self.front = Some(front);
                        return Ok(());
                    }
                    bytes = front.freeze();
                }
                if !bytes.is_empty() {
                    self.answer.chunks.push(Chunk { bytes, at: at.duration_since(self.began) });
                }
            }
            Some(Part::End(_)) if self.front.is_some() => {
                return Err(self.broken("it ended within its prelude"));
            }
            Some(Part::End(at)) => {
                (self.ended, self.answer.took) = (true, at.duration_since(self.began));
            }
            Some(Part::Error { kind, body }) => return Err(Failure::Error { kind, body }),
            // A process that is killed breaks its connections a moment before it has ended; then
            // that is the news.
            Some(Part::Broken(reason)) => {
                let grace = tokio::time::timeout(Duration::from_secs(1), self.process.exited());
                return Err(grace.await.unwrap_or_else(|_| self.broken(&reason)));
            }
            None => return Err(self.broken("the Runtime API has gone")),
        }
        Ok(())
    }

    fn broken(&self, reason: &str) -> Failure {
        Failure::Broken(reason.to_owned(), Log(self.process.log()))
    }
}
