//! Makes the namespace and gives it its addresses.

use std::fs;
use std::net::Ipv4Addr;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};
use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{LinkUnspec, RouteMessageBuilder};

use crate::components::POD_RANGE;

/// The loopback device is the first of every namespace.
const LOOPBACK: u32 = 1;
/// The kernel's table of addresses that are this machine's own.
const LOCAL_TABLE: u32 = 255;

/// Moves this thread, and with it all that it starts, into a new network namespace in which the pods' range is local.
pub(super) fn enter() -> Result<(), String> {
    leave_network()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(address())
}

/// With root's rights the network namespace is enough; without, a user namespace lends them for the setting up.
fn leave_network() -> Result<(), String> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => return Ok(()),
        Err(Errno::EPERM) => {}
        Err(error) => return Err(format!("a network namespace: {error}")),
    }
    let (user, group) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("a user namespace: {error}"))?;
    // Everybody is who they were outside: files go on belonging to their owner.
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{user} {user} 1")),
        ("gid_map", format!("{group} {group} 1")),
    ];
    for (file, text) in maps {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| format!("writing /proc/self/{file}: {error}"))?;
    }
    Ok(())
}

/// What `ip link set lo up` and `ip route add local RANGE dev lo` do.
async fn address() -> Result<(), String> {
    let failed = |error: rtnetlink::Error| format!("setting up its loopback device: {error}");
    let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let up = LinkUnspec::new_with_index(LOOPBACK).up().build();
    handle.link().set(up).execute().await.map_err(failed)?;
    let (network, prefix) = POD_RANGE;
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(network, prefix)
        .output_interface(LOOPBACK)
        .table_id(LOCAL_TABLE)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .build();
    handle.route().add(route).execute().await.map_err(failed)
}
