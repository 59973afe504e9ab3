//! The byte-to-character mapping of byte-level BPE vocabularies.
//!
//! Such vocabularies spell each byte of a token as one printable character. Bytes that are printable in Latin-1 stand
//! for themselves; the other 68 take the characters from U+0100 on, in order. (From OpenAI's GPT-2 tokenizer.)

/// Whether `byte` stands for itself.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// The character of each byte.
const CHAR_OF_BYTE: [char; 256] = {
    let mut chars = ['\0'; 256];
    let mut byte = 0;
    let mut next = 0x100;
    while byte < 256 {
        if is_printable(byte as u8) {
            chars[byte] = byte as u8 as char;
        } else {
            chars[byte] = match char::from_u32(next) {
                Some(character) => character,
                None => panic!("U+0100 and the 67 after it are characters"),
            };
            next += 1;
        }
        byte += 1;
    }
    chars
};

/// The byte of each of the characters up to U+0143, the last one used; 0 for those that stand for no byte, which
/// [`byte_of`] tells apart with [`CHAR_OF_BYTE`].
const BYTE_OF_CHAR: [u8; 0x144] = {
    let mut bytes = [0; 0x144];
    let mut byte = 0;
    while byte < 256 {
        bytes[CHAR_OF_BYTE[byte] as usize] = byte as u8;
        byte += 1;
    }
    bytes
};

/// The character that spells `byte`.
pub(crate) const fn char_of(byte: u8) -> char {
    CHAR_OF_BYTE[byte as usize]
}

/// The byte that `character` spells, if it spells one.
pub(crate) fn byte_of(character: char) -> Option<u8> {
    let byte = *BYTE_OF_CHAR.get(character as usize)?;
    (CHAR_OF_BYTE[byte as usize] == character).then_some(byte)
}

/// Appends the spelling of `bytes`.
pub(crate) fn spell(bytes: &[u8], out: &mut String) {
    out.extend(bytes.iter().map(|&byte| char_of(byte)));
}

/// The bytes that `text` spells. A character that spells no byte gives its own UTF-8 bytes.
pub(crate) fn unspell(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spellings() {
        let mut text = String::new();
        spell(b" a\n\x00\x7f\xad\xff", &mut text);
        assert_eq!(text, "ĠaĊĀġŃÿ");
    }

    #[test]
    fn every_byte_there_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        spell(&bytes, &mut text);
        assert_eq!(text.chars().count(), 256);
        assert_eq!(unspell(&text), bytes);
    }

    #[test]
    fn characters_outside_the_mapping_keep_their_own_bytes() {
        assert_eq!(byte_of(' '), None);
        assert_eq!(byte_of('\0'), None);
        assert_eq!(byte_of('ń'), None);
        assert_eq!(unspell("<｜x"), "<｜x".as_bytes());
    }
}
