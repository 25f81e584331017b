//! Plain TCP ends for gateway tests: a server that tells what it received, and a client that sends octets as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(700);

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Takes connections until stopped. Prints `CONNECTION HEX` for each read, `CONNECTION closed OPEN` or
/// `CONNECTION reset OPEN` at its end, and answers every read with one octet.
pub fn sink(address: &str) -> Result<ExitCode> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    for (number, stream) in (1..).zip(listener.incoming()) {
        let stream = stream.context("accept")?;
        OPEN.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || serve(number, stream));
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(number: u64, mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break "closed",
            Ok(n) => {
                say(&format!("{number} {}", hex(&buffer[..n])));
                // The other end may be gone already.
                let _ = stream.write_all(&[0x06]);
            }
            Err(_) => break "reset",
        }
    };
    let open = OPEN.fetch_sub(1, Ordering::Relaxed) - 1;
    say(&format!("{number} {end} {open}"));
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever reads may have what it wanted.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|o| format!("{o:02x}")).collect()
}

fn octets(hex: &str) -> Result<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    if digits.len() != hex.len() || !digits.len().is_multiple_of(2) {
        bail!("`{hex}` is no hex");
    }
    Ok(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// Connects and sends one chunk after the other, each in a segment of its own; prints `got HEX` for what comes back and
/// `error WHAT` when the connection breaks.
pub fn send(address: &str, gap_ms: &str, chunks: &[&str]) -> Result<ExitCode> {
    let gap = Duration::from_millis(gap_ms.parse().context("GAP_MS is a number")?);
    let address: SocketAddr = address.parse().context("ADDR:PORT")?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(3)).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for (i, chunk) in chunks.iter().enumerate() {
        if i != 0 {
            std::thread::sleep(gap);
        }
        if let Err(e) = stream.write_all(&octets(chunk)?) {
            println!("error {:?}", e.kind());
            return Ok(ExitCode::SUCCESS);
        }
    }
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => println!("got {}", hex(&buffer[..n])),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(e) => {
                println!("error {:?}", e.kind());
                break;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects, sends, and goes away without waiting, `count` times.
pub fn attempts(address: &str, count: &str, chunk: &str) -> Result<ExitCode> {
    let count: u32 = count.parse().context("COUNT is a number")?;
    let address: SocketAddr = address.parse().context("ADDR:PORT")?;
    let chunk = octets(chunk)?;
    let mut failed = 0;
    for _ in 0..count {
        match TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
            Ok(mut stream) => drop(stream.write_all(&chunk)),
            Err(_) => failed += 1,
        }
    }
    println!("attempts {count} not connected {failed}");
    Ok(ExitCode::SUCCESS)
}
