//! G.711 µ-law: one byte for a sample, and back. Only levels, tones and mixed recordings need it; relaying does not.
//!
//! ITU-T G.711, table 2; the byte on the wire is the complement of the code word.

use std::sync::LazyLock;

/// The byte that is silence.
pub const SILENCE: u8 = 0xff;

const BIAS: i32 = 0x84;
const CLIP: i32 = 32_635;

static LINEAR: LazyLock<[i16; 256]> = LazyLock::new(|| {
    let mut table = [0_i16; 256];
    for (code, sample) in (0_u8..=255).zip(table.iter_mut()) {
        *sample = expand(code);
    }
    table
});

fn expand(code: u8) -> i16 {
    let code = !code;
    let exponent = (code >> 4) & 0x07;
    let magnitude = ((i32::from(code & 0x0f) << 3) + BIAS) << exponent;
    let sample = magnitude - BIAS;
    i16::try_from(if code & 0x80 == 0 { sample } else { -sample }).unwrap_or(i16::MAX)
}

/// The 16-bit sample of a byte.
pub fn decode(code: u8) -> i16 {
    LINEAR.get(usize::from(code)).copied().unwrap_or(0)
}

/// The byte nearest to a 16-bit sample.
pub fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80_u8 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // The biased magnitude has its highest bit in 7..=14: segment 0..=7.
    let exponent = (31 - magnitude.leading_zeros()).saturating_sub(7).min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    let code = sign | u8::try_from(exponent << 4).unwrap_or(0x70) | u8::try_from(mantissa).unwrap_or(0x0f);
    !code
}

/// Two sounds at once.
pub fn mix(a: u8, b: u8) -> u8 {
    if a == SILENCE {
        return b;
    }
    if b == SILENCE {
        return a;
    }
    encode(decode(a).saturating_add(decode(b)))
}

/// The mean of the absolute samples: 0 is silence, 32,767 the loudest there is.
pub fn level(codes: &[u8]) -> u32 {
    let sum: u64 = codes.iter().map(|code| u64::from(decode(*code).unsigned_abs())).sum();
    u32::try_from(sum / (codes.len().max(1) as u64)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_are_those_of_the_standard() {
        for (code, sample) in
            [(0xff, 0), (0x7f, 0), (0x80, 32_124), (0x00, -32_124), (0xf0, 120), (0x70, -120)]
        {
            assert_eq!(decode(code), sample, "{code:#x}");
        }
        assert_eq!(encode(0), 0xff);
        assert_eq!(encode(i16::MAX), 0x80);
        assert_eq!(encode(i16::MIN), 0x00);
    }

    #[test]
    fn a_byte_survives_the_way_there_and_back() {
        for code in 0..=255_u8 {
            // There are two zeros, and one is enough.
            let wanted = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode(decode(code)), wanted, "{code:#x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_error_is_smaller_than_a_step(sample: i16) {
            let back = i32::from(decode(encode(sample)));
            let step = (i32::from(sample).abs() + BIAS) / 16;
            proptest::prop_assert!((back - i32::from(sample)).abs() <= step.max(16) + 16);
        }

        #[test]
        fn mixing_does_not_care_who_comes_first(a: u8, b: u8) {
            proptest::prop_assert_eq!(decode(mix(a, b)), decode(mix(b, a)));
        }
    }

    #[test]
    fn levels_tell_speech_from_silence() {
        assert_eq!(level(&[SILENCE; 160]), 0);
        assert_eq!(level(&[]), 0);
        assert!(level(&[encode(8_000); 160]) > 7_000);
    }
}
