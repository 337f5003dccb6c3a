//! The agents that an agent calls: where they are, and what they are shown.
//!
//! Owns: how they are named, and what is said of one that is named wrongly. Must never know: who calls
//! them, and over which transport.

use a2a_core::{
    Peers,
    client::{Client, Connector},
    kafka::Topics,
};

use crate::environment::{Environment, PEERS};

/// What the variable's name begins with that holds a peer's bearer token. Its own name follows, in
/// capitals, with `_` for all that is no letter and no digit: `A2A_PEER_TOKEN_DATA`.
pub const TOKEN: &str = "A2A_PEER_TOKEN_";

/// What the variable's name begins with that names further origins, with commas between, where the
/// token may go if the peer's card leads there: `A2A_PEER_BEARER_TO_DATA`.
pub const TOKEN_TO: &str = "A2A_PEER_BEARER_TO_";

/// The peers that these lists name: each `NAME=URL`, or several with commas between, of any URL that
/// [`Connector::connect`] takes. None of them need be there yet: it is looked for when it is
/// first called.
///
/// # Errors
/// One sentence that repeats no URL: it may hold what is secret.
pub fn read(lists: &[String], environment: &Environment) -> Result<Peers, String> {
    let named = named(lists)?;
    let clients = named.into_iter().map(|(name, url)| {
        let client = client(&name, &url, environment)?;
        Ok((name, client))
    });
    clients.collect()
}

/// A client of the peer of that name at that URL, with its token if there is one.
///
/// # Errors
/// One sentence when it is the URL of no agent, or the token cannot be sent.
pub fn client(name: &str, url: &str, environment: &Environment) -> Result<Client, String> {
    let (mut connector, variable) = (Connector::new(), variable(name));
    if let Some(token) = environment.get(&variable)? {
        connector = connector
            .bearer(&token)
            .map_err(|_| format!("{variable} holds no token: it cannot be sent in a header."))?;
    }
    let variable = variable.replacen(TOKEN, TOKEN_TO, 1);
    for origin in environment.get(&variable)?.iter().flat_map(|list| list.split(',')) {
        connector = connector.bearer_to(origin).map_err(|_| {
            format!("{variable} names no origins, such as https://agents.example.com.")
        })?;
    }
    connector.at(url).map_err(|error| {
        let why = error.message().trim_end_matches('.');
        format!("The peer `{name}` cannot be called: {why}.")
    })
}

/// The peers of a function's agent, as [`PEERS`] names them.
///
/// Not over Kafka: a function is frozen between invocations, while answers on a reply topic have to
/// be read all the time, and each of its instances would read all of them.
pub(crate) fn of_function(environment: &Environment) -> Result<Peers, String> {
    let list = Vec::from_iter(environment.get(PEERS)?);
    let over_kafka = named(&list)?.into_iter().find(|(_, url)| url.starts_with("kafka:"));
    if let Some((name, _)) = over_kafka {
        return Err(format!(
            "The peer `{name}` is named by a kafka: URL, but a function calls other agents over \
             http: and https: only."
        ));
    }
    read(&list, environment)
}

fn variable(name: &str) -> String {
    let name = name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "_");
    format!("{TOKEN}{}", name.to_ascii_uppercase())
}

fn named(lists: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut peers: Vec<(String, String)> = Vec::new();
    let pieces = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let peer = piece
            .split_once('=')
            .filter(|(name, url)| Topics::check(name).is_ok() && url.contains(':'));
        match (peer, peers.last_mut()) {
            (Some((name, url)), _) => {
                let same = |(other, _): &&(String, String)| variable(other) == variable(name);
                match peers.iter().find(same) {
                    None => peers.push((name.to_owned(), url.to_owned())),
                    Some((other, _)) if other == name => {
                        return Err(format!("The peer `{name}` is named twice."));
                    }
                    // One would be shown the other's token.
                    Some((other, _)) => {
                        let variable = variable(name);
                        return Err(format!(
                            "The tokens of `{other}` and `{name}` are both {variable}."
                        ));
                    }
                }
            }
            // A URL may name several brokers, with commas between.
            (None, Some((_, url))) if url.starts_with("kafka:") => *url += &format!(",{piece}"),
            (None, _) => return Err("A peer is named NAME=URL, with commas between.".to_owned()),
        }
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_named(lists: &[&str]) -> Result<Vec<(String, String)>, String> {
        named(&Vec::from_iter(lists.iter().map(|&it| it.to_owned())))
    }

    #[test]
    fn peers_are_named() {
        let one = |name: &str, url: &str| (name.to_owned(), url.to_owned());
        for (given, expected) in [
            (&[][..], vec![]),
            (&[""], vec![]),
            (&["data=http://h:1/?a=b"], vec![one("data", "http://h:1/?a=b")]),
            (
                &["a=kafka://h:1,h:2/t?reply-to=x, b=https://h", "c=kafka://h:4/t"],
                vec![
                    one("a", "kafka://h:1,h:2/t?reply-to=x"),
                    one("b", "https://h"),
                    one("c", "kafka://h:4/t"),
                ],
            ),
        ] {
            assert_eq!(read_named(given), Ok(expected), "{given:?}");
        }
    }

    #[test]
    fn mistakes_are_one_sentence_without_the_url() {
        let nobody = Environment::of([]);
        for (given, sentence) in [
            (&["secret"][..], "A peer is named NAME=URL, with commas between."),
            (&["a=http://h,secret"], "A peer is named NAME=URL, with commas between."),
            (&["a b=http://secret"], "A peer is named NAME=URL, with commas between."),
            (&["a=http://secret", "a=http://h"], "The peer `a` is named twice."),
            (
                &["a-b=http://secret,a.b=http://h"],
                "The tokens of `a-b` and `a.b` are both A2A_PEER_TOKEN_A_B.",
            ),
            (
                &["a=floppy://secret"],
                "The peer `a` cannot be called: url must begin with http:, https: or kafka:.",
            ),
            (
                &["a=http://me:secret@h"],
                "The peer `a` cannot be called: url must hold no credentials; they belong into a header.",
            ),
        ] {
            let lists = Vec::from_iter(given.iter().map(|&it| it.to_owned()));
            assert_eq!(read(&lists, &nobody).unwrap_err(), sentence, "{given:?}");
        }
        let token = Environment::of([("A2A_PEER_TOKEN_MY_DATA_2", "secret\n of two lines")]);
        let refused = client("my.data-2", "http://h", &token).unwrap_err();
        let sentence = "A2A_PEER_TOKEN_MY_DATA_2 holds no token: it cannot be sent in a header.";
        assert_eq!(refused, sentence);
    }

    #[test]
    fn a_client_shows_neither_its_token_nor_its_url() {
        let token = Environment::of([("A2A_PEER_TOKEN_DATA", "secret")]);
        let client = client("data", "http://hidden/", &token).unwrap();
        let shown = format!("{client:?}");
        let hides = !shown.contains("secret") && !shown.contains("hidden");
        assert!(shown.contains("authorization") && hides, "{shown}");
    }

    #[test]
    fn a_function_has_no_peers_over_kafka() {
        let peers = |list| of_function(&Environment::of([(PEERS, list)]));
        assert!(peers("data=https://h/agents/data").unwrap().get("data").is_some());
        let refused = peers("data=kafka://h:1,h:2/agent.data.requests").unwrap_err();
        assert!(refused.starts_with("The peer `data` is named by a kafka: URL"), "{refused}");
    }
}
