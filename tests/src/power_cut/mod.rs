//! What a power cut leaves of a server's files: `strace` records what the server asks the kernel to do, and a
//! model of a disk that keeps only what was synced says what is there at each moment.

mod disk;
mod trace;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Setup;

use disk::Disk;

/// Everything that can change what a folder or a file holds, also in ways that the model does not know, so that it
/// can refuse them; and the ways to answer a client.
const CALLS: &str = "openat,openat2,open,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,syncfs,sync,\
    sync_file_range,msync,mmap,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,\
    mkdirat,truncate,ftruncate,fallocate,copy_file_range,sendfile,splice,io_uring_setup,sendto,sendmsg";
/// More lines than a server has threads: the last ones of a trace say how each of them ended.
const THREADS_MAX: usize = 1_000;
/// How long `strace` may take to write the rest of its output once the server has ended.
const PATIENCE_ATTEMPTS: u32 = 1_000;

/// A recording of a server's file operations and answers.
#[derive(Clone, Debug)]
pub struct Recording {
    root: PathBuf,
    file: PathBuf,
}

impl Recording {
    /// Makes a server's start record what it does below its data directory.
    pub fn of(setup: &mut Setup) -> Self {
        let file = setup.data_dir.with_extension("trace");
        let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
        // The server stays the direct child; all bytes are written as `\xHH`, none are left out.
        let words = ["strace", "-D", "-f", "-q", "-y", "-xx", "-s", "100000000", "-e", CALLS];
        setup.wrapper = words.map(str::to_owned).to_vec();
        setup.wrapper.extend(["-o".to_owned(), path(&file)]);
        Self { root: setup.data_dir.clone(), file }
    }

    /// Replaces the data directory by what a power cut would have left of it just before each of these answers,
    /// counted from 1 over all answers that the server gave, and calls `look` each time. The server must have
    /// ended, and may be started again by `look` if it is ended again.
    pub async fn replay(&self, server: u32, answers: &[usize], mut look: impl AsyncFnMut(usize)) {
        let text = self.read(server).await;
        let mut disk = Disk::new(&self.root);
        let mut answer = 0;
        for event in trace::events(&text) {
            if event.is_answer() {
                answer += 1;
                if answers.contains(&answer) {
                    disk.write_durable();
                    look(answer).await;
                }
            }
            disk.apply(&event);
        }
        assert!(answers.iter().all(|wanted| *wanted <= answer), "the trace has only {answer} answers");
    }

    /// Replaces the data directory by what a power cut would have left of it at the server's end.
    pub async fn replay_end(&self, server: u32) {
        let text = self.read(server).await;
        let mut disk = Disk::new(&self.root);
        for event in trace::events(&text) {
            disk.apply(&event);
        }
        disk.write_durable();
    }

    /// The trace, once it is whole.
    async fn read(&self, server: u32) -> String {
        let server = server.to_string();
        // The process' number is padded if it is short.
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
        panic!("`strace` did not see the server's end: may it trace processes here?");
    }
}
