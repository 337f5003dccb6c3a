//! The exchange: requests go out, never more than a window without their answer, and each chain's
//! next one once the one before has brought what it needs.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use rdkafka::producer::future_producer::Delivery;
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

/// What was sent and answered.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Where each request's first record stands, by its number; those never sent are missing.
    pub(crate) positions: HashMap<usize, Delivery>,
    /// The answers to each request, in their order.
    pub(crate) replies: Vec<Vec<Reply>>,
}

struct Driver<'a> {
    plan: &'a Plan,
    exchange: Exchange,
    /// What each chain's first request has brought.
    known: HashMap<usize, Known>,
    /// What is to be sent next.
    ready: Vec<&'a Step>,
    /// Which are sent, or are to be sent next.
    asked: HashSet<usize>,
    answered: HashSet<usize>,
}

/// Runs the plan's requests to their answers, or until there are none any more.
pub(crate) async fn drive(
    plan: &Plan,
    client: &mut Client,
    window: usize,
    progress: watch::Sender<usize>,
) -> Result<Exchange> {
    let replies = vec![Vec::new(); plan.steps.len()];
    let exchange = Exchange { replies, ..Exchange::default() };
    let (known, asked, answered) = Default::default();
    let mut driver = Driver { plan, exchange, known, ready: Vec::new(), asked, answered };
    let mut firsts = plan.steps.iter().filter(|step| step.number == step.first);
    let (mut deliveries, mut last) = (FuturesUnordered::new(), Instant::now());
    while driver.answered.len() < plan.steps.len() || !deliveries.is_empty() {
        while driver.asked.len() - driver.ready.len() - driver.answered.len() < window
            && let Some(step) = driver.ready.pop().or_else(|| firsts.next())
        {
            for _ in 0..step.copies() {
                let record = step.record(driver.known.get(&step.first));
                let delivery = match step.in_transaction() {
                    true => client.transact(record).left_future(),
                    false => client.send(&record)?.right_future(),
                };
                deliveries.push(async move { (step.number, delivery.await) });
            }
            driver.asked.insert(step.number);
        }
        tokio::select! {
            Some((number, delivered)) = deliveries.next() => {
                driver.exchange.positions.entry(number).or_insert(delivered?);
            }
            reply = client.receive() => {
                last = Instant::now();
                driver.take(reply?)?;
                progress.send_replace(driver.answered.len());
            }
            () = tokio::time::sleep(PATIENCE.saturating_sub(last.elapsed())) => break,
        }
    }
    Ok(driver.exchange)
}

impl Driver<'_> {
    /// Keeps an answer, and makes ready what can be asked next.
    fn take(&mut self, reply: Reply) -> Result<()> {
        let number = reply.number;
        let step = self.plan.steps.get(number).filter(|_| self.asked.contains(&number));
        let step =
            step.with_context(|| format!("request {number} has an answer and was not asked"))?;
        let next = self.plan.after(number).filter(|next| !self.asked.contains(&next.number));
        if next.is_some() && !self.known.contains_key(&step.first) {
            self.known.extend(known(&reply.value).map(|known| (step.first, known)));
        }
        let replies = &mut self.exchange.replies[number];
        replies.push(reply);
        let answered = match step.streams() {
            true => replies.iter().any(Reply::is_last),
            false => replies.len() >= step.copies(),
        };
        if answered {
            self.answered.insert(number);
        }
        // A task that is held is canceled while it is at work.
        let may_follow = answered || (step.holds() && self.known.contains_key(&step.first));
        if let Some(next) = next.filter(|_| may_follow) {
            self.asked.insert(next.number);
            self.ready.push(next);
        }
        Ok(())
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
