//! What a task is and what may be done to it. Pure: no clock, no store, no runtime.
//!
//! ```text
//!  message ──admit──▶ may it be worked on? ──▶ entries ──append──▶ journal ──fold──▶ Task, Head
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `journal` | slots: what a store appends and reads |
//! | `entry`, `read`, `weight` | what is recorded, in the form it is stored in |
//! | `work`, `steps` | how far the attempts at the newest message have come |
//! | `head` | the one row per task that lists read |
//! | `fold` | THE fold: what the entries make of the task |
//! | `admit` | what may be done to a task, decided on its fold |

pub(crate) mod admit;
mod entry;
mod fold;
mod head;
mod journal;
mod read;
mod steps;
mod weight;
mod work;

pub use crate::call::{Cursor, Version};
pub use entry::{
    CancelRequested, Entry, Heartbeat, KeyUsed, Released, Started, Step, Submitted, Unknown, Within,
};
pub use fold::Fold;
pub use head::{Head, Phase};
pub use journal::{Slot, TaskKey};
pub(crate) use steps::{DoneStep, DoneSteps, done as done_steps};
pub use work::Work;
