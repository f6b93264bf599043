//! JSON to and from structs: one pass over the text, nothing copied but texts with escapes, every digit kept.

const std = @import("std");
const debezium = @import("debezium.zig");
const reason = @import("reason.zig");

const Allocator = std.mem.Allocator;
const Error = reason.Rejected || Allocator.Error;

pub const unavailable = "__debezium_unavailable_value";

/// How deep JSON may be nested: as deep as the host reads.
const depth_max = 127;

/// A value as it stands in the text: for what is only handed on.
pub const Raw = struct {
    json: []const u8,

    fn read(reader: *Reader) Error!Raw {
        return .{ .json = try reader.skip() };
    }

    /// Whether the database did not send this value.
    pub fn isUnavailable(raw: Raw) bool {
        return std.mem.eql(u8, raw.json, "\"" ++ unavailable ++ "\"");
    }
};

/// A `json` or `jsonb` column. Debezium sends it as a text that holds JSON; JSON that is not wrapped in a text is read too. It has been
/// checked; written, it is the JSON as it stood.
pub const Json = struct {
    json: []const u8,

    fn read(reader: *Reader) Error!Json {
        if (reader.peek() != '"') return .{ .json = try reader.skip() };
        const text = std.mem.trim(u8, try reader.string(), " \t\r\n");
        if (std.mem.eql(u8, text, unavailable)) return .{ .json = text };
        var inner: Reader = .{ .text = text, .options = reader.options };
        _ = inner.skip() catch return reader.fail("it holds no valid JSON", .{});
        if (inner.peek() != 0) return reader.fail("it holds no valid JSON", .{});
        return .{ .json = text };
    }

    /// Whether it is an object: search engines take no field that is now an object and now a number.
    pub fn isObject(json: Json) bool {
        return json.json[0] == '{';
    }

    /// Whether the database did not send this value.
    pub fn isUnavailable(json: Json) bool {
        return std.mem.eql(u8, json.json, unavailable);
    }

    /// Reads it as a type.
    pub fn as(json: Json, comptime T: type) !T {
        return parse(T, json.json, .{ .allocator = @import("memory.zig").allocator, .kind = "field" });
    }

    /// Every text within it, in order, but no names of fields: the words to search for.
    pub fn texts(json: Json) Texts {
        return .{ .reader = .{ .text = json.json, .options = .{ .allocator = @import("memory.zig").allocator, .kind = "field" } } };
    }
};

/// What `Json.texts` gives: `while (try texts.next()) |text|`.
pub const Texts = struct {
    reader: Reader,

    pub fn next(texts: *Texts) !?[]const u8 {
        const reader = &texts.reader;
        while (true) switch (reader.peek()) {
            0 => return null,
            '"' => {
                const text = try reader.string();
                if (reader.peek() != ':') return text;
            },
            else => reader.at += 1,
        };
    }
};

/// A `numeric` with all its digits. Reads what Debezium sends as a text (`"12.50"`, `decimal.handling.mode = string`), as a number
/// (`12.5`, `double`) and as `{"scale":2,"value":"BOI="}` (a column without declared scale, `precise`); writes a number with the same digits.
/// A base64 text (`precise`, declared scale) does not carry its scale: see `debezium.decimal`.
pub const Decimal = struct {
    digits: []const u8,

    fn read(reader: *Reader) Error!Decimal {
        const digits = switch (reader.peek()) {
            '"' => try reader.string(),
            '{' => blk: {
                const parts = try reader.value(struct { scale: i32, value: []const u8 });
                break :blk try debezium.decimalIn(reader.options.allocator, parts.value, parts.scale);
            },
            '-', '0'...'9' => try reader.number(),
            else => return reader.wrong("a decimal number"),
        };
        if (numberPrefix(digits) != digits.len or digits.len == 0) return reader.fail("`{s}` is not a decimal number", .{digits});
        return .{ .digits = digits };
    }

    /// Whether it is below zero; `-0.00` is not.
    pub fn isNegative(decimal: Decimal) bool {
        if (decimal.digits[0] != '-') return false;
        for (decimal.digits[1..]) |c| switch (c) {
            'e', 'E' => return false,
            '0', '.' => {},
            else => return true,
        };
        return false;
    }
};

pub const Options = struct {
    allocator: Allocator,
    /// What an error calls a field: column or setting.
    kind: []const u8,
    /// Whether a field that the struct does not have is an error.
    strict: bool = false,
};

