//! Default locations of new tables and views: readable and unique.

use uuid::Uuid;

use crate::catalog::names::{Identifier, Namespace};

/// Maximum length of the readable part of a default location, in bytes. The UUID after it makes the location
/// unique.
const READABLE_BYTES_MAX: usize = 64;

/// Returns the folder for the tables of a namespace without a `location` property, in the warehouse at
/// `base`. Namespaces with similar names may share a folder.
pub(in crate::catalog) fn of_namespace(base: &str, namespace: &Namespace) -> String {
    let levels: Vec<_> = namespace.levels().iter().map(|level| readable(level)).collect();
    format!("{}/{}", base.trim_end_matches('/'), levels.join("/"))
}

/// Returns the default location of a new table or view: a readable and unique folder.
pub(in crate::catalog) fn default_location(base: &str, identifier: &Identifier, id: Uuid) -> String {
    own_folder(&of_namespace(base, &identifier.namespace), &identifier.name, id)
}

/// Returns a unique folder for a table or view below `base`.
pub(in crate::catalog) fn own_folder(base: &str, name: &str, id: Uuid) -> String {
    format!("{}/{}-{}", base.trim_end_matches('/'), readable(name), id.simple())
}

/// Replaces all characters except ASCII letters, digits, `-` and `_`, which have the same meaning for every
/// client, by `_`.
fn readable(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut readable: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    readable.truncate(READABLE_BYTES_MAX);
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_locations_are_plain_whatever_the_name() {
        let namespace = Namespace::new(vec!["a b".to_owned(), "..x".to_owned()]).unwrap();
        let identifier = Identifier::new(namespace, "täble/%2F".to_owned()).unwrap();
        let location = default_location("file:///w/", &identifier, Uuid::from_u128(5));
        assert_eq!(location, "file:///w/a_b/__x/t_ble__2F-00000000000000000000000000000005");
    }
}
