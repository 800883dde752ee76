//! Locations: addresses of tables and files in a normalised form that can be compared.

use std::fmt;

/// Maximum length of a location, in bytes. Object stores allow 1,024 bytes of key, and databases must index
/// locations.
pub const LOCATION_BYTES_MAX: usize = 2000;

/// Location of a table, folder or file that is safe to compare with others.
///
/// Two spellings of one place (`s3a://b/x/`, `s3://b/x`; `file:/x`, `file:///x`, `/x`) have the same
/// [`Location::normal`] form. Equality and containment are decided on that form, and files are opened by it.
///
/// A percent sign is a literal character, as in the file systems of Java, Hadoop and Arrow: `%41` is not `A`.
///
/// ```text
/// Location::parse("s3a://bucket/db/orders/")?.normal()  ->  "s3://bucket/db/orders"
/// Location::parse("/warehouse/orders")?.local_path()    ->  Some("/warehouse/orders")
/// Location::parse("s3://bucket/db/../other")            ->  LocationError
/// ```
#[derive(Debug, Clone)]
pub struct Location {
    original: String,
    normal: String,
}

/// Reason for which a text is not an acceptable location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{location}` is not an acceptable location: {reason}")]
pub struct LocationError {
    location: String,
    reason: &'static str,
}

impl Location {
    /// Parses the location of a table, folder or file in a request.
    ///
    /// Everything that two programs could interpret differently is refused: relative paths, `.` and `..`,
    /// empty segments, queries, fragments, user names; also separators, dots and control characters that a
    /// program that decodes percent signs would see.
    ///
    /// # Errors
    ///
    /// Fails if the text is empty, longer than [`LOCATION_BYTES_MAX`], relative, has no valid scheme or no
    /// bucket, or contains one of the ambiguous parts listed above.
    pub fn parse(text: &str) -> Result<Location, LocationError> {
        Location::read(text, Strictness::Folder)
    }

    /// Parses the location of a file in the metadata of a table.
    ///
    /// Same as [`Location::parse`], but any character may follow a percent sign, because engines encode
    /// partition values in paths (`city=a%2Fb`), and empty segments of a local path are ignored, as the
    /// kernel does.
    ///
    /// # Errors
    ///
    /// Fails if the text is empty, longer than [`LOCATION_BYTES_MAX`], relative, has no valid scheme or no
    /// bucket, or contains `.` or `..` segments, a query, a fragment, a user name, a backslash or a control
    /// character.
    pub fn parse_file(text: &str) -> Result<Location, LocationError> {
        Location::read(text, Strictness::File)
    }

    fn read(text: &str, strictness: Strictness) -> Result<Location, LocationError> {
        match normalize(text, strictness) {
            Ok(normal) => Ok(Location { original: text.to_owned(), normal }),
            Err(reason) => {
                let location = text.chars().take(200).collect();
                Err(LocationError { location, reason })
            }
        }
    }

    /// Returns the text as it was passed to the parser.
    pub fn as_str(&self) -> &str {
        &self.original
    }

    /// Returns the normal form, for comparing and opening: canonical scheme and bucket, no trailing slash.
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// Returns the normal form with a trailing slash: the prefix of the normal form of everything inside.
    pub fn prefix(&self) -> String {
        format!("{}/", self.normal)
    }

    /// Returns the absolute path of a local file or folder, without a trailing slash; `None` if the location
    /// is not local.
    pub fn local_path(&self) -> Option<&str> {
        self.normal.strip_prefix("file://")
    }

    /// Returns the prefix that older versions of this program, which decoded percent signs, stored for the
    /// location; `None` if it is the same as [`Location::prefix`].
    pub fn decoded_prefix(&self) -> Option<String> {
        let decoded = String::from_utf8(percent_decoded(self.normal.as_bytes())?).ok()?;
        Some(format!("{decoded}/"))
    }

    /// Returns `true` if `other` is this location or inside it. `…/orders` does not contain `…/orders2`.
    pub fn contains(&self, other: &Location) -> bool {
        other.normal.strip_prefix(&self.normal).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns `true` if one of the two locations contains the other.
    pub fn overlaps(&self, other: &Location) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Returns the prefixes of this location and of all its parents, from the root down, each with a trailing
    /// slash. A stored prefix that overlaps with this location is one of them, or starts with the last of
    /// them.
    pub fn ancestors(&self) -> Vec<String> {
        let start = self.normal.find("://").map_or(0, |at| at + "://".len());
        let slashes = self.normal.match_indices('/').map(|(at, _)| at).filter(|at| *at >= start);
        let above = slashes.filter_map(|at| self.normal.get(..=at)).map(str::to_owned);
        above.chain([self.prefix()]).collect()
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.normal == other.normal
    }
}

impl Eq for Location {}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.original)
    }
}

/// Strictness of parsing: the kind of text that is refused as ambiguous.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Folder,
    File,
}

