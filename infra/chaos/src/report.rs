//! What a run did and what it found, as a table.

use std::{fmt, path::PathBuf, time::Duration};

/// How many faults are told one by one.
const TOLD: usize = 25;

/// A run over one store.
#[derive(Clone, Debug)]
pub struct Report {
    /// The store's engine.
    pub store: &'static str,
    /// What makes the same plan again.
    pub seed: u64,
    /// What was counted.
    pub figures: Vec<(&'static str, usize)>,
    /// How long the exchange took, and how long everything.
    pub took: (Duration, Duration),
    /// What must not be; empty when all is well.
    pub faults: Vec<String>,
    /// Where the logs of the runners and of the executions are, if there are faults.
    pub logs: Option<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { store, seed, figures, took: (exchange, all), faults, logs } = self;
        writeln!(formatter, "chaos over {store}, --seed {seed}")?;
        for (name, figure) in figures {
            writeln!(formatter, "  {name:<44}{figure:>9}")?;
        }
        writeln!(formatter, "  {:<44}{:>9.1}", "seconds of the exchange", exchange.as_secs_f64())?;
        writeln!(formatter, "  {:<44}{:>9.1}", "seconds in all", all.as_secs_f64())?;
        writeln!(formatter, "  {:<44}{:>9}", "FAULTS", faults.len())?;
        for fault in faults.iter().take(TOLD) {
            writeln!(formatter, "  - {fault}")?;
        }
        if faults.len() > TOLD {
            writeln!(formatter, "  and {} more", faults.len() - TOLD)?;
        }
        if let Some(logs) = logs {
            writeln!(formatter, "  The logs are in {}.", logs.display())?;
        }
        Ok(())
    }
}
