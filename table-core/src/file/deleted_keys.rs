//! Set of the keys deleted by equality delete files, usable for data files of any sequence number at once, in
//! bounded memory (specification, "Equality Delete Files"). The caller has to select the delete files that
//! apply to the partition of the data file.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use siphasher::sip128::SipHasher13;

use super::error::FileError;
use super::row_keys::RowKeys;

/// Keys deleted by equality deletes on one set of columns, with the greatest sequence number of a delete of
/// each key.
///
/// Null equals null, NaN equals NaN, and `-0.0` differs from `0.0`, as in Java.
///
/// Instead of the keys themselves the set stores their fingerprints, 128 bits of SipHash-1-3. Two keys with
/// the same fingerprint would be confused, so that a row is deleted that should not be. With 10¹⁰ keys and
/// 10¹³ rows to look up, more than a table is ever likely to have, this happens by chance in one of 3·10¹⁵
/// such tables, which is less often than a processor computes a wrong result. It cannot be provoked either:
/// an attacker who chooses the rows does not know `hash_key`, as long as it is random, new for each job, and
/// never disclosed.
#[derive(Clone)]
pub struct DeletedKeys {
    /// Field ids of the compared columns, all of primitive types and not inside a list or map.
    field_ids: Vec<i32>,
    hasher: SipHasher13,
    part: KeyPart,
    /// Greatest sequence number of a delete, by the fingerprint of the deleted key.
    latest: HashMap<Fingerprint, i64, BuildHasherDefault<Identity>>,
    /// Greatest sequence number of all deletes.
    greatest: i64,
}

/// Subset of the keys, for processing them in several passes: those whose fingerprint is in one of `count`
/// equal ranges.
///
/// The parts from 0 to `count - 1` partition the keys, provided that all use the same `hash_key`: each key is
/// in exactly one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPart {
    /// Number of the part, starting at 0.
    pub number: u32,
    /// Number of parts, at least 1.
    pub count: u32,
}

impl KeyPart {
    /// The part that contains all keys.
    pub const WHOLE: KeyPart = KeyPart { number: 0, count: 1 };

    /// Returns the number of parts that `keys` keys must be divided into for each part to fit into
    /// `memory_bytes`. The result is approximate, but never too small, and at most the number of keys.
    pub fn count(keys: u64, memory_bytes: u64) -> u32 {
        let mut count = 1_u32;
        while u64::from(count) < keys
            && count < u32::MAX
            && DeletedKeys::bytes_of(keys.div_ceil(u64::from(count))) > memory_bytes
        {
            count = count.saturating_add(count.div_ceil(8));
        }
        count
    }

    fn contains(self, fingerprint: Fingerprint) -> bool {
        let place = (u128::from(fingerprint.part_bits) * u128::from(self.count)) >> u64::BITS;
        place == u128::from(self.number)
    }
}

/// Bytes of memory per bucket of the hash map, occupied or not: the entry and one control byte.
const PLACE_BYTES: u64 = (size_of::<(Fingerprint, i64)>() + 1) as u64;

impl DeletedKeys {
    /// Creates an empty set for the columns with these field ids. `hash_key` must be random, and the same for
    /// all parts.
    pub fn new(field_ids: Vec<i32>, hash_key: (u64, u64), part: KeyPart) -> DeletedKeys {
        let hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
        DeletedKeys { field_ids, hasher, part, latest: HashMap::default(), greatest: i64::MIN }
    }

    /// Returns an upper bound of the memory, in bytes, for this many distinct keys: 43 to 86 bytes per key,
    /// including the peak while the hash map grows. With several parts, each has its share of the keys.
    pub fn bytes_of(keys: u64) -> u64 {
        // The parts are not equally large: a size deviates from the mean by about its square root, and
        // practically never by eight times that.
        let keys = keys.saturating_add(keys.isqrt().saturating_mul(8));
        // One bucket in eight stays free, and the number of buckets is a power of two.
        let places = keys.saturating_mul(8).div_ceil(7).max(4);
        let places = places.checked_next_power_of_two().unwrap_or(u64::MAX);
        // Growing allocates twice the number of buckets while the old ones still exist.
        places.saturating_mul(PLACE_BYTES).saturating_mul(3) / 2
    }

