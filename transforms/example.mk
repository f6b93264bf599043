# What the folders of one transform in many languages have in common. MODULE and ARGUMENTS are set by the transform's common.mk,
# the rule for the module by the folder itself.
# make         builds the module
# make test    builds it and runs it on events/: prints what differs from events/expected.jsonl, by field
# make watch   the same again after every build
ROWMILL ?= rowmill
# What the build needs from elsewhere goes here, once.
TOOLS   ?= .tools
RUN     := $(ROWMILL) test $(MODULE) --events ../events/events.jsonl $(ARGUMENTS) --expect ../events/expected.jsonl

test: $(MODULE)
	@$(RUN)

watch: $(MODULE)
	@$(RUN) --watch

clean:
	@rm -rf $(MODULE) .tools

.PHONY: test watch clean
