# What the folder of each language includes, after its own rule for the module:
# make         builds product_search.wasm
# make test    builds it and runs it on events/: prints what differs from events/expected.jsonl, by field
# make watch   the same again after every build
ROWMILL ?= rowmill
# What the build needs from elsewhere goes here, once.
TOOLS   ?= .tools
RUN     := $(ROWMILL) test product_search.wasm --events ../events/events.jsonl --config '{"currency":"CHF"}' --expect ../events/expected.jsonl

test: product_search.wasm
	@$(RUN)

watch: product_search.wasm
	@$(RUN) --watch

clean:
	@rm -rf product_search.wasm .tools

.PHONY: test watch clean
