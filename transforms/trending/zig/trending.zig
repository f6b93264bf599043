//! What people search for, word by word, in windows of time: searches in, the words searched for most out.

const std = @import("std");
const rowmill = @import("rowmill");

/// Who looks at trends looks at the first ones.
const rank_max = 10;

/// `transform.config`.
pub const Settings = struct {
    /// Words that say nothing.
    ignore: []const []const u8 = &.{},
};

/// A search, as it was logged.
const Search = struct {
    query: ?[]const u8,
    /// Milliseconds since 1970.
    at: ?u64,
    user: ?[]const u8,
    results: ?i64,
};

pub fn measure(change: rowmill.Change, settings: Settings) ![]const rowmill.Measure {
    const search = try change.after(Search);
    const query = search.query orelse return &.{};
    const results = search.results orelse 0;
    if (results < 0) return rowmill.reject("the number of results is negative: {d}", .{results});
    const at = search.at orelse return rowmill.reject("the search has no time: at is missing", .{});
    var measures: std.ArrayList(rowmill.Measure) = .empty;
    for (try wordsOf(query)) |word| {
        if (isAmong(word, settings.ignore)) continue;
        try measures.append(rowmill.allocator, .{ .key = word, .time_ms = at, .distinct = search.user });
    }
    return measures.items;
}

pub fn render(row: rowmill.WindowRow) !?rowmill.Document {
    if (row.rank) |rank| if (rank > rank_max) return null;
    if (std.mem.findNone(u8, row.key, "0123456789") == null) return rowmill.reject("a number is no keyword: {s}", .{row.key});
    return try rowmill.document(.{
        .keyword = row.key,
        .searches = row.count,
        .users = row.distinct,
        .rank = row.rank,
        .from = if (row.window) |window| try window.start() else null,
    });
}

/// Letters and digits of ASCII, lower-cased, at least two in a row; each word once.
fn wordsOf(query: []const u8) ![]const []const u8 {
    const text = try std.ascii.allocLowerString(rowmill.allocator, query);
    var words: std.ArrayList([]const u8) = .empty;
    var start: usize = 0;
    for (0..text.len + 1) |end| {
        if (end < text.len and std.ascii.isAlphanumeric(text[end])) continue;
        const word = text[start..end];
        if (word.len >= 2 and !isAmong(word, words.items)) try words.append(rowmill.allocator, word);
        start = end + 1;
    }
    return words.items;
}

fn isAmong(word: []const u8, words: []const []const u8) bool {
    for (words) |one| if (std.mem.eql(u8, one, word)) return true;
    return false;
}

fn expectReason(expected: []const u8, returned: anytype) !void {
    if (returned) |_| return error.WasTaken else |failed| try std.testing.expectEqualStrings(expected, rowmill.reasonOf(failed));
}

test "every word counts once" {
    const row = rowmill.testRow("{\"query\":\"Bag for LAPTOP, bag é\",\"at\":5,\"user\":\"u1\"}");
    const measures = try measure(row, .{ .ignore = &.{"for"} });
    try std.testing.expectEqual(2, measures.len);
    for (measures, [_][]const u8{ "bag", "laptop" }) |one, word| {
        try std.testing.expectEqualStrings(word, one.key);
        try std.testing.expectEqualStrings("u1", one.distinct.?);
        try std.testing.expectEqual(5, one.time_ms.?);
    }
    try std.testing.expectEqual(0, (try measure(rowmill.testRow("{\"query\":null,\"results\":-1}"), .{})).len);
}

test "what cannot be counted is rejected" {
    try expectReason("the number of results is negative: -3", measure(rowmill.testRow("{\"query\":\"tv\",\"results\":-3}"), .{}));
    try expectReason("the search has no time: at is missing", measure(rowmill.testRow("{\"query\":\"tv\"}"), .{}));
    try expectReason("a number is no keyword: 2024", render(rowmill.testWindowRow("2024", 1)));
}

test "the first ten are shown" {
    var row = rowmill.testWindowRow("4k", 3);
    try std.testing.expectEqualStrings("{\"keyword\":\"4k\",\"searches\":3}", (try render(row)).?.body);
    row.rank = 10;
    try std.testing.expect(try render(row) != null);
    row.rank = 11;
    try std.testing.expect(try render(row) == null);
}
