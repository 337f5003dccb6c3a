//! The fold: what each recorded entry means for the task. By tables for the rules, by properties
//! for what holds whatever is recorded: a task does not depend on how its entries were batched, and
//! the head known before an append is the one found after it.

use std::sync::Arc;

use a2a_core::{
    Artifact, Cursor, Message, Metadata, Part, Role, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus, TaskStatusUpdateEvent, Timestamp,
    task::{Entry, Fold, Phase, Slot, Started, Submitted},
};
use proptest::prelude::*;

use crate::world::{history, parts_text, short, status_text};

fn message(role: Role, text: &str) -> Arc<Message> {
    Arc::new(Message {
        message_id: text.into(),
        context_id: Some("c".into()),
        role,
        parts: vec![Part::text(text)],
        ..Message::default()
    })
}

fn asked(text: &str) -> Entry {
    let (message, at) = (message(Role::User, text), Timestamp::from_millis(1));
    Entry::from(Submitted::new(message, at))
}

fn started(attempt: u32) -> Entry {
    let at = Timestamp::from_millis(2);
    Entry::Started(Started { runner: format!("runner {attempt}").into(), host: None, attempt, at })
}

fn status(state: TaskState, text: &str) -> Entry {
    let message = (!text.is_empty()).then(|| message(Role::Agent, text));
    let status = TaskStatus { state, message, timestamp: Some(Timestamp::from_millis(3)) };
    Entry::Status(Arc::new(TaskStatusUpdateEvent {
        task_id: "t".into(),
        context_id: "c".into(),
        status,
        metadata: None,
    }))
}

fn artifact(artifact: Artifact, append: bool) -> Entry {
    Entry::Artifact(Arc::new(TaskArtifactUpdateEvent {
        task_id: "t".into(),
        context_id: "c".into(),
        artifact,
        append,
        ..TaskArtifactUpdateEvent::default()
    }))
}

fn piece(id: &str, text: &str) -> Artifact {
    Artifact::new(id, vec![Part::text(text)])
}

fn make(id: &str, text: &str) -> Entry {
    artifact(piece(id, text), false)
}

fn append(id: &str, text: &str) -> Entry {
    artifact(piece(id, text), true)
}

fn replied(text: &str) -> Entry {
    Entry::Replied(message(Role::Agent, text))
}

fn slots(batches: &[&[Entry]]) -> Vec<Slot> {
    let slot =
        |(version, entries): (u64, &&[Entry])| Slot { version, entries: entries.to_vec().into() };
    (1..).zip(batches).map(slot).collect()
}

/// Each entry in a slot of its own.
fn fold(entries: &[Entry]) -> Fold {
    let batches: Vec<&[Entry]> = entries.chunks(1).collect();
    Fold::replay("t".into(), &slots(&batches))
}

fn artifacts(task: &Task) -> Vec<String> {
    let line = |it: &Artifact| format!("{}: {}", it.artifact_id, parts_text(&it.parts));
    task.artifacts.iter().map(line).collect()
}

use TaskState::{
    AuthRequired, Canceled, Completed, Failed, InputRequired, Rejected,
    Submitted as SubmittedState, Working,
};

#[test]
fn states_and_histories() {
    for (entries, state, said, expected) in [
        (vec![asked("hi")], SubmittedState, "", vec!["hi"]),
        (vec![asked("hi"), started(1)], SubmittedState, "", vec!["hi"]),
        (vec![asked("hi"), status(Working, "a")], Working, "a", vec!["hi"]),
        // What was said with a status is history once there is a newer one.
        (
            vec![asked("hi"), status(Working, "a"), status(Working, "b")],
            Working,
            "b",
            vec!["hi", "a"],
        ),
        (
            vec![asked("hi"), status(Working, "a"), status(Completed, "")],
            Completed,
            "",
            vec!["hi", "a"],
        ),
        (vec![asked("hi"), status(Working, ""), status(Failed, "b")], Failed, "b", vec!["hi"]),
        // The question stands before its answer.
        (
            vec![asked("hi"), status(InputRequired, "what?"), asked("this"), status(Working, "")],
            Working,
            "",
            vec!["hi", "what?", "this"],
        ),
        (
            vec![asked("hi"), status(AuthRequired, "a"), asked("b")],
            AuthRequired,
            "",
            vec!["hi", "a", "b"],
        ),
        (vec![asked("hi"), asked("and"), status(Canceled, "")], Canceled, "", vec!["hi", "and"]),
    ] {
        let task = fold(&entries).task;
        assert_eq!((task.status.state, &*status_text(&task)), (state, said), "{entries:?}");
        assert_eq!(history(&task), expected, "{entries:?}");
        assert_eq!((&*task.id, &*task.context_id), ("t", "c"));
    }
}

