//! The `rowmill` command: a tour of what a process does.

use std::process::ExitCode;

use rowmill::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(exit) => return exit,
    };
    cli::logging::start(&command.logging);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&format!("the runtime cannot start: {error}")),
    };
    let exit = runtime.block_on(cli::dispatch(command));
    // A blocking call that hangs (a file of a dead network disk) must not keep the process.
    runtime.shutdown_timeout(rowmill::limits::RUNTIME_SHUTDOWN_TIMEOUT);
    exit
}
