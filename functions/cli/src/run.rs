//! One command, one call.

use std::{io, time::Duration};

use a2a_core::{
    CancelTaskRequest, Error, Events, GetTaskRequest, ListTasksRequest, SendMessageResponse,
    StreamResponse, SubscribeToTaskRequest, TaskState,
    client::{
        Client, Connector, Parameters,
        kafka::{
            KafkaOptions,
            registry::{Entry, Registry},
        },
    },
};
use futures_util::StreamExt;

use crate::{
    message,
    options::{Command, Listed, Options, Said},
    output::Output,
    verdict::Verdict,
};

/// Why a command came to no verdict.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The call failed.
    Call(Error),
    /// Nothing could be printed.
    Output(#[expect(dead_code, reason = "nobody is left to be told")] io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Carries out what the command line says.
pub(crate) async fn run(options: &Options, output: &mut Output) -> Result<Verdict, Failure> {
    // What is to be sent is read before anybody is asked.
    let request = match &options.command {
        Command::Send { said, no_wait } => Some(message::request(said, *no_wait)),
        Command::Stream { said } => Some(message::request(said, false)),
        _ => None,
    };
    let request = match request.transpose() {
        Ok(request) => request.unwrap_or_default(),
        Err(error) => {
            output.error(&error);
            return Ok(Verdict::Usage);
        }
    };
    output.answered_with(&options.url);
    match &options.command {
        Command::Agents => output.agents(&agents(options).await?)?,
        Command::Card { extended } => {
            let client = client(options).await?;
            let card = if *extended { client.extended_card().await } else { client.card().await };
            let card = card?;
            output.card(&card)?;
        }
        Command::Send { said, .. } => match keyed(options, said).await?.send(request).await? {
            SendMessageResponse::Message(message) => {
                output.sent(&SendMessageResponse::Message(message))?;
            }
            SendMessageResponse::Task(task) => {
                let state = task.status.state;
                output.sent(&SendMessageResponse::Task(task))?;
                return Ok(Verdict::of_state(state));
            }
        },
        Command::Stream { said } => {
            return watch(keyed(options, said).await?.stream(request).await?, output).await;
        }
        Command::Get { task, history } => {
            let id = task.as_str().into();
            let request = GetTaskRequest { id, history_length: *history, tenant: None };
            output.task(&client(options).await?.get(request).await?)?;
        }
        Command::List(listed) => output.tasks(&client(options).await?.list(list(listed)).await?)?,
        Command::Cancel { task } => {
            let request = CancelTaskRequest { id: task.as_str().into(), ..Default::default() };
            output.task(&client(options).await?.cancel(request).await?)?;
        }
        Command::Subscribe { task, after } => {
            let request = SubscribeToTaskRequest { id: task.as_str().into(), tenant: None };
            return watch(client(options).await?.subscribe(request, *after).await?, output).await;
        }
    }
    Ok(Verdict::Done)
}

/// The agents that the cluster's registry names.
async fn agents(options: &Options) -> Result<Vec<Entry>, Error> {
    let brokers = options
        .url
        .strip_prefix("kafka://")
        .map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let Some(brokers) = brokers.filter(|brokers| !brokers.is_empty()) else {
        let why = "must name a Kafka cluster, as kafka://HOST:PORT does";
        return Err(Error::invalid_field("url", why));
    };
    let registry = Registry::new(brokers, &KafkaOptions::default())?;
    registry.within(Duration::from_secs(options.timeout)).list().await
}

async fn client(options: &Options) -> Result<Client, Error> {
    let mut connector = Connector::new();
    for (name, value) in &options.header {
        connector = connector.header(name, value)?;
    }
    if let Some(token) = options.bearer.as_deref().filter(|token| !token.is_empty()) {
        connector = connector.bearer(token)?;
    }
    if let Some(binding) = &options.binding {
        connector = connector.binding(binding);
    }
    let mut parameters = Parameters::default();
    parameters.timeout = Duration::from_secs(options.timeout);
    Ok(connector.connect(&options.url).await?.with_parameters(parameters))
}

async fn keyed(options: &Options, said: &Said) -> Result<Client, Error> {
    let client = client(options).await?;
    Ok(match &said.key {
        Some(key) => client.with_idempotency_key(key.as_str()),
        None => client,
    })
}

fn list(listed: &Listed) -> ListTasksRequest {
    ListTasksRequest {
        context_id: listed.context.as_deref().map(Into::into),
        status: listed.state.unwrap_or_default(),
        page_size: listed.limit,
        page_token: listed.page.as_deref().map(Into::into),
        include_artifacts: listed.artifacts,
        history_length: Some(0),
        ..Default::default()
    }
}

/// Prints each event as it comes. The verdict is the task's last state's.
async fn watch(mut events: Events, output: &mut Output) -> Result<Verdict, Failure> {
    let mut state = TaskState::Unspecified;
    while let Some(event) = events.0.next().await {
        let event = event?;
        match &event.response {
            StreamResponse::Task(task) => state = task.status.state,
            StreamResponse::StatusUpdate(update) => state = update.status.state,
            StreamResponse::ArtifactUpdate(_) | StreamResponse::Message(_) => {}
        }
        output.event(&event)?;
    }
    output.watched()?;
    Ok(Verdict::of_state(state))
}
