//! The workspace's rules about itself: who may name whom, who alone may know what, and the sizes of
//! things. A rule that is broken is told with the file and the line.

use crate::{
    arrows::{arrows, circles},
    source::{Source, entries, exists, file, sources},
};

/// The core from the ground up: each room names only rooms of floors under its own. A room is a
/// folder or file of `core/src`, or a file of its own floor within one.
const FLOORS: &[&[&str]] = &[
    &["types"],
    &["error", "env", "limits"],
    &["call"],
    &["task", "wire", "auth"],
    &["store"],
    &["agent"],
    &["engine"],
    &["handler"],
    &["http", "kafka"],
    &["client"],
    // An agent may call its peers.
    &["agent/peers"],
];

/// How many folders and files `core/src` may hold.
const MAX_ROOMS: usize = 17;

/// No runtime, no clock: these decide and translate.
const PURE: &[&str] = &["types", "error", "env", "limits", "call", "task", "wire", "engine/page"];

/// Names of the protocol's methods, which only `wire` knows.
const METHODS: &[&str] = &[
    "SendMessage",
    "SendStreamingMessage",
    "GetTask",
    "ListTasks",
    "CancelTask",
    "SubscribeToTask",
    "CreateTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
    "GetExtendedAgentCard",
];

/// Pieces of the protocol's paths, which only `wire` knows.
const PATHS: &[&str] = &[
    "message:send",
    "message:stream",
    "/tasks",
    ":cancel",
    ":subscribe",
    "pushNotificationConfigs",
    "extendedAgentCard",
    "agent-card.json",
];

/// Ways to change what a task holds.
const CHANGES: &[&str] = &[
    " =",
    " +=",
    ".push(",
    ".extend(",
    ".clear(",
    ".drain(",
    ".retain(",
    ".truncate(",
    ".insert(",
    ".remove(",
    ".pop(",
    ".append(",
    ".take(",
];

/// Changes of a copy that is about to be shown, not of a task.
const TRIMS: &[(&str, &str)] = &[
    // `historyLength` (section 3.2.4).
    ("core/src/task/admit.rs", "task.history.drain(..surplus)"),
    // `includeArtifacts` (section 3.1.4).
    ("core/src/engine/read.rs", "task.artifacts.clear()"),
    // An entry's own status, not the task's: what the head will hold.
    ("core/src/task/fold.rs", "status.message = None"),
];

fn ours(source: &Source) -> bool {
    let of_function = source.path.starts_with("functions/") && source.path.contains("/src/");
    // A file of tests has its `#[cfg(test)]` where it is declared.
    let tests = source.path.ends_with("/tests.rs")
        || source.path.ends_with("/arbitrary.rs")
        || source.path.contains("/store/conformance/");
    (source.path.starts_with("core/src/") || of_function) && !tests
}

fn of_core(source: &Source) -> bool {
    ours(source) && source.module().is_some_and(|module| module != "lib")
}

fn assert_none(broken: Vec<String>) {
    assert!(broken.is_empty(), "{} times:\n{}", broken.len(), broken.join("\n"));
}

/// Goes over the files a rule is for and collects where it is broken.
fn check(applies: impl Fn(&Source) -> bool, broken: impl Fn(&Source) -> Vec<(usize, String)>) {
    let places = sources().iter().filter(|source| applies(source)).flat_map(|source| {
        let told = broken(source).into_iter();
        told.map(|(line, what)| format!("{}:{line}: {what}", source.path)).collect::<Vec<_>>()
    });
    assert_none(places.collect());
}

fn lines_with(source: &Source, words: &[&str]) -> Vec<(usize, String)> {
    let all = words.iter().flat_map(|word| {
        source.lines_with(word).into_iter().map(|line| (line, (*word).to_owned()))
    });
    all.collect()
}

