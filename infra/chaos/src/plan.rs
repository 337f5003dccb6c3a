//! What is asked and what is broken when, decided by a seed.
//!
//! Owns: the mix of requests, and the schedule of faults: each comes when so many requests are
//! answered, so that a seed gives the same schedule on a fast machine and on a slow one. Must never
//! know: how a request is written, how a fault is done.

use fastrand::Rng;

use crate::{
    agent::Words,
    request::{
        Form,
        Kind::{self, Say},
        POISONS, Step,
    },
};

/// A run's requests and faults.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// By their numbers. A request of the chain of the one before follows its reply.
    pub(crate) steps: Vec<Step>,
    /// In order: after how many answered requests, and what.
    pub(crate) faults: Vec<(usize, Fault)>,
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A runner is killed and, a moment later, started again.
    Kill,
    /// A second runner joins.
    Join,
    /// The second runner leaves, as it should.
    Leave,
    /// The broker is killed and started again.
    Broker,
    /// Each runner has its successor started beside it and leaves, as at a deployment.
    Roll,
}

/// Requests for one kill of a runner.
const REQUESTS_OF_A_KILL: usize = 2_500;

/// Requests of which each but the first follows the reply to the one before.
type Chain = fn(&mut Rng) -> Vec<Kind>;

/// How often each chain comes, in a hundred.
const MIX: &[(usize, Chain)] = &[
    (22, |random| vec![Say(Form::Brief, work(random))]),
    (20, |random| vec![Say(Form::Send, work(random))]),
    (14, |random| vec![Say(Form::Stream, work(random))]),
    (6, |_| vec![Say(Form::Brief, Words::Reply)]),
    (6, |_| vec![Say(Form::Send, Words::Reply)]),
    (6, |random| vec![Say(Form::Keyed, work(random))]),
    (3, |random| vec![Say(Form::Twice, work(random))]),
    (5, |random| vec![Say(Form::Send, Words::Ask), Say(Form::Tell, work(random)), Kind::List]),
    (3, |random| {
        vec![Say(Form::Brief, Words::Ask), Say(Form::TellStream, work(random)), Kind::Get]
    }),
    (2, |_| vec![Say(Form::Send, Words::Ask), Kind::Cancel]),
    (1, |random| vec![Say(Form::Stream, Words::Hold(random.u64(100..2_000))), Kind::Cancel]),
    (4, |random| vec![Say(Form::Send, work(random)), Kind::Get]),
    (2, |_| vec![Kind::GetUnknown]),
    (6, |random| vec![Kind::Poison(&POISONS[random.usize(..POISONS.len())])]),
    (5, |random| (0..random.usize(2..6)).map(|_| Say(Form::Lane(0), work(random))).collect()),
];

/// Most work is done at once; some takes long enough to be killed in the middle, and some as long as
/// a model does, or much longer, in several steps.
fn work(random: &mut Rng) -> Words {
    match random.u8(..200) {
        0 => Words::Work(4, 5_000),
        1..20 => Words::Work(random.usize(1..4), random.u64(..1_000)),
        20..30 => Words::Work(random.usize(4..12), random.u64(10..50)),
        _ => Words::Work(random.usize(1..4), 0),
    }
}

impl Plan {
    /// The plan of that seed: that many requests to so many partitions.
    pub(crate) fn new(seed: u64, requests: usize, partitions: i32) -> Self {
        let mut random = Rng::with_seed(seed);
        Self {
            steps: steps(&mut random, requests, partitions),
            faults: faults(&mut random, requests),
        }
    }

    /// The request that follows that one's reply, if one does.
    pub(crate) fn after(&self, number: usize) -> Option<&Step> {
        let next = self.steps.get(number + 1)?;
        (next.first == self.steps[number].first).then_some(next)
    }
}

fn steps(random: &mut Rng, requests: usize, partitions: i32) -> Vec<Step> {
    let chains = MIX.iter().flat_map(|(share, chain)| vec![chain; *share]);
    let chains: Vec<&Chain> = chains.collect();
    let mut steps = Vec::with_capacity(requests);
    while steps.len() < requests {
        let mut kinds = chains[random.usize(..chains.len())](random);
        let (first, begins) = (steps.len(), random.i32(0..partitions));
        if kinds.len() > requests - first {
            // Half a chain would leave its task without its end.
            kinds = vec![Kind::GetUnknown];
        }
        for (kind, index) in kinds.into_iter().zip(0..) {
            let number = steps.len();
            steps.push(match kind {
                // All at once, and where their offsets have an order.
                Say(Form::Lane(_), words) => {
                    let kind = Say(Form::Lane(first), words);
                    Step { number, first: number, partition: begins, kind }
                }
                // Another partition each: a stream that waits for its cancel would hold it up.
                kind => Step { number, first, partition: (begins + index) % partitions, kind },
            });
        }
    }
    steps
}

fn faults(random: &mut Rng, requests: usize) -> Vec<(usize, Fault)> {
    let mut at =
        |from: usize, to: usize, fault| (random.usize(requests * from..requests * to) / 100, fault);
    let mut faults = vec![
        at(15, 35, Fault::Join),
        at(40, 55, Fault::Broker),
        at(60, 75, Fault::Leave),
        at(80, 90, Fault::Roll),
    ];
    faults.extend((0..requests / REQUESTS_OF_A_KILL).map(|_| at(3, 97, Fault::Kill)));
    faults.sort_unstable();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan() {
        let plan = |seed| format!("{:?}", Plan::new(seed, 500, 6));
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn requests_are_numbered_and_a_chain_goes_over_several_partitions() {
        let plan = Plan::new(3, 2_000, 6);
        assert_eq!(plan.steps.len(), 2_000);
        for (number, step) in plan.steps.iter().enumerate() {
            assert_eq!(step.number, number);
            assert!((0..6).contains(&step.partition));
            if let Some(next) = plan.after(number) {
                assert_ne!(next.partition, step.partition);
            }
        }
        let has = |kind: fn(&Kind) -> bool| plan.steps.iter().any(|step| kind(&step.kind));
        assert!(has(|kind| matches!(kind, Kind::Cancel)) && has(|kind| matches!(kind, Kind::List)));
    }

    #[test]
    fn the_second_runner_joins_before_the_broker_ends_and_leaves_after_that() {
        for seed in 0..50 {
            let plan = Plan::new(seed, 20_000, 6);
            let faults: Vec<Fault> = plan.faults.iter().map(|(_, fault)| *fault).collect();
            assert_eq!(faults.iter().filter(|fault| **fault == Fault::Kill).count(), 8);
            let others: Vec<Fault> = faults.into_iter().filter(|it| *it != Fault::Kill).collect();
            assert_eq!(others, [Fault::Join, Fault::Broker, Fault::Leave, Fault::Roll]);
        }
    }
}
