//! Manifests: decoding of their entries, as far as every scan needs them.

use super::avro::{AvroCursor, Container, make_room};
use super::body::{Body, Span};
use super::entry::{Entry, File, Status};
use super::entry_layout::{EntryLayout, Partitions};
use super::error::{ManifestError, malformed};
use super::list::ManifestFile;
use super::partition::{PartitionReader, PartitionTuple, PartitionType};
use super::shape::{AvroShape, PlainFixed};

/// Manifest of a snapshot (specification, "Manifests").
///
/// The manifest list may describe the same manifest differently in different snapshots, and entries inherit
/// values from it, so entries are accessed through [`Manifest::file`] and [`Manifest::files`], with the
/// manifest file entry of the snapshot.
pub struct Manifest {
    body: Body,
    entries: Vec<Entry>,
    /// Distinct partition tuples, as written.
    partitions: Vec<Span>,
    partition: AvroShape,
    spec_id: Option<i32>,
}

impl Manifest {
    /// Decodes the bytes of a manifest, with all its entries.
    ///
    /// `limit_bytes` limits the memory for the decompressed bytes and the decoded entries together.
    ///
    /// # Errors
    ///
    /// Fails if the limit is exceeded ([`ManifestError::TooLarge`]); if the bytes are not an Avro file with
    /// the fields of a manifest, or an entry is damaged or lacks its path or partition
    /// ([`ManifestError::Malformed`]); and if the codec or the content of a file is unknown
    /// ([`ManifestError::Unsupported`]).
    pub fn decode(file: &[u8], limit_bytes: usize) -> Result<Manifest, ManifestError> {
        let decoded = Manifest::decode_with(file, limit_bytes, PlainFixed::Fixed);
        match decoded {
            // A manifest of Java's library may encode `fixed` values in another way than its schema declares.
            Err(ManifestError::Malformed(_)) => {
                Manifest::decode_with(file, limit_bytes, PlainFixed::Bytes).or(decoded)
            }
            _ => decoded,
        }
    }

    fn decode_with(
        file: &[u8],
        limit_bytes: usize,
        plain_fixed: PlainFixed,
    ) -> Result<Manifest, ManifestError> {
        let limit_bytes = limit_bytes.min(u32::MAX as usize);
        let mut container = Container::open(file)?;
        let layout = EntryLayout::of(&AvroShape::parse_with(&container.schema, plain_fixed)?)?;
        let spec_id = container.metadata.iter().find(|(name, _)| name == "partition-spec-id");
        let spec_id = spec_id.and_then(|(_, id)| std::str::from_utf8(id).ok()?.parse().ok());
        let mut bytes = Vec::new();
        let mut entries = Vec::new();
        let mut partitions = Partitions::default();
        let mut rows_before = 0_i64;
        let compressed_bytes = container.left_bytes();
        loop {
            let start = bytes.len();
            let Some(count) = container.next_block(&mut bytes, limit_bytes)? else { break };
            if start == 0 {
                // The other blocks will be similar to the first, so memory for all of them is allocated at
                // once, with a small margin, because a list that outgrows its capacity doubles.
                let left = container.left_bytes();
                let read = (compressed_bytes - left).max(1);
                let rest = |of_first: usize| left.saturating_add(left / 32).saturating_mul(of_first) / read;
                let room = limit_bytes.saturating_sub(bytes.len());
                bytes.reserve_exact(rest(bytes.len()).min(room));
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                entries.reserve_exact(count.saturating_add(rest(count)).min(room / size_of::<Entry>()));
            }
            let mut cursor = AvroCursor::at(&bytes, start);
            for _ in 0..count {
                let before = cursor.position();
                let mut entry = layout.read_entry(&mut cursor, &bytes, &mut partitions)?;
                if cursor.position() == before {
                    return Err(malformed("its entries have no fields"));
                }
                entry.rows_before = rows_before;
                if entry.first_row_id.is_none() && entry.status != Status::Deleted {
                    rows_before = rows_before.saturating_add(entry.record_count.max(0));
                }
                // One entry more than the limit allows is enough to detect an excess.
                let entries_max = limit_bytes.saturating_sub(bytes.len()) / size_of::<Entry>() + 1;
                make_room(&mut entries, 1, entries_max);
                entries.push(entry);
                let decoded = entries.len() * size_of::<Entry>() + partitions.memory_bytes;
                if bytes.len() + decoded > limit_bytes {
                    return Err(ManifestError::TooLarge { limit_bytes });
                }
            }
            if !cursor.is_at_end() {
                return Err(malformed("a block has more data than its entries"));
            }
        }
        entries.shrink_to_fit();
        bytes.shrink_to_fit();
        Ok(Manifest {
            body: Body { bytes, shapes: layout.shapes },
            entries,
            partitions: partitions.spans,
            partition: layout.partition,
            spec_id,
        })
    }

    /// Returns the number of entries, including deleted ones.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns `true` if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the files of all entries in order, with values inherited from the manifest file entry
    /// `manifest_file`.
    pub fn files<'a>(&'a self, manifest_file: &'a ManifestFile) -> impl ExactSizeIterator<Item = File<'a>> {
        self.entries.iter().map(move |entry| File { body: &self.body, entry, listed_in: manifest_file })
    }

    /// Returns the id of the partition spec in the header (`partition-spec-id`), if present.
    pub fn spec_id(&self) -> Option<i32> {
        self.spec_id
    }

    /// Returns the file of the entry with this number, from 0, with values inherited from `manifest_file`.
    pub fn file<'a>(&'a self, number: usize, manifest_file: &'a ManifestFile) -> Option<File<'a>> {
        self.entries.get(number).map(|entry| File { body: &self.body, entry, listed_in: manifest_file })
    }

    /// Returns the manifest file entry with the counts of files and rows that it lacks; manifest lists of
    /// format version 1 may omit them.
    pub fn counted(&self, manifest_file: &ManifestFile) -> ManifestFile {
        let mut counts = [(0_i64, 0_i64); 3];
        for entry in &self.entries {
            let (files, rows) = match entry.status {
                Status::Added => &mut counts[0],
                Status::Existing => &mut counts[1],
                Status::Deleted => &mut counts[2],
            };
            *files += 1;
            *rows = rows.saturating_add(entry.record_count.max(0));
        }
        let [added, existing, deleted] = counts;
        ManifestFile {
            added_files: manifest_file.added_files.or(Some(added.0)),
            existing_files: manifest_file.existing_files.or(Some(existing.0)),
            deleted_files: manifest_file.deleted_files.or(Some(deleted.0)),
            added_rows: manifest_file.added_rows.or(Some(added.1)),
            existing_rows: manifest_file.existing_rows.or(Some(existing.1)),
            deleted_rows: manifest_file.deleted_rows.or(Some(deleted.1)),
            ..manifest_file.clone()
        }
    }

    /// Returns the distinct partition tuples, by partition number, with values of the types `types`.
    ///
    /// # Errors
    ///
    /// Fails if a field of `types` is missing in the manifest, or a value is damaged or written as an
    /// incompatible type ([`ManifestError::Malformed`]).
    pub fn partitions(&self, types: &PartitionType) -> Result<Vec<PartitionTuple>, ManifestError> {
        let reader = PartitionReader::new(&self.partition, types)?;
        self.partitions.iter().map(|span| reader.read(self.body.slice(*span))).collect()
    }

    /// Returns the memory that the manifest occupies, approximately, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.body.bytes.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.partitions.capacity() * size_of::<Span>()
            + size_of::<Self>()
    }
}
