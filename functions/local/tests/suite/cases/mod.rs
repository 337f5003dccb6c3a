//! THE transport suite: "the task stays; only the transport changes".
//!
//! A case is one entry of a [`cases!`] list, `name(Agent) [steps]`; each becomes one test per lane,
//! for example `cases::brief::jsonrpc::two_turns_in_a_context`. What lanes may differ in is said by
//! the step ([`Step::leaves_after`](crate::script::Step::leaves_after)) and by nothing else.

/// One test per case and lane.
macro_rules! cases {
    ($($(#[$about:meta])* $name:ident($agent:ident) [$($step:expr),* $(,)?])*) => {
        $($(#[$about])* fn $name() -> crate::script::Case {
            let steps = vec![$($step),*];
            let agent = crate::agents::Agent::$agent;
            crate::script::Case { name: stringify!($name), agent, steps }
        })*
        lane!(handler, crate::lanes::handler::Handler, $($name)*);
        lane!(jsonrpc, crate::lanes::http::JsonRpc, $($name)*);
        lane!(rest, crate::lanes::http::Rest, $($name)*);
        lane!(record, crate::lanes::kafka::RecordLane, $($name)*);
        lane!(brief_record, crate::lanes::kafka::BriefLane, $($name)*);
        lane!(msk_event, crate::lanes::kafka::EventLane, $($name)*);
        lane!(broker, crate::lanes::broker::Broker, $($name)*);
        lane!(kafka_client, crate::lanes::client::OverKafka, $($name)*);
        lane!(jsonrpc_client, crate::lanes::client_http::ClientJsonRpc, $($name)*);
        lane!(rest_client, crate::lanes::client_http::ClientRest, $($name)*);
    };
}

macro_rules! lane {
    ($module:ident, $lane:ty, $($name:ident)*) => {
        mod $module {
            $(#[tokio::test]
            async fn $name() {
                crate::script::run::<$lane>(super::$name()).await;
            })*
        }
    };
}

mod brief;
mod errors;
mod life;
mod tasks;
