//! Very many followers of one task in one process: what memory that takes.
//!
//! It is measured in a process of its own, whose memory nothing else has grown before: the driver
//! starts this same program with the command `follow`, which prints two figures.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use a2a_core::task::TaskKey;
use clap::Args;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::task::JoinHandle;

use super::streams::CHUNKS;
use super::subject::{Subject, open_twice, soon};
use super::writer::{Store, Writer};
use crate::child::resident_mb;
use crate::report::{Aim, Row};

/// Megabytes, for a thousand followers: a sixth of what it would be if each kept the 400 chunks.
const AIM: f64 = 64.0;

/// How long a slow follower takes for each chunk: longer than it takes to append one.
const SLOW: Duration = Duration::from_millis(5);
/// Names the store to the child.
const URL: &str = "A2A_BENCH_STORE";

/// Followers of one task.
#[derive(Debug, Args)]
pub(crate) struct Crowd {
    /// The store
    #[arg(long, env = URL, hide_env_values = true)]
    url: String,
    /// How many there are
    #[arg(long)]
    followers: usize,
    /// How many of them are slow
    #[arg(long)]
    slow: usize,
}

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>, String> {
    let followers = subject.size.followers;
    let mut rows = Vec::new();
    for (what, slow) in [("", 0), (", a tenth slow", followers / 10)] {
        let (grown, seconds) = measure(subject, followers, slow)?;
        let name = format!("{followers} followers of 400 chunks{what}, growth of RSS");
        rows.push(Row::of(name, "MB", Aim::Below(AIM), [grown]));
        rows.push(Row::of("until all of them have all", "s", Aim::None, [seconds]));
    }
    Ok(rows)
}

/// The child's two figures.
fn measure(subject: &Subject, followers: usize, slow: usize) -> Result<(f64, f64), String> {
    let program = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let mut command = Command::new(program);
    command.arg("follow").arg(format!("--followers={followers}")).arg(format!("--slow={slow}"));
    // In its environment, because a URL may hold a password.
    command.env(URL, &subject.url).stderr(Stdio::inherit());
    let output =
        command.output().map_err(|error| format!("cannot start the followers: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    match *figures {
        [grown, seconds] => Ok((grown, seconds)),
        _ => Err("the followers ended without figures".to_owned()),
    }
}

impl Crowd {
    /// Follows, and prints by how many megabytes the process grew at most, and in how many seconds
    /// all had everything.
    pub(super) async fn follow(&self) -> Result<(), String> {
        let (ours, other) = open_twice(&self.url).await?;
        let mut writer = Writer::new(&ours);
        writer.open().await?;
        let before = resident_mb("self")?;
        let followers: Vec<JoinHandle<Result<(), String>>> = (0..self.followers)
            .map(|number| {
                let pause = (number < self.slow).then_some(SLOW);
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
            let ended = soon("the last follower's last entry", try_join_all(followers)).await?;
            ended.map_err(|error| error.to_string())?.into_iter().collect::<Result<(), String>>()
        });
        let mut most = before;
        while !work.is_finished() {
            most = most.max(resident_mb("self")?);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        work.await.map_err(|error| error.to_string())??;
        println!("{} {}", most - before, begin.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Follows until every chunk has come, in order.
async fn have_all(store: Store, key: TaskKey, pause: Option<Duration>) -> Result<(), String> {
    let mut tail = store.tail(key, 1);
    for version in (2..).take(CHUNKS) {
        let slot = tail.next().await.ok_or("a tail ended")?;
        let slot = slot.map_err(|error| format!("a tail broke: {error}"))?;
        if slot.version != version {
            return Err(format!("slot {} came in place of {version}", slot.version));
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}
