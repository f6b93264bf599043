//! What crosses the border, as it lies in memory: the canonical ABI of wit/transform.wit and wit/aggregate.wit.

const std = @import("std");
const rowmill = @import("rowmill");

const Text = rowmill.inside.host.Text;

pub const Result = extern struct { failed: u8 = 0, list: Text = .{ .at = null, .length = 0 } };

pub const Option = extern struct {
    some: u8,
    text: Text,

    fn slice(option: Option) ?[]const u8 {
        return if (option.some == 0) null else option.text.slice();
    }

    fn of(text: ?[]const u8) Option {
        return .{ .some = @intFromBool(text != null), .text = .of(text orelse "") };
    }
};

pub const Change = extern struct {
    operation: u8,
    source: Text,
    table: Text,
    key: Text,
    before: Option,
    after: Option,
    first: u64,
    second: u64,
    ts_ms: u64,

    pub fn lift(change: *const Change) rowmill.Change {
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

pub const Output = extern struct {
    change: u32,
    kind: u8,
    of: extern union {
        document: extern struct { id: Option, index: Option, routing: Option, body: Text },
        message: extern struct { topic: Text, key: Option, body: Text },
        reason: Text,
    },

    pub fn lower(change: u32, output: rowmill.Output) Output {
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

    pub fn reject(change: u32, words: []const u8) Output {
        return .{ .change = change, .kind = 3, .of = .{ .reason = .of(words) } };
    }
};

/// A number that may be missing.
fn Maybe(comptime T: type) type {
    return extern struct {
        some: u8,
        number: T,

        fn of(number: ?T) @This() {
            return .{ .some = @intFromBool(number != null), .number = number orelse 0 };
        }

        fn value(maybe: @This()) ?T {
            return if (maybe.some == 0) null else maybe.number;
        }
    };
}

pub const Measurement = extern struct {
    change: u32,
    measured: extern struct {
        kind: u8,
        of: extern union {
            measure: extern struct { key: Text, time_ms: Maybe(u64), weight: f64, distinct: Option },
            reason: Text,
        },
    },

    pub fn lower(change: u32, measure: rowmill.Measure) Measurement {
        return .{ .change = change, .measured = .{ .kind = 0, .of = .{ .measure = .{
            .key = .of(measure.key),
            .time_ms = .of(measure.time_ms),
            .weight = measure.weight,
            .distinct = .of(measure.distinct),
        } } } };
    }

    pub fn reject(change: u32, words: []const u8) Measurement {
        return .{ .change = change, .measured = .{ .kind = 1, .of = .{ .reason = .of(words) } } };
    }
};

pub const WindowRow = extern struct {
    window: extern struct { some: u8, start_ms: u64, end_ms: u64 },
    key: Text,
    rank: Maybe(u32),
    is_final: u8,
    count: u64,
    sum: Text,
    min: Option,
    max: Option,
    average: Option,
    distinct: Maybe(u64),
    score: Maybe(f64),

    pub fn lift(row: *const WindowRow) rowmill.WindowRow {
        return .{
            .window = if (row.window.some == 0) null else .{ .start_ms = row.window.start_ms, .end_ms = row.window.end_ms },
            .key = row.key.slice(),
            .rank = row.rank.value(),
            .is_final = row.is_final != 0,
            .count = row.count,
            .sum = .{ .digits = row.sum.slice() },
            .min = decimal(row.min),
            .max = decimal(row.max),
            .average = decimal(row.average),
            .distinct = row.distinct.value(),
            .score = row.score.value(),
        };
    }

    fn decimal(option: Option) ?rowmill.Decimal {
        return if (option.slice()) |digits| .{ .digits = digits } else null;
    }
};

comptime {
    std.debug.assert(@sizeOf(Change) == 80 and @sizeOf(Output) == 52 and @sizeOf(Result) == 12);
    std.debug.assert(@sizeOf(Measurement) == 64 and @sizeOf(WindowRow) == 136);
}
