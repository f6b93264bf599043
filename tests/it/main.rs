//! Everything that is tested from outside: the house itself, the command, the guests, the real servers.

// `cfg(test)` tells clippy that these are tests all through, helpers included.
#[cfg(test)]
mod browser;
#[cfg(test)]
mod command;
#[cfg(test)]
mod guests;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod house;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reconfigured;
#[cfg(test)]
mod stack;
#[cfg(test)]
mod support;
#[cfg(test)]
mod toolchains;
#[cfg(test)]
mod windows;
