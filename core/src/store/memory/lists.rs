//! The order that lists of tasks have.
//!
//! Owns: where a task stands in which list, and reading a page. Must never know: journals, what is
//! dropped.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
};

use crate::{
    store::{ListPage, ListPosition, ListQuery},
    task::{Head, TaskKey},
    types::{TaskState, Timestamp},
};

/// Every task that is listed, in its owner's list and in its context's.
pub(super) type Rows = BTreeMap<Row, Listed>;

/// A position in the order of lists: scope, then newest first, then by id. A scope stands here as a
/// number: comparing positions is most of the work, and three texts would be fetched from memory for
/// each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    scope: u64,
    at: Reverse<Timestamp>,
    id: Arc<str>,
}

/// What a list needs to know of a task. Two scopes may have the same number, so it says whose it
/// is.
#[derive(Debug)]
pub(super) struct Listed {
    tenant: Arc<str>,
    owner: Arc<str>,
    context_id: Arc<str>,
    state: TaskState,
}

impl Listed {
    pub(super) fn new(key: &TaskKey, head: &Head) -> Self {
        Self {
            tenant: Arc::clone(&key.tenant),
            owner: Arc::clone(&head.owner),
            context_id: Arc::clone(&head.context_id),
            state: head.status.state,
        }
    }

    fn is_of(&self, query: &ListQuery) -> bool {
        self.tenant == query.tenant
            && self.owner == query.owner
            && query.context_id.as_ref().is_none_or(|wanted| self.context_id == *wanted)
            && query.state.is_none_or(|wanted| self.state == wanted)
    }
}

/// The number of a list: all tasks of an owner, or those of one context.
pub(super) fn scope(
    scopes: &RandomState,
    tenant: &str,
    owner: &str,
    context_id: Option<&Arc<str>>,
) -> u64 {
    scopes.hash_one((tenant, owner, context_id))
}

/// A task's positions in the lists: its owner's, and its context's.
pub(super) fn rows(scopes: &RandomState, key: &TaskKey, head: &Head) -> [Row; 2] {
    let ListPosition { at, id } = ListPosition::of(&key.id, head);
    [None, Some(&head.context_id)].map(|context_id| Row {
        scope: scope(scopes, &key.tenant, &head.owner, context_id),
        at: Reverse(at),
        id: Arc::clone(&id),
    })
}

/// The page that the query asks for; `head_of` finds a task's head.
pub(super) fn page<'a>(
    rows: &Rows,
    scope: u64,
    query: &ListQuery,
    head_of: impl Fn(&TaskKey) -> Option<&'a Head>,
) -> ListPage {
    let newest = Reverse(Timestamp::from_millis(i64::MAX));
    let first = Row { scope, at: newest, id: Arc::from("") };
    let matching = rows
        .range(first..)
        .take_while(|(row, _)| row.scope == scope)
        .take_while(|(row, _)| query.since.is_none_or(|since| row.at.0 >= since))
        .filter(|(_, listed)| listed.is_of(query));
    let mut page = ListPage::default();
    for (row, _) in matching {
        page.total += 1;
        let before = query
            .after
            .as_ref()
            .is_some_and(|after| (row.at, &*row.id) <= (Reverse(after.at), &*after.id));
        if before || page.next.is_some() {
            continue;
        }
        if page.rows.len() == query.limit as usize {
            page.next = page.rows.last().map(|(id, head)| ListPosition::of(id, head));
            continue;
        }
        let key = TaskKey { tenant: Arc::clone(&query.tenant), id: Arc::clone(&row.id) };
        if let Some(head) = head_of(&key) {
            page.rows.push((key.id, head.clone()));
        }
    }
    page
}
