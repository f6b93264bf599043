//! The root of the module: the canonical ABI of the world rowmill:transform/transform, by hand.
//!
//! The transform's file has `pub fn transform(change: rowmill.Change) !…`, or `transform(change, settings: Settings) !…`, and may have
//! `pub const deletes = true`, to be called for deleted rows too.

const std = @import("std");
const rowmill = @import("rowmill");
const user = @import("transform");
const inside = rowmill.inside;

const Text = inside.host.Text;
const memory = inside.memory;

comptime {
    if (!@hasDecl(user, "transform")) @compileError("the transform's file has no `pub fn transform(change: rowmill.Change) !rowmill.Document`");
    const parameters = @typeInfo(@TypeOf(user.transform)).@"fn".param_types;
    if (parameters.len == 0 or parameters.len > 2 or parameters[0] != rowmill.Change) @compileError("`transform` takes a rowmill.Change, and maybe the settings");
}

/// The second parameter of the function, if it has one.
const Settings = blk: {
    const parameters = @typeInfo(@TypeOf(user.transform)).@"fn".param_types;
    break :blk if (parameters.len == 2) parameters[1].? else struct {};
};

const wants_deletes = @hasDecl(user, "deletes") and user.deletes;

pub const std_options: std.Options = .{ .logFn = inside.host.log };

pub const panic = std.debug.FullPanic(lastWords);

extern "wasi_snapshot_preview1" fn fd_write(file: u32, parts: *const Text, count: usize, written: *usize) u32;

/// The host reads them on the standard error, and puts them into the reason of the dead letter.
fn lastWords(words: []const u8, _: ?usize) noreturn {
    @branchHint(.cold);
    var written: usize = 0;
    for ([_][]const u8{ "panic: ", words }) |part| _ = fd_write(2, &.of(part), 1, &written);
    @trap();
}

const Result = extern struct { failed: u8 = 0, list: Text = .{ .at = null, .length = 0 } };

const Option = extern struct {
    some: u8,
    text: Text,

    fn slice(option: Option) ?[]const u8 {
        return if (option.some == 0) null else option.text.slice();
    }

    fn of(text: ?[]const u8) Option {
        return .{ .some = @intFromBool(text != null), .text = .of(text orelse "") };
    }
};

const Change = extern struct {
    operation: u8,
    source: Text,
    table: Text,
    key: Text,
    before: Option,
    after: Option,
    first: u64,
    second: u64,
    ts_ms: u64,

    fn lift(change: *const Change) rowmill.Change {
        return .{
            .operation = @fromBackingInt(@intCast(change.operation)),
            .source = change.source.slice(),
            .table = change.table.slice(),
            .version = .{ .first = change.first, .second = change.second },
            .ts_ms = change.ts_ms,
            .key_text = change.key.slice(),
            .before_text = change.before.slice(),
            .after_text = change.after.slice(),
        };
    }
};

const Output = extern struct {
    change: u32,
    kind: u8,
    of: extern union {
        document: extern struct { id: Option, index: Option, routing: Option, body: Text },
        message: extern struct { topic: Text, key: Option, body: Text },
        reason: Text,
    },

    fn lower(change: u32, output: rowmill.Output) Output {
        return switch (output) {
            .index => |d| .{ .change = change, .kind = 0, .of = .{ .document = .{
                .id = .of(d.id),
                .index = .of(d.index),
                .routing = .of(d.routing),
                .body = .of(d.body),
            } } },
            .delete => |d| .{ .change = change, .kind = 1, .of = .{ .document = .{
                .id = .of(d.id),
                .index = .of(d.index),
                .routing = .of(d.routing),
                .body = .of(""),
            } } },
            .emit => |m| .{ .change = change, .kind = 2, .of = .{ .message = .{
                .topic = .of(m.topic),
                .key = .of(m.key),
                .body = .of(m.body),
            } } },
        };
    }

    fn reject(change: u32, words: []const u8) Output {
        return .{ .change = change, .kind = 3, .of = .{ .reason = .of(words) } };
    }
};

