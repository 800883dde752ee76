//! Division of large scans into parts, by the file counts of their manifests.

use std::ops::Range;

use table_core::manifest::list::ManifestFile;

/// Number of files assumed for a manifest without file counts in its manifest file entry.
const FILES_UNKNOWN: u64 = 1_000;

/// Returns the number of live files of a manifest, or an estimate if it is unknown.
pub(in crate::catalog) fn files_of(file: &ManifestFile) -> u64 {
    file.live_files().and_then(|files| u64::try_from(files).ok()).unwrap_or(FILES_UNKNOWN)
}

/// Part of a scan: a range of its manifests, and a range of the entries of each.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Part {
    /// Range of positions among the manifests of the scan.
    pub(in crate::catalog) manifests: Range<usize>,
    /// Range of entries in each manifest.
    pub(in crate::catalog) entries: Range<usize>,
}

impl Part {
    /// Creates the part with all entries of a range of manifests.
    pub(in crate::catalog) fn of(manifests: Range<usize>) -> Part {
        Part { manifests, entries: 0..usize::MAX }
    }
}

/// Divides manifests into ranges of about `task_files` files. A manifest with more files is itself divided.
pub(in crate::catalog) fn split(manifests: &[(usize, ManifestFile)], task_files: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (index, (_, file)) in manifests.iter().enumerate() {
        let files = files_of(file);
        if held > 0 && held + files > task_files {
            parts.push(Part::of(start..index));
            (start, held) = (index, 0);
        }
        if files <= task_files {
            held += files;
            continue;
        }
        if start < index {
            parts.push(Part::of(start..index));
        }
        // Entries also include deleted files, so the last part has an open end.
        let step = usize::try_from(task_files).unwrap_or(usize::MAX);
        let count = usize::try_from(files.div_ceil(task_files)).unwrap_or(usize::MAX);
        for number in 0..count {
            let end = if number + 1 == count { usize::MAX } else { (number + 1) * step };
            parts.push(Part { manifests: index..index + 1, entries: number * step..end });
        }
        (start, held) = (index + 1, 0);
    }
    if start < manifests.len() {
        parts.push(Part::of(start..manifests.len()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[i64], expected: &str) {
        let manifests: Vec<_> = files
            .iter()
            .map(|files| ManifestFile {
                added_files: Some(*files),
                existing_files: Some(0),
                ..ManifestFile::embedded("m".to_owned(), 0, 0)
            })
            .enumerate()
            .collect();
        let parts = split(&manifests, 10).into_iter().map(|Part { manifests, entries }| {
            let end = if entries.end == usize::MAX { String::new() } else { entries.end.to_string() };
            format!("{}-{}[{}..{end}]", manifests.start, manifests.end, entries.start)
        });
        assert_eq!(parts.collect::<Vec<_>>().join(" "), expected, "{files:?}");
    }

    #[test]
    fn manifests_are_cut_into_runs() {
        check(&[], "");
        check(&[3], "0-1[0..]");
        check(&[3, 7], "0-2[0..]");
        check(&[3, 8, 2], "0-1[0..] 1-3[0..]");
        check(&[0, 0, 0], "0-3[0..]");
    }

    #[test]
    fn a_large_manifest_is_cut_itself() {
        check(&[25], "0-1[0..10] 0-1[10..20] 0-1[20..]");
        check(&[3, 11, 4], "0-1[0..] 1-2[0..10] 1-2[10..] 2-3[0..]");
        check(&[0, 11], "0-1[0..] 1-2[0..10] 1-2[10..]");
    }
}
