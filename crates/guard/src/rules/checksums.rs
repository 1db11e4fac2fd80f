//! Check digits and checksums.

/// The decimal digits of a text.
pub(super) fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// ISO/IEC 7812-1, annex B (H. P. Luhn, US patent 2950048).
pub(super) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| if i % 2 == 0 { *d } else { (2 * d) / 10 + (2 * d) % 10 })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// ISO 7064, MOD 97-10: letters count from 10 (A) to 35 (Z).
pub(super) fn mod_97(text: &str) -> Option<u32> {
    text.chars().try_fold(0, |rest, c| {
        let value = c.to_digit(36)?;
        Some(if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 })
    })
}

/// J. Verhoeff, Error Detecting Decimal Codes (1969): the dihedral group of order 10.
pub(super) fn verhoeff(digits: &[u32]) -> bool {
    const PERMUTE: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let multiply = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let permuted = |d: u32, times: usize| {
        (0..times % 8)
            .fold(d, |d, _| PERMUTE.get(usize::try_from(d).unwrap_or(0)).copied().unwrap_or(0))
    };
    digits.iter().rev().enumerate().fold(0, |check, (i, d)| multiply(check, permuted(*d, i))) == 0
}

/// ISO 7064, MOD 11,10.
pub(super) fn mod_11_10(digits: &[u32]) -> bool {
    let Some((last, head)) = digits.split_last() else { return false };
    let product = head.iter().fold(10, |product, d| {
        let sum = (product + d) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == *last
}

/// The sum of digits times weights.
pub(super) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(d, w)| d * w).sum()
}

/// CRC-32 as in ISO 3309 and zlib.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

/// Shannon entropy, in bits a character.
pub(super) fn entropy(text: &str) -> f64 {
    let mut counts = std::collections::HashMap::new();
    for c in text.chars() {
        *counts.entry(c).or_insert(0_u32) += 1;
    }
    let total = f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
    counts.values().map(|n| f64::from(*n) / total).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_check() {
        // ISO/IEC 7812-1's example, and the one in every description of Luhn's formula.
        assert!(luhn(&digits("4992739871 6")) == luhn(&digits("49927398716")));
        assert!(luhn(&digits("49927398716")) && !luhn(&digits("49927398717")));
        // The IBAN registry's example of Great Britain, rearranged.
        assert_eq!(mod_97("WEST12345698765432GB82"), Some(1));
        // 236 with its Verhoeff digit 3.
        assert!(
            verhoeff(&digits("2363")) && !verhoeff(&digits("2364")) && !verhoeff(&digits("2633"))
        );
        // The tax office's example of a German identification number.
        assert!(mod_11_10(&digits("36574261809")) && !mod_11_10(&digits("36574261808")));
        // The check value of CRC-32.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert!((entropy("abcd") - 2.0).abs() < 1e-9 && entropy("aaaa").abs() < 1e-9);
    }
}
