//! THE transport suite: "the task stays; only the transport changes".
//!
//! A case is one entry of a [`cases!`] list, `name(Agent) [steps]`; each becomes one test per transport,
//! for example `cases::brief::jsonrpc::two_turns_in_a_context`. What transports may differ in is said by
//! the step ([`Step::leaves_after`](crate::script::Step::leaves_after)) and by nothing else.

/// One test per case and transport.
macro_rules! cases {
    ($($(#[$about:meta])* $name:ident($agent:ident) [$($step:expr),* $(,)?])*) => {
        $($(#[$about])* fn $name() -> crate::script::Case {
            let steps = vec![$($step),*];
            let agent = crate::agents::Agent::$agent;
            crate::script::Case { name: stringify!($name), agent, steps }
        })*
        transport!(handler, crate::transports::handler::Handler, $($name)*);
        transport!(jsonrpc, crate::transports::http::JsonRpc, $($name)*);
        transport!(rest, crate::transports::http::Rest, $($name)*);
        transport!(record, crate::transports::kafka::RecordTransport, $($name)*);
        transport!(brief_record, crate::transports::kafka::BriefTransport, $($name)*);
        transport!(msk_event, crate::transports::kafka::EventTransport, $($name)*);
        transport!(broker, crate::transports::broker::Broker, $($name)*);
        transport!(kafka_client, crate::transports::client::OverKafka, $($name)*);
        transport!(jsonrpc_client, crate::transports::client_http::ClientJsonRpc, $($name)*);
        transport!(rest_client, crate::transports::client_http::ClientRest, $($name)*);
    };
}

macro_rules! transport {
    ($module:ident, $transport:ty, $($name:ident)*) => {
        mod $module {
            $(#[tokio::test]
            async fn $name() {
                crate::script::run::<$transport>(super::$name()).await;
            })*
        }
    };
}

mod brief;
mod errors;
mod life;
mod tasks;
