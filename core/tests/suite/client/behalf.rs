//! An agent that asks another one on behalf of its callers: they never meet there, and a caller's own
//! credentials go where the agent sends them and nowhere else.

use std::sync::Arc;

use a2a_core::{
    AgentError, AgentExecutor, Caller, DefaultRequestHandler, EventQueue, ListTasksRequest,
    MemoryStore, RequestContext, SendMessageResponse, Task, async_trait, http::HttpEndpoint,
};
use bytes::Bytes;

use super::*;
use crate::world::{World, say};

/// Keeps the context that it is given.
async fn context_of(owner: &str, tenant: Option<&str>, context: &str) -> RequestContext {
    let world = World::new();
    let caller = Caller { owner: owner.into(), ..Caller::default() };
    let mut request = say("complete");
    request.tenant = tenant.map(Into::into);
    request.message.context_id = Some(context.into());
    world.call(caller, a2a_core::Call::SendMessage(request)).await.unwrap();
    world.script.context(0)
}

fn sent(response: SendMessageResponse) -> Task {
    match response {
        SendMessageResponse::Task(task) => *task,
        SendMessageResponse::Message(message) => panic!("{message:?}"),
    }
}

/// What callers choose the same: a context, a key, the id of a task.
#[tokio::test]
async fn callers_never_meet_at_the_agent_that_is_asked() {
    let world = World::new();
    let peer = Client::new(Arc::new(world.handler.clone()));
    let alice = peer.on_behalf_of(&context_of("alice", None, "chat-1").await);
    let own = sent(alice.clone().with_idempotency_key("k").send(say("ask Which?")).await.unwrap());
    let again = alice.clone().with_idempotency_key("k").send(say("ask Which?")).await.unwrap();
    assert_eq!(sent(again).id, own.id, "her key is hers at each attempt");
    assert_ne!(&*own.context_id, "chat-1");
    let page = alice.list(ListTasksRequest::default()).await.unwrap();
    assert_eq!(page.tasks.len(), 1);
    // A caller may also name what another's is called there.
    let guessed = own.context_id.to_string();
    for (owner, tenant, context) in [
        ("bob", None, "chat-1"),
        ("", None, "chat-1"),
        ("alice", None, "chat-2"),
        ("alice", Some("t"), "chat-1"),
        ("alic", None, "echat-1"),
        ("bob", None, &*guessed),
    ] {
        let who = format!("{owner:?} {tenant:?} {context}");
        let other = peer.on_behalf_of(&context_of(owner, tenant, context).await);
        let keyed = other.clone().with_idempotency_key("k");
        let theirs = sent(keyed.send(say("complete")).await.unwrap());
        assert!(theirs.id != own.id && theirs.context_id != own.context_id, "{who}");
        for asked in [None, Some(own.context_id.clone())] {
            let request = ListTasksRequest { context_id: asked, ..Default::default() };
            let page = other.list(request).await.unwrap();
            assert!(page.tasks.iter().all(|task| task.id == theirs.id), "{who}");
        }
        let id = || own.id.clone();
        let not_found = |error: Error| {
            let kind = error.kind();
            // The other agent itself refuses a task and a context that are not of one another.
            assert!(
                matches!(kind, ErrorKind::TaskNotFound | ErrorKind::InvalidParams),
                "{who}: {error}"
            );
        };
        not_found(other.get(GetTaskRequest { id: id(), ..Default::default() }).await.unwrap_err());
        let cancel = CancelTaskRequest { id: id(), ..Default::default() };
        not_found(other.cancel(cancel).await.unwrap_err());
        let mut answer = say("complete");
        answer.message.task_id = Some(id());
        not_found(other.send(answer).await.unwrap_err());
        let subscribe = SubscribeToTaskRequest { id: id(), tenant: None };
        let mut events = other.subscribe(subscribe, None).await.unwrap().0;
        not_found(events.next().await.unwrap().unwrap_err());
        assert!(events.next().await.is_none(), "{who}");
    }
    let get = GetTaskRequest { id: own.id.clone(), ..Default::default() };
    assert_eq!(alice.get(get).await.unwrap().status.state.name(), "TASK_STATE_INPUT_REQUIRED");
    let mut answer = say("complete");
    answer.message.task_id = Some(own.id.clone());
    assert_eq!(sent(alice.send(answer).await.unwrap()).id, own.id);
}

