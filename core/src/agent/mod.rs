//! What the author of an agent meets.
//!
//! ```text
//!  RequestContext ──▶ AgentExecutor (the author's) ──▶ EventQueue ──▶ the engine records
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `executor` | the trait, and the request's context as an executor sees it |
//! | `queue` | the verbs an agent speaks in |
//! | `scope` | what the events of one run share |
//! | `steps` | what an agent has done once and does not do twice |
//! | `peers` | an agent as it is handed to what serves it, and the agents it may call |

mod executor;
mod peers;
mod queue;
mod scope;
mod steps;

pub use executor::{AgentExecutor, RequestContext};
pub use peers::{Agent, MakeExecutor, Peers};
pub use queue::{Content, EventQueue, Stopped};
pub(crate) use scope::{Emitted, Scope};
pub(crate) use steps::Steps;
