//! The way to DynamoDB: HTTP/1.1, in the clear or over TLS.
//!
//! Owns: connections, whom they trust, and which failures are worth another attempt. The SDK's own
//! client also speaks HTTP/2, which DynamoDB does not, and to proxies; that would be a quarter of a
//! function. Must never know: what is asked.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// How long it may take until a server accepts a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// A client for the SDK. Its connections are kept, and shared by all who hold it.
///
/// # Errors
/// In words, when there is no TLS to be had.
pub(super) fn client() -> Result<SharedHttpClient, String> {
    let connector = SharedHttpConnector::new(Connections::new()?);
    // What the SDK would set here are time limits; they are constants of ours.
    Ok(http_client_fn(move |_, _| connector.clone()))
}

#[derive(Debug)]
struct Connections(Client<HttpsConnector<connect::HttpConnector>, SdkBody>);

impl Connections {
    fn new() -> Result<Self, String> {
        let mut tcp = connect::HttpConnector::new();
        // Whether a URL is one of TLS is decided above it.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_or_http();
        let mut pool = Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new());
        Ok(Self(pool.build(tls.enable_http1().wrap_connector(tcp))))
    }
}

/// Trusts what the system trusts. A machine without certificates can still use a local engine.
fn tls() -> Result<ClientConfig, String> {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("There is no TLS for DynamoDB: {error}."))?;
    Ok(config.with_root_certificates(trusted).with_no_client_auth())
}

impl HttpConnector for Connections {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            // Nobody there, a connection that broke, a certificate: all may be well the next time.
            let answer = answer.await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
