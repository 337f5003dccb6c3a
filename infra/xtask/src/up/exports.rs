//! The lines for a shell that say where the engines are.

use std::fmt::Write;

/// The table in the URL of the store on DynamoDB's API.
const TABLE: &str = "a2a";

/// For a shell to read: the variables of the tests, and those of the functions and the runner.
pub(super) fn text(variables: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "export {name}='{value}'");
    };
    for (name, value) in variables {
        line(name, value);
    }
    let find = |wanted: &str| Some(variables.iter().find(|(name, _)| *name == wanted)?.1);
    if let Some(kafka) = find("A2A_TEST_KAFKA") {
        line("A2A_KAFKA", kafka);
    }
    if let Some(endpoint) = find("A2A_TEST_DYNAMODB") {
        let region = find("AWS_REGION").map(|region| format!("region={region}&"));
        let region = region.unwrap_or_default();
        line("A2A_STORE", &format!("dynamodb://{TABLE}?{region}endpoint={endpoint}"));
    }
    for store in ["A2A_TEST_POSTGRES", "A2A_TEST_REDIS"].into_iter().filter_map(find) {
        line("A2A_STORE", store);
    }
    text + "# Of the lines with A2A_STORE the last one counts: take the one you want.\n"
}

/// Where the engines listen, `127.0.0.1:PORT`, by the tests' names for them in such a text.
pub(super) fn addresses(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(address).collect()
}

fn address(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
    let from = value.find("127.0.0.1:").filter(|_| name.starts_with("A2A_TEST_"))?;
    let end = |at: char| !at.is_ascii_digit() && !matches!(at, '.' | ':');
    value[from..].split(end).next().map(|address| (name, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLES: &[(&str, &str)] = &[
        ("A2A_TEST_KAFKA", "127.0.0.1:1"),
        ("A2A_TEST_DYNAMODB", "http://127.0.0.1:2"),
        ("A2A_TEST_REDIS", "redis://127.0.0.1:3"),
        ("A2A_TEST_POSTGRES", "postgres://postgres@127.0.0.1:4/postgres"),
        ("AWS_REGION", "eu-central-1"),
    ];

    #[test]
    fn a_shell_reads_it() {
        let text = text(VARIABLES);
        let script = format!("{text}echo \"$A2A_KAFKA $A2A_STORE $A2A_TEST_POSTGRES\"");
        let output = std::process::Command::new("sh").args(["-c", &script]).output();
        let printed = String::from_utf8(output.expect("sh runs").stdout).expect("text");
        assert_eq!(
            printed,
            "127.0.0.1:1 redis://127.0.0.1:3 postgres://postgres@127.0.0.1:4/postgres\n"
        );
        let store = "'dynamodb://a2a?region=eu-central-1&endpoint=http://127.0.0.1:2'";
        assert!(text.contains(store), "{text}");
    }

    #[test]
    fn each_engine_is_found_once() {
        let text = text(VARIABLES);
        let found = addresses(&text);
        let addresses: Vec<&str> = found.iter().map(|(_, address)| *address).collect();
        assert_eq!(addresses, ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"]);
        assert_eq!(found[3].0, "A2A_TEST_POSTGRES");
    }
}