/// Reads a text as a type. The reason of an error names the field.
pub fn parse(comptime T: type, text: []const u8, options: Options) Error!T {
    var reader: Reader = .{ .text = text, .options = options };
    const read = reader.value(T) catch |failed| {
        if (reader.path.len > 0) return reason.set("{s} `{s}`: {s}", .{ options.kind, reader.path, reason.take(failed) });
        return failed;
    };
    if (reader.peek() != 0) return reader.fail("invalid JSON: something stands behind its end", .{});
    return read;
}

const Reader = struct {
    text: []const u8,
    at: usize = 0,
    depth: usize = 0,
    options: Options,
    /// Where in the value an error was.
    path: []const u8 = "",

    const fail_cut = "the JSON text ends too early";
    const fail_no_value = "invalid JSON: a value should stand there";

    fn fail(_: *Reader, comptime format: []const u8, arguments: anytype) reason.Rejected {
        @branchHint(.cold);
        return reason.set(format, arguments);
    }

    /// The next byte that is no space, 0 at the end.
    fn peek(reader: *Reader) u8 {
        while (reader.at < reader.text.len) : (reader.at += 1) {
            if (reader.text[reader.at] > ' ') return reader.text[reader.at];
        }
        return 0;
    }

    fn take(reader: *Reader, wanted: u8) Error!void {
        const c = reader.peek();
        if (c != wanted) return reader.unexpected(c, wanted);
        reader.at += 1;
    }

    fn unexpected(reader: *Reader, c: u8, wanted: u8) reason.Rejected {
        @branchHint(.cold);
        if (c == 0) return reader.fail(fail_cut, .{});
        return reader.fail("invalid JSON: `{c}` where `{c}` should stand", .{ c, wanted });
    }

    /// Says what stands there instead.
    fn wrong(reader: *Reader, comptime expected: []const u8) Error {
        @branchHint(.cold);
        const found = try reader.skip();
        const what = switch (found[0]) {
            '{' => "an object",
            '[' => "a list",
            '"' => "the text ",
            else => "",
        };
        var shown: []const u8 = if (found[0] == '{' or found[0] == '[') "" else found;
        const is_cut = shown.len > 40;
        if (is_cut) {
            shown.len = 40;
            while (found[shown.len] & 0xc0 == 0x80) shown.len -= 1;
        }
        return reader.fail("expected " ++ expected ++ ", found {s}{s}{s}", .{ what, shown, if (is_cut) "…" else "" });
    }

    fn isNull(reader: *Reader) bool {
        return reader.peek() == 'n' and reader.word("null");
    }

    fn word(reader: *Reader, comptime wanted: []const u8) bool {
        if (!std.mem.startsWith(u8, reader.text[reader.at..], wanted)) return false;
        reader.at += wanted.len;
        return true;
    }

    /// What stands between the quotes of a text, and whether that holds escapes.
    fn raw(reader: *Reader) Error!struct { []const u8, bool } {
        try reader.take('"');
        const from = reader.at;
        var escaped = false;
        var at = from;
        while (true) : (at += 1) {
            at = plainEnd(reader.text, at);
            if (at >= reader.text.len) return reader.fail(fail_cut, .{});
            switch (reader.text[at]) {
                '"' => {
                    reader.at = at + 1;
                    return .{ reader.text[from..at], escaped };
                },
                '\\' => {
                    escaped = true;
                    at += 1;
                },
                else => {}, // below a space: only writing minds
            }
        }
    }

    /// A text: a part of the whole, unless it has escapes.
    fn string(reader: *Reader) Error![]const u8 {
        const between, const escaped = try reader.raw();
        return if (escaped) reader.unescape(between) else between;
    }

    /// A text without its escapes is never longer than with them. Half a surrogate pair becomes U+FFFD.
    fn unescape(reader: *Reader, escaped: []const u8) Error![]const u8 {
        const text = try reader.options.allocator.alloc(u8, escaped.len);
        var rest = escaped;
        var length: usize = 0;
        while (rest.len > 0) {
            if (rest[0] != '\\') {
                text[length] = rest[0];
                length += 1;
                rest = rest[1..];
                continue;
            }
            if (rest.len == 1) return reader.fail(fail_cut, .{});
            const plain: u8 = switch (rest[1]) {
                '"', '\\', '/' => rest[1],
                'b' => 8,
                'f' => 12,
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => 0,
                else => return reader.fail("invalid JSON: the escape \\{c} does not exist", .{rest[1]}),
            };
            rest = rest[2..];
            if (plain != 0) {
                text[length] = plain;
                length += 1;
                continue;
            }
            var unit: u21 = hex(rest) orelse return reader.fail("invalid JSON: four hexadecimal digits should follow \\u", .{});
            rest = rest[4..];
            if (unit >= 0xd800 and unit < 0xe000) {
                const low: u21 = if (std.mem.startsWith(u8, rest, "\\u")) hex(rest[2..]) orelse 0 else 0;
                const is_pair = unit < 0xdc00 and low >= 0xdc00 and low < 0xe000;
                unit = if (is_pair) 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) else 0xfffd;
                if (is_pair) rest = rest[6..];
            }
            length += std.unicode.utf8Encode(unit, text[length..]) catch unreachable;
        }
        return text[0..length];
    }

    fn hex(text: []const u8) ?u21 {
        if (text.len < 4) return null;
        return std.fmt.parseInt(u16, text[0..4], 16) catch null;
    }

    fn number(reader: *Reader) Error![]const u8 {
        const c = reader.peek();
        const length = numberPrefix(reader.text[reader.at..]);
        if (length == 0) return if (c == 0) reader.fail(fail_cut, .{}) else reader.fail(fail_no_value, .{});
        reader.at += length;
        return reader.text[reader.at - length .. reader.at];
    }

    /// Reads any value and gives its text.
    fn skip(reader: *Reader) Error![]const u8 {
        const c = reader.peek();
        const from = reader.at;
        switch (c) {
            '"' => _ = try reader.raw(),
            '{', '[' => {
                try reader.open(c);
                var more = try reader.next(c + 2, true);
                while (more) : (more = try reader.next(c + 2, false)) {
                    if (c == '{') {
                        _ = try reader.raw();
                        try reader.take(':');
                    }
                    _ = try reader.skip();
                }
            },
            't', 'f', 'n' => if (!reader.word("true") and !reader.word("false") and !reader.word("null")) {
                return reader.fail(fail_no_value, .{});
            },
            else => _ = try reader.number(),
        }
        return reader.text[from..reader.at];
    }

    /// Enters an object or list.
    fn open(reader: *Reader, start: u8) Error!void {
        if (reader.depth == depth_max) return reader.fail("the JSON is nested deeper than {d}", .{depth_max});
        reader.depth += 1;
        try reader.take(start);
    }

    /// Leads through the items of an object or list: it is at the first one, or behind one. Whether there is another.
    fn next(reader: *Reader, end: u8, first: bool) Error!bool {
        const c = reader.peek();
        if (c == end) {
            reader.at += 1;
            reader.depth -= 1;
            return false;
        }
        if (first) return true;
        try reader.take(',');
        return true;
    }

    fn value(reader: *Reader, comptime T: type) Error!T {
        switch (T) {
            Raw, Json, Decimal => return T.read(reader),
            []const u8 => {
                if (reader.peek() != '"') return reader.wrong("a text");
                return reader.string();
            },
            else => {},
        }
        switch (@typeInfo(T)) {
            .optional => |optional| return if (reader.isNull()) null else try reader.value(optional.child),
            .bool => {
                _ = reader.peek();
                if (reader.word("true")) return true;
                if (reader.word("false")) return false;
                return reader.wrong("true or false");
            },
            .int => {
                const digits = try reader.plainNumber("a whole number");
                return std.fmt.parseInt(T, digits, 10) catch reader.fail("{s} is no whole number that fits " ++ @typeName(T), .{digits});
            },
            .float => {
                const digits = try reader.plainNumber("a number");
                return std.fmt.parseFloat(T, digits) catch reader.fail("{s} is no number", .{digits});
            },
            .@"enum" => {
                if (reader.peek() != '"') return reader.wrong("a text");
                const text = try reader.string();
                return std.meta.stringToEnum(T, text) orelse reader.fail("`{s}` is not one of " ++ names(T), .{text});
            },
            .pointer => |pointer| if (pointer.size == .slice) return reader.list(pointer.child),
            .@"struct" => return reader.object(T),
            else => {},
        }
        @compileError("a row cannot be read as " ++ @typeName(T));
    }

    fn plainNumber(reader: *Reader, comptime expected: []const u8) Error![]const u8 {
        return switch (reader.peek()) {
            '-', '0'...'9' => reader.number(),
            else => reader.wrong(expected),
        };
    }

    fn list(reader: *Reader, comptime T: type) Error![]const T {
        if (reader.peek() != '[') return reader.wrong("a list");
        var items: std.ArrayList(T) = .empty;
        try reader.open('[');
        var more = try reader.next(']', true);
        while (more) : (more = try reader.next(']', false)) {
            try items.append(reader.options.allocator, try reader.value(T));
        }
        return items.items;
    }

    fn object(reader: *Reader, comptime T: type) Error!T {
        const of = @typeInfo(T).@"struct";
        if (reader.peek() != '{') return reader.wrong("an object");
        var read: T = undefined;
        var seen: [of.field_names.len]bool = @splat(false);
        var place: usize = 0;
        try reader.open('{');
        var more = try reader.next('}', true);
        while (more) : (more = try reader.next('}', false)) {
            const name = try reader.string();
            try reader.take(':');
            place = find(of.field_names, name, place) orelse {
                if (reader.options.strict) return reader.inside(name, reader.fail("there is no such field" ++ (if (of.field_names.len > 0) ", only " else "") ++ names(T), .{}));
                _ = try reader.skip();
                continue;
            };
            switch (place) {
                inline 0...of.field_names.len -| 1 => |known| if (of.field_names.len > 0) {
                    @field(read, of.field_names[known]) = reader.value(of.field_types[known]) catch |failed| return reader.inside(name, failed);
                    seen[known] = true;
                },
                else => unreachable,
            }
            place += 1;
        }
        inline for (of.field_names, of.field_types, of.field_attrs, seen) |name, Field, attributes, was_seen| {
            if (!was_seen) {
                if (attributes.defaultValue(Field)) |default| {
                    @field(read, name) = default;
                } else if (@typeInfo(Field) == .optional) {
                    @field(read, name) = null;
                } else return reader.inside(name, reader.fail("it is missing", .{}));
            }
        }
        return read;
    }

    fn inside(reader: *Reader, name: []const u8, failed: Error) Error {
        @branchHint(.cold);
        const parts: []const []const u8 = if (reader.path.len > 0) &.{ name, ".", reader.path } else &.{name};
        reader.path = try std.mem.concat(reader.options.allocator, u8, parts);
        return failed;
    }
};

