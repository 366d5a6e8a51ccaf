//! Processor time and memory of a process, as the kernel accounts for them.

use std::time::Duration;

/// Kernel ticks in a second; 100 on every Linux that Rust's tier 1 targets run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that the process has used in user and kernel mode.
pub fn cpu(pid: u32) -> std::io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_cpu(&stat).ok_or_else(|| std::io::Error::other("unreadable /proc stat"))
}

/// Memory that the process holds now, in bytes.
pub fn resident_bytes(pid: u32) -> std::io::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most memory that the process has held, in bytes.
pub fn peak_bytes(pid: u32) -> std::io::Result<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, field: &str) -> std::io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| std::io::Error::other(format!("no {field} in /proc status")))
}

/// Fields 14 and 15 count from the end of the name, which is in parentheses and may contain anything.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let kernel: f64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + kernel) / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_strange_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes(std::process::id()).unwrap() > 0);
        assert!(
            peak_bytes(std::process::id()).unwrap()
                >= resident_bytes(std::process::id()).unwrap() / 2
        );
    }
}
