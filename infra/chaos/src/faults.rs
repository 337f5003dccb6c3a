//! The faults of the plan, done one after another as the exchange goes on.

use std::time::Duration;

use tokio::sync::watch;

use crate::{broker::Broker, plan::Fault, random::Random, runners::Runners};

/// How long something that was killed stays away at most.
const AWAY_MS: usize = 1_500;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) kills: usize,
    pub(crate) joins: usize,
    pub(crate) leaves: usize,
    pub(crate) broker_restarts: usize,
}

/// Does each when as many requests are answered as it says.
pub(crate) async fn run(
    faults: &[(usize, Fault)],
    seed: u64,
    runners: &mut Runners,
    broker: &mut Option<Broker>,
    mut progress: watch::Receiver<usize>,
) -> Result<Done, String> {
    let mut random = Random::new(seed);
    let mut done = Done::default();
    for (at, fault) in faults {
        // The exchange is over; what is missing is told elsewhere.
        if progress.wait_for(|answered| answered >= at).await.is_err() {
            break;
        }
        let away = Duration::from_millis(random.below(AWAY_MS) as u64);
        match fault {
            Fault::Kill => {
                runners.kill(random.below(runners.count().max(1)))?;
                tokio::time::sleep(away).await;
                runners.start()?;
                done.kills += 1;
            }
            Fault::Join => {
                runners.start()?;
                done.joins += 1;
            }
            Fault::Leave => {
                runners.end(random.below(runners.count().max(1))).await?;
                done.leaves += 1;
            }
            Fault::Broker => {
                restart(broker, away).await?;
                done.broker_restarts += 1;
            }
        }
    }
    Ok(done)
}

async fn restart(broker: &mut Option<Broker>, away: Duration) -> Result<(), String> {
    let Some(mut own) = broker.take() else { return Err("there is no broker".to_owned()) };
    let restarted = tokio::task::spawn_blocking(move || {
        own.stop()?;
        std::thread::sleep(away);
        own.start_again()?;
        Ok::<_, String>(own)
    });
    *broker = Some(restarted.await.map_err(|error| format!("the restart broke off: {error}"))??);
    Ok(())
}
