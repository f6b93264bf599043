//! A row of `public.products` becomes a document to search for.
//!
//! `transform` is the function to write: what it returns is what the index holds. sdk/README.md tells what else it may return (nothing,
//! several documents, messages), and what else there is (log, metrics, a store).

const std = @import("std");
const rowmill = @import("rowmill");

/// `transform.config` of the pipeline.
pub const Settings = struct {
    currency: []const u8 = "EUR",
};

/// The columns that are used; others are skipped. A column that may be null, or may go, is an optional.
const Product = struct {
    id: rowmill.Raw, // as it stands: an id may have more digits than a u64
    name: ?[]const u8,
    price: ?rowmill.Decimal,
    category: ?[]const u8,
    stock: ?i64,
};

pub fn transform(change: rowmill.Change, settings: Settings) !rowmill.Document {
    const row = try change.after(Product);
    if (row.price) |price| if (price.isNegative()) return rowmill.reject("the price is negative: {s}", .{price.digits});
    return rowmill.document(.{
        .product_id = row.id,
        .title = row.name, // left out when it is null
        .price = if (row.price) |amount| .{ .amount = amount, .currency = settings.currency } else null,
        .category_path = try categoryPath(row.category orelse ""),
        .in_stock = if (row.stock) |stock| stock > 0 else null,
    });
}

/// `Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself.
fn categoryPath(category: []const u8) !?[]const []const u8 {
    var paths: std.ArrayList([]const u8) = .empty;
    for (1..category.len + 1) |end| {
        if (end == category.len or category[end] == '/') try paths.append(rowmill.allocator, category[0..end]);
    }
    return if (paths.items.len > 0) paths.items else null;
}

test "the currency is a setting" {
    const document = try transform(rowmill.testRow("{\"id\":1,\"price\":\"3.00\"}"), .{ .currency = "CHF" });
    try std.testing.expect(std.mem.find(u8, document.body, "\"price\":{\"amount\":3.00,\"currency\":\"CHF\"}") != null);
}
