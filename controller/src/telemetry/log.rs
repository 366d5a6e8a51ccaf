//! Log lines on the standard error stream, as JSON or as text.

use tracing_subscriber::{EnvFilter, fmt};

use crate::args::LogFormat;

/// Starts logging for the whole process. A filter that can't be read is replaced by `info`, and said so.
pub fn install(format: LogFormat, filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    let broken = parsed.as_ref().err().map(ToString::to_string);
    let builder = fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr);
    // A subscriber that is installed already (by a test) stays.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    if let Some(error) = broken {
        tracing::warn!(%error, "the log filter can't be read; using \"info\"");
    }
}
