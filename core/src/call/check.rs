//! What may be refused of a call before any task is read.
//!
//! Owns: which version and extensions are served, whether parameters are valid, what the card
//! promises. Pure. Must never know: tasks.

use std::sync::Arc;

use super::{
    caller::Caller,
    operation::Call,
    validate::{of_extensions, violations},
};
use crate::{
    error::{Error, ErrorKind, FieldViolation},
    limits::Limits,
    types::{AgentCard, Part, SendMessageRequest},
};

/// The protocol version served here, as `Major.Minor` (specification section 3.6).
const VERSION: &str = "1.0";
/// How much of another version is told, in bytes.
const LONGEST_VERSION: usize = 32;

/// The protocol that a call is made in: its version and its extensions.
pub(crate) fn protocol(
    call: &Call,
    caller: &Caller,
    card: &AgentCard,
    limits: &Limits,
) -> Result<(), Error> {
    // Anyone may read the card to learn which versions and extensions there are.
    if *call == Call::GetAgentCard {
        return Ok(());
    }
    version(caller)?;
    well_formed(of_extensions(&caller.extensions, limits))?;
    extensions(caller, card)
}

/// What else of a call needs no task: the card's promises and its parameters.
pub(crate) fn call(call: &Call, card: &AgentCard, limits: &Limits) -> Result<(), Error> {
    if *call == Call::GetAgentCard {
        return Ok(());
    }
    capability(call, card)?;
    well_formed(violations(call, limits))
}

fn well_formed(violations: Vec<FieldViolation>) -> Result<(), Error> {
    if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
}

/// Section 3.6.2. A missing header is read as the version whose method was called, and only 1.0's
/// are served.
fn version(caller: &Caller) -> Result<(), Error> {
    let Some(version) = caller.version.as_deref().map(str::trim).filter(|it| !it.is_empty()) else {
        return Ok(());
    };
    let mut numbers = version.splitn(3, '.');
    let (major, minor) = (numbers.next(), numbers.next());
    if (major, minor) == (Some("1"), Some("0")) {
        return Ok(());
    }
    let version = &version[..version.floor_char_boundary(LONGEST_VERSION)];
    Err(Error::new(
        ErrorKind::VersionNotSupported,
        format!("Version {version:?} of the protocol is not served here; {VERSION} is."),
    )
    .with("supportedVersions", VERSION))
}

/// Section 4.6: an extension the card requires must be one the caller knows.
fn extensions(caller: &Caller, card: &AgentCard) -> Result<(), Error> {
    let known = |uri: &str| caller.extensions.iter().any(|extension| **extension == *uri);
    let required = card.capabilities.extensions.iter().filter(|extension| extension.required);
    match required.into_iter().find(|extension| !known(&extension.uri)) {
        None => Ok(()),
        Some(missing) => Err(Error::new(
            ErrorKind::ExtensionSupportRequired,
            format!("This agent requires the extension {:?}.", missing.uri),
        )
        .with("extension", &*missing.uri)),
    }
}

/// Those of the extensions a caller knows that the agent knows too (section 4.6); in the card's
/// order.
pub(crate) fn active_extensions<'a>(card: &'a AgentCard, asked: &[Arc<str>]) -> Vec<&'a str> {
    let known = card.capabilities.extensions.iter().map(|extension| &*extension.uri);
    known.filter(|uri| asked.iter().any(|asked| **asked == **uri)).collect()
}

/// Section 3.3.4: what the card does not declare is refused as such.
fn capability(call: &Call, card: &AgentCard) -> Result<(), Error> {
    let refused = |kind, sentence| Err(Error::new(kind, sentence));
    let inline = match call {
        Call::SendMessage(request) | Call::SendStreamingMessage(request) => {
            let configuration = request.configuration.as_ref();
            configuration.is_some_and(|it| it.task_push_notification_config.is_some())
        }
        _ => false,
    };
    let push = inline
        || matches!(
            call,
            Call::CreateTaskPushNotificationConfig(_)
                | Call::GetTaskPushNotificationConfig(_)
                | Call::ListTaskPushNotificationConfigs(_)
                | Call::DeleteTaskPushNotificationConfig(_)
        );
    if push {
        return refused(
            ErrorKind::PushNotificationNotSupported,
            "This agent does not send push notifications.",
        );
    }
    if call.is_streaming() && card.capabilities.streaming != Some(true) {
        return refused(ErrorKind::UnsupportedOperation, "This agent does not stream.");
    }
    if matches!(call, Call::GetExtendedAgentCard(_)) {
        return match card.capabilities.extended_agent_card {
            Some(true) => refused(
                ErrorKind::ExtendedAgentCardNotConfigured,
                "This agent's extended card is not configured.",
            ),
            _ => refused(ErrorKind::UnsupportedOperation, "This agent has no extended card."),
        };
    }
    Ok(())
}

/// Section 3.3.2: a part of a declared media type must be of one the agent reads.
pub(crate) fn media_types(request: &SendMessageRequest, card: &AgentCard) -> Result<(), Error> {
    let modes = || {
        let skills = card.skills.iter().flat_map(|skill| &skill.input_modes);
        card.default_input_modes.iter().chain(skills)
    };
    let reads = |media_type: &str| modes().any(|mode| covers(mode, media_type));
    let types = request.message.parts.iter().filter_map(|part: &Part| part.media_type.as_deref());
    match types.into_iter().find(|media_type| !reads(media_type)) {
        None => Ok(()),
        Some(unread) => Err(Error::new(
            ErrorKind::ContentTypeNotSupported,
            format!("This agent does not read {unread:?}."),
        )
        .with("mediaType", unread)),
    }
}

/// Whether a mode such as `text/plain`, `image/*` or `*/*` covers a media type, its parameters
/// apart.
fn covers(mode: &str, media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    match mode.strip_suffix("/*") {
        Some("*") => true,
        Some(kind) => media_type.split('/').next().is_some_and(|it| it.eq_ignore_ascii_case(kind)),
        None => mode.eq_ignore_ascii_case(media_type),
    }
}
