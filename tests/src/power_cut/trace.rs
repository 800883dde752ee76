//! Parser for the output of `strace -f -y -xx`. It does not interpret the system calls.

use std::collections::HashMap;

/// Beginning or end of a system call.
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    /// Id of the thread, which distinguishes concurrent calls.
    pub(super) thread: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Vec<String>,
    /// Return value once the call has ended: a number, for a new descriptor followed by its path.
    pub(super) result: Option<String>,
}

/// Parses all events in their order. A call that is not interrupted by another thread is a single event at
/// its end.
pub(super) fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    let mut pending: HashMap<&str, &str> = HashMap::new();
    text.lines().flat_map(move |line| {
        let (thread, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        if call.starts_with("+++") || call.starts_with("---") {
            return Vec::new();
        }
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            pending.insert(thread, start);
            return vec![event(thread, start, None)];
        }
        if let Some(end) = call.strip_prefix("<... ") {
            let (_, end) = end.split_once(" resumed>").expect("the end of a call");
            let start = pending.remove(thread).expect("a call that has begun");
            return vec![ended(thread, &format!("{start}{end}"), start)];
        }
        let end = ended(thread, call, call);
        vec![Event { result: None, ..end.clone() }, end]
    })
}

fn ended<'a>(thread: &'a str, call: &str, name: &'a str) -> Event<'a> {
    // The last calls of a process that ends have no result.
    let (call, result) = call.rsplit_once(" = ").unwrap_or((call, "?"));
    let whole = call.trim_end();
    let parsed = event(thread, whole.strip_suffix(')').unwrap_or(whole), Some(result.to_owned()));
    Event { thread, name: name.split('(').next().unwrap_or_default(), ..owned(parsed) }
}

/// Returns a copy of arguments and result that does not borrow from the text.
fn owned<'a>(event: Event<'_>) -> Event<'a> {
    Event { thread: "", name: "", arguments: event.arguments, result: event.result }
}

fn event<'a>(thread: &'a str, call: &'a str, result: Option<String>) -> Event<'a> {
    let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
    Event { thread, name, arguments: split(arguments), result }
}

/// Splits arguments at commas outside of brackets. Strings contain no commas, since every byte is escaped.
fn split(arguments: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in arguments.chars() {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("at least one part").push(letter);
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

impl Event<'_> {
    /// Returns `true` if an HTTP response begins with this event.
    pub(super) fn is_response(&self) -> bool {
        let is_send = matches!(self.name, "write" | "writev" | "sendto" | "sendmsg") && self.result.is_none();
        is_send
            && Self::descriptor_path(&self.arguments[0]).starts_with("socket:")
            && self.bytes(1).starts_with(b"HTTP/1.1 ")
    }

    /// Returns the result if the call has ended successfully.
    pub(super) fn success(&self) -> Option<u64> {
        let number = self.result.as_ref()?.split(['<', ' ']).next()?;
        // Addresses are hexadecimal, errors negative.
        number.parse().ok().or_else(|| number.strip_prefix("0x").and(Some(0)))
    }

    /// Returns the numeric argument at a position.
    pub(super) fn number(&self, position: usize) -> u64 {
        let argument = self.arguments.get(position).map(String::as_str).unwrap_or_default();
        argument.parse().unwrap_or_else(|_| panic!("not a number: `{argument}` in {}", self.name))
    }

    /// Returns the bytes of all strings of an argument, concatenated.
    pub(super) fn bytes(&self, position: usize) -> Vec<u8> {
        let argument = self.arguments.get(position).map(String::as_str).unwrap_or_default();
        assert!(!argument.contains("\"..."), "`strace` left bytes out of {}", self.name);
        argument.split('"').skip(1).step_by(2).flat_map(unescape).collect()
    }

    /// Returns the path of a descriptor in the form `12<path>`.
    pub(super) fn descriptor_path(descriptor: &str) -> String {
        let path =
            descriptor.split_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or_default();
        String::from_utf8(unescape(path)).unwrap_or_default()
    }

    /// Returns the path in a string argument; a relative path is resolved against the preceding argument if
    /// that is the descriptor of a folder.
    pub(super) fn path(&self, position: usize) -> String {
        let path = String::from_utf8(self.bytes(position)).unwrap_or_default();
        match position.checked_sub(1).and_then(|before| self.arguments.get(before)) {
            Some(folder) if !path.starts_with('/') => format!("{}/{path}", Self::descriptor_path(folder)),
            _ => path,
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.split("\\x").skip(1);
    bytes.map(|hex| u8::from_str_radix(hex.get(..2).unwrap_or_default(), 16).expect("a byte")).collect()
}
