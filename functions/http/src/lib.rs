//! The HTTP function: the requests of API Gateway and Function URLs, answered in a stream.
//!
//! Flow: an `event` becomes a request of its `caller`, the endpoint serves it, and `body` keeps the
//! invocation open until the work that it began has its outcome.
//!
//! | module | owns |
//! |---|---|
//! | `event` | which request an event is: its path and its address |
//! | `tolerance` | events that are no requests as they stand |
//! | `caller` | who calls, as the gateway says |
//! | `body` | what goes out, and how long that keeps the invocation open |

mod body;
mod caller;
mod event;
mod tolerance;

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use a2a_core::{
    Agent, Caller, DefaultRequestHandler,
    http::{Body, HttpEndpoint, Origins},
};
use http::Response;
use lambda_http::{
    Adapter, RequestExt, Service, StreamAdapter, lambda_runtime, service_fn, tower::ServiceExt,
};

pub use tolerance::tolerated;

/// The address the agent card names, where the gateway's own is not how clients reach it.
const PUBLIC_URL: &str = "A2A_PUBLIC_URL";
/// Origins whose web pages may call, with commas between.
const CORS: &str = "A2A_CORS";
/// How answers go out: `streamed`, or `buffered` for what invokes the function without streaming,
/// as an HTTP API does: it takes the head of a streamed answer for a part of the body.
const ANSWERS: &str = "A2A_HTTP_ANSWERS";

/// Serves one of these agents as a Lambda function; a whole program.
pub fn main(agents: impl Into<Vec<Agent>>) -> ExitCode {
    a2a_lambda::main(agents, async |environment, handler| {
        let cors = environment.get(CORS)?.unwrap_or_default();
        let origins = Origins::new(cors.split(',')).map_err(|why| format!("{CORS}: {why}"))?;
        let function = HttpFunction::new(handler, environment.get(PUBLIC_URL)?)?;
        let function = function.shared_with(origins);
        let streamed = function.clone();
        let service = service_fn(move |request| {
            let function = streamed.clone();
            async move { Ok::<_, lambda_http::Error>(function.serve(request).await) }
        });
        let end = match environment.get(ANSWERS)?.as_deref() {
            None | Some("streamed") => {
                let service = service_fn(move |event| {
                    StreamAdapter::from(service.clone()).call(tolerance::of(event))
                });
                lambda_runtime::run_concurrent(service).await
            }
            Some("buffered") => {
                let service = Adapter::from(service_fn(move |request| {
                    let function = function.clone();
                    async move { body::whole(function.serve(request).await).await }
                }));
                lambda_runtime::run_concurrent(service.map_request(tolerance::of)).await
            }
            Some(other) => {
                return Err(format!("{ANSWERS} is `{other}`: use streamed or buffered."));
            }
        };
        end.map_err(|error| format!("Lambda's runtime API broke off: {error}."))
    })
}

/// The function: an endpoint, and where its clients reach it. Cheap to clone.
#[derive(Clone)]
pub struct HttpFunction {
    endpoint: HttpEndpoint,
    /// Whether the address is set, and not the gateway's of each request.
    fixed: bool,
    /// The endpoint as the last address had it; nearly always there is only one.
    located: Arc<Mutex<Option<(String, HttpEndpoint)>>>,
}

impl HttpFunction {
    /// The function of this handler, at this address or at the one each request came to.
    ///
    /// # Errors
    /// One sentence when the card cannot be written.
    pub fn new(handler: DefaultRequestHandler, public_url: Option<String>) -> Result<Self, String> {
        let mut endpoint = HttpEndpoint::new(handler).map_err(|error| error.to_string())?;
        if let Some(url) = &public_url {
            endpoint = endpoint.located_at(url).map_err(|error| error.to_string())?.below(url);
        }
        Ok(Self { endpoint, fixed: public_url.is_some(), located: Arc::default() })
    }

    /// The same function, which these web pages may call.
    #[must_use]
    pub fn shared_with(self, origins: Origins) -> Self {
        Self { endpoint: self.endpoint.shared_with(origins), ..self }
    }

    /// Answers one event. The body goes on until everything the request began has its outcome, or
    /// until shortly before the invocation's deadline.
    pub async fn serve(&self, request: lambda_http::Request) -> Response<Body> {
        let deadline =
            request.lambda_context_ref().and_then(|context| a2a_lambda::deadline(context.deadline));
        let target = event::target(&request);
        let endpoint = self.located_at(target.address).invocation();
        let read = caller::owner(&request)
            .and_then(|owner| Ok((owner, event::request(request, &target.path)?)));
        let response = match read {
            Ok((owner, request)) => {
                let caller = Caller { owner, deadline, ..Caller::default() };
                endpoint.serve(caller, request).await
            }
            Err(error) => endpoint.refuse(&target.path, error),
        };
        body::keep_open(response, endpoint, deadline)
    }

    /// The endpoint whose card names the address.
    fn located_at(&self, address: Option<String>) -> HttpEndpoint {
        let Some(address) = address.filter(|_| !self.fixed) else { return self.endpoint.clone() };
        let mut located = self.located.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, endpoint)) = located.as_ref().filter(|(known, _)| *known == address) {
            return endpoint.clone();
        }
        // The card was written once already, so it can be written.
        let Ok(endpoint) = self.endpoint.located_at(&address) else { return self.endpoint.clone() };
        *located = Some((address, endpoint.clone()));
        endpoint
    }
}
