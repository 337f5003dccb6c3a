//! What an application says of Kafka.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// How Kafka is reached and how a client introduces itself. Start from the default and change what
/// you must.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct KafkaOptions {
    /// Further settings of librdkafka, by name: TLS (`security.protocol`, `ssl.ca.location`), a
    /// login (`sasl.mechanisms`, `sasl.username`, `sasl.password`). They need the feature of the
    /// crate `rdkafka` that brings them. Values are never logged.
    pub settings: BTreeMap<String, String>,
    /// The token of the header `authorization`, without the word `Bearer`; never logged.
    pub bearer: Option<Arc<str>>,
    /// After how much silence a request is sent again, under the same correlation id; by default a
    /// quarter of the call's timeout, from one second to fifteen.
    pub resend_after: Option<Duration>,
}

impl fmt::Debug for KafkaOptions {
    /// The names of the settings, and no value of any.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("KafkaOptions")
            .field("settings", &self.settings.keys())
            .field("bearer", &self.bearer.as_ref().map(|_| "…"))
            .field("resend_after", &self.resend_after)
            .finish()
    }
}
