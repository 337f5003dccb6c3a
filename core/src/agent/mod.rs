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
//! | `peers` | an agent as it is handed to what serves it, and the agents it may call |

mod executor;
mod peers;
mod queue;

pub use executor::{AgentExecutor, RequestContext};
pub use peers::{Agent, MakeExecutor, Peers};
pub use queue::{Content, EventQueue, Stopped};
pub(crate) use queue::{Emitted, Scope};
