//! The workspace's rules about itself: who may name whom, who alone may know what, and the sizes of
//! things. A rule that is broken is told with the file and the line.

use crate::source::{Source, file, sources};

/// What each module of the core may name of the others. A module that is not listed is a mistake
/// here.
const MAY_NAME: &[(&str, &str)] = &[
    ("types", ""),
    ("limits", ""),
    ("error", "types"),
    ("env", "types"),
    ("journal", "types"),
    ("call", "env error journal types"),
    ("store", "error journal types"),
    ("admit", "call env error journal limits store types"),
    ("wire", "call env error journal types"),
    ("queue", "env error journal types"),
    ("executor", "call error journal queue store types"),
    ("agent", "client executor types"),
    ("ledger", "journal store types"),
    ("follow", "call error journal store types"),
    ("record", "error follow journal ledger limits queue store types"),
    ("run", "error executor ledger limits queue record"),
    ("claim", "admit call error executor handler journal ledger queue record run store types"),
    ("orphan", "admit call claim error follow handler journal ledger record types"),
    ("send", "admit call claim error follow handler journal record types"),
    ("page", "call error limits store types"),
    (
        "handler",
        "admit call env error executor follow journal ledger limits orphan owner page queue store types",
    ),
    ("owner", "error handler types"),
    ("bearer", "call error handler types"),
    ("list", "admit call error handler journal page types"),
    ("sweep", "error handler journal"),
    ("http", "admit call env error handler types wire"),
    ("kafka", "admit call env error handler types wire"),
    ("client", "call env error handler journal types wire"),
];

/// No runtime, no clock: these decide and translate.
const PURE: &[&str] =
    &["types", "journal", "admit", "page", "wire", "error", "call", "limits", "env"];

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
        || source.path.ends_with("/conformance.rs");
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
    let sources = sources();
    let places = sources.iter().filter(|source| applies(source)).flat_map(|source| {
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

#[test]
fn modules_name_only_what_stands_below_them() {
    check(of_core, |source| {
        let module = source.module().unwrap_or_default();
        let Some((_, may)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            return vec![(1, format!("{module} is not in the table"))];
        };
        let named = source.modules().into_iter();
        let modules = named.filter(|name| MAY_NAME.iter().any(|(module, _)| module == name));
        let wrong = modules.filter(|name| name != module && !may.split(' ').any(|may| may == name));
        wrong.map(|name| (1, format!("{module} names {name}"))).collect()
    });
}

#[test]
fn pure_modules_have_no_runtime() {
    let pure =
        |source: &Source| of_core(source) && PURE.contains(&source.module().unwrap_or_default());
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
    let elsewhere = |source: &Source| ours(source) && source.module() != Some("wire");
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
    // Only the client's connections speak HTTP to others.
    check(
        |source| ours(source) && source.path != "core/src/client/http.rs",
        |source| lines_with(source, &["reqwest"]),
    );
    assert!(dependencies.contains("reqwest = { workspace = true, optional = true }"));
    // Whoever calls agents over Kafka asks for it; whoever serves over HTTP does not link it.
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
            // A list of cases may be long.
            let limit = if source.path.ends_with("/conformance.rs") { 900 } else { 450 };
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
