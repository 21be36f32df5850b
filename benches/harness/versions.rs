//! Which versions of the peers take part, read from the workspace's lock file.

const LOCK_FILE: &str = include_str!("../../Cargo.lock");
const PEERS: [&str; 8] =
    ["tokio", "tokio-util", "actix-rt", "async-executor", "compio", "monoio", "glommio", "futures"];

/// Each peer with its version.
pub(crate) fn of_peers() -> String {
    let of_peer = |name| format!("{name} {}", version(LOCK_FILE, name).unwrap_or("(unknown)"));
    PEERS.map(of_peer).join(", ")
}

fn version<'a>(lock_file: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lock_file.lines().skip_while(|line| *line != format!("name = \"{name}\"")).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}
