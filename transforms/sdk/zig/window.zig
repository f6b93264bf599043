//! What a change counts for, and what has been counted.

const std = @import("std");
const debezium = @import("debezium.zig");
const json = @import("json.zig");
const memory = @import("memory.zig");
const rowmill = @import("rowmill.zig");

/// What a change counts for.
pub const Measure = struct {
    /// What is counted: the group. Not empty, at most 480 bytes.
    key: []const u8,
    /// When, in milliseconds since 1970-01-01 UTC: this decides the window. Default: when the change was committed.
    time_ms: ?u64 = null,
    /// How much. Sums are decimal: 0.1 counts as 0.1, in up to 15 digits.
    weight: f64 = 1,
    /// What the aggregate `distinct` tells apart: a user, a session.
    distinct: ?[]const u8 = null,
};

/// From `start_ms`, included, to `end_ms`, not included; milliseconds since 1970-01-01 UTC.
pub const Span = struct {
    start_ms: u64,
    end_ms: u64,

    /// When it starts, as RFC 3339 text: `2026-11-21T00:00:00Z`, with milliseconds only where there are some.
    pub fn start(span: Span) ![]const u8 {
        return instant(span.start_ms);
    }

    /// When it ends, likewise.
    pub fn end(span: Span) ![]const u8 {
        return instant(span.end_ms);
    }
};

fn instant(ms: u64) ![]const u8 {
    const date = try debezium.date(@intCast(ms / std.time.ms_per_day));
    const of_day = ms % std.time.ms_per_day;
    const second, const fraction = .{ of_day / 1000, of_day % 1000 };
    const whole = .{ date, second / 3600, second / 60 % 60, second % 60 };
    if (fraction == 0) return std.fmt.allocPrint(memory.allocator, "{s}T{d:0>2}:{d:0>2}:{d:0>2}Z", whole);
    return std.fmt.allocPrint(memory.allocator, "{s}T{d:0>2}:{d:0>2}:{d:0>2}.{d:0>3}Z", whole ++ .{fraction});
}

/// One key of one window, as it stands now. It may come again at any time: look at nothing but the row.
pub const WindowRow = struct {
    /// Null: the pipeline has no window, and counts the whole table.
    window: ?Span = null,
    /// What was counted: the key of the measures.
    key: []const u8,
    /// From 1; null: the pipeline ranks nothing (`window.top` is 0).
    rank: ?u32 = null,
    /// Whether the window is closed: then this is the last word on it.
    is_final: bool = false,
    /// Measures.
    count: u64,
    /// The sum of their weights.
    sum: json.Decimal,
    /// The least and the greatest weight, and the mean; these and what follows where the configuration asks for them.
    min: ?json.Decimal = null,
    max: ?json.Decimal = null,
    average: ?json.Decimal = null,
    /// How many different values of `distinct` there were.
    distinct: ?u64 = null,
    /// The sum of the weights, each halved with every half-life since its time.
    score: ?f64 = null,

    /// The document that is made where no `render` makes one: `key`, `window_start`, `window_end`, `rank`, `count`, `sum` and what else is given.
    /// Its id is the host's: window and key.
    pub fn document(row: WindowRow) !rowmill.Document {
        return rowmill.document(.{
            .key = row.key,
            .window_start = if (row.window) |window| try window.start() else null,
            .window_end = if (row.window) |window| try window.end() else null,
            .rank = row.rank,
            .count = row.count,
            .sum = row.sum,
            .min = row.min,
            .max = row.max,
            .average = row.average,
            .distinct = row.distinct,
            .score = row.score,
        });
    }
};
