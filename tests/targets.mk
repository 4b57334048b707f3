# Tests, as targets. Included by the top Makefile.

## make setup             install the Debian packages all this needs (root)
setup:
	$(Q)tests/setup/packages

## make demo              boot a stock Debian kernel in a Belfry microVM
demo: setup
	$(Q)$(MAKE) --no-print-directory O=$(O) arm64 guest
	$(Q)O=$(O) tests/demo

## make demo-passthrough  an igb behind the guest's own SMMU, its interrupts shown
demo-passthrough: setup
	$(Q)$(MAKE) --no-print-directory O=$(O) arm64 guest
	$(Q)O=$(O) tests/demo-passthrough

## make check             every test; make check-all: the wide matrices too
check:
	$(Q)O=$(O) tests/check
check-all:
	$(Q)O=$(O) tests/check all

## make boot-check        boot cases, CASES='pattern...' of them
CASES = .
boot-check:
	$(Q)O=$(O) tests/boot/run $(CASES)

## make guest             the guest's own programs, for tests: build/guest
guest:
	$(Q)$(MAKE) --no-print-directory O=$(O)/arm64 SAN= guest-dir=$(O)/guest \
		$(shell tests/setup/cross-flags $(CROSS)) guest-files

guest-dir = $(O)/guest
guest-programs = $(addprefix $(guest-dir)/,init talk wire measure)
guest-files: $(guest-dir)/initrd $(guest-programs)
$(guest-dir)/init: $(patsubst %.c,$(O)/%.o,$(sort $(wildcard tests/guest/*.c)))
$(guest-dir)/talk: $(O)/tests/boot/talk.o
$(guest-dir)/wire: $(O)/tests/boot/wire.o \
	$(addprefix $(O)/tests/guest/,data.o exchange.o sha256.o)
$(O)/tests/boot/wire.o: private cppflags += -Itests/guest
$(guest-dir)/measure: $(O)/tests/bench/measure.o
$(O)/tests/guest/passed_tasks.o: private cppflags += -iquote src/host
$(guest-programs):
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -static $(ldflags) -s -o $@ $^
$(guest-dir)/initrd: $(guest-dir)/init tests/guest/pack
	$(call say,PACK,$@)
	$(Q)tests/guest/pack $< $@

## make bench             count instructions, also QEMU's; BENCH='part...' of
##                        boots, devices, irqchips, passthrough
bench: arm64
	$(Q)O=$(O) tests/bench/run $(BENCH)

# What several unit tests put in the place of the world outside.
fakes = $(O)/tests/unit/fakes.a
$(fakes): $(patsubst %.c,$(O)/%.o,$(sort $(wildcard tests/unit/fakes/*.c)))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(fakes) $(archives)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ldflags) -o $@ $(filter %.o,$^) $(fakes) $(link-libs) \
		-lcheck -lsubunit -lrt -lm

# A fuzzer is one function; driven by libFuzzer with clang (make fuzz), or by
# replay.c over the files of its corpus.
$(O)/tests/fuzz/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(O)/tests/fuzz/replay.o $(archives)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -o $@ $(filter %.o,$^) $(link-libs)

# Parts of a module that only their own directory and tests know.
machine-tests = test_vcpus test_policy test_devices test_user_msi test_lent \
		test_levels
$(machine-tests:%=$(O)/tests/unit/%.o): \
	private cppflags += -iquote src/machine
$(O)/tests/unit/test_prioset.o $(O)/tests/unit/test_eventmap.o: \
	private cppflags += -iquote arch/arm64/gic
$(O)/tests/unit/test_virtio.o: private cppflags += -iquote devices/virtio
$(O)/tests/unit/test_vfio_config.o $(O)/tests/unit/test_vfio_pci.o \
	$(O)/tests/fuzz/fuzz_vfio_config.o: \
	private cppflags += -iquote devices/vfio
$(O)/tests/unit/test_smmu.o $(O)/tests/unit/test_smmu_ste.o \
	$(O)/tests/unit/test_smmu_cd.o: private cppflags += -iquote arch/arm64/smmu
$(addprefix $(O)/tests/unit/,test_gic test_its test_smmu test_user_msi test_lent): \
	private ldflags += -Wl,--wrap=calloc,--wrap=malloc
$(O)/tests/unit/test_user_msi: private ldflags += -Wl,--wrap=reallocarray

# A host that cannot be made to fail otherwise.
$(O)/tests/unit/test_net: private ldflags += -Wl,--wrap=readv
$(O)/tests/unit/test_vrng: private ldflags += -Wl,--wrap=getrandom
# Waiting is counted, not done.
$(O)/tests/unit/test_disk: private ldflags += -Wl,--wrap=nanosleep

# The host's networks and devices are what the test says.
$(O)/tests/unit/test_ctl: private ldflags += -Wl,--wrap=plan_find \
	-Wl,--wrap=tap_check,--wrap=tap_check_fds,--wrap=vfio_check

# The host is what the test says, with what makes its devices reachable.
$(O)/tests/unit/test_plan: private ldflags += \
	-Wl,--wrap=vfio_check,--wrap=iommufd_check_fd

# So are a host's failures, where they are only counted.
$(O)/tests/unit/test_devices: private ldflags += \
	-Wl,--wrap=blk_errors,--wrap=net_dropped,--wrap=tap_adopt

# What the kernel does to a disk only when told to.
blk-calls = loop_file_readv loop_file_writev loop_file_sync loop_file_allocate \
	    calloc aligned_alloc virtio_queue
$(O)/tests/unit/test_blk: private ldflags += $(blk-calls:%=-Wl,--wrap=%)

# What lends devices is nothing but calls to the kernel, which is one of ours.
# It is named here for it to come before the other one in $(fakes).
vfio-calls = ioctl open close mmap pread pwrite
vfio-tests = $(addprefix $(O)/tests/unit/,test_iommufd test_vfio test_doctor \
	     test_lent test_vfio_pci)
$(vfio-tests): $(O)/tests/unit/fakes/vfio_kernel.o
$(vfio-tests): private ldflags += $(vfio-calls:%=-Wl,--wrap=%)
$(O)/tests/unit/test_vfio_pci: private ldflags += -Wl,--wrap=calloc
$(O)/tests/unit/test_doctor.o: private cppflags += -iquote src/ctl
$(O)/tests/unit/test_doctor: private ldflags += \
	-Wl,--wrap=access,--wrap=klogctl

# KVM's module is nothing but calls to the kernel, so it is tested anywhere: seen
# through arm64's headers, against a kernel of ours.
kvm-calls = ioctl mmap open calloc
kvm-tests = $(O)/tests/unit/test_kvm $(O)/tests/unit/test_icc
$(kvm-tests): private ldflags += $(kvm-calls:%=-Wl,--wrap=%)
ifndef is-arm64
kvm-objs := $(patsubst %.c,$(O)/%.o,$(sort $(wildcard arch/arm64/kvm/*.c)))
$(kvm-tests) $(O)/tests/unit/test_policy: $(kvm-objs)
kvm-users := $(kvm-objs) $(kvm-tests:%=%.o) $(O)/tests/unit/test_policy.o \
	     $(O)/tests/unit/fakes/kvm_kernel.o
$(kvm-users): private cppflags += -isystem $(O)/gen/arm64
$(kvm-users): $(O)/gen/arm64/asm
arm64-headers = /usr/$(CROSS:%-=%)/include
$(O)/gen/arm64/asm: tests/targets.mk
	@mkdir -p $@
	$(Q)for h in kvm ptrace hwcap sve_context; do \
		ln -sf $(arm64-headers)/asm/$$h.h $@/ || exit 1; done
	@touch $@
endif

## make unit              build and run the unit tests here
unit: $(tests)
	$(Q)tests/unit/run $(tests)

## make fuzz-replay       run every fuzzer over its corpus
fuzz-replay: $(fuzzers)
	$(Q)tests/fuzz/run $(fuzzers)

## make fuzz              look for new inputs, FUZZ_SECONDS=30 per fuzzer (clang)
FUZZ_SECONDS = 30
fuzz:
	$(Q)$(MAKE) --no-print-directory O=$(O)/fuzz CC=clang \
		SAN=fuzzer-no-link,address,undefined hunt

hunters = $(fuzzers:$(O)/tests/fuzz/fuzz_%=$(O)/tests/fuzz/hunt_%)
$(O)/tests/fuzz/hunt_%: $(O)/tests/fuzz/fuzz_%.o $(archives)
	$(call say,LD,$@)
	$(Q)$(CC) $(ldflags) -fsanitize=fuzzer -o $@ $< $(link-libs)

# What is found stays in $(O); worth keeping is what an earlier bug was.
hunt: $(hunters)
	$(Q)for program in $(hunters); do \
		name=$${program##*/hunt_}; mkdir -p $(O)/corpus/$$name; \
		echo "fuzz $$name for $(FUZZ_SECONDS) s"; \
		$$program -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-artifact_prefix=$(O)/crash-$$name- $(O)/corpus/$$name \
			tests/fuzz/corpus/$$name >$(O)/hunt-$$name.log 2>&1 || \
			{ cat $(O)/hunt-$$name.log; exit 1; }; \
	done

## make lint              include rules, headers that stand alone, scripts
lint:
	$(Q)CC='$(CC)' tests/lint/run

.PHONY: setup demo demo-passthrough check check-all boot-check guest guest-files bench
.PHONY: unit fuzz-replay fuzz hunt lint
