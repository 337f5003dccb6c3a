//! Pages of tasks, and how many there are.
//!
//! Owns: what a query binds, and its rows as heads. Must never know: slots.

use std::sync::Arc;

use sqlx::SqlStr;

use super::{
    PostgresStore, Statement, column, id_of, raw,
    statements::{context_list, owner_list},
};
use crate::{
    store::{
        ListPage, ListPosition, ListQuery, StoreError,
        codec::{decode_head, readable},
        now_millis,
    },
    task::TaskKey,
    types::Timestamp,
};

impl PostgresStore {
    pub(super) async fn page(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let mut asked = asked(self.statements.list(query), query);
        if let Some(ListPosition { at, id }) = &query.after {
            asked = asked.bind(at.as_millis()).bind(id.as_bytes());
        }
        // One more than is wanted says whether there is another page.
        let rows = self.rows(asked.bind(i64::from(query.limit) + 1)).await?;
        let limit = query.limit as usize;
        let (mut page, mut last) = (ListPage::default(), None);
        for row in rows.iter().take(limit) {
            let key = TaskKey { tenant: Arc::clone(&query.tenant), id: id_of(column(row, 0)?)? };
            let at = Timestamp::from_millis(column(row, 1)?);
            last = Some(ListPosition { at, id: Arc::clone(&key.id) });
            let head = readable(&key, decode_head(&key, raw(row, 2)?));
            page.rows.extend(head.map(|head| (key.id, head)));
        }
        page.next = last.filter(|_| rows.len() > limit);
        page.total = match query.after.is_none() && page.next.is_none() {
            true => rows.len() as u64,
            false => self.totals.of(query, self.count(query)).await?,
        };
        Ok(page)
    }

    /// Reads all of the list in an index, which is what makes a long list's first page slow.
    async fn count(&self, query: &ListQuery) -> Result<u64, StoreError> {
        let rows = self.rows(asked(self.statements.count(query), query)).await?;
        let total = rows.first().map(|row| column::<i64>(row, 0)).transpose()?;
        Ok(u64::try_from(total.unwrap_or_default()).unwrap_or_default())
    }
}

/// The statement with what selects the query's tasks.
fn asked(statement: SqlStr, query: &ListQuery) -> Statement<'_> {
    let ListQuery { tenant, owner, context_id, state, since, .. } = query;
    let list = match context_id {
        Some(context_id) => context_list(tenant, owner, context_id),
        None => owner_list(tenant, owner),
    };
    let mut asked = sqlx::query(statement).bind(list).bind(now_millis());
    if let Some(state) = state {
        asked = asked.bind(state.name());
    }
    if let Some(since) = since {
        asked = asked.bind(since.as_millis());
    }
    asked
}