    /// Returns the number of distinct keys in the set.
    pub fn len(&self) -> usize {
        self.latest.len()
    }

    /// Returns `true` if the set contains no keys.
    pub fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    /// Returns the approximate size of the set in memory, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let places = (self.latest.capacity() as u64).saturating_mul(8) / 7;
        if places == 0 { 0 } else { places.next_power_of_two().saturating_mul(PLACE_BYTES) }
    }

    /// Adds the rows of a batch of an equality delete file. The batch must have been read with the current
    /// types of the table's columns; `sequence_number` is the data sequence number of the delete file.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unfit`] if the batch lacks one of the columns, with [`FileError::Unsupported`]
    /// if rows cannot be compared by the type of a column, and with [`FileError::Malformed`] if there are no
    /// columns to compare.
    pub fn add(&mut self, batch: &RecordBatch, sequence_number: i64) -> Result<(), FileError> {
        for fingerprint in self.fingerprints(batch)? {
            if self.part.contains(fingerprint) {
                let latest = self.latest.entry(fingerprint).or_insert(sequence_number);
                *latest = (*latest).max(sequence_number);
            }
        }
        self.greatest = self.greatest.max(sequence_number);
        Ok(())
    }

    /// Returns which rows of a batch are deleted, as one bit per row that is never null. `sequence_number` is
    /// the data sequence number of the data file; a row is deleted if a delete of its key has a greater one.
    /// Rows whose key belongs to another [`KeyPart`] are not marked.
    ///
    /// # Errors
    ///
    /// Fails with [`FileError::Unfit`] if the batch lacks one of the columns, with [`FileError::Unsupported`]
    /// if rows cannot be compared by the type of a column, and with [`FileError::Malformed`] if there are no
    /// columns to compare.
    pub fn deleted(&self, batch: &RecordBatch, sequence_number: i64) -> Result<BooleanArray, FileError> {
        if self.is_empty() || self.greatest <= sequence_number {
            // The columns must exist even if no row can be deleted.
            self.fingerprints(&batch.slice(0, 0))?;
            return Ok(BooleanBuffer::new_unset(batch.num_rows()).into());
        }
        let is_deleted = |fingerprint| {
            let latest = self.latest.get(fingerprint);
            latest.is_some_and(|latest| *latest > sequence_number)
        };
        Ok(self.fingerprints(batch)?.iter().map(is_deleted).collect::<BooleanBuffer>().into())
    }

    /// Computes the fingerprints of all rows before the first lookup. Each lookup in a large map is a cache
    /// miss; without other work in between, the processor overlaps many of them, which makes lookups eight
    /// times as fast.
    fn fingerprints(&self, batch: &RecordBatch) -> Result<Vec<Fingerprint>, FileError> {
        // Without columns all rows would be equal, and a single delete would delete every row.
        if self.field_ids.is_empty() {
            return Err(FileError::malformed("equality deletes compare no columns"));
        }
        let keys = RowKeys::new(batch, &self.field_ids)?;
        let fingerprint = |key| {
            let (part_bits, map_bits) = self.hasher.hash(key).as_u64();
            Fingerprint { part_bits, map_bits }
        };
        Ok(keys.iter().map(fingerprint).collect())
    }
}

impl std::fmt::Debug for DeletedKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The hash key is omitted: it would allow constructing rows that are confused with others.
        let mut fields = formatter.debug_struct("DeletedKeys");
        fields.field("field_ids", &self.field_ids).field("part", &self.part).field("len", &self.len());
        fields.finish_non_exhaustive()
    }
}

/// 128-bit hash of a key. The half that selects the part does not select the bucket in the hash map, because
/// otherwise the keys of a part would cluster there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    part_bits: u64,
    map_bits: u64,
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.map_bits);
    }
}

/// Hasher that returns already hashed input unchanged.
#[derive(Default, Clone)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }
}
