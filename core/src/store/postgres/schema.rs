//! The tables: made by [`prepare`], checked by [`check`].
//!
//! Owns: the migrations, which are part of the program, and what is said of a database that has
//! other ones. Must never know: what the tables are for.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection, Error, Executor, PgConnection, Row, SqlSafeStr, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    postgres::PgConnectOptions,
};

use super::{
    address::DatabaseAddress,
    error::{refusal, sqlstate},
    statements::Statements,
};

/// In order; what was once released is never changed.
const MIGRATIONS: &[(i64, &str, &str)] =
    &[(1, "journal", include_str!("migrations/0001_journal.sql"))];

/// A change of many rows may take its time, and of many that prepare at once all but one wait.
const PREPARE: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(5);

fn migrations() -> Vec<Migration> {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        let sql = SqlStr::from_static(sql);
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    };
    MIGRATIONS.iter().map(migration).collect()
}

/// A connection of its own, at once or with its reason: the pool would wait for an engine that is
/// unavailable, and not say why.
pub(super) async fn connect(
    options: &PgConnectOptions,
    host: &str,
) -> Result<PgConnection, String> {
    let connected = tokio::time::timeout(CONNECT, PgConnection::connect_with(options)).await;
    connected.unwrap_or(Err(Error::PoolTimedOut)).map_err(|error| refusal(&error, host))
}

/// Makes what is missing. Many may do so at once: they take turns by an advisory lock.
pub(super) async fn prepare(address: &DatabaseAddress) -> Result<(), String> {
    let mut connection = connect(&address.options, &address.host).await?;
    let DatabaseAddress { schema, host, .. } = address;
    let migrated = tokio::time::timeout(PREPARE, migrate(&mut connection, schema)).await;
    match migrated.unwrap_or(Err(MigrateError::Execute(Error::PoolTimedOut))) {
        Ok(()) => {}
        Err(MigrateError::VersionMissing(version)) => return Err(newer(schema, version)),
        Err(MigrateError::VersionMismatch(version)) => return Err(changed(schema, version)),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            return Err(refusal(&error, host));
        }
        Err(error) => return Err(format!("The schema {schema:?} cannot be made: {error}.")),
    }
    let _ = connection.close().await;
    Ok(())
}

async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<(), MigrateError> {
    // A user who may not make schemas may still be given one: it is only made when it is missing.
    // Of two that make it at once one is told that the other was quicker.
    let schema = format!("\"{schema}\"");
    let missing = sqlx::query("select to_regnamespace($1) is null").bind(&schema);
    if missing.fetch_one(&mut *connection).await?.try_get(0)? {
        let made = connection.execute(owned(format!("create schema if not exists {schema}"))).await;
        if let Err(error) = made
            && !matches!(sqlstate(&error).as_deref(), Some("23505" | "42P06"))
        {
            return Err(error.into());
        }
    }
    connection.execute(owned(format!("set search_path to {schema}"))).await?;
    let mut migrator = Migrator::with_migrations(migrations());
    migrator.dangerous_set_table_name(format!("{schema}.migrations"));
    migrator.run(connection).await
}

/// The schema's name is an identifier; `address` sees to it.
fn owned(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}

/// Whether the tables are those of this program.
pub(super) async fn check(
    connection: &mut PgConnection,
    address: &DatabaseAddress,
    statements: &Statements,
) -> Result<(), String> {
    let DatabaseAddress { schema, host, .. } = address;
    let found = sqlx::query(statements.migrations.clone()).fetch_all(connection);
    let found = tokio::time::timeout(CONNECT, found).await.unwrap_or(Err(Error::PoolTimedOut));
    let rows = match found {
        Err(error) if sqlstate(&error).as_deref() == Some("42P01") => {
            return Err(unprepared(schema));
        }
        found => found.map_err(|error| refusal(&error, host))?,
    };
    let known = migrations();
    for row in &rows {
        let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (version, checksum, encoding): (i64, Vec<u8>, String) =
            read().map_err(|error: Error| refusal(&error, host))?;
        if encoding != "UTF8" {
            return Err(format!(
                "The database at {host} is encoded in {encoding}, which cannot hold every text: \
                 make one in UTF8."
            ));
        }
        match known.iter().find(|known| known.version == version) {
            None => return Err(newer(schema, version)),
            Some(known) if *known.checksum != *checksum => return Err(changed(schema, version)),
            Some(_) => {}
        }
    }
    if rows.len() < known.len() { Err(unprepared(schema)) } else { Ok(()) }
}

fn unprepared(schema: &str) -> String {
    format!(
        "The schema {schema:?} is not there yet, or older than this program: make it with \
         `a2a-local --prepare` or `a2a_core::store::prepare`."
    )
}

fn newer(schema: &str, version: i64) -> String {
    format!(
        "The schema {schema:?} has migration {version}, which this program does not know: it was \
         made by a newer version; use that one."
    )
}

fn changed(schema: &str, version: i64) -> String {
    format!(
        "The schema {schema:?} was made by another migration {version} than this program's: it \
         cannot be used; prepare another schema."
    )
}
