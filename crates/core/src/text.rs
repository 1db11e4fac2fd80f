//! Names and reasons that people write, and what of them other people do not see.

/// The first character of a text that people do not see, or that changes the order of what they
/// see: controls, marks of direction, joiners, blanks without width, tags.
///
/// Source: Unicode 17.0, general categories Cc and Cf, and the characters that are ignorable by
/// default (`DerivedCoreProperties`, `Default_Ignorable_Code_Point`).
pub fn unseen(text: &str) -> Option<char> {
    text.chars().find(|letter| is_unseen(*letter))
}

/// Whether a text has nothing that can be read.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter.is_whitespace() || is_unseen(letter))
}

fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_told() {
        for (text, found) in [
            ("support-bot", None),
            ("Größe 東京 नमस्ते", None),
            ("adm\u{202e}nimda", Some('\u{202e}')),
            ("a\0b", Some('\0')),
            ("a\nb", Some('\n')),
            ("\u{e0041}", Some('\u{e0041}')),
        ] {
            assert_eq!(unseen(text), found, "{text:?}");
        }
    }

    #[test]
    fn what_only_seems_to_say_something_is_blank() {
        for blank in ["", "  ", "\u{200b}\u{200b}", "\u{3164} \u{ad}", "\u{3000}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        assert!(!is_blank("\u{200b}x"));
    }
}
