# Belfry. `make demo` and `make check` are the two commands to know;
# `make help` lists the rest. What you may change stands in config.mk.
include config.mk

V ?= 0
Q_0 = @
Q = $(Q_$(V))
say = $(if $(Q),@printf '  %-6s %s\n' $(1) $(2))

# The machine that $(CC) builds for, not the one we are on. There may be no
# compiler yet: make demo and make check install one.
target := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
is-arm64 := $(filter aarch64,$(target))

# One library per layer, lowest first. A layer may use only those before it;
# tests/lint/modules says so file by file.
libs = base core host arm64 devices machine ctl
dirs_base    = src/base
dirs_core    = src/core
dirs_host    = src/host
dirs_arm64   = arch/arm64 arch/arm64/gic arch/arm64/smmu $(if $(is-arm64),arch/arm64/kvm)
dirs_devices = devices/amba devices/pci devices/virtio devices/vfio
dirs_machine = src/machine
dirs_ctl     = src/ctl

# What runs a guest needs KVM on arm64; elsewhere one file says where to go.
arm64-only = src/machine/machine.c src/machine/load.c src/machine/power.c \
	     src/ctl/run.c src/ctl/doctor.c
elsewhere-only = src/ctl/elsewhere.c
left-out = $(if $(is-arm64),$(elsewhere-only),$(arm64-only))

# CPPFLAGS, CFLAGS and LDFLAGS are the user's; they come after ours.
cppflags = -Iinclude -I$(O)/gen -D_GNU_SOURCE -MMD -MP $(CPPFLAGS)
WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion \
       -Wno-unused-parameter -Wstrict-prototypes -Wmissing-prototypes \
       -Wvla -Wcast-qual -Wundef -Wimplicit-fallthrough
cflags = -std=gnu17 $(OPT) $(WARN) $(if $(filter 1,$(WERROR)),-Werror) \
	 -fno-common -fPIE -fstack-protector-strong -ffunction-sections \
	 $(if $(is-arm64),-mbranch-protection=standard) \
	 -fdata-sections $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
	 $(CFLAGS)
ldflags = -Wl,--gc-sections -pthread $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
# Debian 12's shared liburing leaves out what restricts a ring; its archive does not.
LDLIBS = -lfdt -l:liburing.a -lseccomp -ljansson -lzstd -lz
# The monitor is one static file, so that it runs on any arm64 host, and loads
# at a random address.
STATIC = $(if $(SAN),,-static-pie -Wl,-z,relro,-z,now)

srcs = $(filter-out $(left-out),$(foreach d,$(dirs_$(1)),$(sort $(wildcard $(d)/*.c))))
objs = $(patsubst %.c,$(O)/%.o,$(call srcs,$(1)))
archives := $(patsubst %,$(O)/lib%.a,$(libs))
# Linked highest layer first: a call upwards does not resolve.
rev = $(if $(1),$(call rev,$(wordlist 2,$(words $(1)),$(1))) $(firstword $(1)))
link-libs = $(call rev,$(archives)) $(LDLIBS)

tests := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
fuzzers := $(patsubst tests/fuzz/%.c,$(O)/tests/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

all: $(O)/belfry
include tests/targets.mk

help:
	$(Q)sed -n 's/^## //p' $(MAKEFILE_LIST)

## make                   build belfry for the machine that CC builds for
$(O)/belfry: $(O)/src/main.o $(archives)
	$(call say,LD,$@)
	$(Q)$(CC) $(STATIC) $(ldflags) -o $@ $< $(link-libs)

define lib-rule
$(O)/lib$(1).a: $(call objs,$(1)) $(O)/list-$(1)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach l,$(libs),$(eval $(call lib-rule,$(l))))

# A file that holds what a rule depends on besides files, and changes with it:
# flags rebuild every object, a list of sources (one gone, say) its archive.
$(O)/flags: now = $(CC) $(cppflags) $(cflags)
$(O)/list-%: now = $(call objs,$(@:$(O)/list-%=%))
$(O)/flags $(patsubst %,$(O)/list-%,$(libs)): FORCE
	@mkdir -p $(O)
	@echo '$(now)' | cmp -s - $@ || echo '$(now)' > $@

$(O)/%.o: %.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cppflags) $(cflags) -c -o $@ $<

# The names of system calls, for the sandbox's last words.
$(O)/gen/syscall_names.h: Makefile $(O)/flags
	@mkdir -p $(@D)
	$(Q)echo '#include <sys/syscall.h>' | $(CC) $(CPPFLAGS) -E -dM - | \
		sed -n 's/^#define __NR_\([a-z][a-z0-9_]*\) [0-9][0-9]*$$/[__NR_\1] = "\1",/p' | \
		grep -vE 'syscalls|arch_specific' | sort > $@
$(O)/src/host/sandbox.o: $(O)/gen/syscall_names.h

## make arm64             build the static arm64 belfry (cross, or native on arm64)
arm64:
	$(Q)$(MAKE) --no-print-directory O=$(O)/arm64 SAN= \
		$(shell tests/setup/cross-flags $(CROSS))

## make install           belfry and its manual page under PREFIX
install: all
	install -D -m 755 $(O)/belfry $(DESTDIR)$(PREFIX)/bin/belfry
	install -D -m 644 src/ctl/belfry.1 $(DESTDIR)$(PREFIX)/share/man/man1/belfry.1

## make clean             remove what was built (caches stay)
clean:
	rm -rf $(O)

-include $(wildcard $(O)/*/*.d $(O)/*/*/*.d $(O)/*/*/*/*.d)
.PHONY: all arm64 help install clean FORCE
# Objects of tests stay; .SECONDARY would also not make objects that are missing.
.PRECIOUS: $(O)/%.o
.DELETE_ON_ERROR:
