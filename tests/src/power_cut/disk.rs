//! Model of a disk that loses, at a power cut, everything that was not synced: a file has the content, and a
//! folder has the entries, of its last sync. Real disks lose less.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Event;

/// Files below one folder, with their current and their durable content.
pub(super) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    /// Offset of the next `write` to a descriptor, by the number of the descriptor.
    positions: HashMap<String, usize>,
    /// Content of the folder at the end of the recording, by relative path: the bytes of a file, `None` for a
    /// folder. Files that the recorded server never created belong to other processes.
    others: HashMap<PathBuf, Option<Vec<u8>>>,
    /// Node and content that become durable when the pending sync of a thread ends, by thread.
    syncing: HashMap<String, (usize, Content)>,
}

#[derive(Clone, Debug)]
enum Content {
    File(Vec<u8>),
    Folder(BTreeMap<String, usize>),
}

struct Node {
    now: Content,
    durable: Content,
}

impl Node {
    fn folder() -> Self {
        Self { now: Content::Folder(BTreeMap::new()), durable: Content::Folder(BTreeMap::new()) }
    }

    fn file() -> Self {
        Self { now: Content::File(Vec::new()), durable: Content::File(Vec::new()) }
    }
}

impl Disk {
    /// Creates an empty folder whose own entry is durable.
    pub(super) fn new(root: &Path) -> Self {
        let (positions, syncing) = (HashMap::new(), HashMap::new());
        let mut others = HashMap::new();
        collect(root, &mut others);
        Self { root: root.to_owned(), nodes: vec![Node::folder()], positions, others, syncing }
    }

    /// Replaces the folder on the real disk by the durable content.
    pub(super) fn write_durable(&self) {
        if self.root.exists() {
            fs::remove_dir_all(&self.root).expect("the folder can be emptied");
        }
        self.write(0, &self.root);
    }

    fn write(&self, node: usize, path: &Path) {
        match &self.nodes[node].durable {
            Content::File(bytes) => fs::write(path, bytes).expect("a file can be written"),
            Content::Folder(entries) => {
                fs::create_dir(path).expect("a folder can be made");
                for (name, node) in entries {
                    self.write(*node, &path.join(name));
                }
            }
        }
    }

    /// Applies a system call. A sync makes durable the content at the time when it began; all other calls
    /// take effect when they end.
    pub(super) fn apply(&mut self, event: &Event<'_>) {
        if event.result.is_none() {
            if matches!(event.name, "fsync" | "fdatasync")
                && let Some(node) = self.descriptor(event)
            {
                self.syncing.insert(event.thread.to_owned(), (node, self.nodes[node].now.clone()));
            }
            return;
        }
        let syncing = self.syncing.remove(event.thread);
        let Some(result) = event.success() else { return };
        match event.name {
            "fsync" | "fdatasync" => {
                if let Some((node, content)) = syncing {
                    self.nodes[node].durable = content;
                }
            }
            "openat" => self.open(event, result),
            "write" | "pwrite64" => self.write_bytes(event),
            "ftruncate" => {
                if let Some(node) = self.descriptor(event) {
                    let size = usize::try_from(event.number(1)).expect("a size");
                    self.file(node).resize(size, 0);
                }
            }
            "mkdir" => self.add(&event.path(0), Node::folder()),
            "mkdirat" => self.add(&event.path(1), Node::folder()),
            // Only looks whether a file exists.
            "openat2" if event.arguments.iter().any(|argument| argument.contains("O_PATH")) => {}
            "unlink" | "rmdir" => drop(self.unlink(&event.path(0))),
            "unlinkat" => drop(self.unlink(&event.path(1))),
            "rename" => {
                if let Some(node) = self.unlink(&event.path(0)) {
                    self.link(&event.path(1), node);
                }
            }
            // Private mappings, and the index of SQLite's write-ahead log, which SQLite recreates after a
            // crash.
            "mmap" if !is_shared_for_writing(event) => {}
            name => {
                assert!(!self.may_change(event), "the model of the disk does not know `{name}`: {event:?}");
            }
        }
    }

    fn open(&mut self, event: &Event<'_>, descriptor: u64) {
        let (path, flags) = (event.path(1), event.arguments[2].as_str());
        if self.relative(&path).is_none() {
            return;
        }
        if self.find(&path).is_none() {
            if flags.contains("O_CREAT") {
                self.add(&path, Node::file());
            } else {
                self.import(&path);
            }
        }
        // `None` for a file of another process that has been deleted since.
        let Some(node) = self.find(&path) else { return };
        if flags.contains("O_TRUNC") {
            self.file(node).clear();
        }
        assert!(!flags.contains("O_APPEND"), "the model of the disk does not know O_APPEND: {path}");
        self.positions.insert(descriptor.to_string(), 0);
    }

