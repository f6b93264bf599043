//! Everything that is tested from outside: the house itself, the command, the guests, the real servers.

mod command;
mod guests;
mod house;
mod stack;
mod support;
