//! From an address, or a card, to a client.
//!
//! Owns: which of an agent's interfaces is taken, and what every request to it bears. Must never
//! know: how a call is sent.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

#[cfg(feature = "client-kafka")]
use super::kafka::{KafkaOptions, KafkaTransport};
use super::{
    Client, Parameters, Transport, bounds,
    http::{Connection, below},
    jsonrpc::JsonRpcTransport,
    lazy::LazyTransport,
    origin::{Origin, parse},
    rest::RestTransport,
    retry::{Retrying, tried},
};
use crate::{
    call::{Call, Reply},
    error::{Error, ErrorKind},
    types::{AgentCard, AgentInterface},
    wire::{kafka, rest},
};

/// How agents are reached: what is sent along, and which binding is wanted.
///
/// ```no_run
/// # async fn connect() -> Result<(), a2a_core::Error> {
/// use a2a_core::client::Connector;
///
/// let client = Connector::new().bearer("a secret")?.connect("https://agents.example.com").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connector {
    binding: Option<String>,
    headers: HeaderMap,
    bearer_to: Vec<Origin>,
    limit: usize,
    #[cfg(feature = "client-kafka")]
    kafka: KafkaOptions,
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            binding: None,
            headers: HeaderMap::new(),
            bearer_to: Vec::new(),
            limit: bounds::ANSWER,
            #[cfg(feature = "client-kafka")]
            kafka: KafkaOptions::default(),
        }
    }
}

impl fmt::Debug for Connector {
    /// Leaves the headers' values out: there are credentials among them.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().collect();
        formatter
            .debug_struct("Connector")
            .field("binding", &self.binding)
            .field("headers", &headers)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// Nothing is sent along, and the agent's preference counts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a token along: `Authorization: Bearer …`. It goes to the origin that is asked, also where
    /// the agent's card leads to another one, and is never logged. See [`Connector::bearer_to`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when it cannot stand in a header.
    pub fn bearer(self, token: &str) -> Result<Self, Error> {
        let connector = self.header("authorization", &format!("Bearer {token}"))?;
        #[cfg(feature = "client-kafka")]
        let connector = Self {
            kafka: KafkaOptions { bearer: Some(token.into()), ..connector.kafka },
            ..connector
        };
        Ok(connector)
    }

    /// How Kafka is reached. A token that [`Connector::bearer`] is given afterwards replaces the one
    /// in there.
    #[cfg(feature = "client-kafka")]
    #[must_use]
    pub fn kafka(mut self, options: KafkaOptions) -> Self {
        self.kafka = options;
        self
    }

    /// Lets what is sent along go to this origin too, where the agent's card leads to it:
    /// `https://HOST[:PORT]`, `http://HOST[:PORT]` or `kafka://HOST:PORT[,HOST:PORT]`. A card that came
    /// encrypted leads to nothing that is not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when it is no origin.
    pub fn bearer_to(mut self, origin: &str) -> Result<Self, Error> {
        self.bearer_to.push(Origin::read(origin)?);
        Ok(self)
    }

