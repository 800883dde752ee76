//! The values that equality deletes name, for data files of every age at once, in memory that can be bounded (specification,
//! "Equality Delete Files"). Which deletes are for which partition, the caller knows.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use siphasher::sip128::SipHasher13;

use super::error::FileError;
use super::row_keys::RowKeys;

/// Which rows are deleted by the values of some columns.
///
/// Null equals null, NaN equals NaN, and `-0.0` is not `0.0`, as in Java.
///
/// What is held of a key is not the key but its fingerprint, 128 bits of SipHash-1-3. Two keys with the same fingerprint
/// would be taken for one, and a row deleted that is not. With 10¹⁰ keys and 10¹³ rows to look up, the most a table may ever
/// see, that happens by chance once in 3·10¹⁵ such tables: a processor errs sooner. And it does not happen on purpose: whoever
/// chooses the rows does not know `hash_key`, as long as it is random, new for each job, and never told.
#[derive(Clone)]
pub struct DeletedKeys {
    /// The ids of the columns, all of them without parts, and not in a list or map.
    field_ids: Vec<i32>,
    hasher: SipHasher13,
    part: Part,
    /// The greatest sequence number of a delete, by what it deletes.
    latest: HashMap<Fingerprint, i64, BuildHasherDefault<Identity>>,
    /// The greatest of all.
    greatest: i64,
}

/// The keys of one pass of several: those whose fingerprint falls into one of `count` equal ranges.
///
/// The parts from 0 to `count - 1` share out the keys, if all have the same `hash_key`: each key is in exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub number: u32,
    /// How many parts there are; 1 at least.
    pub count: u32,
}

impl Part {
    /// All keys.
    pub const WHOLE: Part = Part { number: 0, count: 1 };

    /// How many parts it takes for each to have this much memory; about, and never too few. At most as many as keys.
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

    fn holds(self, fingerprint: Fingerprint) -> bool {
        let place = (u128::from(fingerprint.part_bits) * u128::from(self.count)) >> u64::BITS;
        place == u128::from(self.number)
    }
}

/// What the map holds for each place that it has, taken or not: the entry and a byte of its own.
const PLACE_BYTES: u64 = (size_of::<(Fingerprint, i64)>() + 1) as u64;

impl DeletedKeys {
    /// No deletes yet, by the columns with these ids. `hash_key` is random, and the same for all parts.
    pub fn new(field_ids: Vec<i32>, hash_key: (u64, u64), part: Part) -> DeletedKeys {
        let hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
        DeletedKeys { field_ids, hasher, part, latest: HashMap::default(), greatest: i64::MIN }
    }

    /// How much memory so many different keys take at most, the moment included in which the map grows: 43 to 86 bytes a key.
    /// Of several parts, each has its share of the keys.
    pub fn bytes_of(keys: u64) -> u64 {
        // Shares are not equal: they differ from the mean by its square root, and as good as never by eight times that.
        let keys = keys.saturating_add(keys.isqrt().saturating_mul(8));
        // One place in eight stays free, and there are as many as some power of two.
        let places = keys.saturating_mul(8).div_ceil(7).max(4);
        let places = places.checked_next_power_of_two().unwrap_or(u64::MAX);
        // Growing takes twice the places while those before are still there.
        places.saturating_mul(PLACE_BYTES).saturating_mul(3) / 2
    }

    /// How many different keys are held.
    pub fn len(&self) -> usize {
        self.latest.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    /// How much memory they take, about.
    pub fn memory_bytes(&self) -> u64 {
        let places = (self.latest.capacity() as u64).saturating_mul(8) / 7;
        if places == 0 { 0 } else { places.next_power_of_two().saturating_mul(PLACE_BYTES) }
    }

    /// Adds the rows of a batch of an equality delete file, read with the types that the table has. The sequence number is
    /// the file's data sequence number.
    ///
    /// Fails if the batch lacks one of the columns, or if no rows can be deleted by it.
    pub fn add(&mut self, batch: &RecordBatch, sequence_number: i64) -> Result<(), FileError> {
        for fingerprint in self.fingerprints(batch)? {
            if self.part.holds(fingerprint) {
                let latest = self.latest.entry(fingerprint).or_insert(sequence_number);
                *latest = (*latest).max(sequence_number);
            }
        }
        self.greatest = self.greatest.max(sequence_number);
        Ok(())
    }

    /// Which rows are deleted of a batch of a data file with this data sequence number: those whose values a later delete has.
    /// Rows of other parts are not. One bit a row, never null.
    ///
    /// Fails if the batch lacks one of the columns, or if no rows can be deleted by it.
    pub fn deleted(&self, batch: &RecordBatch, sequence_number: i64) -> Result<BooleanArray, FileError> {
        if self.is_empty() || self.greatest <= sequence_number {
            // The columns have to be there all the same.
            self.fingerprints(&batch.slice(0, 0))?;
            return Ok(BooleanBuffer::new_unset(batch.num_rows()).into());
        }
        let is_deleted = |fingerprint| {
            let latest = self.latest.get(fingerprint);
            latest.is_some_and(|latest| *latest > sequence_number)
        };
        Ok(self.fingerprints(batch)?.iter().map(is_deleted).collect::<BooleanBuffer>().into())
    }

    /// Those of all rows before the first is looked up: the processor waits for memory at every look into a large map, and
    /// waits for many at once if nothing else is in between. That makes looking up eight times as fast.
    fn fingerprints(&self, batch: &RecordBatch) -> Result<Vec<Fingerprint>, FileError> {
        // By no columns, all rows are the same, and one delete would take them all.
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
        // Not the key of the hash: who knows it can make rows that are taken for others.
        let mut fields = formatter.debug_struct("DeletedKeys");
        fields.field("field_ids", &self.field_ids).field("part", &self.part).field("len", &self.len());
        fields.finish_non_exhaustive()
    }
}

/// 128 bits of a key. The half that chooses the part does not choose the place in the map, where a part's keys would else
/// crowd together.
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

/// Takes what is hashed already as its own hash.
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