/// The place of a name. Fields mostly stand in the order of the columns: it looks on from the last one, and around.
fn find(known: []const [:0]const u8, name: []const u8, from: usize) ?usize {
    for (known[@min(from, known.len)..], from..) |one, place| if (std.mem.eql(u8, one, name)) return place;
    for (known[0..@min(from, known.len)], 0..) |one, place| if (std.mem.eql(u8, one, name)) return place;
    return null;
}

/// The names of a struct's or enum's fields, to be told.
fn names(comptime T: type) []const u8 {
    comptime var list: []const u8 = "";
    const all = switch (@typeInfo(T)) {
        inline .@"struct", .@"enum" => |of| of.field_names,
        else => unreachable,
    };
    inline for (all) |name| list = list ++ (if (list.len > 0) ", `" else "`") ++ name ++ "`";
    return list;
}

/// The length of the JSON number that a text begins with, 0 if it begins with none.
fn numberPrefix(text: []const u8) usize {
    var at: usize = if (text.len > 0 and text[0] == '-') 1 else 0;
    const whole = digitsEnd(text, at);
    if (whole == at or (text[at] == '0' and whole > at + 1)) return 0;
    at = whole;
    if (at < text.len and text[at] == '.') {
        const fraction = digitsEnd(text, at + 1);
        if (fraction == at + 1) return 0;
        at = fraction;
    }
    if (at < text.len and text[at] | 0x20 == 'e') {
        at += 1;
        if (at < text.len and (text[at] == '+' or text[at] == '-')) at += 1;
        const exponent = digitsEnd(text, at);
        if (exponent == at) return 0;
        at = exponent;
    }
    return at;
}

