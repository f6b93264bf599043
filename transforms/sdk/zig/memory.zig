//! The memory of a batch: taken piece by piece, freed as a whole.

const std = @import("std");
const builtin = @import("builtin");

/// One huge row must not hold its memory for good.
const kept_bytes_max = 16 << 20;

/// What is kept from one batch to the next.
pub const lasting = if (builtin.cpu.arch.isWasm()) std.heap.wasm_allocator else std.heap.page_allocator;

var arena: std.heap.ArenaAllocator = .init(lasting);

pub const allocator: std.mem.Allocator = .{ .ptr = &arena, .vtable = arena_vtable };

const arena_vtable = blk: {
    var none: std.heap.ArenaAllocator = .init(std.mem.Allocator.failing);
    break :blk none.allocator().vtable;
};

pub fn free() void {
    _ = arena.reset(.{ .retain_with_limit = kept_bytes_max });
}
