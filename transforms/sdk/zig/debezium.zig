//! What Debezium makes of values that JSON has no type for.
//!
//! A connector with `decimal.handling.mode = string` and `time.precision.mode = isostring` sends readable text and needs none of this.
//! With the defaults, decimals are base64 and dates are days since 1970.

const std = @import("std");
const memory = @import("memory.zig");
const reason = @import("reason.zig");

const Allocator = std.mem.Allocator;
const Error = reason.Rejected || Allocator.Error;

/// Postgres allows 131,072 digits before the point and 16,383 after it; working those out takes the square of their number in time.
const scale_max = 131_072;
const decimal_bytes_max = 16_384;

/// The bytes of a `bytea` column: base64, with or without padding.
pub fn bytes(base64: []const u8) Error![]u8 {
    return bytesIn(memory.allocator, base64);
}

fn bytesIn(allocator: Allocator, base64: []const u8) Error![]u8 {
    const digits = std.mem.trimEnd(u8, base64, "=");
    const decoder = std.base64.standard_no_pad.Decoder;
    const length = decoder.calcSizeForSlice(digits) catch return reason.set("`{s}` is not base64", .{base64});
    const decoded = try allocator.alloc(u8, length);
    decoder.decode(decoded, digits) catch return reason.set("`{s}` is not base64", .{base64});
    return decoded;
}

/// The digits of a decimal: `decimal("BNM=", 2)` is `12.35`. The base64 holds a whole number (two's complement, highest byte first), of
/// which the last `scale` digits stand behind the point; a negative scale adds zeros.
pub fn decimal(base64: []const u8, scale: i32) Error![]const u8 {
    return decimalIn(memory.allocator, base64, scale);
}

pub fn decimalIn(allocator: Allocator, base64: []const u8, scale: i32) Error![]const u8 {
    const amount = try bytesIn(allocator, base64);
    if (amount.len > decimal_bytes_max or scale > scale_max or scale < -scale_max) {
        return reason.set("a decimal of {d} bytes and scale {d} is too long", .{ amount.len, scale });
    }
    const is_negative = amount.len > 0 and amount[0] >= 0x80;
    if (is_negative) negate(amount);
    const zeros: usize = if (scale < 0) @intCast(-scale) else 0;
    const behind: usize = if (scale > 0) @intCast(scale) else 0;
    const text = try allocator.alloc(u8, amount.len * 5 / 2 + behind + zeros + 16);
    // Written from the end, where there is room for the zeros.
    var at = text.len - zeros;
    var end = at;
    var rest = amount;
    while (rest.len > 0) {
        var nine = divide(rest, 1_000_000_000);
        while (rest.len > 0 and rest[0] == 0) rest = rest[1..];
        for (0..9) |_| {
            at -= 1;
            text[at] = '0' + @as(u8, @intCast(nine % 10));
            nine /= 10;
        }
    }
    while (at < end and text[at] == '0') at += 1;
    if (at < end) {
        @memset(text[end..], '0');
        end = text.len;
    }
    while (end - at < behind + 1) {
        at -= 1;
        text[at] = '0';
    }
    if (behind > 0) {
        std.mem.copyForwards(u8, text[at - 1 ..], text[at .. end - behind]);
        at -= 1;
        text[end - behind - 1] = '.';
    }
    if (is_negative) {
        at -= 1;
        text[at] = '-';
    }
    return text[at..end];
}

fn negate(amount: []u8) void {
    var carry: u9 = 1;
    var place = amount.len;
    while (place > 0) {
        place -= 1;
        carry += amount[place] ^ 0xff;
        amount[place] = @truncate(carry);
        carry >>= 8;
    }
}

/// Divides in place, and gives the remainder.
fn divide(amount: []u8, by: u64) u64 {
    var rest: u64 = 0;
    for (amount) |*byte| {
        const part = rest << 8 | byte.*;
        byte.* = @truncate(part / by);
        rest = part % by;
    }
    return rest;
}

/// The date of a count of days since 1970-01-01: `date(19782)` is `2024-02-29`. (Howard Hinnant, "chrono-compatible low-level date
/// algorithms")
pub fn date(days: i32) Error![]const u8 {
    const shifted = @as(i64, days) + 719_468; // from 0000-03-01
    const era = @divFloor(shifted, 146_097);
    const of_era = @mod(shifted, 146_097);
    const year_of_era = @divFloor(of_era - @divFloor(of_era, 1_460) + @divFloor(of_era, 36_524) - @divFloor(of_era, 146_096), 365);
    const of_year = of_era - (365 * year_of_era + @divFloor(year_of_era, 4) - @divFloor(year_of_era, 100));
    const from_march = @divFloor(5 * of_year + 2, 153);
    const day: u64 = @intCast(of_year - @divFloor(153 * from_march + 2, 5) + 1);
    const month: u64 = @intCast(if (from_march < 10) from_march + 3 else from_march - 9);
    const year = year_of_era + era * 400 + @intFromBool(month <= 2);
    const sign = if (year < 0) "-" else if (year > 9999) "+" else "";
    return std.fmt.allocPrint(memory.allocator, "{s}{d:0>4}-{d:0>2}-{d:0>2}", .{ sign, @abs(year), month, day });
}
