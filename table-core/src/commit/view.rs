//! View commits: creation of a view from a request, and application of updates to view metadata.

use std::collections::HashSet;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::metadata::error::MetadataError;
use crate::metadata::incoming;
use crate::metadata::incoming::origin::PartOrigin;
use crate::metadata::json::{Object, Raw};
use crate::metadata::properties;
use crate::metadata::schema::Schema;
use crate::metadata::schema_index::{IndexedField, SchemaIndex};
use crate::metadata::view::{Representation, VersionLogEntry, ViewMetadata, ViewVersion};

use super::error::CommitError;
use super::update::{LAST_ADDED, ViewUpdate};
use super::validate;
use super::version::FORMAT_VERSION_MAX;

/// Only format version of view metadata that exists (view spec, version 1).
pub(super) const VIEW_FORMAT_VERSION: i32 = 1;

/// Default of `version.history.num-entries`: number of view versions retained in the metadata.
const VERSION_HISTORY_DEFAULT: i64 = 10;

/// Request to create a view (`CreateViewRequest` of the REST specification).
#[derive(Debug, Clone)]
pub struct CreateView<'a> {
    /// Schema of the view, as JSON. Its field ids are preserved, because they are the ids of the columns that
    /// the view selects.
    pub schema: &'a RawValue,
    /// First version of the view, as JSON. Its `version-id` and `schema-id` are replaced by 1 and 0.
    pub view_version: &'a RawValue,
    /// Base location of the view; a trailing slash is removed.
    pub location: String,
    /// Properties of the view, as (name, value).
    pub properties: Vec<(String, String)>,
}

/// Result of applying updates to a view.
#[derive(Debug, Clone)]
pub struct AppliedView {
    /// Next view metadata; equal to the base metadata if nothing changed.
    pub metadata: ViewMetadata,
    /// `true` if the metadata differs from the base and has to be stored.
    pub changed: bool,
}

/// Creates the first metadata document of a view.
///
/// `uuid` becomes the `view-uuid`; `now_ms` is the server's clock, in milliseconds since 1970.
///
/// # Errors
///
/// Fails if the schema or the view version is not valid JSON of its kind or exceeds the limits of Java's JSON
/// parser ([`CommitError::Malformed`]); if the version has a representation of an unknown type or the schema
/// a column of an unknown type ([`CommitError::Unsupported`]); and if the view would not be valid: no
/// representation, two queries of the same SQL dialect, field ids or names that occur twice, no location, or
/// contradictory properties ([`CommitError::Invalid`]).
pub fn create_view(request: &CreateView<'_>, uuid: Uuid, now_ms: i64) -> Result<ViewMetadata, CommitError> {
    check_text(request).map_err(|error| CommitError::malformed(&error))?;
    let schema = incoming::schema(Raw::from(request.schema), PartOrigin::Request)
        .map_err(|error| CommitError::malformed(&error))?;
    let columns = schema.columns().map_err(|error| CommitError::malformed(&error))?;
    SchemaIndex::new(columns).map_err(|error| CommitError::invalid_part(&error))?;
    let version = first_version(request.view_version)?;

    let mut builder = ViewBuilder::new(ViewMetadata::empty(uuid), now_ms);
    for (name, value) in &request.properties {
        builder.next.properties.set(name, value.clone());
    }
    builder.set_location(&request.location)?;
    builder.add_schema(&schema)?;
    builder.add_version(&version)?;
    builder.set_current_version(LAST_ADDED)?;
    builder.finish(None)?;
    builder.next.mark_changes(None);
    builder.next.check()?;
    Ok(builder.next)
}

