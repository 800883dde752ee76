//! Report on a table as text for people.

use std::fmt::Write as _;

use serde_json::Value;
use table_core::text::count;

use super::files::FileCounts;
use super::report::TableReport;
use crate::cli::table::{TextColumn, TextTable};

/// Maximum number of snapshots, and of partitions, that are shown; the JSON contains all of them.
const SHOWN_MAX: usize = 20;
/// Length of the longest bar of the histogram, in characters.
const BAR_WIDTH: u64 = 40;
/// Size, in bytes, below which a data file counts as small: reading it costs about as much as opening it.
const SMALL_BYTES: u64 = 16 << 20;

/// Formats the complete report.
///
/// # Errors
///
/// Fails if formatting fails, which does not happen when the destination is a string.
pub fn of(report: &TableReport) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    head(&mut out, report)?;
    layout(&mut out, report)?;
    snapshots(&mut out, report)?;
    if let Some(files) = &report.files {
        counts(&mut out, report, files)?;
    }
    Ok(out)
}

fn head(out: &mut String, report: &TableReport) -> std::fmt::Result {
    writeln!(out, "{}", report.name)?;
    writeln!(out, "  uuid      {}", report.uuid.as_deref().unwrap_or("-"))?;
    writeln!(out, "  format    version {}", report.format_version)?;
    writeln!(out, "  location  {}", report.location)?;
    writeln!(out, "  metadata  {}", report.metadata_location.as_deref().unwrap_or("-"))?;
    writeln!(out, "  changed   {}", instant(report.last_updated_ms))?;
    let Some(schema) = report.current_schema() else { return Ok(()) };
    writeln!(out, "\nSchema {} ({} in all)", schema.schema_id, report.schemas.len())?;
    let left = TextColumn::LEFT;
    let mut columns = TextTable::new(2, [TextColumn::RIGHT.at_least(4), left, left, left.at_least(8), left]);
    for column in &schema.columns {
        let nullable = if column.required { "required" } else { "" };
        let doc = column.doc.clone().unwrap_or_default();
        let (name, r#type) = (column.name.clone(), column.r#type.clone());
        columns.push([column.id.to_string(), name, r#type, nullable.to_owned(), doc]);
    }
    write!(out, "{columns}")
}

fn layout(out: &mut String, report: &TableReport) -> std::fmt::Result {
    writeln!(out, "\nPartition specs")?;
    for spec in &report.partition_specs {
        let fields = fields(spec, "unpartitioned", |field| {
            let (transform, name) = (text(&field["transform"]), text(&field["name"]));
            format!("{} as {name}", applied(&transform, &source(report, field)))
        });
        writeln!(out, "  {:>4}  {fields}{}", text(&spec["spec-id"]), star(spec))?;
    }
    writeln!(out, "\nSort orders")?;
    for order in &report.sort_orders {
        let fields = fields(order, "unsorted", |field| {
            let column = applied(&text(&field["transform"]), &source(report, field));
            format!("{column} {} {}", text(&field["direction"]), text(&field["null-order"]))
        });
        writeln!(out, "  {:>4}  {fields}{}", text(&order["order-id"]), star(order))?;
    }
    Ok(())
}

fn snapshots(out: &mut String, report: &TableReport) -> std::fmt::Result {
    if !report.refs.is_empty() {
        writeln!(out, "\nBranches and tags")?;
    }
    let mut refs = TextTable::new(2, [TextColumn::LEFT; 3]);
    for target in &report.refs {
        let to = format!("-> {}", target.snapshot_id);
        refs.push([target.r#type.clone(), target.name.clone(), to]);
    }
    write!(out, "{refs}")?;
    writeln!(out, "\nSnapshots ({} in all, newest first)", report.snapshots.len())?;
    let mut rows = TextTable::new(2, [TextColumn::LEFT; 4]);
    for snapshot in report.snapshots.iter().rev().take(SHOWN_MAX) {
        let said = |key: &str| snapshot.summary.get(key).map(text).filter(|value| value != "0");
        let mut changes = Vec::new();
        for (key, word) in [
            ("added-data-files", "+files"),
            ("deleted-data-files", "-files"),
            ("added-delete-files", "+deletes"),
            ("added-records", "+rows"),
            ("deleted-records", "-rows"),
        ] {
            if let Some(value) = said(key) {
                changes.push(format!("{word} {value}"));
            }
        }
        let (at, id) = (instant(snapshot.timestamp_ms), snapshot.snapshot_id.to_string());
        rows.push([at, id, said("operation").unwrap_or_default(), changes.join("  ")]);
    }
    write!(out, "{rows}")?;
    if report.snapshots.len() > SHOWN_MAX {
        let older = (report.snapshots.len() - SHOWN_MAX) as u64;
        writeln!(out, "  … {}; `--json` lists them", count(older, "older one", "older ones"))?;
    }
    Ok(())
}

fn counts(out: &mut String, report: &TableReport, files: &FileCounts) -> std::fmt::Result {
    let snapshot = report.counted_snapshot_id.unwrap_or_default();
    writeln!(out, "\nFiles of snapshot {snapshot}")?;
    let data = files.data;
    let of_data = |number: u64| count(number, "data file", "data files");
    writeln!(
        out,
        "  data              {}, {}, {}",
        of_files(data.files),
        of_rows(data.records),
        size(data.bytes)
    )?;
    for (kind, sum) in &files.deletes {
        let deletes = count(sum.records, "delete", "deletes");
        let share = percent(sum.records, data.records);
        let files = of_files(sum.files);
        writeln!(out, "  {kind:16}  {files}, {deletes} ({share} of the rows), {}", size(sum.bytes))?;
    }
    if files.data_files_with_deletes > 0 {
        let share = percent(files.data_files_with_deletes, data.files);
        writeln!(out, "  read with deletes {} ({share})", of_data(files.data_files_with_deletes))?;
    }
    let small = files.below(SMALL_BYTES);
    let share = percent(small, data.files);
    writeln!(out, "  small             {} under {} ({share})", of_data(small), size(SMALL_BYTES))?;

    writeln!(out, "\nData files by size")?;
    let most = files.histogram.iter().map(|class| class.files).max().unwrap_or(0).max(1);
    let columns = [TextColumn::RIGHT.at_least(10), TextColumn::RIGHT.at_least(8), TextColumn::LEFT];
    let mut classes = TextTable::new(2, columns);
    for class in &files.histogram {
        let end = class.up_to_bytes.map_or_else(|| "larger".to_owned(), |end| format!("≤ {}", size(end)));
        let width = (class.files * BAR_WIDTH).div_ceil(most);
        let bar = "█".repeat(usize::try_from(width).unwrap_or(0));
        classes.push([end, class.files.to_string(), bar]);
    }
    write!(out, "{classes}")?;

    writeln!(out, "\nPartitions ({} in all, largest first)", files.partitions.len())?;
    for partition in files.partitions.iter().take(SHOWN_MAX) {
        let sum = partition.data;
        let average = size(sum.bytes / sum.files.max(1));
        let mut line = format!(
            "  {}: {}, {}, {}, {average} each",
            place(&partition.values),
            of_files(sum.files),
            of_rows(sum.records),
            size(sum.bytes)
        );
        if partition.data_files_with_deletes > 0 {
            write!(line, ", {} with deletes", percent(partition.data_files_with_deletes, sum.files))?;
        }
        writeln!(out, "{line}")?;
    }
    if files.partitions.len() > SHOWN_MAX {
        let smaller = (files.partitions.len() - SHOWN_MAX) as u64;
        writeln!(out, "  … {}; `--json` lists them", count(smaller, "smaller one", "smaller ones"))?;
    }
    Ok(())
}

fn of_files(number: u64) -> String {
    count(number, "file", "files")
}

fn of_rows(number: u64) -> String {
    count(number, "row", "rows")
}

fn fields(spec: &Value, none: &str, show: impl Fn(&Value) -> String) -> String {
    let shown: Vec<_> = spec["fields"].as_array().into_iter().flatten().map(show).collect();
    if shown.is_empty() { none.to_owned() } else { shown.join(", ") }
}

/// Returns the name of the source column of a partition or sort field: in the current schema, or, if it was
/// dropped, in the newest schema that has it.
fn source(report: &TableReport, field: &Value) -> String {
    let ids = match &field["source-ids"] {
        Value::Array(ids) => ids.clone(),
        _ => vec![field["source-id"].clone()],
    };
    let name = |id: &Value| {
        let schemas = report.current_schema().into_iter().chain(report.schemas.iter().rev());
        let mut columns = schemas.flat_map(|schema| &schema.columns);
        let found = columns.find(|column| Some(i64::from(column.id)) == id.as_i64());
        found.map_or_else(|| format!("column {id}"), |column| column.name.clone())
    };
    ids.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn applied(transform: &str, column: &str) -> String {
    if transform == "identity" { column.to_owned() } else { format!("{transform}({column})") }
}

fn star(part: &Value) -> &'static str {
    if part["default"] == true { "  (default)" } else { "" }
}

fn place(partition: &Value) -> String {
    let fields: Vec<_> = partition
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    if fields.is_empty() { "(unpartitioned)".to_owned() } else { fields.join("/") }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn instant(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(instant) => format!("{:.0}", instant.round(jiff::Unit::Second).unwrap_or(instant)),
        Err(_) => ms.to_string(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "0 %".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            return if unit == "B" || value.fract() == 0.0 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} PiB")
}
