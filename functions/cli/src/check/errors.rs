//! Errors, sizes and dead letters (sections 12, 13 and 14).

use a2a_core::wire::kafka::header;
use serde_json::{Value, json};

use super::{
    outcome::{Checked, Outcome, held, must},
    probe::Probe,
    record::{Answer, Ask, message},
};

fn unknown_task(method: &str) -> Ask {
    Ask::rpc(method, &json!({ "id": "none" }))
}

pub(super) async fn form(probe: &Probe) -> Checked {
    held(async {
        for (ask, code, reason) in [
            (unknown_task("GetTask"), -32001, "TASK_NOT_FOUND"),
            (Ask::rpc("Nope", &json!({})), -32601, "METHOD_NOT_FOUND"),
            (Ask::raw("{"), -32700, "PARSE_ERROR"),
            (Ask::raw("5"), -32600, "INVALID_REQUEST"),
            (Ask::rpc("SendMessage", &json!({})), -32602, "INVALID_PARAMS"),
        ] {
            let answer = probe.ask(ask).await?;
            let error = &answer.value["error"];
            let info = &error["data"][0];
            let is = error["code"] == code
                && error["message"].is_string()
                && info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
                && info["reason"] == reason
                && info["domain"] == "a2a-protocol.org";
            must(is, || answer.shown())?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn order(probe: &Probe) -> Checked {
    const PAST: &str = "1577836800000";
    held(async {
        let other = |ask: Ask| {
            let headers = vec![(header::VERSION.to_owned(), b"99.0".to_vec())];
            Ask { headers, ..ask }.with(header::DEADLINE, PAST)
        };
        let wrong = json!({ "id": 5 });
        for (ask, reason) in [
            (other(Ask::raw("{")), "PARSE_ERROR"),
            (other(Ask::rpc("Nope", &wrong)), "METHOD_NOT_FOUND"),
            (other(Ask::rpc("GetTask", &wrong)), "INVALID_PARAMS"),
            (
                other(unknown_task("GetTask")).with(header::REPLY_TO, "agent.registry"),
                "PERMISSION_DENIED",
            ),
            (other(unknown_task("GetTask")), "VERSION_NOT_SUPPORTED"),
            (unknown_task("GetTask").with(header::DEADLINE, PAST), "DEADLINE_EXCEEDED"),
            (unknown_task("CancelTask").with(header::DEADLINE, PAST), "DEADLINE_EXCEEDED"),
            (unknown_task("CancelTask"), "TASK_NOT_FOUND"),
        ] {
            probe.ask(ask).await?.must_be(reason)?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn bad(probe: &Probe) -> Checked {
    let rpc = |id: &str, rest: &str| format!(r#"{{"jsonrpc":"2.0","id":{id}{rest}}}"#);
    let cases: [(&str, Option<Vec<u8>>, &str, Value); 15] = [
        ("tombstone", None, "INVALID_REQUEST", Value::Null),
        ("empty value", Some(Vec::new()), "INVALID_REQUEST", Value::Null),
        ("invalid UTF-8", Some(b"\xff\xfe\x00".to_vec()), "PARSE_ERROR", Value::Null),
        ("invalid JSON", Some(b"{\"message\":".to_vec()), "PARSE_ERROR", Value::Null),
        ("plain text", Some(b"hello".to_vec()), "PARSE_ERROR", Value::Null),
        ("a list", Some(b"[]".to_vec()), "INVALID_REQUEST", Value::Null),
        ("no object", Some(b"null".to_vec()), "INVALID_REQUEST", Value::Null),
        ("no form", Some(b"{\"id\":5}".to_vec()), "INVALID_REQUEST", json!(5)),
        ("an answer", Some(rpc("1", r#","result":{}"#).into()), "INVALID_REQUEST", json!(1)),
        (
            "wrong version",
            Some(br#"{"jsonrpc":"1.0","id":1,"method":"GetTask"}"#.to_vec()),
            "INVALID_REQUEST",
            json!(1),
        ),
        ("wrong id", Some(rpc("{}", r#","method":"x""#).into()), "INVALID_REQUEST", Value::Null),
        (
            "unknown method",
            Some(rpc("1", r#","method":"Nope""#).into()),
            "METHOD_NOT_FOUND",
            json!(1),
        ),
        (
            "method of 0.3",
            Some(rpc("1", r#","method":"message/send""#).into()),
            "METHOD_NOT_FOUND",
            json!(1),
        ),
        (
            "params no object",
            Some(rpc("1", r#","method":"GetTask","params":5"#).into()),
            "INVALID_PARAMS",
            json!(1),
        ),
        (
            "no message",
            Some(rpc("1", r#","method":"SendMessage","params":{}"#).into()),
            "INVALID_PARAMS",
            json!(1),
        ),
    ];
    held(async {
        let neighbour = || Ask::rpc("ListTasks", &json!({ "pageSize": 1 })).to(0);
        let before = neighbour();
        probe.send(&before).await?;
        let mut sent = Vec::new();
        for (name, value, reason, id) in cases {
            let ask = Ask { value, ..Ask::raw("").to(0) };
            probe.send(&ask).await?;
            sent.push((name, ask, reason, id));
        }
        let mut long = Ask::rpc("ListTasks", &json!({})).to(0);
        long.key.iter_mut().for_each(|key| key.resize(2000, b'k'));
        probe.send(&long).await?;
        sent.push(("key too long", long, "INVALID_REQUEST", json!(7)));
        let behind = neighbour();
        probe.send(&behind).await?;
        for (name, ask, reason, id) in sent {
            let answer = probe.answer(&ask, 0).await.map_err(|why| format!("{name}: {why}"))?;
            answer.must_be(reason).map_err(|why| format!("{name}: {why}"))?;
            must(answer.value["id"] == id, || format!("{name}: {}", answer.shown()))?;
        }
        for ask in [before, behind] {
            let answer = probe.answer(&ask, 0).await?;
            must(answer.value["result"].is_object(), || answer.shown())?;
        }
        Ok(())
    })
    .await
}

/// The answer to a message that is as large as a topic takes by default: its task is larger.
async fn large(probe: &Probe) -> Result<Result<Answer, String>, String> {
    const LIMIT: usize = 1_048_588;
    let mut params = message("tck-complete-task");
    params["message"]["parts"] = json!([{ "text": "x".repeat(LIMIT - 900) }]);
    match probe.ask(Ask::rpc("SendMessage", &params)).await {
        Err(why) if why.starts_with("it cannot be sent") => Ok(Err(why)),
        Err(why) => Err(why),
        Ok(answer) if answer.value["result"].is_object() => {
            Ok(Err("its topic takes more than a megabyte".to_owned()))
        }
        Ok(answer) => Ok(Ok(answer)),
    }
}

pub(super) async fn too_large(probe: &Probe) -> Checked {
    match large(probe).await? {
        Err(why) => Ok(Outcome::NotSeen(why)),
        Ok(answer) => held(async { answer.must_be("TOO_LARGE") }).await,
    }
}

pub(super) async fn too_large_task(probe: &Probe) -> Checked {
    let answer = match large(probe).await? {
        Err(why) => return Ok(Outcome::NotSeen(why)),
        Ok(answer) => answer,
    };
    held(async {
        let task = &answer.value["error"]["data"][0]["metadata"]["taskId"];
        must(task.is_string(), || answer.shown())?;
        let bare = json!({ "id": task, "historyLength": 0 });
        probe.ask(Ask::rpc("GetTask", &bare)).await?.task().map(drop)
    })
    .await
}

pub(super) async fn dead_letter(probe: &Probe) -> Checked {
    held(async {
        let mark = uuid::Uuid::new_v4().to_string();
        let ask = Ask::rpc("ListTasks", &json!({ "contextId": mark }));
        let ask =
            Ask { key: None, ..ask.with("x-other", "kept").with("authorization", "Bearer x") };
        probe.send(&ask).await?;
        let mine = |answers: &[Answer]| {
            let of_topic = answers.iter().filter(|it| it.topic == probe.dead_letter);
            let mut mine = of_topic.filter(|it| it.value["params"]["contextId"] == *mark);
            mine.next().cloned()
        };
        let letter = probe.until(mine).await.map_err(|()| "there is none".to_owned())?;
        for name in [
            header::ERROR,
            header::ERROR_REASON,
            header::ERROR_TOPIC,
            header::ERROR_PARTITION,
            header::ERROR_OFFSET,
            header::ERROR_TIMESTAMP,
        ] {
            must(letter.header(name).is_some(), || format!("it has no {name}"))?;
        }
        must(letter.header("x-other") == Some("kept"), || "a header is gone".to_owned())?;
        let secret = letter.header(header::AUTHORIZATION);
        must(secret.is_none(), || "it holds the credentials".to_owned())
    })
    .await
}
