//! The brief's own exchange with its agent `data`: at once, in two turns, streamed, in Korean.

use serde_json::{Value, json};

use crate::{
    expect::{Expected, stream, task},
    script::{get, say, step},
};
use a2a_core::Call;

const WHICH: &str =
    "Which race would you like the win rate of: Terran, Zerg, Protoss or all of them?";
const WHICH_KOREAN: &str =
    "어느 종족의 승률을 알고 싶으신가요? 테란, 저그, 프로토스 또는 모든 종족 중에서 골라 주세요.";

/// The two artifacts of an answer about Terran.
fn terran(thinking: &str, title: &str, text: &str) -> [Value; 2] {
    let figures = json!({
        "metric": "win_rate", "race": "terran", "wins": 58, "games": 100, "winRate": 0.58,
    });
    [
        json!({ "artifactId": "thinking", "name": "Thinking", "parts": [{ "text": thinking }] }),
        json!({ "artifactId": "result", "name": title, "parts": [{ "text": text }, { "data": figures }] }),
    ]
}

fn english() -> [Value; 2] {
    let thinking = "Analysing the games of Terran: 100 in the table.";
    terran(thinking, "Win rate", "Terran win rate 58% (58 of 100)")
}

fn korean() -> [Value; 2] {
    terran("테란 경기 100개를 분석하고 있습니다.", "승률", "테란 승률 58% (100경기 중 58승)")
}

/// The task with its answer.
fn with(task: Expected, artifacts: [Value; 2]) -> Expected {
    artifacts.into_iter().fold(task, Expected::artifact)
}

/// The stream that ends with the answer, after `first`, the task as it stood.
fn streamed(first: &Expected, number: u8, artifacts: [Value; 2]) -> Value {
    let [thinking, result] = artifacts;
    stream([
        first.sent(),
        task(number, 1, "WORKING").update(),
        task(number, 1, "WORKING").artifact_update(thinking, false, false),
        task(number, 1, "WORKING").artifact_update(result, false, false),
        task(number, 1, "COMPLETED").update(),
    ])
}

cases! {
    /// Asked, answered, looked up later.
    win_rate(Data) [
        step(
            |_| say("Terran win rate").send(),
            with(task(1, 1, "COMPLETED").user("Terran win rate"), english()).sent(),
        ),
        step(
            |said| Call::GetTask(get(said.task_id(0))),
            with(task(1, 1, "COMPLETED").user("Terran win rate"), english()).json(),
        ),
    ]

    /// The second turn is a new task of the same context.
    two_turns_in_a_context(Data) [
        step(
            |_| say("win rate").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, WHICH).user("win rate").sent(),
        ),
        step(
            |said| say("Terran").context(said.context_id(0)).send(),
            with(task(2, 1, "COMPLETED").user("Terran"), english()).sent(),
        ),
        // The first task still waits.
        step(
            |said| Call::GetTask(get(said.task_id(0))),
            task(1, 1, "INPUT_REQUIRED").says(1, WHICH).user("win rate").json(),
        ),
    ]

    /// The second turn answers the question of the same task.
    two_turns_in_a_task(Data) [
        step(
            |_| say("win rate").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, WHICH).user("win rate").sent(),
        ),
        step(
            |said| say("Terran").task(said.task_id(0)).send(),
            with(
                task(1, 1, "COMPLETED").user("win rate").asked(1, WHICH).user("Terran"),
                english(),
            ).sent(),
        ),
    ]

    korean_win_rate(Data) [
        step(
            |_| say("테란 승률").send(),
            with(task(1, 1, "COMPLETED").user("테란 승률"), korean()).sent(),
        ),
    ]

    korean_two_turns(Data) [
        step(
            |_| say("승률 알려 주세요").send(),
            task(1, 1, "INPUT_REQUIRED").says(1, WHICH_KOREAN).user("승률 알려 주세요").sent(),
        ),
        step(
            |said| say("테란이요").context(said.context_id(0)).send(),
            with(task(2, 1, "COMPLETED").user("테란이요"), korean()).sent(),
        ),
    ]

    win_rate_streamed(Data) [
        step(
            |_| say("Terran win rate").stream(),
            streamed(&task(1, 1, "SUBMITTED").user("Terran win rate"), 1, english()),
        ),
        step(
            |said| Call::GetTask(get(said.task_id(0))),
            with(task(1, 1, "COMPLETED").user("Terran win rate"), english()).json(),
        ),
    ]

    two_turns_in_a_context_streamed(Data) [
        step(
            |_| say("win rate").stream(),
            stream([
                task(1, 1, "SUBMITTED").user("win rate").sent(),
                task(1, 1, "INPUT_REQUIRED").says(1, WHICH).update(),
            ]),
        ),
        step(
            |said| say("Terran").context(said.context_id(0)).stream(),
            streamed(&task(2, 1, "SUBMITTED").user("Terran"), 2, english()),
        ),
    ]

    two_turns_in_a_task_streamed(Data) [
        step(
            |_| say("win rate").stream(),
            stream([
                task(1, 1, "SUBMITTED").user("win rate").sent(),
                task(1, 1, "INPUT_REQUIRED").says(1, WHICH).update(),
            ]),
        ),
        step(
            |said| say("Terran").task(said.task_id(0)).stream(),
            streamed(
                &task(1, 1, "WORKING").user("win rate").asked(1, WHICH).user("Terran"),
                1,
                english(),
            ),
        ),
    ]

    korean_streamed(Data) [
        step(
            |_| say("테란 승률").stream(),
            streamed(&task(1, 1, "SUBMITTED").user("테란 승률"), 1, korean()),
        ),
    ]
}
