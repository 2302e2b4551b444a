//! What a role does all day, under its locks.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hardening::Secret;

/// What is open before the lock: a listener, and a client that waits to be let in.
pub(crate) struct Sockets {
    listener: TcpListener,
    client: TcpStream,
}

impl Sockets {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Self { listener, client }
    }
}

/// The calls of a day's work: threads, memory, time, and what the role is there for.
pub(crate) fn work(role: &str, folder: &Path, sockets: Sockets) {
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
    thread::sleep(Duration::from_millis(1));
    assert!(Secret::random(32).unwrap() != Secret::random(32).unwrap());
    assert!(hardening::process::locked_kib().is_some());
    fs::write(folder.join("file"), b"content").unwrap();
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"content");
    if role == "server" {
        keep(&folder.join("data"));
        serve(sockets);
    }
}

/// Storage.
fn keep(data: &Path) {
    fs::create_dir(data).unwrap();
    let mut file = OpenOptions::new().create_new(true).read(true).write(true).open(data.join("new")).unwrap();
    file.lock().unwrap();
    file.write_all_at(b"record", 100).unwrap();
    file.write_all(b"head").unwrap();
    file.sync_data().unwrap();
    file.set_len(50).unwrap();
    file.sync_all().unwrap();
    fs::rename(data.join("new"), data.join("old")).unwrap();
    File::open(data).unwrap().sync_all().unwrap();
    assert_eq!(fs::read_dir(data).unwrap().count(), 1);
    fs::remove_file(data.join("old")).unwrap();
}

/// Clients.
fn serve(Sockets { listener, mut client }: Sockets) {
    client.set_nodelay(true).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}
