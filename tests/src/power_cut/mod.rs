//! Simulation of power cuts: `strace` records the system calls of a server, and a model of a disk that
//! retains only synced data computes the files that a power cut at any moment would leave.

mod disk;
mod trace;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Setup;

use disk::Disk;

/// System calls that can change the content of a file or folder, including those that the model does not
/// implement, so that it can reject them; and the calls that send responses to clients.
const CALLS: &str = "openat,openat2,open,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,syncfs,sync,\
    sync_file_range,msync,mmap,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,\
    mkdirat,truncate,ftruncate,fallocate,copy_file_range,sendfile,splice,io_uring_setup,sendto,sendmsg";
/// Number of lines at the end of a trace that are searched for the end of the server: more than it has
/// threads, each of which ends with a line.
const THREADS_MAX: usize = 1_000;
/// Number of attempts to read the complete trace after the server has ended, because `strace` may still be
/// writing it.
const PATIENCE_ATTEMPTS: u32 = 1_000;

/// Recording of a server's file operations and responses.
#[derive(Clone, Debug)]
pub struct Recording {
    root: PathBuf,
    file: PathBuf,
}

impl Recording {
    /// Changes the setup of a server so that its file operations below the data directory are recorded from
    /// the start.
    pub fn of(setup: &mut Setup) -> Self {
        let file = setup.data_dir.with_extension("trace");
        let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
        // `-D`: the server remains the direct child. `-xx`, `-s`: all bytes are written as `\xHH`, without
        // abbreviation.
        let words = ["strace", "-D", "-f", "-q", "-y", "-xx", "-s", "100000000", "-e", CALLS];
        setup.wrapper = words.map(str::to_owned).to_vec();
        setup.wrapper.extend(["-o".to_owned(), path(&file)]);
        Self { root: setup.data_dir.clone(), file }
    }

    /// Replaces the data directory by the files that a power cut just before each of these responses would
    /// have left, and calls `inspect` each time. Responses are counted from 1 over all responses of the
    /// server. The server must have ended; `inspect` may start it again if it also ends it.
    pub async fn replay(&self, server: u32, responses: &[usize], mut inspect: impl AsyncFnMut(usize)) {
        let text = self.read(server).await;
        let mut disk = Disk::new(&self.root);
        let mut response = 0;
        for event in trace::events(&text) {
            if event.is_response() {
                response += 1;
                if responses.contains(&response) {
                    disk.write_durable();
                    inspect(response).await;
                }
            }
            disk.apply(&event);
        }
        assert!(responses.iter().all(|number| *number <= response), "the trace has only {response} answers");
    }

    /// Replaces the data directory by the files that a power cut at the end of the server would have left.
    pub async fn replay_end(&self, server: u32) {
        let text = self.read(server).await;
        let mut disk = Disk::new(&self.root);
        for event in trace::events(&text) {
            disk.apply(&event);
        }
        disk.write_durable();
    }

    /// Returns the trace once it is complete.
    async fn read(&self, server: u32) -> String {
        let server = server.to_string();
        // `strace` pads the process id if it is short.
        let is_end = |line: &str| {
            line.split_once(' ')
                .is_some_and(|(process, end)| process == server && end.trim().starts_with("+++"))
        };
        for _ in 0..PATIENCE_ATTEMPTS {
            let text = std::fs::read_to_string(&self.file).expect("`strace` writes a file");
            if text.lines().rev().take(THREADS_MAX).any(is_end) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("`strace` did not record the end of the server; it may not be permitted to trace processes");
    }
}