/// Returns the normal form of the location of a file, for checking if two texts name the same file. A text
/// that is not a valid location is returned unchanged.
pub fn file_key(text: &str) -> String {
    Location::parse_file(text).map_or_else(|_| text.to_owned(), |location| location.normal)
}

fn normalize(text: &str, strictness: Strictness) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > LOCATION_BYTES_MAX {
        return Err("it is longer than 2,000 bytes");
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err("it contains a control character or a backslash");
    }
    if text.contains(['?', '#']) {
        return Err("it contains a query or a fragment");
    }
    let (scheme, rest) = split_scheme(text)?;
    if scheme == "file" {
        let path = file_path(rest)?;
        return Ok(format!("file://{}", normal_path(path, strictness, EmptySegments::of_local(strictness))?));
    }
    let rest = rest.strip_prefix("//").ok_or("`//` is missing after the scheme")?;
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (rest, ""),
    };
    let authority = normal_authority(&scheme, authority)?;
    Ok(format!("{scheme}://{authority}{}", normal_path(path, strictness, EmptySegments::Refused)?))
}

fn split_scheme(text: &str) -> Result<(String, &str), &'static str> {
    if text.starts_with('/') {
        return Ok(("file".to_owned(), text));
    }
    let (scheme, rest) =
        text.split_once(':').ok_or("it is relative; start it with a scheme such as `s3://`")?;
    let mut letters = scheme.chars();
    let is_scheme = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !is_scheme {
        return Err("it does not start with a scheme such as `s3://`");
    }
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "s3a" | "s3n" => "s3".to_owned(),
        // The plain and the TLS scheme name the same container.
        "abfs" => "abfss".to_owned(),
        "wasb" => "wasbs".to_owned(),
        other => other.to_owned(),
    };
    Ok((scheme, rest))
}

/// Returns the path of a local file without its leading slash.
fn file_path(rest: &str) -> Result<&str, &'static str> {
    if let Some(after) = rest.strip_prefix("//") {
        if let Some(path) = after.strip_prefix('/') {
            return Ok(path);
        }
        let (host, path) = after.split_once('/').ok_or("it has no path")?;
        if !host.eq_ignore_ascii_case("localhost") {
            return Err("it has a host, which local files do not have");
        }
        return Ok(path);
    }
    rest.strip_prefix('/').ok_or("it is relative")
}

fn normal_authority(scheme: &str, authority: &str) -> Result<String, &'static str> {
    if authority.is_empty() {
        return Err("it has no bucket");
    }
    if authority.contains('%') || authority.chars().any(char::is_whitespace) {
        return Err("its bucket contains an encoded character or a space");
    }
    if matches!(authority, "." | "..") {
        return Err("its bucket is `.` or `..`");
    }
    // In Azure's schemes the part before the `@` is the container; elsewhere it would be a user name.
    let is_azure = matches!(scheme, "abfss" | "wasbs");
    match authority.split_once('@') {
        Some((container, account))
            if is_azure
                && !container.is_empty()
                && !account.is_empty()
                && !account.contains('@')
                && !container.contains(':') =>
        {
            Ok(format!("{container}@{}", account.to_ascii_lowercase()))
        }
        Some(_) => Err("it contains a user name"),
        None => Ok(authority.to_owned()),
    }
}

/// Treatment of an empty segment in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EmptySegments {
    Refused,
    Dropped,
}

impl EmptySegments {
    fn of_local(strictness: Strictness) -> EmptySegments {
        if strictness == Strictness::File { EmptySegments::Dropped } else { EmptySegments::Refused }
    }
}

/// Returns the segments of a path, each with a leading slash.
fn normal_path(path: &str, strictness: Strictness, empty: EmptySegments) -> Result<String, &'static str> {
    let mut out = String::with_capacity(path.len() + 1);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(out);
    }
    for segment in path.split('/') {
        if segment.is_empty() {
            if empty == EmptySegments::Dropped {
                continue;
            }
            return Err("it contains `//` inside its path");
        }
        if matches!(segment, "." | "..") {
            return Err("it contains `.` or `..`");
        }
        if strictness == Strictness::Folder {
            check_decoded(segment)?;
        }
        out.push('/');
        out.push_str(segment);
    }
    Ok(out)
}

/// Refuses a segment which, decoded any number of times, contains another path or a character that is refused
/// in plain text.
fn check_decoded(segment: &str) -> Result<(), &'static str> {
    let mut text = segment.as_bytes().to_vec();
    // Each round is shorter than the one before, so the loop ends.
    while let Some(decoded) = percent_decoded(&text) {
        if matches!(decoded.as_slice(), b"." | b"..") {
            return Err("it contains an encoded `.` or `..`");
        }
        if decoded.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'?' | b'#')) {
            return Err("it contains an encoded separator or control character");
        }
        text = decoded;
    }
    Ok(())
}

/// Returns the bytes with every percent escape such as `%41` decoded; `None` if there is none.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'%'
            && let (Some(high), Some(low)) = (digit(text.get(at + 1)), digit(text.get(at + 2)))
        {
            decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    (decoded.len() < text.len()).then_some(decoded)
}
