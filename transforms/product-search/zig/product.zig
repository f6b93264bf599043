//! A row of `public.products` becomes a document to search for.
//!
//! Every column but the key may be missing, and columns it does not know are skipped: the table may change in mid-stream.

const std = @import("std");
const rowmill = @import("rowmill");

/// `transform.config`.
pub const Settings = struct {
    /// What prices are in: the table does not say.
    currency: []const u8 = "EUR",
};

/// The columns that are used.
const Product = struct {
    id: ?rowmill.Raw,
    sku: ?[]const u8,
    name: ?[]const u8,
    description: ?[]const u8,
    category: ?[]const u8,
    price: ?rowmill.Decimal,
    stock: ?i64,
    /// What stock is called elsewhere.
    qty: ?i64,
    in_stock: ?bool,
    tags: ?[]const ?[]const u8,
    attrs: ?rowmill.Json,
    /// Text, or a count since 1970: as the connector sends it.
    created_at: ?rowmill.Raw,
    updated_at: ?rowmill.Raw,
};

pub fn transform(change: rowmill.Change, settings: Settings) !rowmill.Document {
    const row = try change.after(Product);
    try check(row);
    const stock = row.stock orelse row.qty;
    const tags = try present(row.tags orelse &.{});
    return rowmill.document(.{
        .product_id = row.id,
        .sku = row.sku,
        .title = row.name,
        .description = row.description,
        .category = row.category,
        .category_path = try categoryPath(row.category orelse ""),
        .price = if (row.price) |amount| .{ .amount = amount, .currency = settings.currency } else null,
        .in_stock = row.in_stock orelse if (stock) |count| count > 0 else null,
        .stock = stock,
        .tags = tags,
        .attributes = row.attrs,
        .text = try words(row, tags),
        .suggest = try present(&.{ row.name, row.sku }),
        .created_at = row.created_at,
        .updated_at = row.updated_at,
    });
}

fn check(row: Product) !void {
    if (row.price) |price| if (price.isNegative()) return rowmill.reject("the price is negative: {s}", .{price.digits});
    if (row.description) |text| if (std.mem.eql(u8, text, rowmill.unavailable)) return unavailable("description");
    if (row.attrs) |attrs| {
        if (attrs.isUnavailable()) return unavailable("attrs");
        if (!attrs.isObject()) return rowmill.reject("attrs is no JSON object", .{});
    }
}

/// A document without the value would wipe out what the index has.
fn unavailable(column: []const u8) error{Rejected} {
    return rowmill.reject("{s} did not change and was not sent by the database: set state.keep = \"rows\"", .{column});
}

/// What is not null.
fn present(texts: []const ?[]const u8) ![]const []const u8 {
    const list = try rowmill.allocator.alloc([]const u8, texts.len);
    var count: usize = 0;
    for (texts) |text| if (text) |some| {
        list[count] = some;
        count += 1;
    };
    return list[0..count];
}

/// `Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself, for a facet that opens level by level.
fn categoryPath(category: []const u8) !?[]const []const u8 {
    var paths: std.ArrayList([]const u8) = .empty;
    for (1..category.len + 1) |end| {
        if (end == category.len or category[end] == '/') try paths.append(rowmill.allocator, category[0..end]);
    }
    return if (paths.items.len > 0) paths.items else null;
}

/// The one field that holds every word: name, description, category, tags and the texts within `attrs`.
fn words(row: Product, tags: []const []const u8) ![]const u8 {
    var text: std.ArrayList(u8) = try .initCapacity(rowmill.allocator, 256);
    for ([_]?[]const u8{ row.name, row.description, row.category }) |column| try add(&text, column orelse "");
    for (tags) |tag| try add(&text, tag);
    if (row.attrs) |attrs| {
        var texts = attrs.texts();
        while (try texts.next()) |word| try add(&text, word);
    }
    return text.items;
}

fn add(text: *std.ArrayList(u8), word: []const u8) !void {
    if (word.len == 0) return;
    if (text.items.len > 0) try text.append(rowmill.allocator, ' ');
    try text.appendSlice(rowmill.allocator, word);
}
