//! Interfaces as the kernel tells them by netlink: index, state, MTU, attached XDP program, and their changes.

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached};
use rtnetlink::{Handle, LinkUnspec, MulticastGroup};
use tokio::sync::mpsc;

/// What is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpState {
    /// In the driver.
    Native(u32),
    /// On socket buffers, behind the driver.
    Generic(u32),
    /// In the hardware.
    Offload(u32),
    /// Several modes at once.
    Multi,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// Carrier present.
    pub running: bool,
    /// MTU in octets.
    pub mtu: u32,
    /// Attached XDP program with its id, if any.
    pub xdp: Option<XdpState>,
    /// Index of the bridge or bond that it belongs to.
    pub master: Option<u32>,
    /// Kind of a virtual interface: `veth`, `bridge`, `bond`, `vlan`, ...; none for hardware.
    pub kind: Option<String>,
}

/// Error of a netlink request.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket could not be opened.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The kernel refused the request.
    #[error("netlink request failed: {0}")]
    Request(#[from] rtnetlink::Error),
}

/// Every interface of this network namespace.
pub async fn all() -> Result<Vec<Link>, LinkError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let task = tokio::spawn(connection);
    let links = list(&handle).await;
    task.abort();
    links
}

/// Sets an interface up or down.
///
/// # Errors
/// What the kernel answers.
pub async fn set_up(index: u32, up: bool) -> Result<(), LinkError> {
    let link = LinkUnspec::new_with_index(index);
    change(if up { link.up() } else { link.down() }.build()).await
}

/// Lets an interface take frames for every address, or not.
///
/// # Errors
/// What the kernel answers.
pub async fn set_promiscuous(index: u32, on: bool) -> Result<(), LinkError> {
    change(LinkUnspec::new_with_index(index).promiscuous(on).build()).await
}

async fn change(message: LinkMessage) -> Result<(), LinkError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let task = tokio::spawn(connection);
    let done = handle.link().set(message).execute().await;
    task.abort();
    Ok(done?)
}

async fn list(handle: &Handle) -> Result<Vec<Link>, LinkError> {
    let mut links = Vec::new();
    let mut stream = handle.link().get().execute();
    while let Some(m) = stream.try_next().await? {
        let mut link = Link {
            index: m.header.index,
            name: String::new(),
            up: m.header.flags.contains(LinkFlags::Up),
            running: m.header.flags.contains(LinkFlags::LowerUp),
            mtu: 0,
            xdp: None,
            master: None,
            kind: None,
        };
        for a in m.attributes {
            match a {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Controller(index) => link.master = Some(index),
                LinkAttribute::LinkInfo(info) => {
                    link.kind = info.iter().find_map(|i| match i {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                LinkAttribute::Xdp(x) => link.xdp = xdp(&x),
                _ => {}
            }
        }
        links.push(link);
    }
    Ok(links)
}

fn xdp(attributes: &[LinkXdp]) -> Option<XdpState> {
    let mut mode = None;
    let mut id = 0;
    for a in attributes {
        match a {
            LinkXdp::Attached(m) => mode = Some(*m),
            LinkXdp::ProgId(n) => id = *n,
            _ => {}
        }
    }
    match mode? {
        XdpAttached::Driver => Some(XdpState::Native(id)),
        XdpAttached::SocketBuffer => Some(XdpState::Generic(id)),
        XdpAttached::Hardware => Some(XdpState::Offload(id)),
        XdpAttached::Multiple => Some(XdpState::Multi),
        _ => None,
    }
}

/// Sends `()` whenever an interface appears, vanishes or changes. Events that come while nobody reads are one event.
pub fn watch() -> Result<mpsc::Receiver<()>, LinkError> {
    let (connection, _, mut messages) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
    let (tx, rx) = mpsc::channel(1);
    tokio::spawn(connection);
    tokio::spawn(async move {
        while messages.next().await.is_some() {
            if let Err(mpsc::error::TrySendError::Closed(())) = tx.try_send(()) {
                break;
            }
        }
    });
    Ok(rx)
}
