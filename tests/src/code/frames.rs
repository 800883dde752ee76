//! Chains of functions from the handler of a use case to the one that holds its statement, checked against the
//! sources.

use super::functions::{Function, functions};
use super::scan;
use super::source::Source;

/// Parameter by which a function receives the use case that it runs as a closure.
const CLOSURE: &str = "work";

/// Function of a chain: the path of its file from the workspace's root, and its name.
pub type Frame = (&'static str, &'static str);

/// Reasons why a chain is not what the sources say: functions that do not exist, or that do not call the next
/// one. A function that runs a closure calls what the function before passes to it.
pub fn problems(sources: &[&Source], chain: &[Frame]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut bodies: Vec<String> = Vec::new();
    for (number, (path, name)) in chain.iter().enumerate() {
        let source = sources.iter().find(|source| source.path == *path);
        let body = source.map(|source| body(source, name)).filter(|body| !body.is_empty());
        let Some(body) = body else {
            problems.push(format!("{path}: no function `{name}` with a body"));
            return problems;
        };
        if let Some(caller) = bodies.last() {
            let runs = calls(caller, CLOSURE);
            let passed = number >= 2 && runs && calls(&bodies[number - 2], name);
            if !calls(caller, name) && !passed {
                problems.push(format!("{}: does not call `{name}`", describe(chain[number - 1])));
            }
        }
        bodies.push(body);
    }
    problems
}

fn describe((path, name): Frame) -> String {
    format!("{path}: `{name}`")
}

/// Code of all functions of a name in a file.
fn body(source: &Source, name: &str) -> String {
    let lines: Vec<&str> = source.code.lines().collect();
    let code = |function: Function| {
        let start = function.line - 1;
        // Without the signature's first line, which has the name itself.
        lines.get(start + 1..start + function.length?).map(|lines| lines.join("\n"))
    };
    let named = functions(source).into_iter().filter(|function| function.name == name);
    named.filter_map(code).collect::<Vec<_>>().join("\n")
}

fn calls(code: &str, name: &str) -> bool {
    scan::words(code, name).any(|at| code[at + name.len()..].starts_with('('))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "fn handler() {\n    run(|| {\n        commit(1)\n    })\n}\n\
                        fn run(work: F) {\n    work()\n}\n\
                        fn commit(n: u8) {\n    // store()\n    swap(n)\n}\n\
                        fn swap(n: u8) {\n    sql\n}\n";

    fn check(names: &[&'static str], expected: &[&str]) {
        let source = Source::product("a.rs", CODE);
        let chain: Vec<Frame> = names.iter().map(|name| ("a.rs", *name)).collect();
        assert_eq!(problems(&[&source], &chain), expected);
    }

    #[test]
    fn each_function_calls_the_next_one_itself_or_by_a_closure() {
        check(&["handler", "run", "commit", "swap"], &[]);
        check(&["handler", "commit", "swap"], &[]);
    }

    #[test]
    fn missing_calls_and_functions_are_reported() {
        check(&["run", "commit"], &["a.rs: `run`: does not call `commit`"]);
        check(&["commit", "store"], &["a.rs: no function `store` with a body"]);
        check(&["handler", "run", "swap"], &["a.rs: `run`: does not call `swap`"]);
    }
}
