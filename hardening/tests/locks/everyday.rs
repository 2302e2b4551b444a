//! What a role does all day, under its locks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hardening::Secret;

/// The calls of a day's work: files, threads, memory, time, sockets.
pub(crate) fn work(role: &str, folder: &Path) {
    let data: PathBuf = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    let mut file = OpenOptions::new().create_new(true).read(true).write(true).open(data.join("new")).unwrap();
    file.lock().unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 8192).unwrap();
    file.write_all_at(b"record", 100).unwrap();
    file.seek(io::SeekFrom::End(0)).unwrap();
    file.write_all(b"tail").unwrap();
    file.sync_data().unwrap();
    file.set_len(50).unwrap();
    file.sync_all().unwrap();
    fs::rename(data.join("new"), data.join("old")).unwrap();
    fs::copy(data.join("old"), data.join("copy")).unwrap();
    File::open(&data).unwrap().sync_all().unwrap();
    assert_eq!(fs::read_dir(&data).unwrap().count(), 2);
    fs::remove_dir_all(&data).unwrap();

    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|i| {
            let sender = sender.clone();
            let work = move || sender.send(vec![i; 1 << 20].len()).unwrap();
            thread::Builder::new().name(format!("worker-{i}")).spawn(work).unwrap()
        })
        .collect();
    drop(sender);
    assert_eq!(receiver.iter().sum::<usize>(), 4 << 20);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(thread::available_parallelism().is_ok());
    thread::sleep(Duration::from_millis(1));
    assert!(Secret::random(32).unwrap() != Secret::random(32).unwrap());
    assert!(hardening::process::locked_kib().is_some());

    if role == "server" {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}
