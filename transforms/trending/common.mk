# What the folder of each language includes, after its own rule for the module:
# make         builds trending.wasm
# make test    builds it and runs it on events/: prints what differs from events/expected.jsonl, by field
# make watch   the same again after every build
ROWMILL ?= rowmill
# What the build needs from elsewhere goes here, once.
TOOLS   ?= .tools
RUN     := $(ROWMILL) test trending.wasm --events ../events/events.jsonl --format json --window 5m --config '{"ignore":["for"]}' --expect ../events/expected.jsonl

test: trending.wasm
	@$(RUN)

watch: trending.wasm
	@$(RUN) --watch

clean:
	@rm -rf trending.wasm .tools

.PHONY: test watch clean
