//! The limit of any HTTP function in Rust: lambda_http, and nothing behind it.
//!
//! `cargo xtask bench lambda` measures ours beside it; the emulator's own tests start it.

use lambda_http::{
    Error, Request, Response, http::header::CONTENT_TYPE, run_with_streaming_response_concurrent,
    service_fn,
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    run_with_streaming_response_concurrent(service_fn(answer)).await
}

/// The same way out as a real answer's: a status, a content type, a body in a stream.
async fn answer(_: Request) -> Result<Response<String>, Error> {
    let response = Response::builder().header(CONTENT_TYPE, "application/json");
    Ok(response.body(r#"{"status":"ok"}"#.to_owned())?)
}
