//! Pages of a list, and the tokens that lead from one to the next.
//!
//! Owns: the query behind a list (specification section 3.1.4), and page tokens: a position in one
//! list, signed together with what the list was asked for. A token holds nothing of the store's,
//! and is of no use for another list or another caller. Must never know: how a store lists.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    call::Caller,
    error::Error,
    limits::Limits,
    store::{ListPosition, ListQuery},
    types::{ListTasksRequest, TaskState, Timestamp},
};

/// What page tokens are signed with.
#[derive(Clone)]
pub(crate) struct PageKey([u8; BLOCK]);

/// HMAC's block: a shorter key is filled up with zeros.
const BLOCK: usize = 64;

/// How much of the signature a token holds.
const MAC: usize = 16;
/// The position's time.
const AT: usize = 8;

impl PageKey {
    /// The key made of a secret of any length.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let mut key = [0; BLOCK];
        key[..32].copy_from_slice(&Sha256::digest(secret));
        Self(key)
    }

    /// The query behind a list.
    ///
    /// # Errors
    /// When the page token is not one of this list.
    pub(crate) fn query(
        &self,
        request: &ListTasksRequest,
        tenant: Arc<str>,
        caller: &Caller,
        limits: &Limits,
    ) -> Result<ListQuery, Error> {
        let mut query = ListQuery {
            tenant,
            owner: Arc::clone(&caller.owner),
            context_id: request.context_id.clone(),
            state: (request.status != TaskState::Unspecified).then_some(request.status),
            since: request.status_timestamp_after,
            after: None,
            limit: request
                .page_size
                .and_then(|size| u32::try_from(size).ok())
                .unwrap_or(limits.page),
        };
        if let Some(token) = &request.page_token {
            let wrong = "is not one that a page of this list gave";
            let position = self.position(&query, token);
            let refused = || Error::invalid_field("pageToken", wrong);
            query.after = Some(position.ok_or_else(refused)?);
        }
        Ok(query)
    }

    /// The token that leads on from this position in the list.
    pub(crate) fn token(&self, query: &ListQuery, position: &ListPosition) -> String {
        let mut token = position.at.as_millis().to_be_bytes().to_vec();
        token.extend(position.id.bytes());
        let mac = self.mac(query, &token).finalize().into_bytes();
        token.extend(&mac[..MAC]);
        URL_SAFE_NO_PAD.encode(token)
    }

    fn position(&self, query: &ListQuery, token: &str) -> Option<ListPosition> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, mac) = token.split_at_checked(token.len().checked_sub(MAC)?)?;
        self.mac(query, signed).verify_truncated_left(mac).ok()?;
        let (at, id) = signed.split_first_chunk::<AT>()?;
        let at = Timestamp::from_millis(i64::from_be_bytes(*at));
        Some(ListPosition { at, id: std::str::from_utf8(id).ok()?.into() })
    }

    fn mac(&self, query: &ListQuery, signed: &[u8]) -> Hmac<Sha256> {
        let ListQuery { tenant, owner, context_id, state, since, .. } = query;
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        let state = state.map(|state| state.name());
        let texts = [Some(&**tenant), Some(&**owner), context_id.as_deref(), state];
        for text in texts {
            // What is not asked for is not the same as what is empty.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            mac.update(&length.to_be_bytes());
            mac.update(text.unwrap_or_default().as_bytes());
        }
        mac.update(&[u8::from(since.is_some())]);
        mac.update(&since.unwrap_or_default().as_millis().to_be_bytes());
        mac.update(signed);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(owner: &str) -> Caller {
        Caller { owner: owner.into(), ..Caller::default() }
    }

    fn query(key: &PageKey, request: &ListTasksRequest, owner: &str) -> Result<ListQuery, Error> {
        key.query(request, "".into(), &caller(owner), &Limits::default())
    }

    #[test]
    fn a_token_leads_on_in_its_own_list_and_nowhere_else() {
        let key = PageKey::new(b"secret");
        let request = ListTasksRequest { context_id: Some("c".into()), ..Default::default() };
        let asked = query(&key, &request, "o").unwrap();
        let at = Timestamp::from_millis(-7);
        for id in ["", "t", "a/b\0\u{1F980}"] {
            let position = ListPosition { at, id: id.into() };
            let token = Some(key.token(&asked, &position).into());
            let next = ListTasksRequest { page_token: token, ..request.clone() };
            assert_eq!(query(&key, &next, "o").unwrap().after, Some(position));
            let larger = ListTasksRequest { page_size: Some(7), ..next.clone() };
            assert!(query(&key, &larger, "o").is_ok(), "pages may differ in size");
            for other in [
                ListTasksRequest { context_id: None, ..next.clone() },
                ListTasksRequest { context_id: Some("".into()), ..next.clone() },
                ListTasksRequest { status: TaskState::Failed, ..next.clone() },
                ListTasksRequest { status_timestamp_after: Some(at), ..next.clone() },
            ] {
                assert!(query(&key, &other, "o").is_err(), "{other:?}");
            }
            assert!(query(&key, &next, "p").is_err(), "another caller's");
            assert!(query(&PageKey::new(b"other"), &next, "o").is_err(), "another deployment's");
            assert!(key.query(&next, "t".into(), &caller("o"), &Limits::default()).is_err());
        }
    }

    #[test]
    fn a_token_that_was_touched_is_refused() {
        let key = PageKey::new(b"secret");
        let request = ListTasksRequest::default();
        let position = ListPosition { at: Timestamp::from_millis(5), id: "t".into() };
        let token = key.token(&query(&key, &request, "").unwrap(), &position);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        let mut touched: Vec<String> = (0..bytes.len())
            .map(|index| {
                let mut bytes = bytes.clone();
                bytes[index] ^= 1;
                URL_SAFE_NO_PAD.encode(bytes)
            })
            .collect();
        touched.extend((0..bytes.len()).map(|end| URL_SAFE_NO_PAD.encode(&bytes[..end])));
        touched.extend(["", "x", "%%%", "5/t"].map(str::to_owned));
        touched.push(format!("{token}="));
        for token in touched {
            let request = ListTasksRequest { page_token: Some(token.into()), ..request.clone() };
            assert!(query(&key, &request, "").is_err(), "{request:?}");
        }
    }
}
