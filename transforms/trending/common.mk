# What the folder of each language includes, after its own rule for the module.
MODULE    := trending.wasm
ARGUMENTS := --format json --window 5m --config '{"ignore":["for"]}'
include ../../example.mk