/// Applies updates, in order, to the metadata of a view.
///
/// `now_ms` is the server's clock, in milliseconds since 1970.
///
/// # Errors
///
/// Fails if an update refers to an unknown schema or version, changes the UUID, changes the format version,
/// or leads to metadata that is not valid, such as a version history of size 0 or the loss of a SQL dialect
/// without `replace.drop-dialect.allowed` ([`CommitError::Invalid`]); if the format version of the view or
/// the type of a column is unknown ([`CommitError::Unsupported`]); and if `base` itself is damaged
/// ([`CommitError::Metadata`]).
pub fn apply_view(
    base: &ViewMetadata,
    updates: &[ViewUpdate],
    now_ms: i64,
) -> Result<AppliedView, CommitError> {
    let mut builder = ViewBuilder::new(base.clone(), now_ms);
    updates.iter().try_for_each(|update| builder.apply(update))?;
    if builder.history_entry.is_none() && !builder.next.differs_from(base) {
        return Ok(AppliedView { metadata: base.clone(), changed: false });
    }
    builder.finish(Some(base))?;
    builder.check_dialects(base)?;
    builder.next.mark_changes(Some(base));
    builder.next.check()?;
    Ok(AppliedView { metadata: builder.next, changed: true })
}

/// Refuses text that Java's clients could not read.
fn check_text(request: &CreateView<'_>) -> Result<(), MetadataError> {
    incoming::limits::check(request.schema.get())?;
    incoming::limits::check(request.view_version.get())?;
    request.properties.iter().try_for_each(|(name, _)| incoming::limits::check_name(name))
}

/// Returns the version of a creation request with version id 1 and schema id 0, which replace the ids that
/// the client chose.
fn first_version(version: &RawValue) -> Result<ViewVersion, CommitError> {
    let mut object =
        Object::parse(version.get(), "view version").map_err(|error| CommitError::malformed(&error))?;
    object.set("version-id", Raw::number(1));
    object.set("schema-id", Raw::number(0));
    let version = incoming::view_version(object.to_raw(), PartOrigin::Request)
        .map_err(|error| CommitError::malformed(&error))?;
    if version.representations().is_empty() {
        return Err(CommitError::invalid("Cannot create view without specifying a query"));
    }
    check_representations(&version)?;
    Ok(version)
}

/// Refuses representations of an unknown type, which Java's clients could read but not write again.
pub(super) fn check_representations(version: &ViewVersion) -> Result<(), CommitError> {
    for representation in version.representations() {
        if let Representation::Other { kind } = representation {
            return Err(CommitError::Unsupported(format!(
                "Found unsupported view representations: [{kind}]"
            )));
        }
    }
    Ok(())
}

struct ViewBuilder {
    next: ViewMetadata,
    now_ms: i64,
    last_added_schema: Option<i32>,
    last_added_version: Option<i32>,
    added_versions: HashSet<i32>,
    /// Entry to be added to the version log. One commit adds at most one, even if it changes the current
    /// version several times.
    history_entry: Option<VersionLogEntry>,
}

impl ViewBuilder {
    fn new(next: ViewMetadata, now_ms: i64) -> ViewBuilder {
        ViewBuilder {
            next,
            now_ms,
            last_added_schema: None,
            last_added_version: None,
            added_versions: HashSet::new(),
            history_entry: None,
        }
    }

    fn apply(&mut self, update: &ViewUpdate) -> Result<(), CommitError> {
        match update {
            ViewUpdate::AssignUuid { uuid } if *uuid != self.next.uuid => Err(CommitError::invalid(format!(
                "Cannot reassign uuid: the view is `{}`, not `{uuid}`",
                self.next.uuid
            ))),
            ViewUpdate::AssignUuid { .. } => Ok(()),
            ViewUpdate::UpgradeFormatVersion { format_version } => self.upgrade(*format_version),
            ViewUpdate::AddSchema { schema } => self.add_schema(schema),
            ViewUpdate::SetLocation { location } => self.set_location(location),
            ViewUpdate::SetProperties { updates } => {
                self.next.properties.set_all(updates);
                Ok(())
            }
            ViewUpdate::RemoveProperties { removals } => {
                self.next.properties.remove_all(removals);
                Ok(())
            }
            ViewUpdate::AddViewVersion { version } => self.add_version(version),
            ViewUpdate::SetCurrentViewVersion { version_id } => self.set_current_version(*version_id),
        }
    }

