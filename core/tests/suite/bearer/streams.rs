//! Streams whose token ends.

use super::*;

/// A stream whose token ends, told in its binding's form, and continued with a new one.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_token_and_goes_on_with_another() {
    let guarded = Guarded::new();
    let until = |exp: i64| guarded.signers[0].sign(Some("one"), &claims(json!({ "exp": exp })));
    let story = json!({ "message": {
        "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "working\ngate\ncomplete done" }]
    } });
    for (path, body, code) in [
        ("/message:stream", story.clone(), json!(401)),
        ("/", rpc("SendStreamingMessage", story.clone()), json!(-32050)),
    ] {
        let began = tokio::time::Instant::now();
        let events = guarded.stream(&until(NOW + 5), path, body, None).await;
        assert_eq!(began.elapsed().as_secs(), 5, "{path}");
        let [before @ .., (_, last)] = &*events else { panic!("{events:?}") };
        assert_eq!(last["error"]["code"], code, "{last}");
        let told = last["error"]["message"].as_str().unwrap();
        assert!(told.contains("credentials have expired"), "{told}");
        // Its run goes on, and its reader comes back.
        let (seen, task) = before.last().unwrap().clone();
        let task = task["result"].as_object().map_or(&task, |_| &task["result"]);
        let task = task["statusUpdate"]["taskId"].as_str().unwrap().to_owned();
        guarded.world.script.gate.open();
        let path = format!("/tasks/{task}:subscribe");
        let rest = guarded.stream(&until(NOW + 600), &path, Value::Null, seen).await;
        let last = &rest.last().unwrap().1;
        assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED", "{rest:?}");
    }
    // One that was taken late, as clocks differ, is not ended at once.
    let began = tokio::time::Instant::now();
    guarded.stream(&until(NOW - 10), "/message:stream", story, None).await;
    assert_eq!(began.elapsed().as_secs(), 20);
}

impl Guarded {
    /// The events of a stream to its end, with their ids.
    async fn stream(
        &self,
        token: &str,
        path: &str,
        body: Value,
        after: Option<String>,
    ) -> Vec<(Option<String>, Value)> {
        let mut request = Request::builder().method("POST").uri(path);
        request = request.header("content-type", "application/json").header("authorization", token);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.body(Bytes::from(body)).unwrap();
        let response: Response<Body> = self.http.serve(Caller::default(), request).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut decoder = a2a_core::wire::sse::Decoder::default();
        decoder.push(&response.into_body().collect().await.unwrap().to_bytes());
        let events = std::iter::from_fn(|| decoder.next_event());
        events.map(|it| (it.id, serde_json::from_slice(&it.data).unwrap())).collect()
    }
}
