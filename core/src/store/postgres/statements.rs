//! What is said to the database.
//!
//! Owns: the statements, and the keys by which rows are found. Must never know: connections, what
//! an entry or a head means.
//!
//! Each is one statement, so it is one snapshot and one transaction, in one round trip. They are
//! plain statements and no functions in the database: then a migration never has to fit two
//! versions of the program that run side by side. Names carry their schema, since a search path set
//! at connecting would be lost behind a pooler.

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::{
    store::ListQuery,
    task::{Phase, TaskKey},
};

/// What every statement says of a journal that has not expired; `$now` is a parameter.
const LIVE: &str = "(expires_at is null or expires_at > $now)";

const BEGIN: &str = "
    with begun as (
        insert into a2a.head (key, tenant, task, owner_list, context_list, state, phase, at,
            expires_at, content)
        values ($1, $3, $4, $5, $6, $7, $8, $9, $10, $11::json)
        on conflict do nothing
        returning key)
    insert into a2a.journal (key, version, entries) select key, 1, $2::json from begun";

/// The slot after the newest one, if that is the newest one: a later one does not have its
/// predecessor yet, an earlier one is taken. Waits for another writer of the same slot and then
/// does nothing, which is no error.
const APPEND: &str = "
    insert into a2a.journal (key, version, entries)
    select $1, $3 + 1, $2::json
    where exists (select from a2a.journal where key = $1 and version = $3)
        and exists (select from a2a.head where key = $1 and LIVE)
    on conflict do nothing";

/// The writer that has the slot writes the head: of two heads the newer slot's stays.
const APPEND_WITH_HEAD: &str = "
    with slot as (APPEND returning key)
    update a2a.head set owner_list = $5, context_list = $6, state = $7, phase = $8, at = $9,
        expires_at = $10, content = $11::json
    from slot where head.key = slot.key";

/// The head comes as slot 0, once, with the newest slot's version. Slots come up to a number and to
/// a number of bytes, which are counted without fetching what is stored beside the row.
const READ: &str = "
    select 0::bigint, content, (select max(version) from a2a.journal where key = $1)
    from a2a.head where key = $1 and LIVE
    union all
    select version, entries, 0 from (
        select version, entries, row_number() over read as place,
            sum(pg_column_size(entries)) over read as bytes
        from (select version, entries from a2a.journal where key = $1 and version > $3
            order by version limit $4) as rest
        window read as (order by version)) as rest
    where bytes <= $5 or place = 1";

const HEAD: &str = "select content from a2a.head where key = $1 and LIVE";

const NEWEST: &str = "
    select content, (select max(version) from a2a.journal where key = $1)
    from a2a.head where key = $1 and LIVE";

/// Hosts stand as members of the head. They are looked for as text: to read one member, the engine
/// makes text of all, and gives up at a NUL.
const RUNNING: &str = "
    select tenant, task, content from a2a.head
    where phase = 'running' and key > $1 and LIVE
        and not exists (select from unnest($4::text[]) as host
            where strpos(content::text, host) > 0)
    order by key limit $3";

/// `MATCHES` is what a query asks for, `BEYOND` where the page begins, and how long it is.
const LIST: &str = "
    select task, at, content from a2a.head where MATCHES BEYOND";

const COUNT: &str = "select count(*) from a2a.head where MATCHES";

const REMOVE: &str = "delete from a2a.head where key = $1 and expires_at <= $2";

/// What another process is removing, or still writes to, is left to the next time.
const SWEEP: &str = "
    delete from a2a.head where key = any(array(
        select key from a2a.head where expires_at <= $1
        order by expires_at limit $2 for update skip locked))";

const MIGRATIONS: &str = "
    select version, checksum, current_setting('server_encoding') from a2a.migrations
    order by version";

/// The statements for one schema.
#[derive(Debug)]
pub(super) struct Statements {
    schema: Box<str>,
    pub(super) begin: SqlStr,
    pub(super) append: SqlStr,
    pub(super) append_with_head: SqlStr,
    pub(super) read: SqlStr,
    pub(super) newest: SqlStr,
    pub(super) head: SqlStr,
    pub(super) running: SqlStr,
    pub(super) remove: SqlStr,
    pub(super) sweep: SqlStr,
    pub(super) migrations: SqlStr,
}

