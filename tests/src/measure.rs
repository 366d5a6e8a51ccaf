//! Measuring a running controller from outside: what it asked of the API server, what it used of the machine.
//!
//! Invariant: nothing is taken from the controller's own word. Requests are counted in the API server's audit log by the user
//! that sent them; processor time and memory come from the kernel.

pub mod answers;
pub mod audit;
pub mod figures;
pub mod process;
