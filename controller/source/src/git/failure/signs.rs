//! By which words git's, ssh's and the servers' complaints are known.

/// What to look for in git's complaints, in this order. All texts are lower case.
pub(super) const TABLE: &[(Meaning, &[&str])] = &[
    (
        Meaning::TooLarge,
        &[
            "signal 25",
            "file too large",
            "exceeds maximum allowed size",
        ],
    ),
    (
        Meaning::OutOfMemory,
        &[
            "out of memory",
            "malloc failed",
            "unable to mmap",
            "cannot allocate memory",
            "signal 9",
        ],
    ),
    (
        Meaning::DiskFull,
        &[
            "no space left on device",
            "read-only file system",
            "disk quota exceeded",
        ],
    ),
    (Meaning::NotAllowed, &["transport '"]),
    (
        Meaning::HostKeyChanged,
        &["host identification has changed", "revoked host key"],
    ),
    (
        Meaning::HostKeyUnknown,
        &["host key is known for", "host key verification failed"],
    ),
    (
        Meaning::Key,
        &[
            "error in libcrypto",
            ": invalid format",
            "unprotected private key",
        ],
    ),
    (
        Meaning::ProxyLogin,
        &[
            "response 407",
            "http code 407",
            "proxy authentication required",
        ],
    ),
    (
        Meaning::Proxy,
        &[
            "could not resolve proxy",
            "from proxy after connect",
            "connect tunnel failed",
        ],
    ),
    (
        Meaning::Redirect,
        &[
            "unable to update url base from redirection",
            "error: 301",
            "error: 302",
            "error: 307",
            "error: 308",
        ],
    ),
    (
        Meaning::Authentication,
        &[
            "authentication failed",
            "could not read username",
            "could not read password",
            "terminal prompts disabled",
            "invalid username or",
            "error: 401",
            "error: 403",
            "access denied",
            "permission denied (",
            "certificate is required",
            "certificate required",
        ],
    ),
    (
        Meaning::NoReference,
        &[
            "couldn't find remote ref",
            "not our ref",
            "unadvertised object",
            "no such remote ref",
        ],
    ),
    (
        Meaning::NoRepository,
        &[
            "error: 404",
            "' not found",
            "does not appear to be a git repository",
            "repository not found",
            "could not be found",
            "does not exist",
        ],
    ),
    (Meaning::Ownership, &["dubious ownership"]),
    (
        Meaning::DumbServer,
        &["dumb http transport", "not valid: is this a git repository"],
    ),
    (
        Meaning::Certificate,
        &[
            "ssl certificate",
            "certificate verif",
            "unable to get local issuer",
        ],
    ),
    (
        Meaning::Name,
        &["could not resolve host", "name or service not known"],
    ),
    (
        Meaning::Refusing,
        &[
            "connection refused",
            "failed to connect",
            "couldn't connect",
            "could not connect",
        ],
    ),
    (
        Meaning::Slow,
        &["timed out", "operation too slow", "timeout was reached"],
    ),
    (
        Meaning::BreakingOff,
        &[
            "error: 5",
            "error: 429",
            "connection reset",
            "connection closed by",
            "kex_exchange_identification",
            "empty reply",
            "early eof",
            "hung up unexpectedly",
            "unexpected disconnect",
            "rpc failed",
            "recv failure",
            "gnutls",
            "ssl_",
            "network is unreachable",
            "no route to host",
        ],
    ),
    // Said when the process that stores objects ends without a word: killed at one of its limits.
    (Meaning::TooLarge, &["invalid index-pack output"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    TooLarge,
    OutOfMemory,
    DiskFull,
    NotAllowed,
    HostKeyChanged,
    HostKeyUnknown,
    Key,
    ProxyLogin,
    Proxy,
    Redirect,
    Authentication,
    NoReference,
    NoRepository,
    Ownership,
    DumbServer,
    Certificate,
    Name,
    Refusing,
    Slow,
    BreakingOff,
}
