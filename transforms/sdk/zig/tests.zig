//! Of what needs no host. `zig test rowmill.zig`

const std = @import("std");
const rowmill = @import("rowmill.zig");
const json = @import("json.zig");
const reason = @import("reason.zig");

const equal = std.testing.expectEqualStrings;

fn read(comptime T: type, text: []const u8) !T {
    return json.parse(T, text, .{ .allocator = rowmill.allocator, .kind = "column" });
}

fn refused(comptime T: type, text: []const u8, words: []const u8) !void {
    if (read(T, text)) |_| return error.WasRead else |failed| try equal(words, reason.take(failed));
}

/// Read and written again.
fn through(comptime T: type, text: []const u8, expected: []const u8) !void {
    const value = read(T, text) catch |failed| {
        std.debug.print("{s}: {s}\n", .{ text, reason.take(failed) });
        return failed;
    };
    try equal(expected, try json.print(rowmill.allocator, value));
}

fn times(comptime text: []const u8, comptime count: usize) []const u8 {
    return if (count == 0) "" else text ++ times(text, count - 1);
}

const Colour = enum { red, green };

const Row = struct {
    id: u64 = 7,
    name: ?[]const u8,
    price: ?rowmill.Decimal,
    tags: ?[]const ?[]const u8,
    part: ?struct { a: i8, b: f64 = 0.5 },
    colour: ?Colour,
    raw: ?rowmill.Raw,
    attrs: ?rowmill.Json,
    flag: ?bool,
};

test "rows are read and written" {
    try through(Row, "{}", "{\"id\":7}");
    try through(Row, " { \"unknown\" : [ {\"a\":\"}\"} , -1.5e3 ] , \"name\" : null , \"id\" : 18446744073709551615 } ", "{\"id\":18446744073709551615}");
    try through(Row, "{\"name\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\ud83dx\"}", "{\"id\":7,\"name\":\"a\\\"\\\\/\\u0008\\u000c\\n\\u000d\\u0009é😀\u{fffd}x\"}");
    try through(Row, "{\"name\":\"\\udc00\\udc01\"}", "{\"id\":7,\"name\":\"\u{fffd}\u{fffd}\"}");
    try through(Row, "{\"flag\":false,\"tags\":[\"a\",null,\"\"],\"part\":{\"a\":-128},\"colour\":\"green\"}", "{\"id\":7,\"tags\":[\"a\",null,\"\"],\"part\":{\"a\":-128,\"b\":0.5},\"colour\":\"green\",\"flag\":false}");
    try through(Row, "{\"raw\":{\"a\": 1.50},\"attrs\":\" {\\\"b\\\": 1.50} \"}", "{\"id\":7,\"raw\":{\"a\": 1.50},\"attrs\":{\"b\": 1.50}}");
    try through(struct { a: []const u64 }, "{\"a\":[1,2,3,4,5,6,7,8,9,10,11]}", "{\"a\":[1,2,3,4,5,6,7,8,9,10,11]}");
}

test "anything can be a document" {
    const document = try rowmill.document(.{
        .a = null,
        .b = @as(?u8, null),
        .c = .{ 1, "x", true, null },
        .d = .{ .deep = -1.25 },
        .e = [_]u8{ 1, 2 },
        .f = @as([]const []const u8, &.{"y"}),
        .g = .red,
        .h = &@as(u16, 3),
    });
    try equal("{\"c\":[1,\"x\",true,null],\"d\":{\"deep\":-1.25},\"e\":[1,2],\"f\":[\"y\"],\"g\":\"red\",\"h\":3}", document.body);
    try std.testing.expectError(error.Rejected, rowmill.document(.{ .x = std.math.inf(f64) }));
}

