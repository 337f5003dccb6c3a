//! Bodies that come compressed (RFC 9110, section 8.4).
//!
//! Owns: which encodings are read, within which bound. Must never know: what is in the body.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderValue, header::GetAll};

use crate::{
    error::{Error, ErrorKind},
    wire::shortened,
};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
}

/// The encoding that these headers name; none where the body is as it is.
///
/// # Errors
/// [`ErrorKind::UnsupportedMediaType`] for another one, or several.
pub(super) fn of(named: GetAll<'_, HeaderValue>) -> Result<Option<Encoding>, Error> {
    let mut encoding = None;
    for name in named {
        let name = name.to_str().unwrap_or("?").trim();
        let this = match &*name.to_ascii_lowercase() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            _ => return Err(not_read(name)),
        };
        if encoding.replace(this).is_some() {
            return Err(not_read("more than one"));
        }
    }
    Ok(encoding)
}

fn not_read(name: &str) -> Error {
    let name = shortened(name);
    let sentence =
        format!("The content encoding `{name}` is not read here, only gzip and deflate.");
    Error::new(ErrorKind::UnsupportedMediaType, sentence).with("acceptEncoding", "gzip, deflate")
}

impl Encoding {
    /// The body before it was encoded; none where that is over the limit.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is not encoded so.
    pub(super) fn decoded(self, body: &[u8], limit: usize) -> Result<Option<Bytes>, Error> {
        let mut out = Vec::with_capacity(limit.min(body.len().saturating_mul(4)));
        let bound = limit as u64 + 1;
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(body).take(bound).read_to_end(&mut out),
            Self::Deflate => ZlibDecoder::new(body).take(bound).read_to_end(&mut out),
        };
        match read {
            Ok(_) if out.len() > limit => Ok(None),
            Ok(_) => Ok(Some(out.into())),
            Err(error) => {
                let sentence = "The request's body is not encoded as Content-Encoding says.";
                Err(Error::new(ErrorKind::InvalidRequest, sentence).with_source(error))
            }
        }
    }
}
