//! Very many followers of one task in one process: what memory that takes.
//!
//! It is measured in a process of its own, whose memory nothing else has grown before: a child that
//! says two figures.

use std::time::{Duration, Instant};

use a2a_core::task::TaskKey;
use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::task::JoinHandle;

use super::streams::CHUNKS;
use super::subject::{Subject, open_twice, soon};
use super::writer::{Store, Writer};
use crate::child::{self, Followers, Server, resident_mb};
use crate::report::{Aim, Row};

/// Megabytes, for a thousand followers: a sixth of what it would be if each kept the 400 chunks.
const AIM: f64 = 64.0;

/// How long a slow follower takes for each chunk: longer than it takes to append one.
const SLOW: Duration = Duration::from_millis(5);

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>> {
    let count = subject.size.followers;
    let mut rows = Vec::new();
    for (what, slow) in [("", 0), (", a tenth slow", count / 10)] {
        let followers = Followers { url: subject.url.clone(), count, slow };
        let child = Server::start(&child::Subject::Followers(followers))?;
        let figures = child.address().split(' ').filter_map(|it| it.parse().ok());
        let [grown, seconds] = figures.collect::<Vec<f64>>()[..] else {
            bail!("the followers' figures are {}", child.address());
        };
        let name = format!("{count} followers of 400 chunks{what}, growth of RSS");
        rows.push(Row::of(name, "MB", Aim::Below(AIM), [grown]));
        rows.push(Row::of("until all of them have all", "s", Aim::None, [seconds]));
    }
    Ok(rows)
}

/// The child's side: follows, and says by how many megabytes the process grew at most, and in how
/// many seconds all had everything.
pub(crate) async fn follow(followers: &Followers, say: impl FnOnce(&str)) -> Result<()> {
    let (ours, other) = open_twice(&followers.url).await?;
    let mut writer = Writer::new(&ours);
    writer.open().await?;
    let before = resident_mb("self")?;
    let tails: Vec<JoinHandle<Result<()>>> = (0..followers.count)
        .map(|number| {
            let pause = (number < followers.slow).then_some(SLOW);
            tokio::spawn(have_all(Store::clone(&other), writer.key().clone(), pause))
        })
        .collect();
    // By then they wait for what comes.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    let work = tokio::spawn(async move {
        for _ in 0..CHUNKS {
            writer.chunk().await?;
        }
        let ended = soon("the last follower's last entry", try_join_all(tails)).await?;
        ended?.into_iter().collect::<Result<()>>()
    });
    let mut most = before;
    while !work.is_finished() {
        most = most.max(resident_mb("self")?);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    work.await??;
    say(&format!("{} {}", most - before, begin.elapsed().as_secs_f64()));
    Ok(())
}

/// Follows until every chunk has come, in order.
async fn have_all(store: Store, key: TaskKey, pause: Option<Duration>) -> Result<()> {
    let mut tail = store.tail(key, 1);
    for version in (2..).take(CHUNKS) {
        let slot = tail.next().await.context("a tail ended")?.context("a tail broke")?;
        ensure!(slot.version == version, "slot {} came in place of {version}", slot.version);
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}
