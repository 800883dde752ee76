//! Large table with real manifests and a real manifest list, whose data files do not exist.
//!
//! Days ascend with the number of the file, as in a table that is appended to, and the partition spec changes
//! twice.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ScopedJoinHandle;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tests::fixture;
use tests::process::Firn;

use super::manifests;

/// Namespace of the tables.
pub const NAMESPACE: &str = "bench";

/// Id of the only snapshot.
pub const SNAPSHOT_ID: i64 = 3_051_729_675_574_597_004;
const SPECS: u32 = 3;
/// 2025-01-01, in days since 1970.
const FIRST_DAY: u32 = 20_089;
/// Number of days over which the files are distributed.
const DAYS: u32 = 300;
/// Day of the searched partition, for which there are files only of the newest partition spec.
const SEARCHED_DAY: u32 = FIRST_DAY + DAYS * 5 / 6;
const REGIONS: u32 = 4;
const SEARCHED_REGION: u32 = 3;
const DAY_MICROS: i64 = 86_400_000_000;
/// Number of rows of each file.
pub const ROWS: i64 = 100_000;
/// Number of columns; field ids begin at 1.
pub const COLUMNS_COUNT: i32 = 20;
const COLUMNS: [&str; 20] = [
    "long",
    "timestamptz",
    "string",
    "long",
    "int",
    "int",
    "int",
    "int",
    "double",
    "double",
    "double",
    "double",
    "string",
    "string",
    "string",
    "string",
    "decimal(18, 2)",
    "boolean",
    "date",
    "string",
];
const NAMES: [&str; 4] = ["id", "ts", "region", "seq"];
const ID: i32 = 1;
const TS: i32 = 2;
const REGION: i32 = 3;
const SEQ: i32 = 4;
/// Field id of a column that contains only nulls, and therefore has no bounds.
pub const ONLY_NULLS: i32 = 20;

/// Table of the catalog.
pub struct Table {
    /// Name of the table in its namespace.
    pub name: String,
    /// Number of data files.
    pub files: u32,
    /// Manifests, in the order of the manifest list.
    pub manifests: Vec<WrittenManifest>,
}

/// Manifest of the table.
pub struct WrittenManifest {
    /// Location of the manifest.
    pub path: String,
    /// Numbers of its data files.
    pub files: Range<u32>,
    /// Number of its partition spec, from 0.
    pub spec: u32,
    /// Size of the manifest in bytes.
    pub bytes: i64,
}

/// Filter of a scan.
#[derive(Clone, Copy, PartialEq)]
pub enum Search {
    /// All files.
    Full,
    /// One file out of a hundred, distributed over the table, selected by the bounds of a column.
    Percent,
    /// One partition of the newest partition spec.
    Partition,
}

/// Data file, whose properties are all computed from its number.
pub struct File {
    number: u32,
    /// Number of its partition spec.
    pub spec: u32,
    /// Day of its rows, in days since 1970.
    pub day: u32,
    /// Number of the region of its rows.
    pub region: u32,
    /// Bucket of the ids of its rows.
    pub bucket: u32,
    /// Lower bound of the column `seq`, different for all files.
    seq: i64,
}

impl Table {
    /// Creates a table, and writes and commits its manifests.
    ///
    /// # Errors
    ///
    /// Fails if the response contains no table, or a file cannot be written.
    pub async fn create(firn: &Firn, name: &str, files: u32, manifests: u32) -> anyhow::Result<Table> {
        let mut request = json!({ "name": name, "schema": schema(), "partition-spec": spec(0) });
        request["properties"] = json!({ "write.metadata.compression-codec": "none" });
        let created = firn.post(&fixture::tables(NAMESPACE), &request).await.expect(200).json();
        let location = created["metadata"]["location"].as_str().context("a location")?.to_owned();
        fs::create_dir_all(PathBuf::from(fixture::local(&location)).join("metadata"))?;

        let written = write_all(&location, files, manifests)?;
        let list = format!("{location}/metadata/snap-{SNAPSHOT_ID}-1.avro");
        manifests::write_list(&list, &written, files)?;

        let mut updates: Vec<_> =
            (1..SPECS).map(|number| json!({ "action": "add-spec", "spec": spec(number) })).collect();
        updates.push(json!({ "action": "set-default-spec", "spec-id": -1 }));
        updates.push(json!({ "action": "add-snapshot", "snapshot": {
            "snapshot-id": SNAPSHOT_ID, "sequence-number": 1, "schema-id": 0, "manifest-list": list,
            "timestamp-ms": created["metadata"]["last-updated-ms"],
            "summary": { "operation": "append", "total-data-files": files.to_string() },
        } }));
        updates.push(json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "branch",
            "snapshot-id": SNAPSHOT_ID }));
        let body = fixture::commit(&[], &updates);
        firn.post(&fixture::table_path(NAMESPACE, name), &body).await.expect(200);
        Ok(Table { name: name.to_owned(), files, manifests: written })
    }

    /// Returns the number of files that match a search.
    pub fn count(&self, search: Search) -> usize {
        let files = self.manifests.iter().flat_map(|manifest| {
            manifest.files.clone().map(|number| File::new(number, manifest.spec, self.files))
        });
        files.filter(|file| search.matches(file, self.files)).count()
    }

    /// Returns the paths of the manifests that a search has to read.
    pub fn paths(&self, search: Search) -> Vec<PathBuf> {
        let has_match = |manifest: &&WrittenManifest| match search {
            Search::Full | Search::Percent => true,
            Search::Partition => {
                let mut files = manifest.files.clone();
                files.any(|number| search.matches(&File::new(number, manifest.spec, self.files), self.files))
            }
        };
        self.manifests
            .iter()
            .filter(has_match)
            .map(|manifest| PathBuf::from(fixture::local(&manifest.path)))
            .collect()
    }
}