    fn write_bytes(&mut self, event: &Event<'_>) {
        let Some(node) = self.descriptor(event) else { return };
        let mut bytes = event.bytes(1);
        bytes.truncate(usize::try_from(event.success().unwrap_or(0)).expect("a size"));
        let number = event.arguments[0].split('<').next().unwrap_or_default().to_owned();
        let start = match event.name {
            "write" => self.positions.get(&number).copied().expect("a descriptor that was opened"),
            _ => usize::try_from(event.number(3)).expect("an offset"),
        };
        let end = start + bytes.len();
        let content = self.file(node);
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(&bytes);
        if event.name == "write" {
            self.positions.insert(number, end);
        }
    }

    /// Returns `true` if a call may change something below the folder.
    fn may_change(&self, event: &Event<'_>) -> bool {
        let paths =
            |position: usize| [event.path(position), Event::descriptor_path(&event.arguments[position])];
        let is_certain = matches!(event.name, "sync" | "syncfs" | "io_uring_setup");
        is_certain || (0..event.arguments.len()).flat_map(paths).any(|path| self.relative(&path).is_some())
    }

    /// Returns the node of the descriptor in a call's first argument; `None` if its file is deleted or not
    /// below the folder.
    fn descriptor(&self, event: &Event<'_>) -> Option<usize> {
        self.find(&Event::descriptor_path(event.arguments.first()?))
    }

    fn relative<'a>(&self, path: &'a str) -> Option<&'a Path> {
        Path::new(path).strip_prefix(&self.root).ok()
    }

    fn find(&self, path: &str) -> Option<usize> {
        let names = self.relative(path)?.iter();
        names.map(|name| name.to_str().expect("a plain name")).try_fold(0, |node, name| {
            match &self.nodes[node].now {
                Content::Folder(entries) => entries.get(name).copied(),
                Content::File(_) => None,
            }
        })
    }

    fn add(&mut self, path: &str, node: Node) {
        if self.relative(path).is_some() {
            self.nodes.push(node);
            self.link(path, self.nodes.len() - 1);
        }
    }

    /// Adds a file or folder of another process, such as a data file of an engine, to the model. It is
    /// assumed to be synced.
    fn import(&mut self, path: &str) {
        let Some(content) = self.relative(path).and_then(|relative| self.others.get(relative)).cloned()
        else {
            return;
        };
        let content = content.map_or_else(|| Content::Folder(BTreeMap::new()), Content::File);
        self.nodes.push(Node { now: content.clone(), durable: content });
        let node = self.nodes.len() - 1;
        self.link(path, node);
        let (folder, name) = path.rsplit_once('/').expect("an absolute path");
        let folder = self.find(folder).expect("a folder that was just linked into");
        if let Content::Folder(entries) = &mut self.nodes[folder].durable {
            entries.insert(name.to_owned(), node);
        }
    }

    fn link(&mut self, path: &str, node: usize) {
        let (folder, name) = self.parent(path);
        folder.insert(name, node);
    }

    fn unlink(&mut self, path: &str) -> Option<usize> {
        self.relative(path)?;
        let (folder, name) = self.parent(path);
        folder.remove(&name)
    }

    fn parent(&mut self, path: &str) -> (&mut BTreeMap<String, usize>, String) {
        let (folder, name) = path.rsplit_once('/').expect("an absolute path");
        let node = self.find(folder).unwrap_or_else(|| panic!("no such folder: {folder}"));
        match &mut self.nodes[node].now {
            Content::Folder(entries) => (entries, name.to_owned()),
            Content::File(_) => panic!("not a folder: {folder}"),
        }
    }

    fn file(&mut self, node: usize) -> &mut Vec<u8> {
        match &mut self.nodes[node].now {
            Content::File(bytes) => bytes,
            Content::Folder(_) => panic!("a folder cannot be written"),
        }
    }
}

/// Collects the content below a folder, by relative path.
fn collect(root: &Path, found: &mut HashMap<PathBuf, Option<Vec<u8>>>) {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let relative = path.strip_prefix(root).expect("a path below").to_owned();
            if path.is_dir() {
                found.insert(relative, None);
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                found.insert(relative, Some(bytes));
            }
        }
    }
}

fn is_shared_for_writing(event: &Event<'_>) -> bool {
    let has = |position: usize, flag: &str| event.arguments[position].contains(flag);
    let is_index = Event::descriptor_path(&event.arguments[4]).ends_with("-shm");
    has(2, "PROT_WRITE") && has(3, "MAP_SHARED") && !is_index
}
