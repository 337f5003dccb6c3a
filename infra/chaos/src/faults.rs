//! The faults of the plan, done one after another as the exchange goes on.

use std::{thread, time::Duration};

use anyhow::{Error, Result};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use xtask::Kafka;

use crate::{plan::Fault, runners::Runners};

/// How long something that was killed stays unavailable at most.
const OUTAGE_MS: u64 = 1_500;

/// Does each when as many requests are answered as it says. Answers with those that were done,
/// and the broker.
pub(crate) async fn run(
    faults: &[(usize, Fault)],
    seed: u64,
    (runners, mut kafka): (&mut Runners, Kafka),
    mut progress: watch::Receiver<usize>,
) -> Result<(Vec<Fault>, Kafka)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut done = Vec::new();
    for (at, fault) in faults {
        // The exchange is over; what is missing is told elsewhere.
        if progress.wait_for(|answered| answered >= at).await.is_err() {
            break;
        }
        let outage = Duration::from_millis(random.u64(..OUTAGE_MS));
        let any = random.usize(..runners.count().max(1));
        match fault {
            Fault::Kill => {
                runners.kill(any).await?;
                sleep(outage).await;
                runners.start()?;
            }
            Fault::Join => runners.start()?,
            Fault::Leave => {
                runners.ready().await?;
                runners.end(any).await?;
            }
            Fault::Roll => {
                for _ in 0..runners.count() {
                    runners.start()?;
                    runners.ready().await?;
                    runners.end(0).await?;
                }
            }
            Fault::Broker => {
                runners.ready().await?;
                let restarted = spawn_blocking(move || {
                    kafka.stop()?;
                    thread::sleep(outage);
                    kafka.restart().map(|()| kafka)
                });
                kafka = restarted.await?.map_err(Error::msg)?;
            }
        }
        done.push(*fault);
    }
    Ok((done, kafka))
}
