//! Value lengths in pages with the encoding `DELTA_BYTE_ARRAY`, in which a value is stored as the length of
//! the prefix that it shares with the previous value, followed by its suffix (Parquet's `Encodings.md`). The
//! values themselves are decoded elsewhere.

/// Maximum width, in bits, of a bit-packed number.
const BITS_MAX: u32 = 64;

/// Returns the length in bytes of the longest value on a page with no more than `values_max` values; `None`
/// if the bytes are damaged.
pub(super) fn longest(bytes: &[u8], values_max: usize) -> Option<u64> {
    let (prefixes, rest) = numbers(bytes, values_max)?;
    let (suffixes, _) = numbers(rest, values_max)?;
    let lengths = prefixes.iter().zip(&suffixes).map(|(prefix, suffix)| prefix.saturating_add(*suffix));
    u64::try_from(lengths.max().unwrap_or(0)).ok()
}

/// Decodes the numbers of a `DELTA_BINARY_PACKED` block sequence. Returns them with the bytes that follow.
fn numbers(bytes: &[u8], values_max: usize) -> Option<(Vec<i64>, &[u8])> {
    let mut rest = bytes;
    let block_values = usize::try_from(varint(&mut rest)?).ok()?;
    let parts = usize::try_from(varint(&mut rest)?).ok()?;
    let count = usize::try_from(varint(&mut rest)?).ok()?;
    let mut value = zigzag(&mut rest)?;
    let part_values = block_values.checked_div(parts)?;
    if count > values_max || (part_values == 0 && count > 1) {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    if count > 0 {
        values.push(value);
    }
    while values.len() < count {
        let least = zigzag(&mut rest)?;
        let (widths, packed) = rest.split_at_checked(parts)?;
        rest = packed;
        for width in widths {
            if values.len() == count {
                break;
            }
            let width = u32::from(*width);
            let bits = part_values.checked_mul(usize::try_from(width).ok()?)?;
            let (part, after) = rest.split_at_checked(bits.div_ceil(8))?;
            rest = after;
            for place in 0..part_values.min(count - values.len()) {
                value = value.wrapping_add(least).wrapping_add(unpacked(part, place, width)?);
                values.push(value);
            }
        }
    }
    Some((values, rest))
}

/// Returns the number at index `place` of bit-packed numbers of `width` bits each, least significant bits
/// first.
fn unpacked(bytes: &[u8], place: usize, width: u32) -> Option<i64> {
    if width > BITS_MAX {
        return None;
    }
    let start = place.checked_mul(usize::try_from(width).ok()?)?;
    let mut window = [0; 16];
    let available = bytes.get(start / 8..).unwrap_or_default();
    for (place, byte) in window.iter_mut().zip(available) {
        *place = *byte;
    }
    let bits = u128::from_le_bytes(window) >> (start % 8);
    let mask = (1_u128 << width) - 1;
    u64::try_from(bits & mask).ok().map(u64::cast_signed)
}

fn zigzag(rest: &mut &[u8]) -> Option<i64> {
    let zigzag = varint(rest)?;
    Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