/// Whether a file of the core is in this room.
fn is_in(path: &str, room: &str) -> bool {
    let rest = path.strip_prefix("core/src/").and_then(|path| path.strip_prefix(room));
    rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// The floor and the room of a file of the core.
fn room(path: &str) -> Option<(usize, &'static str)> {
    let rooms =
        FLOORS.iter().enumerate().flat_map(|(at, rooms)| rooms.iter().map(move |it| (at, *it)));
    rooms.filter(|(_, room)| is_in(path, room)).max_by_key(|(_, room)| room.len())
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let circles = circles(&arrows(sources()));
    assert_none(circles.iter().map(|files| files.join(" -> ")).collect());
}

#[test]
fn rooms_name_only_rooms_under_them() {
    let arrows = arrows(sources());
    let arrows = arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let of_core =
        arrows.filter(|(from, _)| from.starts_with("core/src/") && !from.ends_with("/lib.rs"));
    let broken = of_core.filter(|(from, to)| match (room(from), room(to)) {
        (Some(from), Some(to)) => from.0 <= to.0 && from.1 != to.1,
        _ => true,
    });
    assert_none(broken.map(|(from, to)| format!("{from} names {to}")).collect());
}

#[test]
fn the_core_has_few_rooms() {
    let rooms = entries("core/src");
    assert!(rooms.len() <= MAX_ROOMS, "{}: {rooms:?}", rooms.len());
}

#[test]
fn the_map_names_files_that_exist() {
    let map = file("core/src/lib.rs");
    let quoted =
        map.lines().filter(|line| line.starts_with("//! | ")).flat_map(|line| line.split('`'));
    let files = Vec::from_iter(quoted.filter(|it| it.ends_with(".rs")));
    assert!(files.len() >= 10, "{files:?}");
    let missing = files.iter().filter(|path| !exists(&format!("core/src/{path}")));
    assert_none(missing.map(|path| format!("core/src/{path} does not exist")).collect());
}

#[test]
fn pure_modules_have_no_runtime() {
    let pure =
        |source: &Source| of_core(source) && PURE.iter().any(|room| is_in(&source.path, room));
    check(pure, |source| {
        lines_with(source, &["tokio", "tokio_util", "SystemTime::now", "Instant::now"])
            .into_iter()
            // The one place where the system's clock becomes a value.
            .filter(|(_, word)| !(source.path == "core/src/env.rs" && word == "SystemTime::now"))
            .collect()
    });
}

#[test]
fn only_wire_knows_methods_paths_and_codes() {
    // What checks a server against the document must not ask the codec what that says.
    let checks = |source: &Source| source.path.starts_with("functions/cli/src/check/");
    let elsewhere =
        |source: &Source| ours(source) && source.module() != Some("wire") && !checks(source);
    check(elsewhere, |source| {
        let method = |text: &str| {
            METHODS.contains(&text) || text.starts_with("message/") || text.starts_with("tasks/")
        };
        let path =
            |text: &str| text.starts_with("/v1") || PATHS.iter().any(|path| text.contains(path));
        let strings =
            source.strings.iter().filter(|(_, text)| method(text) || path(text) || has_code(text));
        let mut broken: Vec<_> = strings.map(|(line, text)| (*line, format!("{text:?}"))).collect();
        let lines = (1..).zip(source.code.lines()).filter(|(_, line)| has_code(line));
        broken.extend(lines.map(|(line, text)| (line, text.trim().to_owned())));
        broken
    });
}

/// Whether there is a JSON-RPC code: -32 and three digits more.
fn has_code(text: &str) -> bool {
    text.match_indices("-32").any(|(at, code)| {
        let rest = text[at + code.len()..].trim_start_matches('_');
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits == 3
    })
}

#[test]
fn only_the_journal_changes_a_task() {
    check(of_core, |source| {
        let lines = (1..).zip(source.code.lines());
        let changes = lines.filter(|(_, line)| {
            let allowed = source.path == "core/src/task/fold.rs"
                || TRIMS.iter().any(|(path, code)| source.path == *path && line.contains(code));
            !allowed && changes_task(line)
        });
        changes.map(|(line, text)| (line, text.trim().to_owned())).collect()
    });
}

fn changes_task(line: &str) -> bool {
    [
        "task.status",
        "task.status.state",
        "task.status.message",
        "task.artifacts",
        "task.history",
        "task.metadata",
    ]
    .iter()
    .flat_map(|field| {
        line.match_indices(field).map(|(at, field)| (&line[..at], &line[at + field.len()..]))
    })
    .any(|(before, after)| {
        let changed =
            CHANGES.iter().any(|change| after.starts_with(change)) && !after.starts_with(" ==");
        changed || before.trim_end().ends_with("&mut") || before.ends_with("&mut self.")
    })
}

#[test]
fn clients_are_imported_where_they_belong() {
    let inside =
        |source: &Source| source.path.starts_with("core/") && !source.path.contains("/tests/");
    check(inside, |source| {
        lines_with(source, &["aws_lambda_events", "lambda_runtime", "lambda_http", "axum"])
    });
    // A client of DynamoDB's is the only HTTP of the core that has sockets.
    check(
        |source| inside(source) && source.path != "core/src/store/dynamodb/http.rs",
        |source| lines_with(source, &["hyper"]),
    );
    let dependencies = file("core/Cargo.toml");
    assert!(!dependencies.contains("lambda"), "core depends on lambda");
    let hyper = dependencies.lines().filter(|line| line.starts_with("hyper"));
    for line in hyper {
        assert!(line.contains("optional = true"), "not every core wants {line}");
    }
    // Only the client's connections speak HTTP to agents, and say what failed.
    let speaks = ["core/src/client/http.rs", "core/src/client/failure.rs"];
    check(
        |source| ours(source) && !speaks.contains(&&*source.path),
        |source| lines_with(source, &["reqwest"]),
    );
    assert!(dependencies.contains("reqwest = { workspace = true, optional = true }"));
    // A caller of agents over Kafka asks for it; a server over HTTP does not link it.
    check(
        |source| inside(source) && !source.path.starts_with("core/src/client/kafka/"),
        |source| lines_with(source, &["rdkafka"]),
    );
    let asked: Vec<&str> =
        dependencies.lines().filter(|line| line.contains("rdkafka")).map(str::trim).collect();
    let optional = "rdkafka = { workspace = true, optional = true }";
    assert_eq!(asked, [r#"client-kafka = ["client", "dep:rdkafka"]"#, optional]);
    assert!(!file("functions/http/Cargo.toml").contains("kafka"), "a2a-http must not link it");
    for (backend, client) in
        [("dynamodb", "aws_sdk_dynamodb"), ("redis", "use redis"), ("postgres", "sqlx")]
    {
        let home = format!("core/src/store/{backend}/");
        check(
            |source| ours(source) && !source.path.starts_with(&home),
            |source| lines_with(source, &[client]),
        );
    }
    // The agent is what a user replaces: it needs no transport either.
    check(
        |source| source.path.starts_with("functions/agent/"),
        |source| lines_with(source, &["rdkafka", "hyper", "aws_lambda_events"]),
    );
}

#[test]
fn nothing_panics_by_intent() {
    let fallible = |source: &Source| ours(source) && !source.path.ends_with("/main.rs");
    check(fallible, |source| {
        lines_with(
            source,
            &[".unwrap(", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("],
        )
    });
}

#[test]
fn every_file_says_what_it_owns() {
    let ours =
        |source: &Source| source.path.contains("/src/") && !source.path.starts_with("infra/");
    check(ours, |source| {
        if source.text.starts_with("//! ") {
            vec![]
        } else {
            vec![(1, "opens without //!".to_owned())]
        }
    });
}

#[test]
fn files_are_short() {
    check(
        |_| true,
        |source| {
            let limit = 450;
            let lines = source.text.lines().count();
            if lines > limit { vec![(lines, format!("over {limit} lines"))] } else { vec![] }
        },
    );
}

#[test]
fn lines_are_short() {
    check(
        |_| true,
        |source| {
            let lines = (1..).zip(source.text.lines()).map(|(at, line)| (at, line.chars().count()));
            let long = lines.filter(|(_, length)| *length > 110);
            long.map(|(line, length)| (line, format!("{length} columns"))).collect()
        },
    );
}

#[test]
fn nothing_is_unsafe() {
    check(|_| true, |source| lines_with(source, &["unsafe"]));
    assert!(file("Cargo.toml").contains("unsafe_code = \"forbid\""));
    for package in
        ["core", "functions/agent", "functions/cli", "functions/kafka", "functions/local"]
    {
        let manifest = file(&format!("{package}/Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{package}");
    }
}

#[test]
fn the_rules_can_be_broken() {
    assert!(
        has_code("code: -32001,")
            && has_code("-32_700")
            && !has_code("-3200")
            && !has_code("-320000")
    );
    for line in [
        "fold.task.status = x;",
        "task.history.push(m)",
        "task.artifacts.clear();",
        "f(&mut task.history)",
    ] {
        assert!(changes_task(line), "{line}");
    }
    for line in ["if task.status == x {", "task.history.len()", "let status = task.status.clone();"]
    {
        assert!(!changes_task(line), "{line}");
    }
}
