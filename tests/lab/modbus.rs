//! A real Modbus server and client (tokio-modbus, an independent stack).

use std::collections::HashMap;
use std::future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio_modbus::prelude::*;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};

/// Holding registers of the controller, and how many requests it has answered.
#[derive(Default)]
struct Controller {
    registers: HashMap<u16, u16>,
    answered: u64,
}

#[derive(Clone, Default)]
struct Plc(Arc<Mutex<Controller>>);

impl Service for Plc {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = future::Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let Ok(mut c) = self.0.lock() else { return future::ready(Err(ExceptionCode::ServerDeviceFailure)) };
        c.answered += 1;
        future::ready(match request.request {
            Request::ReadHoldingRegisters(start, n) => Ok(Response::ReadHoldingRegisters(
                (start..start.saturating_add(n)).map(|a| c.registers.get(&a).copied().unwrap_or(0)).collect(),
            )),
            Request::ReadInputRegisters(_, n) => Ok(Response::ReadInputRegisters(vec![7; usize::from(n)])),
            Request::ReadCoils(_, n) => Ok(Response::ReadCoils(vec![true; usize::from(n)])),
            Request::WriteSingleRegister(a, v) => {
                c.registers.insert(a, v);
                Ok(Response::WriteSingleRegister(a, v))
            }
            Request::WriteMultipleRegisters(a, values) => {
                for (i, v) in values.iter().enumerate() {
                    c.registers.insert(a.wrapping_add(i as u16), *v);
                }
                Ok(Response::WriteMultipleRegisters(a, values.len() as u16))
            }
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

/// Serves until stopped; prints the number of requests answered when SIGTERM comes.
pub fn serve(address: &str) -> Result<ExitCode> {
    let address: SocketAddr = address.parse().context("ADDR:PORT")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let plc = Plc::default();
        let server = Server::new(listener);
        let service = |_: SocketAddr| Ok(Some(plc.clone()));
        let connected = |stream, peer| async move { accept_tcp_connection(stream, peer, service) };
        println!("listening");
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            r = server.serve(&connected, |e| eprintln!("modbus server: {e}")) => r?,
            _ = terminate.recv() => {}
        }
        let answered = plc.0.lock().map(|c| c.answered).unwrap_or(0);
        println!("answered {answered}");
        Ok(ExitCode::SUCCESS)
    })
}

/// Sends `count` requests (0: until stopped) and checks each answer: eight reads, one write, one read of what was
/// written, again and again. Prints how many of each were answered.
pub fn client(address: &str, count: u64, pause: Duration, writes_too: bool) -> Result<ExitCode> {
    let address: SocketAddr = address.parse().context("ADDR:PORT")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut plc =
            client::tcp::connect_slave(address, Slave(1)).await.with_context(|| format!("no answer from {address}"))?;
        let (mut reads, mut writes) = (0u64, 0u64);
        let mut i = 0u64;
        while count == 0 || i < count {
            match i % 10 {
                8 if writes_too => {
                    plc.write_single_register(100, (i % 65_536) as u16).await??;
                    writes += 1;
                }
                9 if writes_too => {
                    let got = plc.read_holding_registers(100, 1).await??;
                    anyhow::ensure!(
                        got == [((i - 1) % 65_536) as u16],
                        "the controller does not hold what was written"
                    );
                    reads += 1;
                }
                n => {
                    plc.read_holding_registers(n as u16 * 10, 4).await??;
                    reads += 1;
                }
            }
            i += 1;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        println!("reads {reads} writes {writes}");
        Ok(ExitCode::SUCCESS)
    })
}
