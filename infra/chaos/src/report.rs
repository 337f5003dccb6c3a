//! What a run did and what it found, as a table.

use std::{fmt, path::PathBuf};

/// How many faults are told one by one.
const TOLD: usize = 25;

/// A run over one store.
#[derive(Clone, Debug)]
pub struct Report {
    /// The store's engine.
    pub store: &'static str,
    /// What makes the same plan again.
    pub seed: u64,
    /// What was counted and measured.
    pub figures: Vec<(&'static str, String)>,
    /// What must not be; empty when all is well.
    pub faults: Vec<String>,
    /// Where the logs of the runners and of the executions are, if there are faults.
    pub logs: Option<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { store, seed, figures, faults, logs } = self;
        writeln!(formatter, "chaos over {store}, --seed {seed}")?;
        let count = ("FAULTS", faults.len().to_string());
        for (name, figure) in figures.iter().chain([&count]) {
            writeln!(formatter, "  {name:<44}{figure:>9}")?;
        }
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
