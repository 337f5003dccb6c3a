//! A function under test: a real binary, started as Lambda starts it, invoked one event at a time
//! or several at once.
//!
//! Owns: its environment, an invocation's headers, and the bound of every wait. Must never know:
//! what the function is for.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

use crate::{
    answer::Answer,
    failure::Failure,
    invocation::Invocation,
    process::Process,
    runtime_api::{Begun, Event, Freeze, RuntimeApi},
};

const REGION: &str = "us-east-1";
const VERSION: &str = "$LATEST";

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
    /// The binary.
    pub program: PathBuf,
    /// Variables of its own, beside Lambda's.
    pub variables: Vec<(String, String)>,
    /// The function's name.
    pub name: String,
    /// Its memory, which it is told and not held to.
    pub memory_mb: u32,
    /// When it is frozen.
    pub freeze: Freeze,
    /// How long its start may take, and an invocation whose deadline says nothing.
    pub patience: Duration,
}

impl Settings {
    /// A function of this binary and these variables, frozen as on Lambda.
    pub fn new(program: impl Into<PathBuf>, variables: &[(&str, &str)]) -> Self {
        let program: PathBuf = program.into();
        let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            program,
            variables: variables.iter().map(own).collect(),
            name,
            memory_mb: 512,
            freeze: Freeze::default(),
            patience: Duration::from_secs(30),
        }
    }

    /// Lambda's variables, then the function's own.
    fn variables(&self, runtime_api: String) -> Vec<(String, String)> {
        let folder = self.program.parent().unwrap_or(&self.program);
        let lambda = [
            ("AWS_LAMBDA_RUNTIME_API", runtime_api),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", VERSION.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_mb.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", format!("2026/11/22/[{VERSION}]emulator")),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("LAMBDA_TASK_ROOT", folder.display().to_string()),
            ("_HANDLER", "bootstrap".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        let lambda = lambda.into_iter().map(|(name, value)| (name.to_owned(), value));
        lambda.chain(self.variables.iter().cloned()).collect()
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
    settings: Settings,
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
        let api = RuntimeApi::start(settings.freeze).await;
        let api = api.map_err(|error| Failure::Start(format!("no Runtime API: {error}")))?;
        let spawned = Instant::now();
        let variables = settings.variables(api.address.to_string());
        let process = Process::start(&settings.program, variables).map_err(Failure::Start)?;
        let process = Arc::new(process);
        api.serves(Arc::clone(&process));
        let mut function = Self { settings, api, process, init: Duration::ZERO };
        let ready = function.ready().await?;
        function.init = ready.duration_since(spawned);
        Ok(function)
    }

    /// Waits for its first question for an event.
    async fn ready(&self) -> Result<Instant, Failure> {
        let mut begun = self.api.begun();
        let limit = self.settings.patience;
        let begun = tokio::select! {
            biased;
            begun = begun.wait_for(|begun| !matches!(begun, Begun::NotYet)) => {
                begun.map_or(Begun::NotYet, |begun| begun.clone())
            }
            how = self.process.ended() => return Err(Failure::Exited { how, log: self.log() }),
            () = tokio::time::sleep(limit) => Begun::NotYet,
        };
        match begun {
            Begun::Ready(at) => Ok(at),
            Begun::Refused(body) => Err(Failure::Init { body, log: self.log() }),
            Begun::NotYet => {
                self.process.kill();
                Err(Failure::Late { what: "the function's start", limit, log: self.log() })
            }
        }
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
        let deadline = deadline.into();
        let (limit, deadline_ms) = match deadline {
            Deadline::In(time) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                (time, (now + time).as_millis())
            }
            Deadline::CargoLambda => (self.settings.patience, 600_000),
        };
        let id = uuid::Uuid::new_v4().to_string();
        let headers = self.headers(&id, deadline_ms);
        let began = Instant::now();
        let parts = self.api.hand(Event { id, headers, body: event.into() });
        Invocation::new(parts, Arc::clone(&self.process), began, limit)
    }

    fn headers(&self, id: &str, deadline_ms: u128) -> HeaderMap {
        let name = &self.settings.name;
        let trace = format!("Root=1-5759e988-{};Sampled=0", &id.replace('-', "")[..24]);
        let headers = [
            ("lambda-runtime-aws-request-id", id.to_owned()),
            ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                format!("arn:aws:lambda:{REGION}:123456789012:function:{name}"),
            ),
            ("lambda-runtime-trace-id", trace),
        ];
        let mut map = HeaderMap::new();
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            // A function's name is its file's name; one that no header can hold is left out.
            if let Ok(value) = HeaderValue::from_str(&value) {
                map.insert(name, value);
            }
        }
        map
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