    fn upgrade(&mut self, version: i32) -> Result<(), CommitError> {
        let current = self.next.format_version;
        if version == current {
            return Ok(());
        }
        if version < current {
            return Err(CommitError::invalid(format!("Cannot downgrade v{current} view to v{version}")));
        }
        Err(CommitError::invalid(format!(
            "Unsupported format version: {version} (supported: {VIEW_FORMAT_VERSION})"
        )))
    }

    fn set_location(&mut self, location: &str) -> Result<(), CommitError> {
        let location = location.trim_end_matches('/');
        if location.is_empty() {
            return Err(CommitError::invalid("a view needs a location"));
        }
        if location != self.next.location() {
            location.clone_into(&mut self.next.location);
        }
        Ok(())
    }

    fn add_schema(&mut self, schema: &Schema) -> Result<(), CommitError> {
        self.check_understood()?;
        let columns = schema.columns().map_err(|error| CommitError::malformed(&error))?;
        let index = SchemaIndex::new(columns).map_err(|error| CommitError::invalid_part(&error))?;
        validate::check_schema(columns, &index, FORMAT_VERSION_MAX, |field| self.has_type(field))?;
        let same = self.next.schemas.iter().find(|existing| existing.columns().is_ok_and(|it| it == columns));
        if let Some(existing) = same {
            self.last_added_schema = Some(existing.id());
            return Ok(());
        }
        let highest = self.next.schemas.iter().map(Schema::id).max();
        let id = highest.map_or(Some(0), |highest| highest.checked_add(1));
        let id = id.ok_or_else(|| CommitError::invalid("all schema ids are used up"))?;
        self.next.schemas.push(schema.with_id(id)?);
        self.last_added_schema = Some(id);
        Ok(())
    }

    /// Returns `true` if a schema of the view has the field with the same id and the same type.
    fn has_type(&self, field: &IndexedField<'_>) -> bool {
        self.next.schemas.iter().filter_map(|schema| schema.columns().ok()).any(|columns| {
            let known = SchemaIndex::new(columns).ok();
            let known = known.as_ref().and_then(|index| index.get(field.field.id));
            known.is_some_and(|known| known.field.field_type == field.field.field_type)
        })
    }

    fn add_version(&mut self, version: &ViewVersion) -> Result<(), CommitError> {
        self.check_understood()?;
        let schema_id = match version.schema_id() {
            LAST_ADDED => self.last_added_schema.ok_or_else(|| {
                CommitError::invalid("Cannot set last added schema: no schema has been added")
            })?,
            id => id,
        };
        if !self.next.schemas.iter().any(|schema| schema.id() == schema_id) {
            return Err(CommitError::invalid(format!("Cannot add version with unknown schema: {schema_id}")));
        }
        check_distinct_dialects(version)?;

        let highest = self.next.versions.iter().map(ViewVersion::id).max();
        let next = highest
            .map_or(Some(version.id()), |highest| highest.checked_add(1).map(|id| id.max(version.id())));
        // Negative ids are reserved in requests: -1 means the version added last.
        let id = next.ok_or_else(|| CommitError::invalid("all version ids are used up"))?.max(1);
        let version = version.with_ids(id, schema_id)?;
        let content = version.content().map_err(|error| CommitError::malformed(&error))?;
        for existing in &self.next.versions {
            if existing.content().is_ok_and(|existing| existing == content) {
                self.last_added_version = Some(existing.id());
                return Ok(());
            }
        }
        self.next.versions.push(version);
        self.added_versions.insert(id);
        self.last_added_version = Some(id);
        Ok(())
    }

    fn set_current_version(&mut self, id: i32) -> Result<(), CommitError> {
        self.check_understood()?;
        let id = match id {
            LAST_ADDED => self.last_added_version.ok_or_else(|| {
                CommitError::invalid("Cannot set last version id: no current version id has been set")
            })?,
            id => id,
        };
        if id == self.next.current_version_id {
            return Ok(());
        }
        let Some(version) = self.next.versions.iter().find(|version| version.id() == id) else {
            return Err(CommitError::invalid(format!("Cannot set current version to unknown version: {id}")));
        };
        // An older version that becomes current again does so now, not at its creation time.
        let since_ms = if self.added_versions.contains(&id) { version.timestamp_ms() } else { self.now_ms };
        self.history_entry = Some(VersionLogEntry::new(since_ms, id));
        self.next.current_version_id = id;
        Ok(())
    }

