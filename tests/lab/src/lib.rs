//! A real Kubernetes control plane on one machine, without containers.
//!
//! A [`Lab`] is etcd, kube-apiserver, kube-controller-manager and kube-scheduler of Kubernetes 1.36, with nodes and pods played by
//! KWOK and, on request, a real Prometheus, real Git repositories over HTTP, and a load generator that plays the pods' traffic.
//! Everything listens on loopback ports of its own and lives in one folder, so several labs run side by side.
//!
//! ```no_run
//! use belay_lab::{Lab, Part};
//!
//! # async fn example() -> Result<(), belay_lab::LabError> {
//! let lab = Lab::builder().nodes(5).with(Part::Prometheus).with(Part::Load).start().await?;
//! let client = lab.client()?; // a kube::Client that may do everything
//! let namespace = lab.namespace("shop").await?; // fresh, takes pods at once
//! lab.load()?.set_error_rate(&namespace, "shop/web:v2", 0.5); // this version goes bad
//! lab.stop(Part::Prometheus).await?; // an outage
//! lab.start(Part::Prometheus).await?; // same port, same data
//! lab.down().await?; // waits until every process and file is gone
//! # Ok(()) }
//! ```
//!
//! Tests of one binary share one lab through [`SharedLab`], each in a namespace of its own, and wait with [`wait_for`] and
//! [`wait_for_object`]. The words of an image tag choose what a pod does: `slow-5s`, `neverready`, `crash`; for the load `err5` and
//! `lat300`; for pods of Jobs `fail`.
//!
//! With [`Part::Gateway`] pods answer at their addresses and Traefik is in front of them; [`Traffic`] sends requests and keeps account
//! of every one. The process must be in a network namespace for that: see [`enter_plane`].
//!
//! Invariant: when the process that holds a lab ends, in whatever way, the lab ends too and leaves no process and no file.
//! Left out on purpose: containers, kubelets, networks that fail. The first use builds the programs with Go (minutes, once);
//! set `BELAY_LAB_PROGRAMS` to share the built ones between checkouts, and `BELAY_LAB_KEEP=1` to keep a lab's folder with its logs.

mod access;
mod backend;
mod components;
mod error;
mod gateway;
mod git;
mod keeper;
mod lab;
mod layout;
mod leash;
mod load;
mod part;
mod pki;
mod plane;
mod ports;
mod programs;
mod progress;
mod service;
mod settings;
mod traffic;
mod wait;

pub use error::LabError;
pub use gateway::{GATEWAY_NAME, GATEWAY_NAMESPACE};
pub use git::GitRepo;
pub use lab::{Lab, LabStatus, SharedLab};
pub use leash::Leash;
pub use load::{LoadHandle, Served};
pub use part::Part;
pub use plane::enter_plane;
pub use programs::{Manifests, Program, build_all, default_dir, manifests, program, programs_dir};
pub use settings::LabBuilder;
pub use traffic::{Failure, RunningTraffic, Tally, Traffic};
pub use wait::{wait_for, wait_for_object};
