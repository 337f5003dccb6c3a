//! A function under test: a real binary, started as Lambda starts it, invoked one event at a time
//! or several at once.
//!
//! Owns: its environment, its start, and until when an invocation may last. Must never know: what
//! the function is for.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::net::TcpListener;

use crate::{
    answer::Answer,
    failure::{Failure, Log},
    invocation::Invocation,
    process::Process,
    runtime_api::{Freeze, RuntimeApi},
};

/// The program of the package's example of that name. Cargo builds examples with the tests, beside
/// them; what is not there was not built, and then nothing can be started.
pub fn example(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let folder = this.parent().and_then(std::path::Path::parent).unwrap_or(&this);
    folder.join("examples").join(name)
}

/// How a function is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The binary, whose file name is the function's name.
    pub program: PathBuf,
    /// Variables of its own, beside Lambda's.
    pub variables: Vec<(String, String)>,
    /// When it is frozen.
    pub freeze: Freeze,
    /// How long its start may take, and an invocation whose deadline says nothing.
    pub patience: Duration,
}

impl Settings {
    /// A function of this binary and these variables, frozen as on Lambda.
    pub fn new(program: impl Into<PathBuf>, variables: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            program: program.into(),
            variables: variables.iter().map(own).collect(),
            freeze: Freeze::default(),
            patience: Duration::from_secs(30),
        }
    }

    fn name(&self) -> String {
        self.program.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Lambda's variables, then the function's own.
    fn environment(&self, runtime_api: SocketAddr) -> impl Iterator<Item = (String, String)> {
        let folder = self.program.parent().unwrap_or(&self.program);
        let lambda: [(&str, &str); 13] = [
            ("AWS_LAMBDA_RUNTIME_API", &*runtime_api.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", &self.name()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{}", self.name())),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]emulator"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("LAMBDA_TASK_ROOT", &folder.to_string_lossy()),
            ("_HANDLER", "bootstrap"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
        ];
        let lambda = lambda.map(|(name, value)| (name.to_owned(), value.to_owned()));
        lambda.into_iter().chain(self.variables.iter().cloned())
    }
}

/// Until when an invocation may last.
#[derive(Clone, Copy, Debug)]
pub enum Deadline {
    /// So long from now. Past it the process is killed, as on Lambda.
    In(Duration),
    /// What `cargo lambda` writes for every invocation: ten minutes after the beginning of 1970.
    CargoLambda,
}

impl From<Duration> for Deadline {
    fn from(time: Duration) -> Self {
        Self::In(time)
    }
}

/// A running function. Dropping it kills it.
#[derive(Debug)]
pub struct Function {
    patience: Duration,
    api: RuntimeApi,
    process: Arc<Process>,
    init: Duration,
}

impl Function {
    /// Starts a binary with these variables and waits until it asks for its first event.
    ///
    /// # Errors
    /// [`Failure`]: it cannot be started, says that it cannot begin, ends, or takes too long.
    pub async fn start(
        program: impl Into<PathBuf>,
        variables: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        Self::start_with(Settings::new(program, variables)).await
    }

    /// The same, with everything chosen.
    ///
    /// # Errors
    /// As [`Function::start`].
    pub async fn start_with(settings: Settings) -> Result<Self, Failure> {
        let program = settings.program.display();
        let cannot = |error: io::Error| Failure::Start(format!("{program}: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let variables = settings.environment(listener.local_addr().map_err(cannot)?);
        let (spawned, patience) = (Instant::now(), settings.patience);
        let process = Process::start(&settings.program, variables).map_err(cannot)?;
        let process = Arc::new(process);
        let (api, mut begun) =
            RuntimeApi::serve(listener, settings.name(), settings.freeze, Arc::clone(&process));
        let bounds = (spawned, patience);
        let begun = process.bound(begun.recv(), "the function's start", bounds).await?;
        let refused = |body: Bytes| {
            Failure::Init(String::from_utf8_lossy(&body).into_owned(), Log(process.log()))
        };
        let at = begun.unwrap_or(Err(Bytes::new())).map_err(refused)?;
        Ok(Self { patience, api, init: at.duration_since(spawned), process })
    }

    /// Hands over an event and waits for the whole answer. When this returns, the process is
    /// frozen.
    ///
    /// # Errors
    /// [`Failure`]: the function answers with an error, ends, or does not answer in time.
    pub async fn invoke(
        &self,
        event: impl Into<Bytes>,
        deadline: impl Into<Deadline>,
    ) -> Result<Answer, Failure> {
        self.begin(event, deadline).answer().await
    }

    /// Hands over an event; the answer is read as it comes.
    pub fn begin(&self, event: impl Into<Bytes>, deadline: impl Into<Deadline>) -> Invocation {
        let (limit, deadline) = match deadline.into() {
            Deadline::In(time) => (time, SystemTime::now() + time),
            Deadline::CargoLambda => (self.patience, UNIX_EPOCH + Duration::from_secs(600)),
        };
        let began = Instant::now();
        let parts = self.api.hand(event.into(), deadline);
        Invocation::new(parts, Arc::clone(&self.process), began, limit)
    }

    /// From the process's start to its first question for an event.
    pub fn init_time(&self) -> Duration {
        self.init
    }

    /// Whether it stands still, as between two invocations.
    pub fn is_frozen(&self) -> bool {
        self.process.is_frozen()
    }

    /// The last lines it printed.
    pub fn log(&self) -> Vec<String> {
        self.process.log()
    }
}