#[test]
fn artifacts_are_made_replaced_and_grown() {
    for (entries, expected) in [
        (vec![make("a", "1")], vec!["a: 1"]),
        (vec![make("a", "1"), make("b", "2")], vec!["a: 1", "b: 2"]),
        (vec![make("a", "1"), make("b", "2"), make("a", "3")], vec!["a: 3", "b: 2"]),
        (vec![make("a", "1"), append("a", "2"), append("a", "3")], vec!["a: 123"]),
        (vec![make("a", "1"), append("a", "2"), make("a", "3")], vec!["a: 3"]),
        // Nothing is dropped because its beginning is missing.
        (vec![append("a", "1"), append("a", "2")], vec!["a: 12"]),
        (vec![make("a", "1"), append("A", "2")], vec!["a: 1", "A: 2"]),
    ] {
        assert_eq!(artifacts(&fold(&entries).task), expected, "{entries:?}");
    }
}

#[test]
fn an_append_grows_all_of_an_artifact() {
    let metadata = |json: &str| Some(serde_json::from_str::<Metadata>(json).unwrap());
    let first = Artifact {
        name: Some("n".into()),
        description: Some("d".into()),
        metadata: metadata(r#"{"z":1,"a":{"x":1},"big":123456789012345678901234567890}"#),
        extensions: vec!["e1".into(), "e2".into()],
        ..piece("a", "1")
    };
    let second = Artifact {
        description: Some("d2".into()),
        metadata: metadata(r#"{"a":{"y":5.0},"new":null}"#),
        extensions: vec!["e2".into(), "e3".into()],
        ..piece("a", "2")
    };
    let task = fold(&[artifact(first, false), artifact(second, true), append("a", "3")]).task;
    let [grown] = &*task.artifacts else { panic!("{task:?}") };
    assert_eq!(parts_text(&grown.parts), "123");
    assert_eq!((grown.name.as_deref(), grown.description.as_deref()), (Some("n"), Some("d2")));
    assert_eq!(grown.extensions, ["e1", "e2", "e3"].map(Arc::<str>::from));
    let merged = grown.metadata.as_ref().unwrap().json();
    // Key by key, and still exact.
    let keys: std::collections::BTreeMap<String, a2a_core::Json> = merged.to().unwrap();
    let keys: Vec<_> = keys.iter().map(|(key, value)| (&**key, value.as_str())).collect();
    let expected = [
        ("a", r#"{"y":5.0}"#),
        ("big", "123456789012345678901234567890"),
        ("new", "null"),
        ("z", "1"),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_reply_is_no_task() {
    let fold = fold(&[asked("hi"), started(1), replied("ho")]);
    assert_eq!(fold.reply.as_ref().unwrap().text(), "ho");
    assert_eq!((fold.is_task(), fold.is_settled(), fold.attempt), (false, true, None));
}

#[test]
fn who_is_at_work() {
    for (entries, attempt, settled) in [
        (vec![asked("hi")], None, false),
        (vec![asked("hi"), started(1)], Some(1), false),
        (vec![asked("hi"), started(1), status(Working, "")], Some(1), false),
        (vec![asked("hi"), started(1), started(2)], Some(2), false),
        (vec![asked("hi"), started(1), status(Completed, "")], None, true),
        (vec![asked("hi"), started(1), status(InputRequired, "")], None, true),
        // It may go on by itself.
        (vec![asked("hi"), started(1), status(AuthRequired, "")], Some(1), true),
    ] {
        let fold = fold(&entries);
        assert_eq!((fold.attempt, fold.is_settled()), (attempt, settled), "{entries:?}");
    }
}

#[test]
fn fenced_attempts_do_not_count() {
    let entries = [
        asked("hi"),
        started(1),
        status(Working, "first"),
        make("a", "1"),
        started(2),
        make("b", "2"),
        started(3),
        status(Working, "third"),
        make("c", "3"),
    ];
    let task = fold(&entries).task;
    assert_eq!(
        (history(&task), artifacts(&task)),
        (vec!["hi".to_owned()], vec!["c: 3".to_owned()])
    );
    assert_eq!(status_text(&task), "third");
    // What was made over earlier messages still does.
    let later = [
        asked("hi"),
        started(1),
        make("a", "1"),
        status(InputRequired, "what?"),
        asked("this"),
        started(1),
        status(Working, "no"),
        append("a", "x"),
        started(2),
        append("a", "2"),
    ];
    let task = fold(&later).task;
    assert_eq!(history(&task), ["hi", "what?", "this"]);
    assert_eq!(artifacts(&task), ["a: 12"]);
    assert_eq!(fold(&later[..8]).task.artifacts.len(), 1, "until they are fenced, they count");
}

#[test]
fn a_replay_stops_where_it_is_told() {
    let batches = slots(&[
        &[asked("hi"), started(1)],
        &[status(Working, "a"), make("a", "1")],
        &[status(Completed, "b")],
    ]);
    let until = |stop: fn(&Fold, &Entry) -> bool| Fold::replay_until("t".into(), &batches, stop);
    let (fold, found) = until(|_, entry| matches!(entry, Entry::Status(_)));
    assert!(found);
    assert_eq!(fold.cursor, Cursor { version: 2, index: 0 });
    assert_eq!((fold.task.status.state, fold.task.artifacts.len()), (Working, 0));
    let (fold, found) = until(|fold, _| fold.is_settled());
    assert!(found && fold.task.status.state == Completed);
    let (fold, found) = until(|_, _| false);
    assert!(!found && fold.cursor == Cursor { version: 3, index: 0 });
    assert_eq!(Fold::replay_until("t".into(), &[], |_, _| true).0.cursor, Cursor::default());
}

#[test]
fn phases() {
    let head = |entries: &[Entry]| Fold::new("t".into()).head_after(&"o".into(), entries);
    for (state, phase) in [
        (Working, Phase::Running),
        (InputRequired, Phase::Waiting),
        (AuthRequired, Phase::Waiting),
        (Completed, Phase::Finished),
        (Failed, Phase::Finished),
        (Canceled, Phase::Finished),
        (Rejected, Phase::Finished),
    ] {
        assert_eq!(head(&[asked("hi"), status(state, "")]).phase, phase, "{}", short(state));
    }
    assert_eq!(head(&[asked("hi"), started(1)]).phase, Phase::Running);
    let answered = head(&[asked("hi"), replied("ho")]);
    assert_eq!((answered.phase, answered.phase.is_listed()), (Phase::Answered, false));
}

#[test]
fn cursors_in_writing() {
    let max = format!("{}-{}", u64::MAX, u32::MAX);
    for text in ["0-0", "12-3", &*max] {
        assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
    }
    let over = format!("{}0-0", u64::MAX);
    for text in [
        "",
        "-",
        "1",
        "1-",
        "-1",
        "1-2-3",
        "+1-2",
        "1--2",
        " 1-2",
        "1-2 ",
        "x-1",
        "1-4294967296",
        &*over,
    ] {
        assert!(text.parse::<Cursor>().is_err(), "{text:?}");
    }
}

fn any_state() -> impl Strategy<Value = TaskState> {
    prop::sample::select(vec![
        Working,
        Completed,
        Failed,
        Canceled,
        InputRequired,
        Rejected,
        AuthRequired,
    ])
}

fn any_event() -> impl Strategy<Value = Entry> {
    let id = || "[ab]";
    prop_oneof![
        (any_state(), "[xy]?").prop_map(|(state, text)| status(state, &text)),
        (id(), "[0-9]").prop_map(|(id, text)| make(&id, &text)),
        (id(), "[0-9]").prop_map(|(id, text)| append(&id, &text)),
    ]
}

/// Turns of a conversation: a message, perhaps a run, and what it said.
fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let turn = ("[a-z]{1,3}", any::<bool>(), prop::collection::vec(any_event(), 0..5));
    prop::collection::vec(turn, 1..4).prop_map(|turns| {
        let entries = turns.into_iter().flat_map(|(text, run, events)| {
            [asked(&text)].into_iter().chain(run.then(|| started(1))).chain(events)
        });
        entries.collect()
    })
}

/// The same entries, cut into slots at these places.
fn cut(entries: &[Entry], cuts: &[bool]) -> Vec<Slot> {
    let mut batches: Vec<Vec<Entry>> = vec![Vec::new()];
    for (entry, cut) in entries.iter().zip(cuts.iter().cycle()) {
        if *cut && !batches.last().unwrap().is_empty() {
            batches.push(Vec::new());
        }
        batches.last_mut().unwrap().push(entry.clone());
    }
    let batches: Vec<&[Entry]> = batches.iter().map(Vec::as_slice).collect();
    slots(&batches)
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn a_task_does_not_depend_on_its_batches(
        entries in any_entries(),
        cuts in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let whole = fold(&entries);
        let batched = Fold::replay("t".into(), &cut(&entries, &cuts));
        prop_assert_eq!(&batched.task, &whole.task);
        prop_assert_eq!((batched.attempt, batched.messages), (whole.attempt, whole.messages));
    }

    #[test]
    fn a_replay_is_its_entries_one_by_one(
        entries in any_entries(),
        cuts in prop::collection::vec(any::<bool>(), 1..9),
    ) {
        let slots = cut(&entries, &cuts);
        let mut one_by_one = Fold::new("t".into());
        let mut last = Cursor::default();
        for slot in &slots {
            for (index, entry) in (0..).zip(slot.entries.iter()) {
                let cursor = Cursor { version: slot.version, index };
                prop_assert!(cursor > last);
                last = cursor;
                one_by_one.apply(cursor, entry);
            }
        }
        let replayed = Fold::replay("t".into(), &slots);
        prop_assert_eq!(&replayed.task, &one_by_one.task);
        prop_assert_eq!(replayed.cursor, last);
    }

    #[test]
    fn nothing_that_was_said_is_lost(entries in any_entries()) {
        let task = fold(&entries).task;
        let said = entries.iter().filter_map(|entry| match entry {
            Entry::Submitted(submitted) => Some(submitted.message.text()),
            Entry::Status(event) => event.status.message.as_ref().map(|it| it.text()),
            _ => None,
        });
        let current = task.status.message.as_ref().map(|it| it.text());
        let told: Vec<String> = history(&task).into_iter().chain(current).collect();
        prop_assert_eq!(told, said.collect::<Vec<_>>());
    }

    #[test]
    fn the_head_known_before_is_the_one_found_after(
        entries in any_entries(),
        at in any::<prop::sample::Index>(),
    ) {
        let (recorded, new) = entries.split_at(at.index(entries.len()));
        let head = fold(recorded).head_after(&"o".into(), new);
        let batches = recorded.chunks(1).chain([new].into_iter().filter(|new| !new.is_empty()));
        let after = Fold::replay("t".into(), &slots(&Vec::from_iter(batches)));
        prop_assert_eq!(&head.context_id, &after.task.context_id);
        let said = after.task.status.message.is_some();
        prop_assert_eq!(head.message_at.is_some(), said);
        prop_assert_eq!(&head.status, &TaskStatus { message: None, ..after.task.status });
        prop_assert_eq!(head, after.head_after(&"o".into(), &[]));
    }

    #[test]
    fn fencing_is_leaving_out(
        before in any_entries(),
        fenced in prop::collection::vec(any_event(), 0..5),
        after in prop::collection::vec(any_event(), 0..5),
    ) {
        let begun = |attempt| vec![asked("go"), started(attempt)];
        let with = [before.clone(), begun(1), fenced, vec![started(2)], after.clone()];
        let without = [before, begun(2), after];
        prop_assert_eq!(fold(&with.concat()).task, fold(&without.concat()).task);
    }

    #[test]
    fn cursors_are_read_as_they_are_written_and_ordered(
        a in any::<(u64, u32)>(),
        b in any::<(u64, u32)>(),
    ) {
        let cursor = |(version, index)| Cursor { version, index };
        prop_assert_eq!(cursor(a).to_string().parse::<Cursor>(), Ok(cursor(a)));
        prop_assert_eq!(cursor(a).cmp(&cursor(b)), a.cmp(&b));
    }

    #[test]
    fn entries_survive_being_written(entries in any_entries()) {
        let written = serde_json::to_string(&entries).unwrap();
        prop_assert_eq!(serde_json::from_str::<Vec<Entry>>(&written).unwrap(), entries);
    }
}
