//! Limits of the size of a file, and division of a number of bytes into files of suitable size. Used for data
//! files and for manifests.

use serde::{Deserialize, Serialize};

/// Target size of a file, with the limits of sizes that are acceptable.
///
/// Invariants: `0 < small <= target <= large` and `2 * small <= large`, so that any size of at least `small`
/// can be divided evenly into parts that are neither too small nor too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SizeClassesJson", into = "SizeClassesJson")]
pub struct SizeClasses {
    target: i64,
    small: i64,
    large: i64,
}

/// JSON form of [`SizeClasses`], whose invariants are checked on deserialisation.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "a size says its unit")]
struct SizeClassesJson {
    target_bytes: i64,
    small_bytes: i64,
    large_bytes: i64,
}

impl TryFrom<SizeClassesJson> for SizeClasses {
    type Error = &'static str;

    fn try_from(json: SizeClassesJson) -> Result<SizeClasses, Self::Error> {
        let size_classes = SizeClasses::new(json.target_bytes, json.small_bytes, json.large_bytes);
        size_classes.ok_or("`small-bytes`, `target-bytes` and `large-bytes` must not descend, and `large-bytes` must be at least twice `small-bytes`")
    }
}

impl From<SizeClasses> for SizeClassesJson {
    fn from(size_classes: SizeClasses) -> SizeClassesJson {
        SizeClassesJson {
            target_bytes: size_classes.target,
            small_bytes: size_classes.small,
            large_bytes: size_classes.large,
        }
    }
}

impl SizeClasses {
    /// Creates sizes; `None` if the invariants are violated.
    pub fn new(target_bytes: i64, small_bytes: i64, large_bytes: i64) -> Option<SizeClasses> {
        let is_ordered = 0 < small_bytes && small_bytes <= target_bytes && target_bytes <= large_bytes;
        let is_wide = small_bytes.checked_mul(2).is_some_and(|twice| twice <= large_bytes);
        (is_ordered && is_wide).then_some(SizeClasses {
            target: target_bytes,
            small: small_bytes,
            large: large_bytes,
        })
    }

    /// Returns the target size in bytes.
    pub fn target_bytes(&self) -> i64 {
        self.target
    }

    /// Returns the size in bytes below which a file is too small.
    pub fn small_bytes(&self) -> i64 {
        self.small
    }

    /// Returns the size in bytes above which a file is too large.
    pub fn large_bytes(&self) -> i64 {
        self.large
    }

    /// Returns `true` if a file of this size is too small.
    pub fn is_small(&self, size_bytes: i64) -> bool {
        size_bytes < self.small
    }

    /// Returns `true` if a file of this size is too large.
    pub fn is_large(&self, size_bytes: i64) -> bool {
        size_bytes > self.large
    }

    /// Returns the number of even parts into which `bytes` bytes are best divided; 0 for no bytes. No part is
    /// too large, and none is too small unless `bytes` itself is.
    ///
    /// The size of a part is close to the target. If that would make parts almost too small, there are fewer
    /// and larger ones, because the size of a written file is never exactly the estimated one. (Java fills
    /// files up to the target size, which leaves a small last file to be rewritten the next time.)
    pub fn parts(&self, bytes: i64) -> i64 {
        if bytes <= 0 {
            return 0;
        }
        // A quarter of the way from small to target, as far as large permits.
        let comfortable = self.small + (self.target - self.small) / 4;
        let comfortable = comfortable.min(self.large / 2).max(1);
        let most = (bytes / comfortable).max(1);
        let least = bytes / self.large + i64::from(bytes % self.large != 0);
        let nearest = bytes / self.target + i64::from(bytes % self.target > self.target / 2);
        nearest.min(most).max(least)
    }
}
