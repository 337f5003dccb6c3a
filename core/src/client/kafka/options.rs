//! What an application says of Kafka.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// How Kafka is reached and how a client introduces itself. Start from the default and change what
/// you must.
#[derive(Clone)]
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
    /// Whether a caller's credentials may go there: not where a card leads that nobody asked for.
    pub(crate) may_bear: bool,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        let (settings, bearer, resend_after) = (BTreeMap::new(), None, None);
        Self { settings, bearer, resend_after, may_bear: true }
    }
}

impl KafkaOptions {
    /// Whether a broker is shown anything that is for one broker alone.
    pub(crate) fn has_credentials(&self) -> bool {
        let is_login = |name: &String| name.starts_with("sasl.") || name.starts_with("ssl.key");
        self.bearer.is_some() || self.settings.keys().any(is_login)
    }

    /// Whether nobody on the way to the broker can read along.
    pub(crate) fn is_encrypted(&self) -> bool {
        let protocol = self.settings.get("security.protocol");
        protocol.is_some_and(|it| matches!(&*it.to_ascii_lowercase(), "ssl" | "sasl_ssl"))
    }
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
