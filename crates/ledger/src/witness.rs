//! Witnessing another log: cosign its head once it is shown to go on from the last.
//!
//! Source: C2SP tlog-witness and tlog-cosignature.

use crate::{
    Error,
    note::{Checkpoint, Head, SigningKey, VerifierKey},
    proof::verify_consistency,
    tree::{Hash, empty},
};

/// Checks a log's new checkpoint against the last head seen of it, and cosigns it.
///
/// `time` is in seconds since 1970. Gives the new head, to be remembered before the
/// line is handed out, and the signature line.
///
/// # Errors
/// When the log's key did not sign it, it is older than what was seen, or it does
/// not go on from that.
pub fn cosign(
    note: &str,
    log: &VerifierKey,
    last: Option<&Head>,
    consistency: &[Hash],
    key: &SigningKey,
    time: u64,
) -> Result<(Head, String), Error> {
    let refuse = |problem: String| Err(Error::Witness { problem });
    let checkpoint = Checkpoint::parse(note)?;
    let head = &checkpoint.head;
    if head.origin != log.name || !checkpoint.is_signed_by(log) {
        return refuse(format!("the checkpoint is not signed by `{}`", log.name));
    }
    if head.size == 0 && head.root != empty() {
        return refuse("an empty tree has another root".to_owned());
    }
    if let Some(last) = last {
        if last.origin != head.origin {
            return refuse(format!("`{}` is another log than `{}`", head.origin, last.origin));
        }
        if head.size < last.size {
            return refuse(format!(
                "rolled back: size {} was seen before, and this is {}",
                last.size, head.size
            ));
        }
        // Any tree goes on from the empty one, and no proof is there to show it.
        let from_nothing = last.size == 0 && head.size > 0 && consistency.is_empty();
        let follows = verify_consistency(last.size, head.size, &last.root, &head.root, consistency);
        if !from_nothing && !follows {
            return refuse(format!(
                "it does not go on from size {}, or the proof is wrong",
                last.size
            ));
        }
    }
    Ok((head.clone(), key.cosignature(&checkpoint.text, time)))
}
