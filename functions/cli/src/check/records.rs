//! Topics, keys, ids and headers (sections 2, 3, 7 and 15).

use std::time::Duration;

use a2a_core::{
    client::kafka::{KafkaOptions, registry::Registry},
    wire::kafka::{BINDING, header},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    outcome::{Checked, Outcome, held, must},
    probe::Probe,
    record::{Answer, Ask, message, message_in},
};

/// What is answered at once, and changes nothing.
fn read() -> Ask {
    Ask::rpc("ListTasks", &json!({ "pageSize": 1 }))
}

pub(super) async fn card(probe: &Probe) -> Checked {
    let registry = Registry::new(&probe.brokers, &KafkaOptions::default());
    let registry = registry.map_err(|error| error.to_string())?.within(Duration::from_secs(5));
    let entries = registry.list().await.map_err(|error| error.to_string())?;
    let mut mine = entries.iter().filter(|entry| entry.agent == probe.agent).peekable();
    if mine.peek().is_none() {
        return Ok(Outcome::NotSeen("its card is not in agent.registry".to_owned()));
    }
    let topic = format!("/agent.{}.requests", probe.agent);
    held(async {
        for entry in mine {
            let interfaces = &entry.card.supported_interfaces;
            let named = interfaces.iter().filter(|it| it.protocol_binding == BINDING);
            let named = named.filter(|it| it.url.ends_with(&topic)).count();
            must(named > 0, || format!("the card of {:?} does not", entry.instance))?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn partitions(probe: &Probe) -> Checked {
    held(async {
        for partition in 0..probe.partitions {
            let answered = probe.ask(read().to(partition)).await;
            answered.map_err(|why| format!("partition {partition}: {why}"))?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn keys(probe: &Probe) -> Checked {
    held(async {
        let random = Uuid::new_v4();
        let long = [random.as_bytes(), &[b'k'; 1008][..]].concat();
        for key in [[&b"\xff\x00\n"[..], random.as_bytes()].concat(), long] {
            let ask = Ask { key: Some(key), ..read() };
            probe.ask(ask).await?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn ids(probe: &Probe) -> Checked {
    held(async {
        for (id, expected) in [
            (r#""id":"a","#, json!("a")),
            (r#""id":"","#, json!("")),
            (r#""id":12345678901234567,"#, json!(12_345_678_901_234_567_u64)),
            (r#""id":-1.5,"#, json!(-1.5)),
            (r#""id":null,"#, Value::Null),
            ("", Value::Null),
        ] {
            let value = format!(r#"{{"jsonrpc":"2.0",{id}"method":"ListTasks","params":{{}}}}"#);
            let answer = probe.ask(Ask::raw(value)).await?;
            let known = answer.value.get("id").cloned();
            must(known == Some(expected) && answer.reason().is_empty(), || answer.shown())?;
        }
        let long = json!({ "jsonrpc": "2.0", "id": "I".repeat(2000), "method": "ListTasks" });
        let answer = probe.ask(Ask::raw(long.to_string())).await?;
        answer.must_be("INVALID_REQUEST")?;
        must(answer.value["id"].is_null(), || answer.shown())
    })
    .await
}

pub(super) async fn cases(probe: &Probe) -> Checked {
    held(async {
        let asked = |name: &str| {
            let ask = Ask::rpc("ListTasks", &json!({}));
            Ask { headers: vec![(name.to_owned(), b" 99.0 ".to_vec())], ..ask }
        };
        for name in ["A2A-Version", "a2a-VERSION", "a2a-version"] {
            probe.ask(asked(name)).await?.must_be("VERSION_NOT_SUPPORTED")?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn bounds(probe: &Probe) -> Checked {
    held(async {
        let many = (0..129).fold(read(), |ask, _| ask.with("x", "y"));
        for ask in [
            read().with(header::TRACEPARENT, [b'a'; 8193]),
            many,
            read().with("x", vec![b'a'; 65_536]),
        ] {
            probe.ask(ask).await?.must_be("INVALID_REQUEST")?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn others(probe: &Probe) -> Checked {
    held(async {
        let asked = ["a2a-owner", "a2a-attempt", "x-other"].iter();
        let ask = asked.fold(read(), |ask, name| ask.with(name, "\u{1}"));
        let answer = probe.ask(ask).await?;
        must(answer.value["result"].is_object(), || answer.shown())
    })
    .await
}

pub(super) async fn unreadable(probe: &Probe) -> Checked {
    held(async {
        let context = Uuid::new_v4().to_string();
        let send = || Ask::rpc("SendMessage", &message_in("tck-complete-task", &context));
        for (name, value, reason) in [
            (header::DEADLINE, &b"tomorrow"[..], "INVALID_PARAMS"),
            (header::DEADLINE, b"-5", "INVALID_PARAMS"),
            (header::DEADLINE, b"", "INVALID_PARAMS"),
            (header::IDEMPOTENCY_KEY, b"\xff", "INVALID_PARAMS"),
            (header::HTTP_IDEMPOTENCY_KEY, &[b'k'; 256], "INVALID_PARAMS"),
            (header::LAST_EVENT_ID, b"seven", "INVALID_PARAMS"),
            (header::CONTENT_TYPE, b"text/plain", "CONTENT_TYPE_NOT_SUPPORTED"),
            (header::REPLY_TO, b"\xff", "PERMISSION_DENIED"),
        ] {
            let answer = probe.ask(send().with(name, value)).await?;
            answer.must_be(reason).map_err(|why| format!("{name}: {why}"))?;
        }
        probe.nothing_in(&context).await
    })
    .await
}

pub(super) async fn headers(probe: &Probe) -> Checked {
    held(async {
        let refused = Ask::raw("no request");
        for ask in [read(), refused] {
            let answer = probe.ask(ask).await?;
            let media_type = answer.header(header::CONTENT_TYPE) == Some(header::A2A_JSON);
            must(media_type && answer.header(header::VERSION) == Some("1.0"), || {
                format!(
                    "{:?}, {:?}",
                    answer.header(header::CONTENT_TYPE),
                    answer.header(header::VERSION)
                )
            })?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn traces(probe: &Probe) -> Checked {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    held(async {
        let answer = probe.ask(read().with("Traceparent", TRACE)).await?;
        let returned = answer.header(header::TRACEPARENT);
        must(returned == Some(TRACE), || format!("{returned:?}"))
    })
    .await
}

/// What is answered where no credentials are brought.
async fn anonymous(probe: &Probe) -> Result<Answer, String> {
    // Empty, so that the probe's own are left out.
    probe.ask(read().with(header::AUTHORIZATION, "")).await
}

pub(super) async fn challenge(probe: &Probe) -> Checked {
    let answer = anonymous(probe).await?;
    if answer.reason() != "UNAUTHENTICATED" {
        return Ok(Outcome::NotSeen("the agent asks for no credentials".to_owned()));
    }
    let challenged = answer.header(header::WWW_AUTHENTICATE).is_some();
    held(async { must(challenged, || "there is no www-authenticate".to_owned()) }).await
}

pub(super) async fn credentials(probe: &Probe) -> Checked {
    if !probe.has_credentials() {
        return Ok(Outcome::NotSeen("it shows with --bearer only".to_owned()));
    }
    let answer = anonymous(probe).await?;
    if answer.reason().is_empty() {
        return Ok(Outcome::NotSeen("the agent asks for no credentials".to_owned()));
    }
    held(async {
        let bad = Ask::raw("no request").with(header::AUTHORIZATION, "Bearer none");
        probe.ask(bad).await?.must_be("UNAUTHENTICATED")
    })
    .await
}

pub(super) async fn forged(probe: &Probe) -> Checked {
    held(async {
        for name in [header::EVENT_ID, "A2A-Last", header::RESTART, header::ERROR, "a2a-error-x"] {
            let ask = read().with(name, "1-0").with(header::REPLY_TO, "a2a.check.nowhere");
            let answer = probe.ask(ask).await.map_err(|why| format!("{name}: {why}"))?;
            answer.must_be("INVALID_REQUEST").map_err(|why| format!("{name}: {why}"))?;
            must(answer.topic == probe.own, || format!("{name}: on {}", answer.topic))?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn topics(probe: &Probe) -> Checked {
    held(async {
        for topic in [
            "agent.a2a-check.requests",
            "agent.a2a-check.dead-letter",
            "agent.registry",
            "__consumer_offsets",
            "no topic",
        ] {
            let answer = probe.ask(read().with(header::REPLY_TO, topic)).await;
            let answer = answer.map_err(|why| format!("{topic}: {why}"))?;
            answer.must_be("PERMISSION_DENIED").map_err(|why| format!("{topic}: {why}"))?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn refused(probe: &Probe) -> Checked {
    held(async {
        let context = Uuid::new_v4().to_string();
        let send = Ask::rpc("SendMessage", &message_in("tck-complete-task", &context));
        let answer = probe.ask(send.with(header::REPLY_TO, "agent.registry")).await?;
        answer.must_be("PERMISSION_DENIED")?;
        must(answer.topic == probe.own, || format!("on {}", answer.topic))?;
        probe.nothing_in(&context).await?;
        // The same without it is.
        probe.ask(Ask::rpc("SendMessage", &message("tck-complete-task"))).await?.task().map(drop)
    })
    .await
}
