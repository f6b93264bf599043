//! Write a Rowmill transform in Zig: one function from a database row to a search document.
//!
//!     const rowmill = @import("rowmill");
//!
//!     const Product = struct { id: u64, name: []const u8 };
//!
//!     pub fn transform(change: rowmill.Change) !rowmill.Document {
//!         const row = try change.after(Product);
//!         return rowmill.document(.{ .product_id = row.id, .title = row.name });
//!     }
//!
//! An error rejects that change alone: it becomes a dead letter with a reason. What `main.zig` beside this file asks of the
//! transform's file is all there is to know of the ABI.

const std = @import("std");
const json = @import("json.zig");
const host = @import("host.zig");
const memory = @import("memory.zig");
const reason = @import("reason.zig");

const window = @import("window.zig");

pub const debezium = @import("debezium.zig");
pub const store = host.store;
pub const count = host.count;
pub const gauge = host.gauge;

pub const Raw = json.Raw;
pub const Json = json.Json;
pub const Decimal = json.Decimal;

/// Memory until the batch is done.
pub const allocator = memory.allocator;

/// Rejects the change with a reason: `return rowmill.reject("the price is negative: {s}", .{price.digits});`
pub const reject = reason.set;

/// Stands in place of a long value that did not change: Postgres does not send those again (TOAST). With `state.keep = "rows"`
/// Rowmill fills it in; without, reject the change: a document without the value would overwrite the one that has it.
pub const unavailable = json.unavailable;

/// What happened to a row.
pub const Operation = enum(u8) {
    /// A row was inserted.
    create,
    /// A row was changed.
    update,
    /// A row was deleted: there is no `after`.
    delete,
    /// A row was read from a snapshot: it exists, when it was made is not known.
    read,
    /// The row is as it was, but something it read, or the code, has changed.
    refresh,
};

/// One change of one row. Its texts, and what is read from them, stay until the batch is done.
pub const Change = struct {
    operation: Operation,
    /// The name of the source, as the change events call it (Debezium's `topic.prefix`, or the topic).
    source: []const u8,
    /// `schema.table` (MySQL: `database.table`).
    table: []const u8,
    /// The place of this change in the history of its row; compared as a pair, only within one key.
    version: struct { first: u64, second: u64 },
    /// When it was committed at the source, in milliseconds since 1970-01-01 UTC; 0 when not known.
    ts_ms: u64,
    /// JSON: an object of the key columns, or `null`.
    key_text: []const u8,
    /// JSON; given when the configuration says `before = true` and it is known.
    before_text: ?[]const u8,
    /// JSON; none for a delete.
    after_text: ?[]const u8,

    /// The row as it is now, as a struct of the columns that are used; others are skipped. A column that may be null or may go is
    /// an optional, or has a default; the reason of an error names the column.
    pub fn after(change: Change, comptime T: type) !T {
        const text = change.after_text orelse return reject("a deleted row has no after", .{});
        return json.parse(T, text, .{ .allocator = allocator, .kind = "column" });
    }

    /// The row before the change, when it is given.
    pub fn before(change: Change, comptime T: type) !?T {
        const text = change.before_text orelse return null;
        return try json.parse(T, text, .{ .allocator = allocator, .kind = "column of the row before" });
    }

    /// The key columns. A table without a key has the key `null`.
    pub fn key(change: Change, comptime T: type) !T {
        return json.parse(T, change.key_text, .{ .allocator = allocator, .kind = "key column" });
    }

    /// Whether some column of the row was not sent by the database: see `unavailable`. Reads the whole text.
    pub fn lacksColumns(change: Change) bool {
        return std.mem.find(u8, change.after_text orelse "", unavailable) != null;
    }
};

/// A document to be written. Its version is the host's affair.
pub const Document = struct {
    /// The JSON text: one object.
    body: []const u8,
    /// Default: the row's key as text.
    id: ?[]const u8 = null,
    /// Default: the pipeline's.
    index: ?[]const u8 = null,
    /// Documents with the same one share a shard.
    routing: ?[]const u8 = null,
};

/// A document with this body: a struct, mostly an anonymous one. Fields that are null are left out.
pub fn document(body: anytype) !Document {
    return .{ .body = try json.print(allocator, body) };
}

/// A document to be deleted. Seldom needed: what a row produced before and does not produce now, the host deletes.
pub const DocumentRef = struct {
    id: ?[]const u8 = null,
    index: ?[]const u8 = null,
    routing: ?[]const u8 = null,
};

/// Something to be sent on, apart from the documents.
pub const Message = struct {
    topic: []const u8,
    /// Messages with the same one stay in order.
    key: ?[]const u8 = null,
    /// JSON text.
    body: []const u8,
};

/// A message to this topic: anything that becomes JSON.
pub fn message(topic: []const u8, body: anytype) !Message {
    return .{ .topic = topic, .body = try json.print(allocator, body) };
}

/// One thing to be done.
pub const Output = union(enum) {
    index: Document,
    delete: DocumentRef,
    emit: Message,
};

/// What a change counts for, and what has been counted: for a file with `pub fn measure` and `pub fn render`.
pub const Measure = window.Measure;
pub const Span = window.Span;
pub const WindowRow = window.WindowRow;

/// An inserted row of `public.t`, for tests.
pub fn testRow(row: []const u8) Change {
    return .{
        .operation = .create,
        .source = "test",
        .table = "public.t",
        .version = .{ .first = 1, .second = 1 },
        .ts_ms = 0,
        .key_text = "null",
        .before_text = null,
        .after_text = row,
    };
}

/// A key that was counted so often, each time for 1, for tests; without a window, and in none of what the configuration may ask for.
pub fn testWindowRow(key: []const u8, times: u64) WindowRow {
    const digits = std.fmt.allocPrint(allocator, "{d}", .{times}) catch @panic("there is no memory left");
    return .{ .key = key, .count = times, .sum = .{ .digits = digits } };
}

/// The reason of an error that a transform has returned, for tests.
pub const reasonOf = reason.take;

test {
    _ = @import("tests.zig");
}

/// For `main.zig` beside this file; not for use by hand.
pub const inside = struct {
    pub const json = @import("json.zig");
    pub const host = @import("host.zig");
    pub const memory = @import("memory.zig");
    pub const reason = @import("reason.zig");
};
