//! The suite that holds every store to the contract: a list of named cases over any
//! [`TaskStore`](crate::TaskStore).
//!
//! | file | cases of |
//! |---|---|
//! | `journals` | appends and reads of one journal |
//! | `content` | odd, long and large names and entries |
//! | `lists` | lists, pages, and what is running |
//! | `tails` | followers |
//! | `histories` | random histories, compared with the memory store's |
//! | `fixtures` | what the cases are made of |
//!
//! Owns: the list of cases. Must never know: which store it is. A store of your own
//! is held to it by one line, in a crate of tests that depends on `a2a-core` with the feature
//! `conformance` and on `tokio`:
//!
//! ```
//! use std::sync::Arc;
//! use a2a_core::{MemoryStore, TaskStore};
//!
//! /// A store that this case shares with nobody.
//! async fn fresh(_case: &'static str) -> Arc<dyn TaskStore> {
//!     Arc::new(MemoryStore::default())
//! }
//!
//! mod memory {
//!     a2a_core::store_conformance!(super::fresh);
//! }
//! ```
//!
//! makes a test of each case: `memory::a_stale_append_writes_nothing`, and so on.

#![allow(clippy::unwrap_used, reason = "all of it is tests; unwraps are assertions")]
#![allow(missing_docs, reason = "a case's name says what it is")]

mod content;
mod fixtures;
mod histories;
mod journals;
mod lists;
mod tails;

pub use content::*;
pub use fixtures::*;
pub use histories::*;
pub use journals::*;
pub use lists::*;
pub use tails::*;

/// Makes a test of every case. It is given the path of an `async fn(&'static str) -> Arc<dyn
/// TaskStore>`, which makes a store for the case of that name; what else it is given goes over each
/// test, in place of `#[tokio::test(flavor = "multi_thread", worker_threads = 2)]`.
#[macro_export]
macro_rules! store_conformance {
    ($store:path) => {
        $crate::store_conformance!($store, #[tokio::test(flavor = "multi_thread", worker_threads = 2)]);
    };
    ($store:path, $(#[$attribute:meta])+) => {
        $crate::store_conformance!(@cases $store, ($(#[$attribute])+),
            what_is_appended_is_read,
            random_histories_are_kept_as_in_memory,
            a_read_from_any_version_is_the_rest,
            a_journal_is_read_page_by_page,
            what_is_polled_is_what_was_appended,
            the_newest_version_is_told_with_the_head,
            unknown_journals_are_none,
            a_stale_append_writes_nothing,
            an_append_beyond_the_end_writes_nothing,
            of_sixteen_racers_one_wins,
            racing_appends_are_all_read_in_order,
            the_head_is_the_last_one_given,
            odd_texts_are_kept,
            odd_ids_are_told_apart,
            long_ids_are_told_apart,
            large_journals_and_entries_are_kept,
            an_artifact_of_5_mb_is_kept,
            hundreds_of_entries_fit_in_one_slot,
            entries_of_every_kind_are_kept,
            a_status_message_of_1_mb_is_kept,
            lists_are_newest_first_and_ties_by_id,
            lists_are_filtered,
            lists_show_what_is_listed,
            a_list_moves_with_the_status,
            what_is_taken_back_is_not_found,
            times_before_1970_are_times,
            what_is_running_is_found_page_by_page,
            what_is_running_is_told_with_its_host,
            tenants_and_owners_are_apart,
            pages_are_whole_and_never_overlap,
            three_hundred_tasks_are_listed_page_by_page,
            a_tail_is_what_was_and_what_comes,
            a_stalled_tail_delays_nobody,
            tails_of_one_journal_are_the_same,
            tails_of_many_journals_are_their_own,
        );
    };
    (@cases $store:path, $attributes:tt, $($case:ident,)*) => {
        $($crate::store_conformance!(@case $store, $attributes, $case);)*
    };
    (@case $store:path, ($($attribute:tt)+), $case:ident) => {
        $($attribute)+
        async fn $case() {
            $crate::store::conformance::$case($store(stringify!($case)).await).await;
        }
    };
}