impl Statements {
    /// `schema` is an identifier that needs no escapes.
    pub(super) fn new(schema: &str) -> Self {
        let append = APPEND.replace("LIVE", &LIVE.replace("$now", "$4"));
        let live = |sql: &str, now: &str| sql.replace("LIVE", &LIVE.replace("$now", now));
        let of = |sql: &str| in_schema(schema, sql);
        Self {
            schema: schema.into(),
            begin: of(BEGIN),
            append_with_head: of(&APPEND_WITH_HEAD.replace("APPEND", &append)),
            append: of(&append),
            read: of(&live(READ, "$2")),
            newest: of(&live(NEWEST, "$2")),
            head: of(&live(HEAD, "$2")),
            running: of(&live(RUNNING, "$2")),
            remove: of(REMOVE),
            sweep: of(SWEEP),
            migrations: of(MIGRATIONS),
        }
    }

    /// The statement for pages of queries with these filters. One for each kind, since a plan for
    /// "this state or any" would use no index. Parameters: those of [`count`](Self::count), then
    /// the position's time and id if there is one, then the limit.
    pub(super) fn list(&self, query: &ListQuery) -> SqlStr {
        let (matches, mut next) = matches(query);
        let position = query.after.is_some().then(|| (next(), next()));
        let beyond = position.map_or_else(String::new, |(at, id)| {
            // The first half is for the index, which knows nothing of the task.
            format!("and at <= ${at} and (at < ${at} or task > ${id})")
        });
        let beyond = format!("{beyond} order by at desc, task limit ${}", next());
        in_schema(&self.schema, &LIST.replace("MATCHES", &matches).replace("BEYOND", &beyond))
    }

    /// The statement for how many tasks those queries find, over all pages. Parameters: list, now;
    /// then state and since, those that there are.
    pub(super) fn count(&self, query: &ListQuery) -> SqlStr {
        in_schema(&self.schema, &COUNT.replace("MATCHES", &matches(query).0))
    }
}

/// What a query asks for, and the numbers of the parameters after its own.
fn matches(query: &ListQuery) -> (String, impl FnMut() -> u32) {
    let list = if query.context_id.is_some() { "context_list" } else { "owner_list" };
    let mut matches = format!(
        "{list} = $1 and {} and phase in ('running', 'waiting', 'finished')",
        LIVE.replace("$now", "$2")
    );
    let mut last = 2;
    let mut next = move || {
        last += 1;
        last
    };
    if query.state.is_some() {
        matches += &format!(" and state = ${}", next());
    }
    if query.since.is_some() {
        matches += &format!(" and at >= ${}", next());
    }
    (matches, next)
}

fn in_schema(schema: &str, sql: &str) -> SqlStr {
    AssertSqlSafe(sql.replace("a2a.", &format!("\"{schema}\"."))).into_sql_str()
}

/// A journal's key: 32 bytes, whatever the length of the texts.
pub(super) type Key = [u8; 32];

pub(super) fn journal_key(key: &TaskKey) -> Key {
    digest(&[&key.tenant, &key.id])
}

pub(super) fn owner_list(tenant: &str, owner: &str) -> Key {
    digest(&[tenant, owner])
}

pub(super) fn context_list(tenant: &str, owner: &str, context_id: &str) -> Key {
    digest(&[tenant, owner, context_id])
}

/// Each text with its length, so that no two rows of texts are one.
fn digest(texts: &[&str]) -> Key {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

/// How rows and the indexes' conditions call a phase.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Claimed => "claimed",
        Phase::Running => "running",
        Phase::Waiting => "waiting",
        Phase::Finished => "finished",
        Phase::Answered => "answered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_meet() {
        let all = [
            owner_list("", ""),
            owner_list("a", "b"),
            owner_list("ab", ""),
            owner_list("", "ab"),
            context_list("a", "b", ""),
            context_list("a", "", "b"),
            context_list("", "a", "b"),
            owner_list("\0", ""),
        ];
        for (at, key) in all.iter().enumerate() {
            assert!(!all[..at].contains(key), "{at}");
        }
    }

    /// The statements and the migration hold the names as texts.
    #[test]
    fn what_is_listed_is_what_the_indexes_hold() {
        let all =
            [Phase::Claimed, Phase::Running, Phase::Waiting, Phase::Finished, Phase::Answered];
        let listed = all.into_iter().filter(|phase| phase.is_listed());
        let names: Vec<_> = listed.map(|listed| format!("'{}'", phase(listed))).collect();
        let condition = format!("phase in ({})", names.join(", "));
        let migration = include_str!("migrations/0001_journal.sql");
        assert_eq!(migration.matches(&condition).count(), 3);
        let query = ListQuery {
            tenant: "".into(),
            owner: "".into(),
            context_id: None,
            state: None,
            since: None,
            after: None,
            limit: 1,
        };
        let statements = Statements::new("x");
        for statement in [statements.list(&query), statements.count(&query)] {
            assert!(statement.as_str().contains(&condition));
        }
    }
}
