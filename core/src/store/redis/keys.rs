//! The names of keys.
//!
//! Owns: how texts of any kind become names that are never the same for two things. Must never
//! know: what is kept under them.
//!
//! `{PREFIX:TENANT}` is the tag, which decides the slot in a cluster: all keys of a tenant are in
//! one. It cannot be finer, since one script touches a task and its owner's lists, and a reader
//! knows the task but not the owner. So a cluster spreads tenants, not tasks.
//!
//! | key | kind | holds |
//! |---|---|---|
//! | `{a2a:TENANT}:log:ID` | stream | the journal: slot N is the entry `N-1` |
//! | `{a2a:TENANT}:head:ID` | hash | the head, and where it is listed |
//! | `{a2a:TENANT}:list:o:OWNER` | sorted set | ids, newest first |
//! | `...:list:oc:OWNER:CONTEXT`, `:os:OWNER:STATE`, `:ocs:OWNER:CONTEXT:STATE` | | the same |
//! | `{a2a:TENANT}:expiring` | sorted set | the rows of what expires, by when |
//! | `{a2a:TENANT}:running` | sorted set | ids of what is running |
//! | `{a2a}:tenants`, `{a2a}:tenants:seen` | sorted set | tenants that may have something running |

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    store::ListQuery,
    task::{Head, TaskKey},
};

/// What a text may not hold in the middle of a name: colons part it, braces make its tag.
const PARTS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');

#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

fn part(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, PARTS)
}

impl Keys {
    /// The prefix holds neither colons nor braces.
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    pub(super) fn tag(&self, tenant: &str) -> String {
        format!("{{{}:{}}}", self.prefix, part(tenant))
    }

    /// The journal, and the channel on which its growth is told.
    pub(super) fn log(&self, key: &TaskKey) -> String {
        format!("{}:log:{}", self.tag(&key.tenant), key.id)
    }

    pub(super) fn head(&self, key: &TaskKey) -> String {
        format!("{}:head:{}", self.tag(&key.tenant), key.id)
    }

    pub(super) fn expiring(&self, tenant: &str) -> String {
        format!("{}:expiring", self.tag(tenant))
    }

    pub(super) fn running(&self, tenant: &str) -> String {
        format!("{}:running", self.tag(tenant))
    }

    pub(super) fn tenants(&self) -> String {
        format!("{{{}}}:tenants", self.prefix)
    }

    pub(super) fn tenants_seen(&self) -> String {
        format!("{{{}}}:tenants:seen", self.prefix)
    }

    /// The list in which a query's tasks stand. The scripts make the same name of a row.
    pub(super) fn list(&self, query: &ListQuery) -> String {
        let (tag, owner) = (self.tag(&query.tenant), part(&query.owner));
        match (&query.context_id, query.state) {
            (None, None) => format!("{tag}:list:o:{owner}"),
            (Some(context), None) => format!("{tag}:list:oc:{owner}:{}", part(context)),
            (None, Some(state)) => format!("{tag}:list:os:{owner}:{}", state.name()),
            (Some(context), Some(state)) => {
                format!("{tag}:list:ocs:{owner}:{}:{}", part(context), state.name())
            }
        }
    }
}

/// Which lists a task stands in, for the scripts.
pub(super) fn row(id: &str, head: &Head) -> String {
    let state = head.status.state.name();
    format!("{state}:{}:{}:{id}", part(&head.owner), part(&head.context_id))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_one_tag_and_differ() {
        let texts = ["", "a", "a:b", "}", "{", "{}", "\0", "%", "%7D", "a}:log:", "é", ":"];
        let keys = Keys::new("p".to_owned());
        let mut seen = HashSet::new();
        for tenant in texts {
            let tag = keys.tag(tenant);
            assert_eq!(tag.find('{'), Some(0), "{tag}");
            assert_eq!(tag.find('}'), Some(tag.len() - 1), "{tag}");
            for id in texts {
                let key = TaskKey { tenant: tenant.into(), id: id.into() };
                assert!(seen.insert(keys.log(&key)) && seen.insert(keys.head(&key)), "{key:?}");
            }
            assert!(seen.insert(keys.expiring(tenant)) && seen.insert(keys.running(tenant)));
        }
        assert!(seen.insert(keys.tenants()) && seen.insert(keys.tenants_seen()));
    }
}