test "what does not fit is refused with its name" {
    try refused(Row, "{\"id\":\"x\"}", "column `id`: expected a whole number, found the text \"x\"");
    try refused(Row, "{\"id\":-1}", "column `id`: -1 is no whole number that fits u64");
    try refused(Row, "{\"id\":1.5}", "column `id`: 1.5 is no whole number that fits u64");
    try refused(Row, "{\"id\":null}", "column `id`: expected a whole number, found null");
    try refused(Row, "{\"part\":{\"a\":128}}", "column `part.a`: 128 is no whole number that fits i8");
    try refused(Row, "{\"part\":{}}", "column `part.a`: it is missing");
    try refused(Row, "{\"colour\":\"blue\"}", "column `colour`: `blue` is not one of `red`, `green`");
    try refused(Row, "{\"name\":7}", "column `name`: expected a text, found 7");
    try refused(Row, "{\"name\":\"a\\x\"}", "column `name`: invalid JSON: the escape \\x does not exist");
    try refused(Row, "{\"name\":\"a\\u12\"}", "column `name`: invalid JSON: four hexadecimal digits should follow \\u");
    try refused(Row, "{\"name\":\"a", "column `name`: the JSON text ends too early");
    try refused(Row, "{\"name\":\"" ++ comptime times("é", 30) ++ "\\x\"}", "column `name`: invalid JSON: the escape \\x does not exist");
    try refused(Row, "{\"id\":\"" ++ comptime times("é", 30) ++ "\"}", "column `id`: expected a whole number, found the text \"" ++ comptime times("é", 19) ++ "…");
    try refused(Row, "{\"attrs\":\"{\\\"a\\\":\"}", "column `attrs`: it holds no valid JSON");
    try refused(Row, "{\"attrs\":\"{} {}\"}", "column `attrs`: it holds no valid JSON");
    try refused(Row, "[]", "expected an object, found a list");
    try refused(Row, "", "the JSON text ends too early");
    try refused(Row, "{} {}", "invalid JSON: something stands behind its end");
    try refused(Row, "{\"x\":01}", "invalid JSON: a value should stand there");
    try refused(Row, "{\"x\":tru}", "invalid JSON: a value should stand there");
    try refused(Row, "{\"x\":" ++ comptime times("[", 200), "the JSON is nested deeper than 127");
}

test "settings that are not known are refused" {
    const Settings = struct { currency: []const u8 = "EUR", limit: ?u8 };
    const options: json.Options = .{ .allocator = rowmill.allocator, .kind = "setting", .strict = true };
    try equal("EUR", (try json.parse(Settings, "{}", options)).currency);
    if (json.parse(Settings, "{\"curency\":1}", options)) |_| return error.WasRead else |failed| {
        try equal("setting `curency`: there is no such field, only `currency`, `limit`", reason.take(failed));
    }
    if (json.parse(struct {}, "{\"a\":1}", options)) |_| return error.WasRead else |failed| {
        try equal("setting `a`: there is no such field", reason.take(failed));
    }
}

test "decimals keep their digits" {
    const One = struct { d: rowmill.Decimal };
    inline for (.{
        .{ "\"12.50\"", "12.50" },                       .{ "12.50", "12.50" },                                                                                                 .{ "-0", "-0" }, .{ "\"1E+3\"", "1E+3" },
        .{ "{\"scale\":2,\"value\":\"fQ==\"}", "1.25" }, .{ "\"123456789012345678901234567890.12345678901234567890\"", "123456789012345678901234567890.12345678901234567890" },
    }) |case| try through(One, "{\"d\":" ++ case[0] ++ "}", "{\"d\":" ++ case[1] ++ "}");
    inline for (.{ "\"NaN\"", "\"\"", "\"1.\"", "\".5\"", "\"01\"", "\"BNM=\"", "true", "\"1,5\"", "[1]", "null" }) |text| {
        try std.testing.expectError(error.Rejected, read(One, "{\"d\":" ++ text ++ "}"));
    }
    inline for (.{ .{ "-3.00", true }, .{ "-0.00", false }, .{ "0", false }, .{ "-1e-9", true }, .{ "-0e5", false } }) |case| {
        try std.testing.expectEqual(case[1], (rowmill.Decimal{ .digits = case[0] }).isNegative());
    }
    inline for (.{
        .{ "BNM=", 2, "12.35" }, .{ "AQ==", 3, "0.001" }, .{ "/w==", 2, "-0.01" },                         .{ "gA==", 0, "-128" },                         .{ "", 0, "0" }, .{ "AA==", 2, "0.00" },
        .{ "AQ==", -3, "1000" }, .{ "AA==", -3, "0" },    .{ "gAAAAAAAAAA=", 4, "-922337203685477.5808" }, .{ "AP//////////", 0, "18446744073709551615" },
    }) |case| try equal(case[2], try rowmill.debezium.decimal(case[0], case[1]));
    try std.testing.expectError(error.Rejected, rowmill.debezium.decimal("AQ==", 1 << 30));
    try std.testing.expectError(error.Rejected, rowmill.debezium.decimal("12.50", 2));
    inline for (.{ .{ 19_782, "2024-02-29" }, .{ -1, "1969-12-31" }, .{ -719_529, "-0001-12-31" }, .{ 2_932_897, "+10000-01-01" } }) |case| {
        try equal(case[1], try rowmill.debezium.date(case[0]));
    }
}

