//! A function that does what it is told, mistakes included: the emulator's own tests start it.

use std::time::Duration;

use lambda_runtime::{
    Error, FunctionResponse, LambdaEvent, run_concurrent, service_fn,
    streaming::{Body, channel},
};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    eprintln!("I begin.");
    match std::env::var("ODD").as_deref() {
        Ok("exit") => std::process::exit(3),
        Ok("hang") => drop(hang().await),
        _ => {}
    }
    run_concurrent(service_fn(obey)).await
}

type Response = FunctionResponse<Value, Body>;

/// The event's `do` says what; `echo` is the only well-behaved answer in one piece.
async fn obey(event: LambdaEvent<Value>) -> Result<Response, Error> {
    let order = event.payload["do"].as_str().unwrap_or_default();
    let answer = match order {
        "environment" => std::env::vars().collect(),
        "deadline" => event.context.deadline.into(),
        "stream" => return Ok(stream(false)),
        "break" => return Ok(stream(true)),
        "error" => return Err("I will not.".into()),
        "panic" => panic!("I cannot."),
        "exit" => std::process::exit(7),
        "hang" => hang().await,
        // Work left for after the answer: it is not done before the process is thawed again.
        "linger" => {
            let file = event.payload["file"].as_str().unwrap_or_default().to_owned();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                std::fs::write(file, "done")
            });
            event.payload
        }
        _ => event.payload,
    };
    Ok(FunctionResponse::BufferedResponse(answer))
}

async fn hang() -> Value {
    tokio::time::sleep(Duration::from_secs(600)).await;
    Value::Null
}

/// Three pieces, one after another; or one, and an end of everything.
fn stream(breaks: bool) -> Response {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        for piece in ["one", "two", "three"] {
            if sender.send_data(piece.into()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if breaks {
                std::process::exit(9);
            }
        }
    });
    FunctionResponse::StreamingResponse(body.into())
}