impl Search {
    /// All searches with their names.
    pub const ALL: [(Search, &str); 3] = [
        (Search::Full, "full scan"),
        (Search::Percent, "1 % of files"),
        (Search::Partition, "one partition"),
    ];

    /// Returns the filter in the JSON form of the REST protocol; `None` for a full scan.
    pub fn filter(self, files: u32) -> Option<Value> {
        let test =
            |test: &str, term: &str, value: Value| json!({ "type": test, "term": term, "value": value });
        let both = |left: Value, right: Value| json!({ "type": "and", "left": left, "right": right });
        match self {
            Search::Full => None,
            Search::Percent => Some(test("lt", "seq", json!(percent_end(files)))),
            Search::Partition => {
                let (from, to) = (day_text(SEARCHED_DAY), day_text(SEARCHED_DAY + 1));
                let days = both(test("gt-eq", "ts", json!(from)), test("lt", "ts", json!(to)));
                Some(both(days, test("eq", "region", json!(region_name(SEARCHED_REGION)))))
            }
        }
    }

    /// Returns the filter in `PyIceberg`'s syntax; empty for a full scan.
    pub fn text(self, files: u32) -> String {
        match self {
            Search::Full => String::new(),
            Search::Percent => format!("seq < {}", percent_end(files)),
            Search::Partition => format!(
                "ts >= '{}' and ts < '{}' and region = '{}'",
                day_text(SEARCHED_DAY),
                day_text(SEARCHED_DAY + 1),
                region_name(SEARCHED_REGION)
            ),
        }
    }

    fn matches(self, file: &File, files: u32) -> bool {
        match self {
            Search::Full => true,
            Search::Percent => file.seq < percent_end(files),
            Search::Partition => {
                file.day == SEARCHED_DAY && (file.spec < 2 || file.region == SEARCHED_REGION)
            }
        }
    }
}

impl File {
    /// Creates the file with this number out of `files`.
    pub fn new(number: u32, spec: u32, files: u32) -> File {
        // The multiplier is a prime, so that neighbouring files have distant values.
        let seq = u64::from(number) * 7_919 % u64::from(files);
        File {
            number,
            spec,
            day: FIRST_DAY + share(number, DAYS, files),
            region: number % REGIONS,
            bucket: number % 16,
            seq: i64::try_from(seq).unwrap_or(0) * ROWS,
        }
    }

