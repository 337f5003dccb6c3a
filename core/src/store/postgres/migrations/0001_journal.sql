-- Journals, and one head per journal. Run with the store's own schema as the search path.
--
-- `key` is SHA-256 over tenant and task, `owner_list` over tenant and owner, `context_list` over
-- tenant, owner and context: such texts may be longer than what fits a row of an index (2,704
-- bytes). Texts of callers are bytea, not text: they may hold NUL, and bytes have the order in
-- which lists break ties.
--
-- Entries and heads are json, not jsonb: what clients send is promised back to them exactly, and
-- jsonb changes the order of members, drops doubles, writes 1e2 as 100 and refuses \u0000. json
-- keeps every byte, is checked on its way in, and `entries::jsonb` is there for a query by hand.

create table head (
    key bytea primary key,
    tenant bytea not null,
    task bytea not null,
    owner_list bytea not null,
    context_list bytea not null,
    state text collate "C" not null,
    phase text collate "C" not null,
    -- Milliseconds since 1970: the status's time, and when it is no longer shown.
    at bigint not null,
    expires_at bigint,
    content json not null
);

-- The primary key is the slot: of many writers of one version, one. The reference keeps a slot from
-- being written while its journal is removed; it locks the head against nothing else.
create table journal (
    key bytea not null references head on delete cascade,
    version bigint not null,
    entries json not null,
    primary key (key, version)
);

-- What a list counts and leaves out stands in the index, so that counting reads no table.
create index head_of_owner on head (owner_list, at desc) include (expires_at)
    where phase in ('running', 'waiting', 'finished');
create index head_of_state on head (owner_list, state, at desc) include (expires_at)
    where phase in ('running', 'waiting', 'finished');
create index head_of_context on head (context_list, at desc) include (state, expires_at)
    where phase in ('running', 'waiting', 'finished');
create index head_running on head (key) where phase = 'running';
create index head_expiring on head (expires_at) where expires_at is not null;

-- For people.
create view tasks as
    select encode(tenant, 'escape') as tenant, encode(task, 'escape') as task, state, phase,
        to_timestamp(at / 1000.0) as at, to_timestamp(expires_at / 1000.0) as expires_at, key
    from head;
