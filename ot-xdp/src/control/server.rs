//! The loader's end of the control socket.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Answer, Request};

/// Octets of a request.
const REQUEST: u64 = 16 * 1024;
/// How long a client may take to say what it wants, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients at once.
const CLIENTS: usize = 8;

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Job {
    /// What is asked for.
    pub request: Request,
    /// User id of the client's process, as the kernel tells it.
    pub uid: u32,
    /// Where the answer goes; the client may be gone.
    pub answer: oneshot::Sender<Answer>,
}

/// The socket; removed with this value.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    jobs: mpsc::Receiver<Job>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// A path that cannot be used, or where another loader answers.
    pub fn listen(path: &Path) -> io::Result<Server> {
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty() && !d.exists()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let (tx, jobs) = mpsc::channel(CLIENTS);
        tokio::spawn(accept(listener, tx));
        Ok(Server { path: path.to_owned(), jobs })
    }

    /// The next request.
    pub async fn next(&mut self) -> Option<Job> {
        self.jobs.recv().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A socket that a loader left when it died is in the way; anything else is not ours to remove.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something that is no socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another ot-xdp answers there")),
        Err(_) => std::fs::remove_file(path),
    }
}

async fn accept(listener: UnixListener, jobs: mpsc::Sender<Job>) {
    let clients = std::sync::Arc::new(Semaphore::new(CLIENTS));
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(permit) = std::sync::Arc::clone(&clients).acquire_owned().await else { return };
        let jobs = jobs.clone();
        tokio::spawn(async move {
            // A client that goes away, or is too slow, has itself to blame.
            let _ = tokio::time::timeout(4 * PATIENCE, serve(stream, jobs)).await;
            drop(permit);
        });
    }
}

async fn serve(stream: UnixStream, jobs: mpsc::Sender<Job>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    let answer = if allowed(uid) {
        ask(read, uid, &jobs).await
    } else {
        tracing::warn!("control: user {uid} is not answered");
        Answer::refused("only root and the user of this loader are answered")
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await
}

async fn ask(read: tokio::net::unix::OwnedReadHalf, uid: u32, jobs: &mpsc::Sender<Job>) -> Answer {
    let mut line = String::new();
    let mut limited = BufReader::new(read.take(REQUEST));
    match tokio::time::timeout(PATIENCE, limited.read_line(&mut line)).await {
        Ok(Ok(_)) => {}
        Ok(Err(e)) => return Answer::refused(format!("the request cannot be read: {e}")),
        Err(_) => return Answer::refused("no request came in time"),
    }
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(e) => return Answer::refused(format!("this is no request: {e}")),
    };
    let (tx, rx) = oneshot::channel();
    if jobs.send(Job { request, uid, answer: tx }).await.is_err() {
        return Answer::refused("the loader is ending");
    }
    rx.await.unwrap_or_else(|_| Answer::refused("the loader is ending"))
}

/// Is a process of this user answered?
fn allowed(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::client;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ot-xdp-{name}-{}", std::process::id())).join("control.sock")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_is_answered_and_the_socket_is_private() {
        let path = path("asked");
        let mut server = Server::listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        let at = path.clone();
        let client = tokio::task::spawn_blocking(move || client::ask(&at, &Request::Status));
        let job = server.next().await.unwrap();
        assert_eq!(job.request, Request::Status);
        job.answer.send(Answer::done("well")).unwrap();
        assert_eq!(client.await.unwrap().unwrap(), Answer::done("well"));
        // Nonsense is answered, too, and reaches nobody.
        let at = path.clone();
        let answer = tokio::task::spawn_blocking(move || client::line(&at, b"nonsense\n")).await.unwrap().unwrap();
        assert!(!answer.ok && answer.message.contains("no request"), "{answer:?}");
        let long = vec![b'x'; 2 * REQUEST as usize];
        let at = path.clone();
        let answer = tokio::task::spawn_blocking(move || client::line(&at, &long)).await.unwrap();
        assert!(answer.map_or(true, |a| !a.ok));
        drop(server);
        assert!(!path.exists());
        std::fs::remove_dir(path.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_living_socket_is_not_taken_and_a_dead_one_is() {
        let path = path("taken");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind");
        let server = Server::listen(&path).unwrap();
        assert_eq!(Server::listen(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(server);
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(Server::listen(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn others_are_not_answered() {
        assert!(allowed(0) && allowed(rustix::process::geteuid().as_raw()));
        assert!(!allowed(65_534));
    }
}
