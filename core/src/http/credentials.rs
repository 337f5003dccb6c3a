//! Who a request's credentials say it is.
//!
//! Owns: the header they come in, and what is asked for where they do not do (RFC 9110, section
//! 11.6.1; RFC 6750, section 3). Must never know: how they are checked.

use http::{
    HeaderValue, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
    request::Parts,
};

use super::{Body, HttpEndpoint};
use crate::{
    auth::Login,
    call::{Caller, Credentials},
    wire::{rest, status},
};

impl HttpEndpoint {
    /// The caller of this request; everybody may read the card.
    pub(super) fn authenticated(
        &self,
        caller: Caller,
        parts: &Parts,
    ) -> Result<Caller, Box<Response<Body>>> {
        let path = parts.uri.path();
        if rest::is_card(path) {
            return Ok(caller);
        }
        let mut brought = parts.headers.get_all(AUTHORIZATION).iter();
        let authorization = match (brought.next(), brought.next()) {
            (first, None) => first.map(HeaderValue::as_bytes),
            // No request has two callers.
            (_, Some(_)) => Some(&b""[..]),
        };
        match self.handler.login(&caller.owner, authorization, || self.handler.now()) {
            Ok(Login { owner, expires }) => {
                let credentials = authorization.and_then(Credentials::new);
                Ok(Caller { owner, credentials, login_expires: expires, ..caller })
            }
            Err(error) => {
                let http = status::of(error.kind()).http;
                let mut response = self.refuse(path, error);
                if http == StatusCode::UNAUTHORIZED {
                    let challenge = match authorization {
                        None => "Bearer",
                        Some(_) => "Bearer error=\"invalid_token\"",
                    };
                    let challenge = HeaderValue::from_static(challenge);
                    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
                Err(Box::new(response))
            }
        }
    }
}
