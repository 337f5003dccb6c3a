//! Texts of a size that are no easier to store than others.

/// What a chunk of a stream and an artifact hold.
pub(crate) const KILOBYTE: usize = 1_024;

/// So many letters, each of 64 by chance: a store that compresses finds no more in it than in
/// base64, which is the least that texts hold.
pub(crate) fn text(seed: u64, bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let letter = |_| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..bytes).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_and_are_as_long_as_asked() {
        assert_eq!(text(1, 1_024).len(), 1_024);
        assert_ne!(text(1, 64), text(2, 64));
    }
}