    fn check_understood(&self) -> Result<(), CommitError> {
        let version = self.next.format_version;
        if version <= VIEW_FORMAT_VERSION {
            return Ok(());
        }
        Err(CommitError::Unsupported(format!(
            "this view has the format version {version}, and this server supports version {VIEW_FORMAT_VERSION}"
        )))
    }

    /// Applies the rules that depend on all updates together: version log, dialect properties and version
    /// history.
    fn finish(&mut self, base: Option<&ViewMetadata>) -> Result<(), CommitError> {
        self.next.version_log.extend(self.history_entry.take());
        let (drop, append) = (properties::REPLACE_DROP_DIALECT, properties::REPLACE_APPEND_DIALECT);
        if properties::switch(&self.next.properties, drop)
            && properties::switch(&self.next.properties, append)
        {
            return Err(CommitError::invalid(format!("Cannot set both {drop} and {append} to true")));
        }
        let name = properties::VERSION_HISTORY_SIZE;
        let history = properties::number(&self.next.properties, name, VERSION_HISTORY_DEFAULT);
        let written = self.next.property(name).filter(|written| written.parse::<i32>().is_err());
        if let Some(written) =
            written.filter(|_| self.next.property(name) != base.and_then(|base| base.property(name)))
        {
            return Err(CommitError::invalid(format!("{name} must be a whole number but was {written}")));
        }
        if history <= 0 {
            return Err(CommitError::invalid(format!("{name} must be positive but was {history}")));
        }
        self.expire_versions(usize::try_from(history).unwrap_or(usize::MAX));
        Ok(())
    }

    /// Expires the oldest versions beyond `history`, but never the current version nor one added by this
    /// commit.
    fn expire_versions(&mut self, history: usize) {
        let current = self.next.current_version_id;
        let in_use = self.added_versions.len() + usize::from(!self.added_versions.contains(&current));
        let keep = history.max(in_use);
        if self.next.versions.len() <= keep {
            return;
        }
        let mut ids: Vec<i32> =
            self.next.versions.iter().map(ViewVersion::id).filter(|id| *id != current).collect();
        ids.sort_unstable_by(|left, right| right.cmp(left));
        let kept: HashSet<i32> = ids.into_iter().take(keep - 1).chain([current]).collect();
        self.next.versions.retain(|version| kept.contains(&version.id()));
        // A log with a gap would name the wrong version for the time of the gap, so everything up to the last
        // gap is removed.
        let log = &mut self.next.version_log;
        let gap = log.iter().rposition(|entry| !kept.contains(&entry.version_id));
        log.drain(..gap.map_or(0, |gap| gap + 1));
    }

    fn check_dialects(&self, base: &ViewMetadata) -> Result<(), CommitError> {
        let allowed = properties::REPLACE_DROP_DIALECT;
        if properties::switch(&self.next.properties, allowed) {
            return Ok(());
        }
        let (before, after) = (base.current_version()?.dialects(), self.next.current_version()?.dialects());
        if before.is_subset(&after) {
            return Ok(());
        }
        let list = |dialects: std::collections::BTreeSet<String>| {
            dialects.into_iter().collect::<Vec<_>>().join(", ")
        };
        Err(CommitError::invalid(format!(
            "Cannot replace view due to loss of view dialects ({allowed}=false):\nPrevious dialects: [{}]\nNew dialects: [{}]",
            list(before),
            list(after)
        )))
    }
}

pub(super) fn check_distinct_dialects(version: &ViewVersion) -> Result<(), CommitError> {
    let mut seen = HashSet::new();
    for representation in version.representations() {
        let Representation::Sql { dialect, .. } = representation else { continue };
        let dialect = dialect.to_lowercase();
        if seen.contains(&dialect) {
            let message = format!("Invalid view version: Cannot add multiple queries for dialect {dialect}");
            return Err(CommitError::invalid(message));
        }
        seen.insert(dialect);
    }
    Ok(())
}