    /// Sends a header along with every request, as a token. Its value is never logged. Not over Kafka.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when it is no header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let wrong = |what: &str| Error::invalid_field("header", format!("has {what} that is none"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("a name"))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong("a value"))?;
        value.set_sensitive(true);
        self.headers.append(header, value);
        Ok(self)
    }

    /// Takes only an interface of this binding, as the card names it: `JSONRPC`, `HTTP+JSON`, or a
    /// custom binding's URI.
    #[must_use]
    pub fn binding(mut self, binding: impl Into<String>) -> Self {
        self.binding = Some(binding.into());
        self
    }

    /// How many bytes an answer, or one event of a stream, may have: [`bounds::ANSWER`] where nothing
    /// is said.
    #[must_use]
    pub fn answer_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// A client of the agent at this address: of `http:` and `https:`, where its card is found
    /// (specification section 8.2) at the well-known path below it, or where the address ends in
    /// `.json`, at it; of `kafka:`, its topic itself.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when it is no such address, or holds credentials; what asking for
    /// the card answers, and see [`Connector::from_card`].
    pub async fn connect(&self, url: &str) -> Result<Client, Error> {
        if is_kafka(url) {
            return self.to(&self.over_kafka(url));
        }
        let url = parse(url)?;
        let at = if url.path().ends_with(".json") { url } else { card_below(&url) };
        let parameters = Parameters::default();
        let asked = CardAt(self.connection(&at, Some(&at), true)?);
        match tried(&asked, &parameters, &Call::GetAgentCard).await? {
            Reply::Card(card) => self.choose(&card, Some(&at)),
            _ => Err(super::another_kind()),
        }
    }

    /// A client of the agent at this address, which [`Connector::connect`] looks for when it is
    /// first called: the agent need not be there before. While it is not found, each call looks
    /// again, and fails with what that says.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when it is no such address, [`ErrorKind::UnsupportedOperation`]
    /// when its binding is not spoken here.
    pub fn at(&self, url: &str) -> Result<Client, Error> {
        if is_kafka(url) {
            let interface = self.over_kafka(url);
            Binding::of(&interface).ok_or_else(|| not_spoken(&interface))?;
            #[cfg(feature = "client-kafka")]
            KafkaTransport::check(url)?;
        } else {
            parse(url)?;
        }
        let (shown, connector, url) = (format!("{self:?}"), self.clone(), url.to_owned());
        let find = move || {
            let (connector, url) = (connector.clone(), url.clone());
            async move { connector.connect(&url).await }.boxed()
        };
        Ok(Client::new(Arc::new(LazyTransport::new(shown, Box::new(find)))))
    }

    /// A client of the agent with this card: over the first of its interfaces that this client
    /// speaks. Credentials go to none but where [`Connector::bearer_to`] says.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedOperation`] when it has none, [`ErrorKind::PermissionDenied`] when there
    /// are credentials and it has none where they may go; see [`Connector::to`].
    pub fn from_card(&self, card: &AgentCard) -> Result<Client, Error> {
        self.choose(card, None)
    }

    /// A client of the agent behind this interface. Its tenant, if it names one, goes with every
    /// call that names none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when its address is none, [`ErrorKind::UnsupportedOperation`]
    /// when its binding is not spoken here.
    pub fn to(&self, interface: &AgentInterface) -> Result<Client, Error> {
        self.open(interface, None, true)
    }

    fn over_kafka(&self, url: &str) -> AgentInterface {
        let protocol_binding = self.binding.clone().unwrap_or_else(|| kafka::BINDING.into());
        AgentInterface { url: url.to_owned(), protocol_binding, ..Default::default() }
    }

    /// `at` is where the card was found, for whoever asks for it again.
    fn choose(&self, card: &AgentCard, at: Option<&Url>) -> Result<Client, Error> {
        let wanted = |it: &&AgentInterface| {
            let named = self.binding.as_ref().is_none_or(|name| *name == it.protocol_binding);
            let spoken = Binding::of(it).is_some() && speaks(&it.protocol_version);
            // What is begun encrypted stays so, with or without credentials.
            let safe = at.is_none_or(|at| at.scheme() != "https") || self.is_encrypted(&it.url);
            named && spoken && safe
        };
        let mut wanted = card.supported_interfaces.iter().filter(wanted);
        let Some(first) = wanted.clone().next() else {
            return Err(none_spoken(card, self.binding.as_deref()));
        };
        let asked = at.and_then(|at| Origin::of(at.as_str()));
        let is_known = |it: &&AgentInterface| {
            let to = Origin::of(&it.url);
            to.is_some_and(|to| Some(&to) == asked.as_ref() || self.bearer_to.contains(&to))
        };
        match wanted.find(is_known) {
            Some(interface) if self.has_credentials() => self.open(interface, at, true),
            None if self.has_credentials() => Err(elsewhere(first)),
            _ => self.open(first, at, is_known(&first)),
        }
    }

    fn has_credentials(&self) -> bool {
        #[cfg(feature = "client-kafka")]
        let over_kafka = self.kafka.has_credentials();
        #[cfg(not(feature = "client-kafka"))]
        let over_kafka = false;
        over_kafka || !self.headers.is_empty()
    }

    fn is_encrypted(&self, url: &str) -> bool {
        #[cfg(feature = "client-kafka")]
        let kafka = self.kafka.is_encrypted();
        #[cfg(not(feature = "client-kafka"))]
        let kafka = false;
        url.starts_with("https:") || (is_kafka(url) && kafka)
    }

    /// `may_bear` is whether credentials may go there.
    fn open(
        &self,
        interface: &AgentInterface,
        card: Option<&Url>,
        may_bear: bool,
    ) -> Result<Client, Error> {
        let transport: Arc<dyn Transport> = match Binding::of(interface) {
            Some(Binding::JsonRpc) => {
                let url = parse(&interface.url)?;
                let endpoint = JsonRpcTransport::new(self.connection(&url, card, may_bear)?, url);
                Arc::new(Retrying(Arc::new(endpoint)))
            }
            Some(Binding::Rest) => {
                let url = parse(&interface.url)?;
                let endpoint = RestTransport::new(self.connection(&url, card, may_bear)?, url);
                Arc::new(Retrying(Arc::new(endpoint)))
            }
            // It makes its own calls again: only it knows under which correlation id.
            #[cfg(feature = "client-kafka")]
            Some(Binding::Kafka) => {
                let options = KafkaOptions { may_bear, ..self.kafka.clone() };
                Arc::new(KafkaTransport::new(&interface.url, options)?)
            }
            None => return Err(not_spoken(interface)),
        };
        Ok(Client::new(match &interface.tenant {
            Some(tenant) if !tenant.is_empty() => {
                Arc::new(OfTenant { transport, tenant: tenant.as_str().into() })
            }
            _ => transport,
        }))
    }

    fn connection(
        &self,
        url: &Url,
        card: Option<&Url>,
        may_bear: bool,
    ) -> Result<Connection, Error> {
        let root = || {
            let mut root = url.clone();
            root.set_path("");
            card_below(&root)
        };
        let card = card.cloned().unwrap_or_else(root);
        let tls = [url, &card].iter().any(|url| url.scheme() == "https");
        Connection::new(card, tls, self.headers.clone(), may_bear, self.limit)
    }
}

