//! The names: each is a protocol of the list in `proto/mod.rs`, with one function unless its parts have names.

use super::super::{Member, Number};
use crate::op::{Class, Kind};

macro_rules! members {
    ($($member:ident $name:literal $title:literal $class:ident $(! $(+ $never:tt)?)?
       $([$($path:literal $function:literal)+])?;)+) => {
        $(
            #[doc = $title]
            pub struct $member;
            impl Member for $member {
                const NAME: &'static str = $name;
                const TITLE: &'static str = $title;
                const FUNCTIONS: &'static [(&'static str, &'static str, Class, bool)] = members!(
                    $title, Class::$class, [0 $(, 1 $($never)?)?].len() == 2 $(, $($path $function)+)?
                );
            }
        )+
        /// Kind of each name by its number.
        pub static KINDS: [u8; 128] = {
            let mut t = [0; 128];
            $(t[<$member as Number>::NUMBER as usize] = {
                let (_, _, class, state_changing) = <$member as Member>::FUNCTIONS[0];
                Kind::new(class, state_changing).0
            };)+
            t
        };
    };
    ($title:literal, $class:expr, $change:expr) => { &[("", $title, $class, $change)] };
    ($title:literal, $class:expr, $change:expr, $($path:literal $function:literal)+) => {
        &[$(($path, $function, $class, $change)),+]
    };
}

members! {
    Rdp "rdp" "Remote Desktop Protocol" RemoteAdmin!;
    Smb "smb" "Server Message Block" FileTransfer!;
    Ssh "ssh" "Secure Shell" RemoteAdmin!;
    Telnet "telnet" "Telnet" RemoteAdmin!;
    Vnc "vnc" "VNC (Remote Framebuffer)" RemoteAdmin!;
    WinRm "winrm" "Windows Remote Management" RemoteAdmin!;
    MsRpc "msrpc" "Microsoft RPC (DCE/RPC version 5)" RemoteAdmin!;
    TeamViewer "teamviewer" "TeamViewer" RemoteAdmin!;
    AnyDesk "anydesk" "AnyDesk" RemoteAdmin!;
    Ftp "ftp" "File Transfer Protocol" FileTransfer!;
    Tftp "tftp" "Trivial File Transfer Protocol" FileTransfer! ["1" "Read request" "2" "Write request"];
    Http "http" "Hypertext Transfer Protocol" RemoteAdmin!;
    Tls "tls" "Transport Layer Security" RemoteAdmin!;
    Dns "dns" "Domain Name System" Infrastructure;
    Mdns "mdns" "Multicast DNS" Infrastructure;
    Llmnr "llmnr" "Link-Local Multicast Name Resolution" Infrastructure;
    NetBios "netbios" "NetBIOS over TCP and UDP" Infrastructure
        ["ns" "Name service" "dgm" "Datagram service" "ssn" "Session service"];
    Dhcp "dhcp" "Dynamic Host Configuration Protocol" Infrastructure;
    Ntp "ntp" "Network Time Protocol" Infrastructure;
    Ldap "ldap" "Lightweight Directory Access Protocol" Infrastructure;
    Kerberos "kerberos" "Kerberos" Infrastructure;
    Mssql "mssql" "Microsoft SQL Server (TDS)" Infrastructure!;
    Mysql "mysql" "MySQL" Infrastructure!;
    Postgresql "postgresql" "PostgreSQL" Infrastructure!;
    Oracle "oracle" "Oracle Database (TNS)" Infrastructure!;
    Syslog "syslog" "Syslog" Infrastructure;
    Ssdp "ssdp" "Simple Service Discovery Protocol" Infrastructure;
}
