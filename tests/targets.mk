# Tests, as targets. Included by the top Makefile.

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(archives)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ldflags) -o $@ $< $(link-libs) -lcheck -lsubunit -lrt -lm

# A fuzzer is one function; driven by libFuzzer with clang (make fuzz), or by
# replay.c over the files of its corpus.
$(O)/tests/fuzz/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(O)/tests/fuzz/replay.o $(archives)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $(filter %.o,$^) $(link-libs)

## make unit              build and run the unit tests here
unit: $(tests)
	$(Q)tests/unit/run $(tests)

## make fuzz-replay       run every fuzzer over its corpus
fuzz-replay: $(fuzzers)
	$(Q)tests/fuzz/run $(fuzzers)

## make lint              include rules, headers that stand alone, scripts
lint:
	$(Q)CC='$(CC)' tests/lint/run

.PHONY: unit fuzz-replay lint