fn digitsEnd(text: []const u8, from: usize) usize {
    var at = from;
    while (at < text.len and text[at] >= '0' and text[at] <= '9') at += 1;
    return at;
}

/// Documents of one transform are of like size: room for the last one spares the next its growing.
var usual: usize = 512;

/// One huge document must not make every later one take as much.
const usual_max = 16 << 10;

/// The JSON text of a value. Fields that are null are left out; items that are null are not.
pub fn print(allocator: Allocator, of: anytype) Error![]const u8 {
    var out: Writer = .{ .allocator = allocator };
    try out.bytes.ensureTotalCapacityPrecise(allocator, usual);
    try out.value(of);
    usual = @min(out.bytes.items.len + 16, usual_max);
    return out.bytes.items;
}

const Writer = struct {
    bytes: std.ArrayList(u8) = .empty,
    allocator: Allocator,

    fn add(out: *Writer, text: []const u8) Error!void {
        try out.bytes.appendSlice(out.allocator, text);
    }

    fn value(out: *Writer, of: anytype) Error!void {
        const T = @TypeOf(of);
        switch (T) {
            Raw, Json => return out.add(of.json),
            Decimal => return out.add(of.digits),
            else => {},
        }
        switch (@typeInfo(T)) {
            .null => try out.add("null"),
            .optional => if (of) |some| try out.value(some) else try out.add("null"),
            .bool => try out.add(if (of) "true" else "false"),
            .int, .comptime_int => try out.bytes.print(out.allocator, "{d}", .{of}),
            .float, .comptime_float => {
                if (!std.math.isFinite(@as(f64, of))) return reason.set("JSON has no number {d}", .{of});
                try out.bytes.print(out.allocator, "{d}", .{of});
            },
            .@"enum", .enum_literal => try out.string(@tagName(of)),
            .@"struct" => |fields| if (fields.is_tuple) try out.tuple(of) else try out.object(of),
            .array => try out.list(&of),
            .pointer => |pointer| switch (pointer.size) {
                .slice => if (pointer.child == u8) try out.string(of) else try out.list(of),
                .one => switch (@typeInfo(pointer.child)) {
                    .array => |array| if (array.child == u8) try out.string(of) else try out.list(of),
                    else => try out.value(of.*),
                },
                else => @compileError("a document cannot hold " ++ @typeName(T)),
            },
            else => @compileError("a document cannot hold " ++ @typeName(T)),
        }
    }

    fn object(out: *Writer, of: anytype) Error!void {
        const fields = @typeInfo(@TypeOf(of)).@"struct";
        try out.add("{");
        const empty = out.bytes.items.len;
        inline for (fields.field_names, fields.field_types) |name, Field| {
            const is_there = switch (@typeInfo(Field)) {
                .null => false,
                .optional => @field(of, name) != null,
                else => true,
            };
            if (is_there) {
                try out.add(if (out.bytes.items.len > empty) ",\"" ++ name ++ "\":" else "\"" ++ name ++ "\":");
                try out.value(@field(of, name));
            }
        }
        try out.add("}");
    }

    fn list(out: *Writer, of: anytype) Error!void {
        try out.add("[");
        for (of, 0..) |item, place| {
            if (place > 0) try out.add(",");
            try out.value(item);
        }
        try out.add("]");
    }

    fn tuple(out: *Writer, of: anytype) Error!void {
        try out.add("[");
        inline for (of, 0..) |item, place| {
            if (place > 0) try out.add(",");
            try out.value(item);
        }
        try out.add("]");
    }

    fn string(out: *Writer, text: []const u8) Error!void {
        var escapes: usize = 0;
        var at: usize = plainEnd(text, 0);
        while (at < text.len) : (at = plainEnd(text, at + 1)) escapes += 1;
        try out.bytes.ensureUnusedCapacity(out.allocator, text.len + 5 * escapes + 2);
        out.bytes.appendAssumeCapacity('"');
        if (escapes == 0) out.bytes.appendSliceAssumeCapacity(text) else for (text) |c| {
            if (isPlain(c)) out.bytes.appendAssumeCapacity(c) else switch (c) {
                '"', '\\' => out.bytes.appendSliceAssumeCapacity(&.{ '\\', c }),
                '\n' => out.bytes.appendSliceAssumeCapacity("\\n"),
                else => {
                    const digits = "0123456789abcdef";
                    out.bytes.appendSliceAssumeCapacity(&.{ '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] });
                },
            }
        }
        out.bytes.appendAssumeCapacity('"');
    }
};

fn isPlain(c: u8) bool {
    return c >= ' ' and c != '"' and c != '\\';
}

/// Where the next byte stands that is a quote, a backslash or below a space. It looks at eight at once, because in a module each turn of a
/// loop also asks whether time is up.
fn plainEnd(text: []const u8, from: usize) usize {
    const ones: u64 = 0x0101010101010101;
    var at = from;
    while (at + 8 <= text.len) : (at += 8) {
        const bytes = std.mem.readInt(u64, text[at..][0..8], .little);
        const quotes = bytes ^ ones * '"';
        const backslashes = bytes ^ ones * '\\';
        const marked = (quotes -% ones) & ~quotes | (backslashes -% ones) & ~backslashes | (bytes -% ones * ' ') & ~bytes;
        // The lowest mark is right; those above it may not be.
        if (marked & ones * 0x80 != 0) return at + @ctz(marked & ones * 0x80) / 8;
    }
    while (at < text.len and isPlain(text[at])) at += 1;
    return at;
}