/// Passes its caller's credentials on where the text says so.
struct Passing(Client);

#[async_trait]
impl AgentExecutor for Passing {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let mut client = self.0.on_behalf_of(&context);
        if context.text() == "as me" {
            client = client.with_credentials_of(&context);
        }
        let told = match client.get(get()).await {
            Ok(task) => task.id.to_string(),
            Err(error) => error.to_string(),
        };
        Ok(queue.complete(told).await?)
    }
}

/// What an agent that calls through this client answers to a caller of that token.
async fn passed(client: Client, text: &str) -> String {
    let card = crate::world::card();
    let store = Arc::new(MemoryStore::default());
    let handler = DefaultRequestHandler::new(card, Arc::new(Passing(client)), store);
    // Whoever brings it is known by it.
    let handler = handler.authenticated_by(|token, _| {
        let token = token.and_then(|it| std::str::from_utf8(it).ok());
        token.map(Into::into).ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "Who?"))
    });
    let body = format!(
        r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"text":"{text}"}}]}}}}"#
    );
    let request = http::Request::post("/message:send")
        .header("content-type", "application/json")
        .header("authorization", "Bearer of-the-caller")
        .body(Bytes::from(body));
    let answer =
        HttpEndpoint::new(handler).unwrap().serve(Caller::default(), request.unwrap()).await;
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    answer["task"]["status"]["message"]["parts"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_callers_credentials_travel_on_where_the_agent_says_so() {
    const TASK: &str = r#"{"id":"t","status":{"state":"TASK_STATE_WORKING"}}"#;
    let peer = Scripted::start(vec![json("200 OK", TASK); 3]).await;
    let own = Connector::new().bearer("of-the-agent").unwrap();
    let client = own.to(&interface(&peer.url, "HTTP+JSON")).unwrap();
    for (text, token) in [("hello", "bearer of-the-agent"), ("as me", "bearer of-the-caller")] {
        assert_eq!(passed(client.clone(), text).await, "t");
        let asked = peer.asked().pop().unwrap();
        let lines = asked.lines().filter(|line| line.starts_with("authorization:"));
        assert_eq!(Vec::from_iter(lines), [format!("authorization: {token}")], "{text}");
    }
    // Not to where a card leads.
    let led = card(vec![interface(&peer.url, "HTTP+JSON")]);
    let cards = Scripted::start(vec![json("200 OK", &serde_json::to_string(&led).unwrap())]).await;
    let led = Connector::new().at(&cards.url).unwrap();
    assert!(passed(led.clone(), "as me").await.contains("nobody asked for"));
    assert_eq!(peer.asked().len(), 2);
    assert_eq!(passed(led, "hello").await, "t");
}

#[tokio::test]
async fn an_agent_in_this_process_judges_whose_credentials_it_is_shown() {
    let world = World::new();
    let known = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&known);
    let guarded = world.handler.clone().authenticated_by(move |token, _| {
        heard.lock().unwrap().push(token.map(|it| String::from_utf8_lossy(it).into_owned()));
        Err(Error::new(ErrorKind::Unauthenticated, "Not you."))
    });
    let client = Client::new(Arc::new(guarded));
    assert_eq!(passed(client.clone(), "as me").await, "Not you.");
    assert!(passed(client, "hello").await.starts_with("There is no task"));
    assert_eq!(*known.lock().unwrap(), [Some("Bearer of-the-caller".to_owned())]);
}
