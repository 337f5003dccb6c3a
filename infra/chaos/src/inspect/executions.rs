//! What the agent's executions left in their logs, held against journals and replies.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};

use super::journals::Journals;
use crate::{agent::Execution, drive::Exchange, plan::Plan, request::Step};

/// Reads the log of all processes.
pub(crate) fn read(file: &Path) -> Result<Vec<Execution>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// That no attempt was executed twice, none that no journal knows, none once its request's outcome
/// was recorded or told, none after another whose runner was not killed, and none out of its
/// conversation's order; and no step again that was recorded as done.
pub(crate) fn inspect(
    executions: &[Execution],
    killed: &HashSet<usize>,
    plan: &Plan,
    exchange: &Exchange,
    journals: &Journals,
) -> Vec<String> {
    let (steps, executions): (Vec<&Execution>, Vec<&Execution>) =
        executions.iter().partition(|it| it.step.is_some());
    let mut faults = again(&steps, journals);
    let replied = first_replies(plan, exchange);
    let mut runners: HashMap<(&str, u32), Vec<usize>> = HashMap::new();
    for Execution { name, attempt, runner, .. } in &executions {
        runners.entry((name, *attempt)).or_default().push(*runner);
    }
    for Execution { name, attempt, at, .. } in &executions {
        let told = journals.told.get(name);
        let attempts = told.map_or(0, |told| told.attempts);
        if attempts < *attempt {
            faults.push(format!("{name}: attempt {attempt} was executed and is in no journal"));
        }
        let recorded = told.and_then(|told| told.ended);
        let ended = [recorded, replied.get(name.as_str()).copied()].into_iter().flatten().min();
        if let Some(ended) = ended.filter(|ended| ended < at) {
            let late = at - ended;
            faults.push(format!(
                "{name}: attempt {attempt} of {attempts} began {late} ms after its outcome"
            ));
        }
        let before = runners.get(&(name, attempt.saturating_sub(1))).into_iter().flatten();
        for runner in before.filter(|runner| !killed.contains(runner)) {
            faults.push(format!("{name}: attempt {attempt} though runner {runner} was not killed"));
        }
    }
    for ((name, attempt), runners) in runners.iter().filter(|(_, runners)| runners.len() > 1) {
        let count = runners.len();
        faults.push(format!("{name}: attempt {attempt} was executed {count} times"));
    }
    faults.extend(out_of_order(&executions, plan, journals));
    faults
}

/// Steps that a later attempt did again, although they were recorded as done.
fn again(steps: &[&Execution], journals: &Journals) -> Vec<String> {
    let recorded =
        |it: &Execution| journals.told.get(&it.name)?.steps.get(it.step.as_deref()?).copied();
    let found = steps.iter().filter_map(|it| {
        let before = recorded(it).filter(|before| *before < it.attempt)?;
        let (Execution { name, attempt, .. }, step) = (it, it.step.as_deref()?);
        Some(format!("{name}: {step} was done in attempt {before}, and again in attempt {attempt}"))
    });
    found.collect()
}

/// Messages of a conversation that were begun before the one before had its outcome.
fn out_of_order(executions: &[&Execution], plan: &Plan, journals: &Journals) -> Vec<String> {
    let mut first: HashMap<&str, i64> = HashMap::new();
    for Execution { name, at, .. } in executions {
        first.entry(name).and_modify(|first| *first = (*at).min(*first)).or_insert(*at);
    }
    let mut newest: HashMap<usize, &Step> = HashMap::new();
    let lanes = plan.steps.iter().filter_map(|step| Some((step.lane()?, step)));
    let pairs = lanes.filter_map(|(lane, step)| Some((newest.insert(lane, step)?, step)));
    let early = pairs.filter_map(|(before, step)| {
        let (before, name) = (before.name(), step.name());
        let (ended, began) = (journals.told.get(&before)?.ended?, first.get(&*name)?);
        let early = (*began < ended).then(|| ended - began)?;
        Some(format!("{name} was begun {early} ms before the end of {before}, which it follows"))
    });
    early.collect()
}