test "JSON columns tell their texts" {
    const row = try read(Row, "{\"attrs\":{\"b\": 1.50, \"a\" : [\"x\", {\"c\":\"y\\n\"}, []]}}");
    var texts = row.attrs.?.texts();
    try equal("x", (try texts.next()).?);
    try equal("y\n", (try texts.next()).?);
    try std.testing.expect(try texts.next() == null);
    try std.testing.expect(row.attrs.?.isObject());
    try std.testing.expect((try read(Row, "{\"attrs\":\"__debezium_unavailable_value\"}")).attrs.?.isUnavailable());
    try std.testing.expect((try read(Row, "{\"raw\":\"__debezium_unavailable_value\"}")).raw.?.isUnavailable());
    try std.testing.expectEqual(@as(u8, 3), (try row.attrs.?.as(struct { n: u8 = 3 })).n);
}

test "a change is read where it is given" {
    const change = rowmill.testRow("{\"id\":1,\"name\":\"__debezium_unavailable_value\"}");
    try std.testing.expectEqual(@as(u64, 1), (try change.after(Row)).id);
    try std.testing.expect(try change.before(Row) == null);
    try std.testing.expect(change.lacksColumns());
    rowmill.count("seen", 1);
    try rowmill.store.set("k", "v");
    try equal("v", (try rowmill.store.get("k")).?);
    try rowmill.store.delete("k");
    try std.testing.expect(try rowmill.store.get("k") == null);
    _ = try rowmill.store.increment("n", 3);
    try std.testing.expectEqual(@as(u64, 7), try rowmill.store.increment("n", 4));
    var deleted = change;
    deleted.after_text = null;
    if (deleted.after(Row)) |_| return error.WasRead else |failed| try equal("a deleted row has no after", rowmill.reasonOf(failed));
}

test "a row of a window makes a document of itself" {
    var row = rowmill.testWindowRow("la\"ptop", 2);
    try equal("{\"key\":\"la\\\"ptop\",\"count\":2,\"sum\":2}", (try row.document()).body);
    row.window = .{ .start_ms = 1_795_219_200_000, .end_ms = 1_795_219_260_500 };
    row.rank = 1;
    row.sum = .{ .digits = "12345678901.1234567890" };
    row.min = .{ .digits = "-0.10" };
    row.max = .{ .digits = "12345678901.22" };
    row.average = .{ .digits = "1.5" };
    row.distinct = 0;
    row.score = 1.25;
    try equal("{\"key\":\"la\\\"ptop\",\"window_start\":\"2026-11-21T00:00:00Z\",\"window_end\":\"2026-11-21T00:01:00.500Z\",\"rank\":1," ++
        "\"count\":2,\"sum\":12345678901.1234567890,\"min\":-0.10,\"max\":12345678901.22,\"average\":1.5,\"distinct\":0,\"score\":1.25}", (try row.document()).body);
    try equal("1970-01-01T23:59:59.007Z", try (rowmill.Span{ .start_ms = 86_399_007, .end_ms = 0 }).start());
}
