//! The root of the module: the exports of the world rowmill:transform/transform, or of rowmill:transform/aggregate, by hand.
//!
//! A transform's file has `pub fn transform(change: rowmill.Change) !…`, or `transform(change, settings: Settings) !…`, and may have
//! `pub const deletes = true`, to be called for deleted rows too. An aggregate's file has `pub fn measure(change: rowmill.Change) !…`, and
//! may have `pub fn render(row: rowmill.WindowRow) !…`, each with the settings or without.

const std = @import("std");
const rowmill = @import("rowmill");
const user = @import("transform");
const abi = @import("abi.zig");
const inside = rowmill.inside;

const Text = inside.host.Text;
const memory = inside.memory;

const aggregates = @hasDecl(user, "measure");
const renders = @hasDecl(user, "render");

comptime {
    if (aggregates) {
        if (@hasDecl(user, "transform")) @compileError("a file has `transform`, or `measure` and `render`, but not both");
        check("measure", rowmill.Change);
        if (renders) check("render", rowmill.WindowRow);
        @export(&measure, .{ .name = "measure" });
        @export(&render, .{ .name = "render" });
        @export(&after, .{ .name = "cabi_post_measure" });
        @export(&after, .{ .name = "cabi_post_render" });
    } else {
        if (renders) @compileError("`render` is for what `measure` has counted: the file has no `pub fn measure(change: rowmill.Change) !rowmill.Measure`");
        if (!@hasDecl(user, "transform")) @compileError("the transform's file has no `pub fn transform(change: rowmill.Change) !rowmill.Document`");
        check("transform", rowmill.Change);
        @export(&transform, .{ .name = "transform" });
        @export(&after, .{ .name = "cabi_post_transform" });
    }
}

fn check(comptime name: []const u8, comptime First: type) void {
    const taken = parameters(name);
    if (taken.len == 0 or taken.len > 2 or taken[0] != First) @compileError("`" ++ name ++ "` takes a " ++ @typeName(First) ++ ", and maybe the settings");
    if (taken.len == 2 and taken[1] != Settings) @compileError("`" ++ name ++ "` and `measure` take settings of different types");
}

fn parameters(comptime name: []const u8) []const ?type {
    return @typeInfo(@TypeOf(@field(user, name))).@"fn".param_types;
}

/// The second parameter of the function, if it has one.
const Settings = blk: {
    for (if (aggregates) .{ "measure", "render" } else .{"transform"}) |name| {
        if (@hasDecl(user, name) and parameters(name).len == 2) break :blk parameters(name)[1].?;
    }
    break :blk struct {};
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

var result: abi.Result = .{};
var settings: Settings = undefined;
var outputs: std.ArrayList(abi.Output) = .empty;
var measurements: std.ArrayList(abi.Measurement) = .empty;

export fn init(config: [*]const u8, length: usize) *const abi.Result {
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

fn transform(changes: [*]const abi.Change, length: usize) callconv(.c) *const abi.Result {
    outputs = .empty;
    for (changes[0..length], 0..) |*lowered, place| {
        const change = lowered.lift();
        if (change.operation != .delete or wants_deletes) run("transform", &outputs, @intCast(place), change);
    }
    return listed(outputs.items);
}

fn measure(changes: [*]const abi.Change, length: usize) callconv(.c) *const abi.Result {
    measurements = .empty;
    for (changes[0..length], 0..) |*lowered, place| {
        const change = lowered.lift();
        // Of a deleted row the host knows what it had counted for.
        if (change.operation != .delete) run("measure", &measurements, @intCast(place), change);
    }
    return listed(measurements.items);
}

fn render(rows: [*]const abi.WindowRow, length: usize) callconv(.c) *const abi.Result {
    outputs = .empty;
    for (rows[0..length], 0..) |*lowered, place| run("render", &outputs, @intCast(place), lowered.lift());
    return listed(outputs.items);
}

fn listed(items: anytype) *const abi.Result {
    result = .{ .list = .{ .at = @ptrCast(items.ptr), .length = items.len } };
    return &result;
}

/// What the function answers is put behind the others; of what fails only the reason is.
fn run(comptime name: []const u8, list: anytype, place: u32, argument: anytype) void {
    const before = list.items.len;
    call(name, list, place, argument) catch |failed| {
        list.shrinkRetainingCapacity(before);
        put(list, .reject(place, inside.reason.take(failed)));
    };
}

fn call(comptime name: []const u8, list: anytype, place: u32, argument: anytype) !void {
    if (!@hasDecl(user, name)) return answer(name, list, place, try argument.document());
    const arguments = if (comptime parameters(name).len == 2) .{ argument, settings } else .{argument};
    const returned = @call(.auto, @field(user, name), arguments);
    answer(name, list, place, if (@typeInfo(@TypeOf(returned)) == .error_union) try returned else returned);
}

/// What the function may return: outputs, documents, messages and references (or measures); an optional or a list of those; nothing.
fn answer(comptime name: []const u8, list: anytype, place: u32, returned: anytype) void {
    const T = @TypeOf(returned);
    if (T == void) return;
    const of_measures = comptime std.mem.eql(u8, name, "measure");
    switch (T) {
        rowmill.Measure => if (of_measures) return put(list, .lower(place, returned)),
        rowmill.Output => if (!of_measures) return put(list, .lower(place, returned)),
        rowmill.Document => if (!of_measures) return put(list, .lower(place, .{ .index = returned })),
        rowmill.DocumentRef => if (!of_measures) return put(list, .lower(place, .{ .delete = returned })),
        rowmill.Message => if (!of_measures) return put(list, .lower(place, .{ .emit = returned })),
        else => switch (@typeInfo(T)) {
            .optional => return if (returned) |one| answer(name, list, place, one),
            .pointer => |pointer| return switch (pointer.size) {
                .slice => for (returned) |one| answer(name, list, place, one),
                else => answer(name, list, place, returned.*),
            },
            .array => return for (returned) |one| answer(name, list, place, one),
            else => {},
        },
    }
    const wanted = if (of_measures) "rowmill.Measure" else "rowmill.Document";
    @compileError("`" ++ name ++ "` returns " ++ @typeName(T) ++ ", which is no " ++ wanted ++ ", and no optional or list of those");
}

fn put(list: anytype, output: @typeInfo(@TypeOf(list.items)).pointer.child) void {
    list.append(memory.allocator, output) catch @panic("there is no memory left");
}

export fn cabi_post_init(_: *const abi.Result) void {
    memory.free();
}

fn after(_: *const abi.Result) callconv(.c) void {
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
