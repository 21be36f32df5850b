//! perloop beside its peers: `cargo bench -p benches`, and `-- --help` for what else can be asked.

fn main() -> std::process::ExitCode {
    benches::main()
}
