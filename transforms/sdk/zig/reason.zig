//! Why a change is rejected: a Zig error has no room for words, so they wait here until the function has returned.

const std = @import("std");
const memory = @import("memory.zig");

pub const Rejected = error{Rejected};

var last: ?[]const u8 = null;

/// Sets the words of the error it gives.
pub fn set(comptime format: []const u8, arguments: anytype) Rejected {
    last = std.fmt.allocPrint(memory.allocator, format, arguments) catch "there is no memory left for the reason";
    return error.Rejected;
}

/// The words of an error, which are then forgotten.
pub fn take(of: anyerror) []const u8 {
    const words = last;
    last = null;
    if (of == error.Rejected) if (words) |given| return given;
    return std.fmt.allocPrint(memory.allocator, "the transform failed: error.{s}", .{@errorName(of)}) catch @errorName(of);
}
