//! `kafka-check` before the local runner: the binding's document and this server agree.

use std::collections::BTreeMap;

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait,
};
use a2a_local::{config::Config, run::Runner};
use clap::Parser;

use crate::program::Program;

const DOCUMENT: &str = include_str!("../../../../core/KAFKA-BINDING.md");

/// The table that is printed before this agent: what each number came to, and why.
async fn checked(agent: Agent, fed_in_batches: bool) -> (i32, BTreeMap<String, [String; 4]>) {
    let name = agent.card.name.clone();
    let config = Config::parse_from([
        "a2a-local",
        "--port=0",
        "--partitions=2",
        "--store=memory:",
        "--kafka",
        "",
        "--agents",
        &name,
    ]);
    let runner = Runner::start(&config, [agent]).await.unwrap();
    let url = format!("kafka://{}/agent.{name}.requests", runner.brokers().unwrap());
    let arguments = ["--json", "kafka-check", "--batches"];
    let arguments = &arguments[..if fed_in_batches { 3 } else { 2 }];
    let program = Program::start(&url, arguments, "");
    let ended = tokio::task::spawn_blocking(move || program.ended()).await.unwrap();
    let lines = ended.stdout.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        (word("number"), [word("section"), word("what"), word("outcome"), word("why")])
    });
    let lines = lines.collect();
    runner.stop().await.unwrap();
    (ended.code.unwrap(), lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runner_meets_what_shows_outside() {
    let (code, lines) = checked(a2a_conformance::agent(), false).await;
    let failed = Vec::from_iter(lines.iter().filter(|(_, line)| line[2] == "FAIL"));
    assert!(code == 0 && failed.is_empty(), "{failed:#?}");
    let unseen = lines.iter().filter(|(_, line)| line[2] == "not seen");
    let unseen = Vec::from_iter(unseen.map(|(number, _)| &**number));
    // What does not show outside, and what this agent has no occasion to show.
    let never = ["S11", "S23", "S26", "S27", "S28", "S29", "S42", "S43", "S44"];
    assert!(unseen.iter().all(|number| never.contains(number)), "{unseen:?}");
    // Number, section and words are the document's.
    let rows = DOCUMENT.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| S")?.strip_suffix(" |")?.split(" | ");
        let mut cell = || cells.next().map(str::to_owned);
        Some((format!("S{}", cell()?), (cell()?, cell()?)))
    });
    let rows: BTreeMap<String, (String, String)> = rows.collect();
    let lines = lines.into_iter().map(|(number, [section, what, ..])| (number, (section, what)));
    assert_eq!(lines.collect::<BTreeMap<_, _>>(), rows);
}

/// It answers everything with a task of its own making.
struct Stubborn;

#[async_trait]
impl AgentExecutor for Stubborn {
    async fn execute(&self, _: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        Ok(queue.complete("No.").await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_met_fails() {
    let mut card = AgentCard { name: "stubborn".to_owned(), ..AgentCard::default() };
    card.capabilities.streaming = Some(true);
    let (code, lines) = checked(Agent::new(card, Stubborn), true).await;
    assert_eq!(code, 1);
    let why = |number: &str| (&*lines[number][2], &*lines[number][3]);
    let (outcome, seen) = why("S19");
    assert!(outcome == "FAIL" && seen.contains("statusUpdate"), "{seen}");
    assert_eq!(why("S3"), ("pass", ""));
}

/// The document's numbers: each is in its list once, and in its text.
#[test]
fn every_requirement_has_its_number() {
    let (text, list) = DOCUMENT.split_once("## 18. Conformance").unwrap();
    for (kind, musts) in [('S', "server"), ('C', "client")] {
        let numbers = Vec::from_iter(
            (1..)
                .map(|at| format!("{kind}{at}"))
                .take_while(|number| list.contains(&format!("| {number} |"))),
        );
        assert!(numbers.len() > 9, "{musts}: {numbers:?}");
        for number in &numbers {
            let told = text.matches(&format!("`{number}`")).count();
            assert!(told > 0, "{number} is not in the text");
        }
        let next = format!("`{kind}{}`", numbers.len() + 1);
        assert!(!text.contains(&next), "{next} is not in the list");
    }
    // No MUST is without a number.
    let sentences = text.split("\n\n").flat_map(|part| part.split("\n- "));
    for part in sentences.filter(|part| part.contains("MUST") && !part.contains("RFC 2119")) {
        assert!(part.contains("`S") || part.contains("`C"), "{part}");
    }
}