/// When each request's outcome was first told, by its name: a stream's with its last event.
fn first_replies(plan: &Plan, exchange: &Exchange) -> HashMap<String, i64> {
    let replies = plan.steps.iter().zip(&exchange.replies);
    let first = replies.filter_map(|(step, replies)| {
        let outcomes = replies.iter().filter(|reply| !step.streams() || reply.is_last());
        Some((step.name(), outcomes.map(|reply| reply.at).min()?))
    });
    first.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::Words,
        client::Reply,
        inspect::story::Told,
        request::{Form, Kind, Step},
    };

    fn told(attempts: u32) -> Told {
        Told { name: "r0".to_owned(), attempts, ended: Some(50), ..Told::default() }
    }

    fn found(executions: &[(u32, i64)], attempts: u32) -> Vec<String> {
        let kind = Kind::Say(Form::Brief, Words::Reply);
        let plan =
            Plan { steps: vec![Step { number: 0, first: 0, partition: 0, kind }], faults: vec![] };
        let reply = Reply { number: 0, value: Vec::new(), headers: Vec::new(), at: 60 };
        let exchange = Exchange { replies: vec![vec![reply]], ..Exchange::default() };
        let mut journals = Journals::default();
        journals.told.insert("r0".to_owned(), told(attempts));
        let execution = |&(attempt, at): &(u32, i64)| {
            let (name, runner) = ("r0".to_owned(), attempt as usize);
            Execution { name, attempt, at, runner, step: None }
        };
        let executions: Vec<Execution> = executions.iter().map(execution).collect();
        inspect(&executions, &HashSet::from([1]), &plan, &exchange, &journals)
    }

    #[test]
    fn an_attempt_after_a_kill_is_no_fault() {
        assert_eq!(found(&[(1, 10), (2, 40)], 2), [""; 0]);
    }

    #[test]
    fn what_was_done_twice_is_found() {
        assert_eq!(
            found(&[(1, 10), (2, 70)], 2),
            ["r0: attempt 2 of 2 began 20 ms after its outcome"]
        );
        assert_eq!(found(&[(1, 10), (1, 20)], 1), ["r0: attempt 1 was executed 2 times"]);
        assert_eq!(
            found(&[(1, 10), (2, 20)], 1),
            ["r0: attempt 2 was executed and is in no journal"]
        );
        assert_eq!(
            found(&[(1, 10), (2, 20), (3, 30)], 3),
            ["r0: attempt 3 though runner 2 was not killed"]
        );
    }

    #[test]
    fn a_step_that_was_recorded_and_is_done_again_is_found() {
        let mut journals = Journals::default();
        let steps = [("piece-0".into(), 1), ("piece-1".into(), 2)].into();
        journals.told.insert("r0".to_owned(), Told { steps, ..told(2) });
        let found = |attempt, step: &str| {
            let (name, step) = ("r0".to_owned(), Some(step.to_owned()));
            again(&[&Execution { name, attempt, at: 1, runner: 1, step }], &journals)
        };
        for (attempt, step) in [(1, "piece-0"), (1, "piece-1"), (2, "piece-1"), (2, "piece-2")] {
            assert_eq!(found(attempt, step), [""; 0], "{attempt} {step}");
        }
        let expected = "r0: piece-0 was done in attempt 1, and again in attempt 2";
        assert_eq!(found(2, "piece-0"), [expected]);
    }

    #[test]
    fn a_message_begun_before_the_one_before_is_done_is_found() {
        let step = |number| {
            let kind = Kind::Say(Form::Lane(0), Words::Work(1, 0));
            Step { number, first: number, partition: 0, kind }
        };
        let plan = Plan { steps: vec![step(0), step(1)], faults: vec![] };
        let mut journals = Journals::default();
        journals.told.insert("r0".to_owned(), told(1));
        let execution = |number, at| {
            let name = format!("r{number}");
            Execution { name, attempt: 1, at, runner: 1, step: None }
        };
        let found = |at| out_of_order(&[&execution(0, 10), &execution(1, at)], &plan, &journals);
        assert_eq!(found(50), [""; 0]);
        assert_eq!(found(40), ["r1 was begun 10 ms before the end of r0, which it follows"]);
    }
}