comptime {
    std.debug.assert(@sizeOf(Change) == 80 and @sizeOf(Output) == 52 and @sizeOf(Result) == 12);
}

var result: Result = .{};
var settings: Settings = undefined;
var outputs: std.ArrayList(Output) = .empty;

export fn init(config: [*]const u8, length: usize) *const Result {
    settings = start(if (length == 0) "{}" else config[0..length]) catch |failed| {
        const words = inside.reason.take(failed);
        const whole = std.fmt.allocPrint(memory.allocator, "transform.config: {s}", .{words}) catch words;
        result = .{ .failed = 1, .list = .of(whole) };
        return &result;
    };
    result = .{};
    return &result;
}

/// The settings are kept as long as the instance: so is the text they are read from.
fn start(config: []const u8) !Settings {
    const kept = try memory.lasting.dupe(u8, config);
    const read = try inside.json.parse(Settings, kept, .{ .allocator = memory.lasting, .kind = "setting", .strict = true });
    if (@hasDecl(Settings, "validate")) try read.validate();
    return read;
}

export fn transform(changes: [*]const Change, length: usize) *const Result {
    outputs = .empty;
    for (changes[0..length], 0..) |*lowered, place| {
        const change = lowered.lift();
        if (change.operation == .delete and !wants_deletes) continue;
        const before = outputs.items.len;
        run(@intCast(place), change) catch |failed| {
            outputs.shrinkRetainingCapacity(before);
            put(.reject(@intCast(place), inside.reason.take(failed)));
        };
    }
    result = .{ .list = .{ .at = @ptrCast(outputs.items.ptr), .length = outputs.items.len } };
    return &result;
}

fn run(place: u32, change: rowmill.Change) !void {
    const arguments = if (@typeInfo(@TypeOf(user.transform)).@"fn".param_types.len == 2) .{ change, settings } else .{change};
    const returned = @call(.auto, user.transform, arguments);
    answer(place, if (@typeInfo(@TypeOf(returned)) == .error_union) try returned else returned);
}

/// What the function may return: outputs, documents, messages and references; an optional or a list of those; nothing.
fn answer(place: u32, returned: anytype) void {
    const T = @TypeOf(returned);
    switch (T) {
        void => {},
        rowmill.Output => put(.lower(place, returned)),
        rowmill.Document => put(.lower(place, .{ .index = returned })),
        rowmill.DocumentRef => put(.lower(place, .{ .delete = returned })),
        rowmill.Message => put(.lower(place, .{ .emit = returned })),
        else => switch (@typeInfo(T)) {
            .optional => if (returned) |one| answer(place, one),
            .pointer => |pointer| switch (pointer.size) {
                .slice => for (returned) |one| answer(place, one),
                else => answer(place, returned.*),
            },
            .array => for (returned) |one| answer(place, one),
            else => @compileError("`transform` returns " ++ @typeName(T) ++ ", which is no rowmill.Document, and no optional or list of those"),
        },
    }
}

fn put(output: Output) void {
    outputs.append(memory.allocator, output) catch @panic("there is no memory left");
}

export fn cabi_post_init(_: *const Result) void {
    memory.free();
}

export fn cabi_post_transform(_: *const Result) void {
    memory.free();
}

export fn cabi_realloc(old: ?[*]u8, old_bytes: usize, _: usize, bytes: usize) ?[*]u8 {
    const at = memory.allocator.alignedAlloc(u8, .@"8", @max(bytes, 1)) catch return null;
    if (old) |from| @memcpy(at[0..@min(old_bytes, bytes)], from[0..@min(old_bytes, bytes)]);
    return at.ptr;
}

/// The adapter of WASI preview 1 asks once, for its state and its stack, and keeps them: they must not be of the batch.
export fn cabi_realloc_adapter(_: ?[*]u8, _: usize, _: usize, bytes: usize) ?[*]u8 {
    return (memory.lasting.alignedAlloc(u8, .@"8", bytes) catch return null).ptr;
}
