//! What the agent's executions left in their logs, held against journals and replies.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result};

use super::journals::Journals;
use crate::{agent::Execution, drive::Exchange, plan::Plan};

/// Reads the log of all processes.
pub(crate) fn read(file: &Path) -> Result<Vec<Execution>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// That no attempt was executed twice, none that no journal knows, and none once its request's
/// outcome was recorded or told.
pub(crate) fn inspect(
    executions: &[Execution],
    plan: &Plan,
    exchange: &Exchange,
    journals: &Journals,
    faults: &mut Vec<String>,
) {
    let replied = first_replies(plan, exchange);
    let mut counts: HashMap<(&str, u32), usize> = HashMap::new();
    for execution in executions {
        let Execution { name, attempt, at } = execution;
        *counts.entry((name, *attempt)).or_default() += 1;
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
    }
    for ((name, attempt), count) in counts.into_iter().filter(|(_, count)| *count > 1) {
        faults.push(format!("{name}: attempt {attempt} was executed {count} times"));
    }
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

    fn found(executions: &[(u32, i64)], attempts: u32) -> Vec<String> {
        let kind = Kind::Say(Form::Brief, Words::Reply);
        let plan =
            Plan { steps: vec![Step { number: 0, first: 0, partition: 0, kind }], faults: vec![] };
        let reply = Reply { number: 0, value: Vec::new(), headers: Vec::new(), at: 60 };
        let exchange = Exchange { replies: vec![vec![reply]], ..Exchange::default() };
        let mut journals = Journals::default();
        let told = Told { name: "r0".to_owned(), attempts, ended: Some(50) };
        journals.told.insert("r0".to_owned(), told);
        let execution =
            |&(attempt, at): &(u32, i64)| Execution { name: "r0".to_owned(), attempt, at };
        let executions: Vec<Execution> = executions.iter().map(execution).collect();
        let mut faults = Vec::new();
        inspect(&executions, &plan, &exchange, &journals, &mut faults);
        faults
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
    }
}
