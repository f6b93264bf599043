# What the folder of each language includes, after its own rule for the module.
MODULE    := product_search.wasm
ARGUMENTS := --config '{"currency":"CHF"}'
include ../../example.mk
