//! Which versions of the peers take part, read from the workspace's lock file.

const LOCK_FILE: &str = include_str!("../../Cargo.lock");
const PEERS: [&str; 20] = [
    "tokio",
    "tokio-util",
    "actix",
    "actix-rt",
    "async-executor",
    "async-io",
    "compio",
    "monoio",
    "glommio",
    "futures",
    "kameo",
    "ractor",
    "xtra",
    "async-channel",
    "async-lock",
    "async-unsync",
    "event-listener",
    "flume",
    "local-channel",
    "local-event",
];

/// Each peer with its version.
pub(crate) fn of_peers() -> String {
    let of_peer = |name| format!("{name} {}", version(LOCK_FILE, name).unwrap_or("(unknown)"));
    PEERS.map(of_peer).join(", ")
}

/// Of several the newest, which is the last: the others are what peers use themselves.
fn version<'a>(lock_file: &'a str, name: &str) -> Option<&'a str> {
    let head = format!("name = \"{name}\"\nversion = \"");
    let (_, rest) = lock_file.rsplit_once(&head)?;
    rest.split('"').next()
}
