//! One command, one call.

use std::time::Duration;

use a2a_core::{
    CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, Error, ErrorKind, Events,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTasksRequest, SendMessageRequest, SendMessageResponse, StreamResponse,
    SubscribeToTaskRequest, TaskPushNotificationConfig, TaskState,
    client::{Client, Connector, Parameters},
};
use futures_util::StreamExt;

use crate::{
    check, message,
    options::{Command, Listed, Options, Push, Said},
    output::Output,
    registry,
    verdict::{Failure, Verdict},
};

/// Carries out what the command line says.
pub(crate) async fn run(options: &Options, output: &mut Output) -> Result<Verdict, Failure> {
    // What is to be sent is read before anybody is asked.
    let request = match &options.command {
        Command::Send { said, no_wait } => message::request(said, *no_wait),
        Command::Stream { said } => message::request(said, false),
        _ => Ok(SendMessageRequest::default()),
    };
    let request = request.map_err(Failure::Usage)?;
    output.answered_with(&options.url);
    match &options.command {
        Command::Card { extended } => {
            let client = client(options).await?;
            let card = if *extended { client.extended_card().await } else { client.card().await };
            output.card(&*card?)?;
        }
        Command::Send { said, .. } => {
            let response = keyed(options, said).await?.send(request).await?;
            output.sent(&response)?;
            if let SendMessageResponse::Task(task) = response {
                return Ok(Verdict::of_state(task.status.state));
            }
        }
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
        Command::Push(command) => push(&client(options).await?, command, output).await?,
        Command::Agents => registry::list(options, output).await?,
        Command::KafkaCheck { batches } => return check::run(options, output, *batches).await,
        Command::Register { card, entry } => {
            registry::register(options, output, card, &entry.instance).await?;
        }
        Command::Withdraw { agent, entry } => {
            registry::withdraw(options, output, agent, &entry.instance).await?;
        }
    }
    Ok(Verdict::Done)
}

async fn push(client: &Client, command: &Push, output: &mut Output) -> Result<(), Failure> {
    match command {
        Push::Add { task, webhook, id, token } => {
            let config = TaskPushNotificationConfig {
                task_id: Some(task.as_str().into()),
                url: webhook.as_str().into(),
                id: id.as_deref().map(Into::into),
                token: token.as_deref().map(Into::into),
                ..Default::default()
            };
            output.push_config(&client.create_push_config(config).await?)?;
        }
        Push::Get { task, id } => {
            let (task_id, id) = (task.as_str().into(), id.as_str().into());
            let request = GetTaskPushNotificationConfigRequest { task_id, id, tenant: None };
            output.push_config(&client.get_push_config(request).await?)?;
        }
        Push::List { task } => {
            let task_id = task.as_str().into();
            let request = ListTaskPushNotificationConfigsRequest { task_id, ..Default::default() };
            output.push_configs(&client.list_push_configs(request).await?)?;
        }
        Push::Delete { task, id } => {
            let (task_id, id) = (task.as_str().into(), id.as_str().into());
            let request = DeleteTaskPushNotificationConfigRequest { task_id, id, tenant: None };
            client.delete_push_config(request).await?;
            output.done("It is deleted.")?;
        }
    }
    Ok(())
}

async fn client(options: &Options) -> Result<Client, Failure> {
    let connector = connector(options).map_err(Failure::Usage)?;
    let mut parameters = Parameters::default();
    parameters.timeout = Duration::from_secs(options.timeout);
    let connecting = connector.connect(&options.url);
    let connected = tokio::time::timeout(parameters.timeout, connecting).await;
    let connected = connected.unwrap_or_else(|_| {
        let sentence = format!("There is no card from the agent within {} s.", options.timeout);
        Err(Error::new(ErrorKind::DeadlineExceeded, sentence))
    });
    let client = connected.map_err(|error| match error.kind() {
        ErrorKind::InvalidParams => Failure::Usage(error),
        _ => Failure::Call(error),
    })?;
    Ok(client.with_parameters(parameters))
}

fn connector(options: &Options) -> Result<Connector, Error> {
    if options.url.starts_with("kafka:") && !options.header.is_empty() {
        return Err(Error::invalid_field("header", "is not sent over Kafka"));
    }
    let mut connector = Connector::new();
    for header in &options.header {
        // Not by clap, which repeats what is wrong: it may be a secret.
        let why = || Error::invalid_field("header", "must be 'Name: value'");
        let (name, value) = header.split_once(':').ok_or_else(why)?;
        connector = connector.header(name.trim(), value.trim())?;
    }
    for origin in options.bearer_to.iter().filter(|origin| !origin.is_empty()) {
        connector = connector.bearer_to(origin)?;
    }
    if let Some(token) = options.bearer.as_deref().filter(|token| !token.is_empty()) {
        connector = connector.bearer(token)?;
    }
    if let Some(binding) = &options.binding {
        connector = connector.binding(binding);
    }
    Ok(connector)
}

async fn keyed(options: &Options, said: &Said) -> Result<Client, Failure> {
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
    output.end_line()?;
    Ok(Verdict::of_state(state))
}