    /// Returns a pseudorandom number, different for each file and salt.
    pub fn chance(&self, salt: i32) -> u64 {
        let mut mixed = (u64::from(self.number) << 8 | u64::from(salt.unsigned_abs())).wrapping_add(1);
        mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    /// Returns the location of the file, which does not exist.
    pub fn path(&self, location: &str) -> String {
        let (day, region) = (&day_text(self.day)[..10], region_name(self.region));
        let folder = match self.spec {
            0 => format!("ts_day={day}"),
            1 => format!("ts_day={day}/id_bucket={}", self.bucket),
            _ => format!("region={region}/ts_day={day}"),
        };
        let (number, id) = (self.number, self.chance(0));
        format!("{location}/data/{folder}/{number:05}-{}-{id:016x}{id:016x}-0-00001.parquet", number / 7)
    }

    /// Returns the lower and the upper bound of a column in binary form; `None` for a column of nulls.
    pub fn bounds(&self, column: i32) -> Option<(Vec<u8>, Vec<u8>)> {
        let chance = self.chance(column);
        let (low, span) = ((chance % 1_000_000).cast_signed(), (chance >> 40).cast_signed() % 100_000);
        let long = |low: i64, high: i64| (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec());
        let narrow = |value: i64| i32::try_from(value).unwrap_or(0);
        Some(match column {
            ONLY_NULLS => return None,
            ID => long(low, low + span),
            TS => {
                let start = i64::from(self.day) * DAY_MICROS;
                long(start + low, start + DAY_MICROS - 1 - span)
            }
            SEQ => long(self.seq, self.seq + ROWS - 1),
            REGION => {
                let name = region_name(self.region).into_bytes();
                (name.clone(), name)
            }
            _ => match COLUMNS[column.unsigned_abs() as usize - 1] {
                "int" => (narrow(low).to_le_bytes().to_vec(), narrow(low + span).to_le_bytes().to_vec()),
                "double" => {
                    let value = f64::from(narrow(low)) / 7.0;
                    (value.to_le_bytes().to_vec(), (value + 1_000.0).to_le_bytes().to_vec())
                }
                "boolean" => (vec![0], vec![1]),
                "date" => (self.day.to_le_bytes().to_vec(), self.day.to_le_bytes().to_vec()),
                "string" => {
                    // Writers truncate bounds of strings to sixteen characters.
                    (format!("a{chance:015x}")[..16].into(), format!("z{:015x}", chance >> 3)[..16].into())
                }
                _ => (low.to_be_bytes()[5..].to_vec(), (low + span).to_be_bytes()[5..].to_vec()),
            },
        })
    }
}

fn share(number: u32, parts: u32, whole: u32) -> u32 {
    u32::try_from(u64::from(number) * u64::from(parts) / u64::from(whole)).unwrap_or(u32::MAX)
}

fn percent_end(files: u32) -> i64 {
    i64::from(files / 100) * ROWS
}

/// Returns the name of a region.
pub fn region_name(region: u32) -> String {
    format!("region-{region}")
}

/// Formats the beginning of a day between 2025-01-01 and 2025-12-31.
fn day_text(day: u32) -> String {
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut remaining, mut month) = (day - FIRST_DAY, 0);
    while remaining >= LENGTHS[month] {
        remaining -= LENGTHS[month];
        month += 1;
    }
    format!("2025-{:02}-{:02}T00:00:00.000000+00:00", month + 1, remaining + 1)
}

fn schema() -> Value {
    let fields = (1..).zip(COLUMNS).map(|(id, kind)| {
        let name = NAMES.get(id - 1).map_or(format!("c{id}"), |name| (*name).to_owned());
        json!({ "id": id, "name": name, "required": id == 1, "type": kind })
    });
    json!({ "type": "struct", "schema-id": 0, "fields": fields.collect::<Vec<_>>() })
}

fn spec(number: u32) -> Value {
    let day = json!({ "source-id": TS, "field-id": 1000, "name": "ts_day", "transform": "day" });
    let bucket = json!({ "source-id": ID, "field-id": 1001, "name": "id_bucket", "transform": "bucket[16]" });
    let region = json!({ "source-id": REGION, "field-id": 1002, "name": "region", "transform": "identity" });
    let fields = match number {
        0 => vec![day],
        1 => vec![day, bucket],
        _ => vec![region, day],
    };
    json!({ "spec-id": number, "fields": fields })
}

/// Writes the manifests on all cores, which still takes a while for a million files.
fn write_all(location: &str, files: u32, manifests: u32) -> anyhow::Result<Vec<WrittenManifest>> {
    let next = AtomicU32::new(0);
    let worker = || {
        let mut written = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= manifests {
                return anyhow::Ok(written);
            }
            let range = share(number, files, manifests)..share(number + 1, files, manifests);
            let spec = share(number, SPECS, manifests);
            let path = format!("{location}/metadata/{number:05}-m0.avro");
            let entries = range.clone().map(|number| File::new(number, spec, files));
            let bytes = manifests::write(&path, location, &schema(), &self::spec(spec), entries)?;
            written.push((number, WrittenManifest { path, files: range, spec, bytes }));
        }
    };
    let threads = std::thread::available_parallelism()?.get();
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(ScopedJoinHandle::join).collect()
    });
    let mut all = Vec::new();
    for result in results {
        all.extend(result.map_err(|_| anyhow!("a writer panicked"))??);
    }
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, manifest)| manifest).collect())
}
