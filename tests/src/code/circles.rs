//! Circles of imports, between files and between folders: each a strongly connected component of at least
//! two.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::Import;

/// Files or folders each of which imports, directly or not, all the others.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle {
    /// Paths, in order.
    pub members: Vec<String>,
    /// Imports between the members.
    pub imports: Vec<Import>,
}

/// Circles between files.
pub fn file_circles(imports: &[Import]) -> Vec<Circle> {
    circles(imports, |path| path)
}

/// Circles between folders. Imports between a folder and those inside of it are left out.
pub fn folder_circles(imports: &[Import]) -> Vec<Circle> {
    let is_apart = |import: &&Import| {
        let (from, to) = (folder(&import.from), folder(&import.to));
        !is_inside(from, to) && !is_inside(to, from)
    };
    let apart: Vec<Import> = imports.iter().filter(is_apart).cloned().collect();
    circles(&apart, folder)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns whether a folder is another one or inside of it.
fn is_inside(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Circles between the nodes that the files belong to.
fn circles(imports: &[Import], node: fn(&str) -> &str) -> Vec<Circle> {
    let edges: BTreeSet<(&str, &str)> =
        imports.iter().map(|import| (node(&import.from), node(&import.to))).collect();
    let circle = |members: BTreeSet<&str>| {
        let is_within = |import: &&Import| {
            let (from, to) = (node(&import.from), node(&import.to));
            from != to && members.contains(from) && members.contains(to)
        };
        Circle {
            imports: imports.iter().filter(is_within).cloned().collect(),
            members: members.into_iter().map(str::to_owned).collect(),
        }
    };
    components(&edges).into_iter().map(circle).collect()
}

/// Strongly connected components with more than one node, by their first nodes.
///
/// Two nodes are in one component if each can be reached from the other. The graphs have a few hundred nodes,
/// so the set of reachable nodes is computed for each node.
fn components<'a>(edges: &BTreeSet<(&'a str, &'a str)>) -> Vec<BTreeSet<&'a str>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    let reachable_nodes: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|node| (*node, reachable(node, &next))).collect();
    let reaches = |from: &str, to: &str| reachable_nodes.get(from).is_some_and(|nodes| nodes.contains(to));
    let mut found: Vec<BTreeSet<&str>> = Vec::new();
    for (node, nodes) in &reachable_nodes {
        if found.iter().any(|component| component.contains(node)) {
            continue;
        }
        let mut component: BTreeSet<&str> =
            nodes.iter().copied().filter(|other| reaches(other, node)).collect();
        component.insert(node);
        if component.len() > 1 {
            found.push(component);
        }
    }
    found
}

/// Nodes at the ends of all paths that start at a node.
fn reachable<'a>(start: &str, next: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = next.get(start).into_iter().flatten().copied().collect();
    while let Some(node) = open.pop() {
        if found.insert(node) {
            open.extend(next.get(node).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_components(edges: &str, expected: &[&str]) {
        let edges = edges.split_whitespace().map(|edge| edge.split_at(1)).collect();
        let found: Vec<String> =
            components(&edges).into_iter().map(|nodes| nodes.into_iter().collect()).collect();
        assert_eq!(found, expected);
    }

    fn imports(pairs: &[(&str, &str)]) -> Vec<Import> {
        let import =
            |(from, to): &(&str, &str)| Import { from: (*from).to_owned(), to: (*to).to_owned(), line: 1 };
        pairs.iter().map(import).collect()
    }

    #[test]
    fn components_contain_nodes_that_reach_each_other() {
        check_components("ab bc cd", &[]);
        check_components("ab ba", &["ab"]);
        check_components("ab bc ca cd de ed xa", &["abc", "de"]);
        check_components("ab bc cb cd da", &["abcd"]);
        check_components("aa ab", &[]);
    }

    #[test]
    fn circles_name_the_imports_within_them() {
        let found = file_circles(&imports(&[("a", "b"), ("b", "a"), ("b", "c")]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].members, ["a", "b"]);
        assert_eq!(found[0].imports, imports(&[("a", "b"), ("b", "a")]));
    }

    #[test]
    fn folders_are_circles_if_neither_is_inside_of_the_other() {
        let circles = |pairs: &[(&str, &str)]| -> Vec<Vec<String>> {
            folder_circles(&imports(pairs)).into_iter().map(|circle| circle.members).collect()
        };
        assert_eq!(circles(&[("s/a/x", "s/b/y"), ("s/b/z", "s/a/w")]), [["s/a", "s/b"]]);
        assert!(circles(&[("s/a/x", "s/a/b/y"), ("s/a/b/z", "s/a/w")]).is_empty());
        assert!(circles(&[("s/a/x", "s/a/y"), ("s/a/y", "s/a/x")]).is_empty());
        assert_eq!(circles(&[("s/a/x", "s/ab/y"), ("s/ab/y", "s/a/x")]), [["s/a", "s/ab"]]);
    }
}
