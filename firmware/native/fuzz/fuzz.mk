# make fuzz BUILD=...: BUILD/fuzz/table and BUILD/fuzz/encoder, for libFuzzer. FUZZ_CC: a clang that comes with it.

FUZZ_CC ?= $(or $(shell command -v clang-22),clang)
FUZZ_FLAGS := -std=c99 -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
# clang knows no -fno-tree-loop-distribute-patterns, and here is a libc.
FUZZ_FLAGS += $(filter -W%,$(CORE_FLAGS))

.PHONY: fuzz
fuzz: $(OUT)/fuzz/table $(OUT)/fuzz/encoder

$(OUT)/fuzz/%: fuzz/%.c fuzz/input.c fuzz/input.h fuzz/fuzz.mk $(CORE) $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $(filter %.c,$^)
