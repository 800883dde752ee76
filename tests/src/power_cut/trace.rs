//! The lines of `strace -f -y -xx`, taken apart. It does not know what a call does.

use std::collections::HashMap;

/// A call, when it begins or when it ends.
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    /// Tells calls of different threads apart.
    pub(super) thread: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Vec<String>,
    /// What the call gave, once it has ended: a number, and the path of a new descriptor.
    pub(super) result: Option<String>,
}

/// All events in their order. A call that no other thread interrupted begins and ends at once.
pub(super) fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    text.lines().flat_map(move |line| {
        let (thread, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        if call.starts_with("+++") || call.starts_with("---") {
            return Vec::new();
        }
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, start);
            return vec![event(thread, start, None)];
        }
        if let Some(end) = call.strip_prefix("<... ") {
            let (_, end) = end.split_once(" resumed>").expect("the end of a call");
            let start = begun.remove(thread).expect("a call that has begun");
            return vec![ended(thread, &format!("{start}{end}"), start)];
        }
        let end = ended(thread, call, call);
        vec![Event { result: None, ..end.clone() }, end]
    })
}

fn ended<'a>(thread: &'a str, call: &str, name: &'a str) -> Event<'a> {
    // A process that ends has calls without a result.
    let (call, result) = call.rsplit_once(" = ").unwrap_or((call, "?"));
    let whole = call.trim_end();
    let parsed = event(thread, whole.strip_suffix(')').unwrap_or(whole), Some(result.to_owned()));
    Event { thread, name: name.split('(').next().unwrap_or_default(), ..owned(parsed) }
}

/// The arguments and the result, free of the text they come from.
fn owned<'a>(event: Event<'_>) -> Event<'a> {
    Event { thread: "", name: "", arguments: event.arguments, result: event.result }
}

fn event<'a>(thread: &'a str, call: &'a str, result: Option<String>) -> Event<'a> {
    let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
    Event { thread, name, arguments: split(arguments), result }
}

/// Splits at commas outside of brackets; strings hold none, since every byte is escaped.
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
    /// Whether an HTTP answer starts here.
    pub(super) fn is_answer(&self) -> bool {
        let is_send = matches!(self.name, "write" | "writev" | "sendto" | "sendmsg") && self.result.is_none();
        is_send
            && Self::descriptor_path(&self.arguments[0]).starts_with("socket:")
            && self.bytes(1).starts_with(b"HTTP/1.1 ")
    }

    /// The number that the call gave, if it has ended well.
    pub(super) fn success(&self) -> Option<u64> {
        let number = self.result.as_ref()?.split(['<', ' ']).next()?;
        // Addresses are hexadecimal, failures negative.
        number.parse().ok().or_else(|| number.strip_prefix("0x").and(Some(0)))
    }

    /// A number among the arguments.
    pub(super) fn number(&self, position: usize) -> u64 {
        let argument = self.arguments.get(position).map(String::as_str).unwrap_or_default();
        argument.parse().unwrap_or_else(|_| panic!("not a number: `{argument}` in {}", self.name))
    }

    /// All strings of an argument, one after the other.
    pub(super) fn bytes(&self, position: usize) -> Vec<u8> {
        let argument = self.arguments.get(position).map(String::as_str).unwrap_or_default();
        assert!(!argument.contains("\"..."), "`strace` left bytes out of {}", self.name);
        argument.split('"').skip(1).step_by(2).flat_map(unescape).collect()
    }

    /// The path that a descriptor stands for, as `12<path>`.
    pub(super) fn descriptor_path(descriptor: &str) -> String {
        let path =
            descriptor.split_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or_default();
        String::from_utf8(unescape(path)).unwrap_or_default()
    }

    /// The path of the argument that is a string, below the one before it if that is a folder's descriptor.
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
