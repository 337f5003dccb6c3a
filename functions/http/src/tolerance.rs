//! Events that their reader could not make a request of.
//!
//! Owns: what such an event is taken for. Must never know: what a request asks for.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue,
    header::{HOST, HeaderName},
};
use lambda_http::{
    aws_lambda_events::query_map::QueryMap, lambda_runtime::LambdaEvent, request::LambdaRequest,
};

/// The longest path, and the longest query, that a request can have, in bytes. Gateways take less.
const LONGEST: usize = 16 << 10;
/// What is asked for in too many bytes: nothing is there.
const TOO_LONG: &str = "/the-address-is-too-long";
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The same event, of which a request can be made: `lambda_http` panics over a host, a scheme, a query
/// or base64 that are none. An address that is too long names nothing; a body that is no base64 is
/// none.
pub fn tolerated(event: LambdaRequest) -> LambdaRequest {
    match event {
        LambdaRequest::ApiGatewayV1(mut event) => {
            headers(&mut event.headers);
            event.multi_value_headers.remove(HOST);
            event.multi_value_headers.remove(X_FORWARDED_PROTO);
            let maps = [
                &mut event.query_string_parameters,
                &mut event.multi_value_query_string_parameters,
            ];
            path(&mut event.path, maps.map(|map| map.to_query_string().len()).iter().sum());
            if event.path.as_deref() == Some(TOO_LONG) {
                event.query_string_parameters = QueryMap::default();
                event.multi_value_query_string_parameters = QueryMap::default();
            }
            stage(&mut event.request_context.stage);
            body(event.is_base64_encoded, &mut event.body);
            LambdaRequest::ApiGatewayV1(event)
        }
        LambdaRequest::ApiGatewayV2(mut event) => {
            headers(&mut event.headers);
            // Taken apart and put together again, it is one.
            let query = event.raw_query_string.take().unwrap_or_default();
            let query = query.parse::<QueryMap>().unwrap_or_default().to_query_string();
            path(&mut event.raw_path, query.len());
            let is_too_long = event.raw_path.as_deref() == Some(TOO_LONG);
            event.raw_query_string = Some(if is_too_long { String::new() } else { query });
            stage(&mut event.request_context.stage);
            body(event.is_base64_encoded, &mut event.body);
            LambdaRequest::ApiGatewayV2(event)
        }
        other => other,
    }
}

/// The same for what the runtime hands over.
pub(crate) fn of(event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    LambdaEvent { payload: tolerated(event.payload), context: event.context }
}

/// The agent's address is the gateway's word, and not the client's.
fn headers(headers: &mut HeaderMap) {
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.remove(X_FORWARDED_PROTO);
}

fn path(path: &mut Option<String>, query: usize) {
    let asked = path.get_or_insert_default();
    if !asked.starts_with('/') {
        asked.insert(0, '/');
    }
    if asked.len() > LONGEST || query > LONGEST {
        TOO_LONG.clone_into(asked);
    }
}

fn stage(stage: &mut Option<String>) {
    stage.take_if(|stage| stage.len() > LONGEST);
}

fn body(is_base64: bool, body: &mut Option<String>) {
    body.take_if(|body| is_base64 && STANDARD.decode(body.as_bytes()).is_err());
}
