//! Who calls.
//!
//! Owns: what each kind of gateway's authorization says of the caller. Must never know: how a
//! caller proves it; that is the gateway's.

use std::sync::Arc;

use a2a_core::{Caller, Error, ErrorKind};
use lambda_http::{
    RequestExt,
    aws_lambda_events::apigw::{
        ApiGatewayProxyRequestContext, ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequestContext,
    },
    request::RequestContext,
};

/// Whose tasks the request is about: the caller, as the gateway's authorization names it. Empty
/// where the gateway does not ask.
///
/// # Errors
/// When it asked and does not say: such callers would all be one, and see each other's tasks.
pub(crate) fn owner(request: &lambda_http::Request) -> Result<Arc<str>, Error> {
    let (owner, asked) = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            let authorizer = &context.authorizer;
            let asked = authorizer.jwt.is_some() || !authorizer.fields.is_empty();
            (owner_of_v1(context), asked)
        }
        Some(RequestContext::ApiGatewayV2(context)) => {
            (owner_of_v2(context), context.authorizer.is_some())
        }
        _ => (None, false),
    };
    if asked && owner.is_none() {
        let sentence = "The gateway's authorizer does not say who calls: it names no `sub`, \
                        `principalId` or ARN.";
        return Err(Error::new(ErrorKind::PermissionDenied, sentence));
    }
    Ok(owner.unwrap_or_default().into())
}

fn owner_of_v1(context: &ApiGatewayProxyRequestContext) -> Option<String> {
    // Before the ARN: all users of an identity pool have one role and one session name.
    let of_identity = || context.identity.cognito_identity_id.as_deref().and_then(identity);
    let of_iam = || context.identity.user_arn.clone();
    // A usage plan's key: the caller's application, and better than nobody.
    let of_key = || context.identity.api_key_id.as_ref().map(|id| format!("key:{id}"));
    let signed = || of_identity().or_else(of_iam);
    authorized(&context.authorizer).or_else(signed).or_else(of_key)
}

fn owner_of_v2(context: &ApiGatewayV2httpRequestContext) -> Option<String> {
    let authorizer = context.authorizer.as_ref()?;
    let of_iam = || {
        let iam = authorizer.iam.as_ref()?;
        let cognito = iam.cognito_identity.as_ref().and_then(|it| it.identity_id.as_deref());
        cognito.and_then(identity).or_else(|| iam.user_arn.clone())
    };
    authorized(authorizer).or_else(of_iam)
}

/// A user of a Cognito identity pool.
fn identity(id: &str) -> Option<String> {
    (!id.is_empty()).then(|| format!("cognito:{id}"))
}

/// Who a token's claims or a function of the user's say it is.
fn authorized(authorizer: &ApiGatewayRequestAuthorizer) -> Option<String> {
    let subject = |issuer: Option<&str>, subject: &str| {
        Caller::named(issuer.unwrap_or_default(), subject).to_string()
    };
    let of_jwt = authorizer.jwt.as_ref().and_then(|jwt| {
        let name = jwt.claims.get("sub").filter(|name| !name.is_empty())?;
        Some(subject(jwt.claims.get("iss").map(String::as_str), name))
    });
    // A REST API's user pool: the claims stand in a field.
    let of_pool = || {
        let claims = authorizer.fields.get("claims")?;
        let name = claims["sub"].as_str().filter(|name| !name.is_empty())?;
        Some(subject(claims["iss"].as_str(), name))
    };
    let of_function = || {
        let principal = authorizer.fields.get("principalId")?.as_str();
        let principal = principal.filter(|name| !name.is_empty())?;
        Some(format!("principal:{principal}"))
    };
    of_jwt.or_else(of_pool).or_else(of_function)
}
