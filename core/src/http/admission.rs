//! A request's head, judged before a byte of its body is kept.
//!
//! Owns: the order of the checks that need no body, and the status of what they refuse. Must never
//! know: how the body arrives.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, TRANSFER_ENCODING},
    request::Parts,
};

use super::{
    Body, HttpEndpoint,
    admitted::Admitted,
    encoding::{self, Encoding},
};
use crate::{
    call::Caller,
    error::{Error, ErrorKind},
    wire::{is_json_type, jsonrpc, rest, status},
};

impl HttpEndpoint {
    /// Judges a request by its head: host, origin, path and method, credentials, then what it says of
    /// its body: encoding, type and length.
    ///
    /// # Errors
    /// The response, for which no body is needed: 401, 403, 404, 405, 413, 415, and a preflight's.
    pub fn admit(&self, caller: Caller, mut parts: Parts) -> Result<Admitted, Box<Response<Body>>> {
        let origin = parts.headers.get(ORIGIN).cloned();
        match self.judge(caller, &mut parts) {
            Ok((caller, encoding)) => Ok(Admitted { caller, parts, encoding }),
            Err(mut response) => {
                self.origins.share(origin.as_ref(), response.headers_mut());
                Err(response)
            }
        }
    }

    fn judge(
        &self,
        caller: Caller,
        parts: &mut Parts,
    ) -> Result<(Caller, Option<Encoding>), Box<Response<Body>>> {
        let path = parts.uri.path().to_owned();
        let refuse = |error| Box::new(self.refuse(&path, error));
        self.origins.check(parts).map_err(refuse)?;
        if let Some(answer) = self.origins.preflight(parts) {
            return Err(answer.map(Box::new).unwrap_or_else(refuse));
        }
        self.take_off_base(parts);
        let path = parts.uri.path().to_owned();
        let refuse = |error| Box::new(self.refuse(&path, error));
        let caller = self.authenticated(caller, parts)?;
        if !jsonrpc::is_path(&path) {
            rest::check(&parts.method, &path).map_err(refuse)?;
        } else if parts.method != Method::POST {
            let error =
                Error::new(ErrorKind::MethodNotAllowed, "JSON-RPC requests are posted here.");
            return Err(Box::new(super::rest_error(&error.with("allow", "POST"))));
        }
        let about_body = self.check_length(parts).and_then(|()| {
            let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
                || parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
            if has_body { check_type(parts) } else { Ok(()) }
        });
        about_body.map_err(refuse)?;
        let encoding = encoding::of(parts.headers.get_all(CONTENT_ENCODING)).map_err(refuse)?;
        Ok((caller, encoding))
    }

    fn check_length(&self, parts: &Parts) -> Result<(), Error> {
        let length = parts.headers.get(CONTENT_LENGTH).map(HeaderValue::to_str);
        let length = length.and_then(|length| length.ok()?.parse::<u64>().ok());
        match length {
            Some(length) if length > self.body_limit() as u64 => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    /// The error of a body that is over the limit.
    pub fn too_large(&self) -> Error {
        let limit = self.body_limit();
        let sentence = format!("The request's body is over the limit of {limit} bytes.");
        Error::new(ErrorKind::TooLarge, sentence)
    }

    /// The body as it was before it was encoded, within the limit, and of a type that is read here.
    pub(super) fn body(&self, admitted: &Admitted, body: Bytes) -> Result<Bytes, Error> {
        if body.len() > self.body_limit() {
            return Err(self.too_large());
        }
        if !body.is_empty() {
            check_type(&admitted.parts)?;
        }
        match admitted.encoding {
            Some(encoding) => {
                encoding.decoded(&body, self.body_limit())?.ok_or_else(|| self.too_large())
            }
            None => Ok(body),
        }
    }

    /// The base path of the agent's address is no part of what is asked for.
    fn take_off_base(&self, parts: &mut Parts) {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let rest = target.strip_prefix(&*self.base).filter(|_| !self.base.is_empty());
        let target = match rest {
            Some(rest) if rest.is_empty() || rest.starts_with('?') => format!("/{rest}"),
            Some(rest) if rest.starts_with('/') => rest.to_owned(),
            _ => return,
        };
        if let Ok(target) = target.parse() {
            parts.uri = target;
        }
    }

    /// Answers with an error that needs no body, as the path's binding has it, and with HTTP's own
    /// status for it.
    pub fn refuse(&self, path: &str, error: Error) -> Response<Body> {
        let path = path.strip_prefix(&*self.base).unwrap_or(path);
        if !jsonrpc::is_path(path) {
            return super::rest_error(&error);
        }
        let mut body = Vec::new();
        let row = status::of(error.kind());
        let outcome = Err(error);
        jsonrpc::write_response(&mut body, &jsonrpc::Id::Null, &outcome);
        // What is wrong with the request itself is told in JSON-RPC's own way.
        let told = row.http == StatusCode::BAD_REQUEST || row.http == StatusCode::NOT_FOUND;
        let status = if told { StatusCode::OK } else { row.http };
        let mut response = super::full(status, super::JSON, body);
        super::retry_later(&mut response);
        response
    }
}

fn check_type(parts: &Parts) -> Result<(), Error> {
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if content_type.is_some_and(is_json_type) {
        return Ok(());
    }
    let sentence = "Requests are sent as application/a2a+json or application/json, which the header \
                    Content-Type says.";
    Err(Error::new(ErrorKind::UnsupportedMediaType, sentence))
}
