//! The operator's end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, Request};

/// How long an answer may take: a policy is written into the kernel in between.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no ot-xdp answers at `{}` ({error}); is `ot-xdp run` running? name its socket with --control", path.display())]
    NoLoader {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The connection broke.
    #[error("the loader did not answer: {0}")]
    Broken(#[from] io::Error),
    /// What came is no answer.
    #[error("the loader's answer is not understood, it is of another version: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Asks a loader.
///
/// # Errors
/// Nobody listens, or the answer does not come.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, ClientError> {
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    line(path, &text)
}

/// Sends a line as it is.
///
/// # Errors
/// See [`ask`].
pub fn line(path: &Path, text: &[u8]) -> Result<Answer, ClientError> {
    let no_loader = |error| ClientError::NoLoader { path: path.to_owned(), error };
    let mut stream = UnixStream::connect(path).map_err(no_loader)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(text)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
