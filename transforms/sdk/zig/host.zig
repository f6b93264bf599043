//! Calls to the host, as the canonical ABI has them: a text is its address and length, a result is written to an address.

const std = @import("std");
const builtin = @import("builtin");
const reason = @import("reason.zig");
const memory = @import("memory.zig");

/// Natively, in tests, there is no host.
const is_hosted = builtin.cpu.arch.isWasm();

const logging = struct {
    extern "wasi:logging/logging@0.1.0-draft" fn log(level: u32, context: [*]const u8, context_len: usize, line: [*]const u8, len: usize) void;
};

const metrics = struct {
    extern "rowmill:transform/metrics@1.0.0" fn count(name: [*]const u8, len: usize, delta: u64) void;
    extern "rowmill:transform/metrics@1.0.0" fn gauge(name: [*]const u8, len: usize, value: f64) void;
};

const keyvalue = struct {
    extern "wasi:keyvalue/store@0.2.0-draft" fn open(name: [*]const u8, len: usize, to: *Answer) void;
    extern "wasi:keyvalue/store@0.2.0-draft" fn @"[method]bucket.get"(bucket: u32, key: [*]const u8, len: usize, to: *Answer) void;
    extern "wasi:keyvalue/store@0.2.0-draft" fn @"[method]bucket.set"(bucket: u32, key: [*]const u8, len: usize, value: [*]const u8, value_len: usize, to: *Answer) void;
    extern "wasi:keyvalue/store@0.2.0-draft" fn @"[method]bucket.delete"(bucket: u32, key: [*]const u8, len: usize, to: *Answer) void;
    extern "wasi:keyvalue/atomics@0.2.0-draft" fn increment(bucket: u32, key: [*]const u8, len: usize, delta: u64, to: *Sum) void;
};

/// Where `std.log` writes to: Rowmill's log.
pub fn log(comptime level: std.log.Level, comptime scope: @EnumLiteral(), comptime format: []const u8, arguments: anytype) void {
    const prefix = if (scope == .default) "" else @tagName(scope) ++ ": ";
    const line = std.fmt.allocPrint(memory.allocator, prefix ++ format, arguments) catch return;
    const grave: u32 = switch (level) {
        .debug => 1,
        .info => 2,
        .warn => 3,
        .err => 4,
    };
    if (is_hosted) logging.log(grave, "", 0, line.ptr, line.len);
}

/// Adds to a counter of your own: `rowmill_guest_counter_total{pipeline,name}`. A name has at most 64 characters of `a-z0-9_`; others are
/// ignored by the host.
pub fn count(name: []const u8, delta: u64) void {
    if (is_hosted) metrics.count(name.ptr, name.len, delta);
}

/// Sets a gauge of your own: `rowmill_guest_gauge{pipeline,name}`.
pub fn gauge(name: []const u8, value: f64) void {
    if (is_hosted) metrics.gauge(name.ptr, name.len, value);
}

/// The pipeline's key-value store. It changes in the write that commits the batch, or not at all.
pub const store = if (is_hosted) hosted_store else native_store;

const hosted_store = struct {
    /// The value of a key, until the batch is done; null when there is none.
    pub fn get(key: []const u8) !?[]const u8 {
        var to: Answer = undefined;
        keyvalue.@"[method]bucket.get"(try bucket(), key.ptr, key.len, &to);
        try to.check();
        return if (to.of.found.some != 0) to.of.found.value.slice() else null;
    }

    /// Sets the value of a key.
    pub fn set(key: []const u8, value: []const u8) !void {
        var to: Answer = undefined;
        keyvalue.@"[method]bucket.set"(try bucket(), key.ptr, key.len, value.ptr, value.len, &to);
        try to.check();
    }

    /// Forgets a key.
    pub fn delete(key: []const u8) !void {
        var to: Answer = undefined;
        keyvalue.@"[method]bucket.delete"(try bucket(), key.ptr, key.len, &to);
        try to.check();
    }

    /// Adds to the number of a key, from 0 when there is none, and gives the sum.
    pub fn increment(key: []const u8, delta: u64) !u64 {
        var to: Sum = undefined;
        keyvalue.increment(try bucket(), key.ptr, key.len, delta, &to);
        if (to.failed != 0) return to.of.failure.words();
        return to.of.sum;
    }
};

/// The same for tests.
const native_store = struct {
    var kept: std.StringHashMapUnmanaged([]const u8) = .empty;

    pub fn get(key: []const u8) !?[]const u8 {
        return kept.get(key);
    }

    pub fn set(key: []const u8, value: []const u8) !void {
        try kept.put(memory.lasting, try memory.lasting.dupe(u8, key), try memory.lasting.dupe(u8, value));
    }

    pub fn delete(key: []const u8) !void {
        _ = kept.remove(key);
    }

    pub fn increment(key: []const u8, delta: u64) !u64 {
        const sum = delta + try std.fmt.parseInt(u64, kept.get(key) orelse "0", 10);
        try set(key, try std.fmt.allocPrint(memory.lasting, "{d}", .{sum}));
        return sum;
    }
};

/// A text as it lies in memory.
pub const Text = extern struct {
    at: ?[*]const u8,
    length: usize,

    pub fn slice(text: Text) []const u8 {
        return if (text.length == 0) "" else text.at.?[0..text.length];
    }

    pub fn of(text: []const u8) Text {
        return .{ .at = text.ptr, .length = text.len };
    }
};

const Failure = extern struct {
    kind: u8,
    text: Text,

    fn words(failure: Failure) reason.Rejected {
        return reason.set("the key-value store: {s}", .{switch (failure.kind) {
            0 => "there is no such store",
            1 => "access denied",
            else => failure.text.slice(),
        }});
    }
};

const Answer = extern struct {
    failed: u8,
    of: extern union {
        bucket: u32,
        found: extern struct { some: u8, value: Text },
        failure: Failure,
    },

    fn check(answer: Answer) !void {
        if (answer.failed != 0) return answer.of.failure.words();
    }
};

const Sum = extern struct {
    failed: u8,
    of: extern union { sum: u64, failure: Failure },
};

var opened: ?u32 = null;

/// The bucket is opened once; the host closes it with the instance.
fn bucket() !u32 {
    if (opened == null) {
        var to: Answer = undefined;
        keyvalue.open("default", "default".len, &to);
        try to.check();
        opened = to.of.bucket;
    }
    return opened.?;
}
