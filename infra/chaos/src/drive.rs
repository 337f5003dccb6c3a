//! The exchange: requests go out, never more than a window without their answer, and each chain's
//! next one once the one before has brought what it needs.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rdkafka::producer::future_producer::DeliveryFuture;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    client::{Client, Reply},
    plan::Plan,
    request::{Known, Step},
};

/// No answer at all for this long means that none will come: longer than a dead runner's partitions
/// are held, and the broker's restart takes, together.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a request's record stands; the timestamp is in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

/// What was sent and answered.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Where each request's first record stands, by its number; those never sent are missing.
    pub(crate) positions: HashMap<usize, Position>,
    /// The answers to each request, in their order.
    pub(crate) replies: Vec<Vec<Reply>>,
}

struct Driver<'a> {
    plan: &'a Plan,
    client: &'a mut Client,
    exchange: Exchange,
    known: HashMap<usize, Known>,
    /// Which are sent, or are to be sent next.
    asked: Vec<bool>,
    answered: Vec<bool>,
    /// How many are sent and not answered.
    open: usize,
    done: usize,
    progress: watch::Sender<usize>,
}

/// Runs the plan's requests to their answers, or until there are none any more.
pub(crate) async fn drive(
    plan: &Plan,
    client: &mut Client,
    window: usize,
    progress: watch::Sender<usize>,
) -> Result<Exchange, String> {
    let all = plan.steps.len();
    let exchange = Exchange { replies: vec![Vec::new(); all], ..Exchange::default() };
    let (asked, answered) = (vec![false; all], vec![false; all]);
    let known = HashMap::new();
    let mut driver =
        Driver { plan, client, exchange, known, asked, answered, open: 0, done: 0, progress };
    driver.run(window).await?;
    Ok(driver.exchange)
}

impl<'a> Driver<'a> {
    async fn run(&mut self, window: usize) -> Result<(), String> {
        let mut deliveries = FuturesUnordered::new();
        let plan = self.plan;
        let mut firsts = plan.steps.iter().filter(|step| step.number == step.first);
        let mut ready: Vec<&Step> = Vec::new();
        let mut last = Instant::now();
        while self.done < plan.steps.len() {
            while self.open < window
                && let Some(step) = ready.pop().or_else(|| firsts.next())
            {
                for _ in 0..step.copies() {
                    let delivery = self.client.send(&step.record(self.known.get(&step.first)))?;
                    let number = step.number;
                    deliveries.push(async move { (number, delivery.await) });
                }
                self.asked[step.number] = true;
                self.open += 1;
            }
            tokio::select! {
                Some((number, delivered)) = deliveries.next() => self.place(number, delivered)?,
                reply = self.client.receive() => {
                    last = Instant::now();
                    ready.extend(self.take(reply?)?);
                }
                () = tokio::time::sleep(PATIENCE.saturating_sub(last.elapsed())) => return Ok(()),
            }
        }
        while let Some((number, delivered)) = deliveries.next().await {
            self.place(number, delivered)?;
        }
        Ok(())
    }

    /// Keeps where a request's first record stands.
    fn place(
        &mut self,
        number: usize,
        delivered: <DeliveryFuture as Future>::Output,
    ) -> Result<(), String> {
        let delivered = delivered.map_err(|_| "the client was closed".to_owned())?;
        let at = delivered.map_err(|(error, _)| format!("a request was not sent: {error}"))?;
        let timestamp = at.timestamp.to_millis().unwrap_or_default();
        let position = Position { partition: at.partition, offset: at.offset, timestamp };
        self.exchange.positions.entry(number).or_insert(position);
        Ok(())
    }

    /// Keeps an answer. What can be asked next is given back.
    fn take(&mut self, reply: Reply) -> Result<Option<&'a Step>, String> {
        let number = reply.number;
        let plan = self.plan;
        let step = plan.steps.get(number).filter(|_| self.asked[number]);
        let step =
            step.ok_or_else(|| format!("request {number} has an answer and was not asked"))?;
        let next = plan.after(number).filter(|next| !self.asked[next.number]);
        if next.is_some() && !self.known.contains_key(&step.first) {
            self.known.extend(known(&reply.value).map(|known| (step.first, known)));
        }
        let replies = &mut self.exchange.replies[number];
        replies.push(reply);
        let answered = match step.streams() {
            true => replies.iter().any(Reply::is_last),
            false => replies.len() >= step.copies(),
        };
        if answered && !self.answered[number] {
            self.answered[number] = true;
            self.open -= 1;
            self.done += 1;
            self.progress.send_replace(self.done);
        }
        // A task that is held is canceled while it is at work.
        let may_follow = answered || (step.holds() && self.known.contains_key(&step.first));
        let next = next.filter(|_| may_follow);
        if let Some(next) = next {
            self.asked[next.number] = true;
        }
        Ok(next)
    }
}

/// The task and the context in an answer, wherever they stand.
fn known(value: &[u8]) -> Option<Known> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let result = value.get("result").unwrap_or(&value);
    let task = result.get("task").unwrap_or(result);
    let text = |name: &str| Some(task.get(name)?.as_str()?.to_owned());
    Some(Known { task: text("id")?, context: text("contextId")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_in_every_form_of_an_answer() {
        for answer in [
            r#"{"id":"t","contextId":"c"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"id":"t","contextId":"c"}}}"#,
        ] {
            let known = known(answer.as_bytes()).expect("a task");
            assert_eq!((&*known.task, &*known.context), ("t", "c"));
        }
        assert!(known(br#"{"error":{"code":1}}"#).is_none());
    }
}
