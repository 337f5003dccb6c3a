//! Content in few bytes: the service bills by the kilobyte.
//!
//! Owns: the mark and the compression. JSON stands as it is, beginning with a bracket; a byte 2 is
//! followed by the content's length and raw DEFLATE against [`SKELETON`], the JSON that every entry
//! has. With it a kilobyte of an agent's text, or of base64, fits in one write unit with its keys,
//! and a conversation takes a quarter fewer of them than without; plain DEFLATE would save half as
//! much of the example agent's. Must never know: what is compressed, where it is kept.

use std::borrow::Cow;

use miniz_oxide::{
    deflate::core::{
        CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
    },
    inflate::{
        TINFLStatus,
        core::{
            DecompressorOxide, decompress,
            inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF as INTO_ONE_BUFFER,
        },
    },
};

const DEFLATED: u8 = 2;

/// What content refers back to. It is part of the format: another text needs another mark.
const SKELETON: &[u8] = concat!(
    r#""metadata":{},"extensions":["https://"],"filename":"","mediaType":"application/json","#,
    r#""raw":"","url":"","data":{"name":"","description":"","referenceTaskIds":[""#,
    r#"TASK_STATE_SUBMITTEDTASK_STATE_CANCELEDTASK_STATE_FAILEDTASK_STATE_INPUT_REQUIRED"#,
    r#"{"replied":{"messageId":"","contextId":"","taskId":"","role":"ROLE_AGENT","parts":[{"text":""}]"#,
    r#"{"owner":"","contextId":"","status":{"state":"TASK_STATE_COMPLETED","message":{"messageId":""#,
    r#"","timestamp":"2026-"},"phase":"finished"}[{"submitted":{"message":{"messageId":"","#,
    r#""contextId":"","taskId":"","role":"ROLE_USER","parts":[{"text":""}]},"request":"","at":"2026-"}},"#,
    r#"{"started":{"runner":"","attempt":1,"at":"2026-"}},{"status":{"taskId":"","contextId":"","#,
    r#""status":{"state":"TASK_STATE_WORKING","timestamp":"2026-"}}},{"artifact":{"taskId":"","#,
    r#""contextId":"","artifact":{"artifactId":"","parts":[{"text":""}]},"append":true,"lastChunk":true}}]"#,
)
.as_bytes();

/// More than this at once is compressed in haste.
const LARGE: usize = 64 << 10;
/// DEFLATE makes nothing smaller than this part of it: what claims to be is corrupt.
const BEST: usize = 1_040;

/// The content as it is stored, compressed if that is shorter.
pub(super) fn pack(content: Vec<u8>) -> Vec<u8> {
    match deflate(&content) {
        Some(packed) if packed.len() < content.len() => packed,
        _ => content,
    }
}

/// The content that is stored so; `None` when it is corrupt.
pub(super) fn unpack(stored: &[u8]) -> Option<Cow<'_, [u8]>> {
    match stored {
        [DEFLATED, deflated @ ..] => inflate(deflated).map(Cow::Owned),
        plain => Some(Cow::Borrowed(plain)),
    }
}

fn deflate(content: &[u8]) -> Option<Vec<u8>> {
    const RAW: i32 = -15;
    let level = if content.len() > LARGE { 1 } else { 6 };
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(level, RAW, 0));
    // The skeleton goes before, up to the boundary of a byte. What comes of it is thrown away:
    // unpacking puts the skeleton there.
    let mut before = vec![0; SKELETON.len() + 64];
    let (status, taken, _) = compress(&mut compressor, SKELETON, &mut before, TDEFLFlush::Sync);
    if status != TDEFLStatus::Okay || taken != SKELETON.len() {
        return None;
    }
    let mut packed = vec![DEFLATED];
    packed.extend(u32::try_from(content.len()).ok()?.to_le_bytes());
    let begin = packed.len();
    packed.resize(begin + content.len() + 64, 0);
    let rest = &mut packed[begin..];
    let (status, _, written) = compress(&mut compressor, content, rest, TDEFLFlush::Finish);
    packed.truncate(begin + written);
    (status == TDEFLStatus::Done).then_some(packed)
}

fn inflate(stored: &[u8]) -> Option<Vec<u8>> {
    let (length, deflated) = stored.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length / BEST > deflated.len() {
        return None;
    }
    let mut content = SKELETON.to_vec();
    content.resize(SKELETON.len() + length, 0);
    let (state, begin) = (&mut DecompressorOxide::new(), SKELETON.len());
    let (status, _, written) = decompress(state, deflated, &mut content, begin, INTO_ONE_BUFFER);
    (status == TINFLStatus::Done && written == length).then(|| content.split_off(begin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kilobyte_fits_in_a_write_unit() {
        // What is left of 1,024 bytes beside keys, birth and expiry.
        const ROOM: usize = 940;
        let mut seed = 1_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u32
        };
        let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let base64: String =
            (0..1_024).map(|_| char::from(base64[random() as usize % 64])).collect();
        let printable =
            (0..1_024).map(|_| char::from(35 + (random() % 57) as u8)).collect::<String>();
        let prose = include_str!("mod.rs").chars().filter(char::is_ascii).take(1_024).collect();
        for text in [base64, printable, prose] {
            let text = serde_json::to_string(&text).unwrap();
            let entry = format!(
                "[{{\"artifact\":{{\"taskId\":\"\",\"contextId\":\"\",\"artifact\":{{\"artifactId\":\
                 \"6a1c1e54-6b5a-4b8e-9a7e-3f1d0f1c2b3a\",\"parts\":[{{\"text\":{text}}}]}},\
                 \"append\":true,\"lastChunk\":false}}}}]"
            );
            let packed = pack(entry.clone().into_bytes());
            assert!(packed.len() <= ROOM, "{} bytes of {}", packed.len(), entry.len());
            assert_eq!(unpack(&packed).unwrap(), entry.as_bytes());
        }
    }

    #[test]
    fn much_of_nothing_is_unpacked() {
        let nothing = vec![b' '; 5_000_000];
        let packed = pack(nothing.clone());
        assert!(packed.len() < 50_000);
        assert!(unpack(&packed).unwrap() == nothing);
    }

    proptest! {
        #[test]
        fn round_trip(text in ".{0,2000}") {
            let content = serde_json::to_vec(&text).unwrap();
            let packed = pack(content.clone());
            prop_assert_eq!(&*unpack(&packed).unwrap(), &content);
        }

        #[test]
        fn what_is_corrupt_is_no_content_or_another(bytes: Vec<u8>) {
            let _ = unpack(&[&[DEFLATED], &*bytes].concat());
        }
    }
}
