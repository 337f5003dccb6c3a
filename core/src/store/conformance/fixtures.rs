//! What the cases are made of: keys, entries, heads, and the shortest way to write and read them.
//! Must never know: what a case asserts.

use std::{sync::Arc, time::Duration};

use crate::{
    store::{AppendError, Change, ListPage, ListQuery, Running, TaskStore},
    task::{Entry, Head, Phase, Slot, Submitted, TaskKey},
    types::{Artifact, Message, Part, TaskArtifactUpdateEvent, TaskState, TaskStatus, Timestamp},
};

/// The store a case is given.
pub type Store = Arc<dyn TaskStore>;

/// What must come, and soon.
pub(super) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(100), future).await.expect("it never came")
}

pub fn key(id: &str) -> TaskKey {
    TaskKey { tenant: "".into(), id: id.into() }
}

pub fn submitted(text: &str) -> Entry {
    let message = Arc::new(Message::user("m", vec![Part::text(text)]));
    Entry::from(Submitted::new(message, Timestamp::from_millis(1)))
}

pub fn chunk(text: &str) -> Entry {
    Entry::Artifact(Arc::new(TaskArtifactUpdateEvent {
        artifact: Artifact::new("a", vec![Part::text(text)]),
        append: true,
        ..TaskArtifactUpdateEvent::default()
    }))
}

pub fn head(state: TaskState, at: i64) -> Head {
    let phase = match state {
        _ if state.is_terminal() => Phase::Finished,
        _ if state.is_interrupted() => Phase::Waiting,
        _ => Phase::Running,
    };
    let status = TaskStatus { state, message: None, timestamp: Some(Timestamp::from_millis(at)) };
    Head {
        owner: "".into(),
        context_id: "c".into(),
        status,
        message_at: None,
        history_at: None,
        host: None,
        phase,
    }
}

pub async fn append(
    store: &Store,
    key: TaskKey,
    after: u64,
    entries: impl Into<Arc<[Entry]>>,
    head: Option<Head>,
) -> Result<(), AppendError> {
    store.append(Change { key, after, entries: entries.into(), head }).await
}

/// A journal of one slot.
pub async fn put(store: &Store, id: &str, head: Head) {
    append(store, key(id), 0, [submitted(id)], Some(head)).await.unwrap();
}

/// Tasks of somebody who uses the same store under the ids and tenants of these cases, and must not
/// be met in any of them.
pub async fn neighbours(store: &Store) {
    for tenant in ["", "t0", "t1", "t2"] {
        for (id, state) in [("t", TaskState::Working), ("a", TaskState::Completed)] {
            for at in 1..4 {
                let id = if at == 1 { id.into() } else { format!("{id}{at}").into() };
                let key = TaskKey { tenant: tenant.into(), id };
                append(store, key, 0, [submitted("n")], Some(head(state, at))).await.unwrap();
            }
        }
    }
}

/// Text that no compression makes much shorter.
pub fn noise(length: usize) -> String {
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(35 + ((seed >> 40) % 57) as u8)
    };
    (0..length).map(|_| next()).collect()
}

pub(super) async fn slots(store: &Store, id: &str, after: u64) -> Vec<Slot> {
    store.read(&key(id), after).await.unwrap().unwrap().slots
}

/// The list of all tasks of the anonymous owner without a tenant, 100 at most.
pub fn everything() -> ListQuery {
    ListQuery {
        tenant: "".into(),
        owner: "".into(),
        context_id: None,
        state: None,
        since: None,
        after: None,
        limit: 100,
    }
}

pub(super) fn ids(page: &ListPage) -> Vec<&str> {
    page.rows.iter().map(|(id, _)| &**id).collect()
}

pub(super) async fn listed(store: &Store, query: ListQuery) -> Vec<String> {
    let page = store.list(&query).await.unwrap();
    assert_eq!(page.total, page.rows.len() as u64);
    assert!(page.next.is_none());
    ids(&page).into_iter().map(str::to_owned).collect()
}

/// All that is running, page by page.
pub async fn running(store: &Store, limit: u32, except: &[Arc<str>]) -> Vec<Running> {
    let (mut running, mut after) = (Vec::new(), None);
    loop {
        let page = store.running(after.as_ref(), limit, except).await.unwrap();
        assert!(page.len() <= limit as usize);
        let is_last = page.len() < limit as usize;
        after = page.last().cloned();
        running.extend(page);
        if is_last {
            return running;
        }
    }
}

/// The keys alone.
pub async fn running_keys(store: &Store) -> Vec<TaskKey> {
    running(store, 100, &[]).await.into_iter().map(|running| running.key).collect()
}

/// All rows of a list, and the total, which every page must tell.
pub(super) async fn paged(store: &Store, mut query: ListQuery) -> (Vec<(Arc<str>, Head)>, u64) {
    let (mut rows, mut total) = (Vec::new(), None);
    loop {
        let page = store.list(&query).await.unwrap();
        assert_eq!(*total.get_or_insert(page.total), page.total, "{query:?}");
        assert!(page.rows.len() <= query.limit as usize, "{query:?}");
        rows.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            return (rows, total.unwrap_or_default());
        }
    }
}