impl Client {
    /// A client of the agent at this address; see [`Connector::connect`].
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Connector::new().connect(url).await
    }

    /// A client of the agent with this card; see [`Connector::from_card`].
    ///
    /// # Errors
    /// As [`Connector::from_card`].
    pub fn from_card(card: &AgentCard) -> Result<Self, Error> {
        Connector::new().from_card(card)
    }
}

/// The bindings that this build speaks.
enum Binding {
    JsonRpc,
    Rest,
    #[cfg(feature = "client-kafka")]
    Kafka,
}

impl Binding {
    fn of(interface: &AgentInterface) -> Option<Self> {
        let is_http = interface.url.starts_with("http:") || interface.url.starts_with("https:");
        match &*interface.protocol_binding {
            AgentInterface::JSONRPC if is_http => Some(Self::JsonRpc),
            AgentInterface::HTTP_JSON if is_http => Some(Self::Rest),
            #[cfg(feature = "client-kafka")]
            kafka::BINDING if is_kafka(&interface.url) => Some(Self::Kafka),
            _ => None,
        }
    }
}

/// Whether an interface's version is spoken here; one that says none is taken at its word.
fn speaks(version: &str) -> bool {
    version.is_empty() || version == "1.0" || version.starts_with("1.0.")
}

/// Such an address may name several brokers, which no other address can.
fn is_kafka(url: &str) -> bool {
    url.starts_with("kafka:")
}

fn card_below(base: &Url) -> Url {
    below(base, &rest::encode(&Call::GetAgentCard).path_and_query)
}

fn none_spoken(card: &AgentCard, wanted: Option<&str>) -> Error {
    let named = card
        .supported_interfaces
        .iter()
        .map(|it| format!("{} {}", it.protocol_binding, it.protocol_version).trim_end().to_owned());
    let named: Vec<String> = named.take(8).collect();
    let wanted = wanted.map(|name| format!(" of the binding {name}")).unwrap_or_default();
    let has = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
    let sentence = format!(
        "The agent's card names no interface{wanted} that can be used from here; it names {has}."
    );
    Error::new(ErrorKind::UnsupportedOperation, sentence)
}

fn elsewhere(interface: &AgentInterface) -> Error {
    let to = Origin::of(&interface.url).map_or("another origin".to_owned(), |it| it.to_string());
    let sentence = format!(
        "The agent's card leads to {to}, and the credentials are for the origin that was asked: say \
         that they may go there too (--bearer-to)."
    );
    Error::new(ErrorKind::PermissionDenied, sentence)
}

fn not_spoken(interface: &AgentInterface) -> Error {
    let scheme = interface.url.split(':').next().unwrap_or_default();
    let binding = &interface.protocol_binding;
    let sentence = format!("The binding {binding} over {scheme}: is not spoken by this build.");
    Error::new(ErrorKind::UnsupportedOperation, sentence)
}

/// An agent whose card is all that is known.
#[derive(Debug)]
struct CardAt(Connection);

#[async_trait]
impl Transport for CardAt {
    async fn call(&self, parameters: &Parameters, _: Call) -> Result<Reply, Error> {
        self.0.card(parameters).await
    }
}

/// An agent of which one tenant is meant (specification section 4.4.6).
#[derive(Debug)]
struct OfTenant {
    transport: Arc<dyn Transport>,
    tenant: Arc<str>,
}

#[async_trait]
impl Transport for OfTenant {
    async fn call(&self, parameters: &Parameters, mut call: Call) -> Result<Reply, Error> {
        if let Some(tenant @ None) = call.tenant_mut() {
            *tenant = Some(Arc::clone(&self.tenant));
        }
        self.transport.call(parameters, call).await
    }
}
