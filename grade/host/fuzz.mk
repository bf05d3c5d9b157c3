# Fuzzing of EclipseFS on the host: the driver's and the journal's own sources under sanitizers.
#
#	make fuzz		all of it, some ten minutes; FUZZ_SECONDS=n for the coverage-guided part (default 60)
#
# A failing case prints the command that shows it again. `make test` has a small version of each (test_eclipsefs_driver.py).

FUZZ := $(B)/fuzz
FUZZ_SECONDS ?= 60
FUZZ_PYTHON ?= $(or $(PYTEST_PYTHON),python3)
FUZZ_SOURCES := $(shell awk '/^fs\/[a-z]*\/[a-z0-9_]*\.c[ \t]/ && !/\/(test|observe)_/ { print $$1 }' labs/08-eclipsefs/files labs/09-journal/files 2>/dev/null)
FUZZ_HEADERS := $(wildcard fs/eclipsefs/*.h fs/journal/*.h fs/vfs/*.h)
FUZZ_FLAGS := -g -O1 -std=gnu11 -fno-builtin -I. -DKERN_BOOT_INITCALL_H -fno-sanitize-recover=undefined \
	'-DINITCALL(lab,fn)=static void __attribute__((constructor)) ctor_\#\#fn(void) { fn(); }'
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize=alignment,null
FUZZ_FSCK := $(shell sed -n 's/^fsck.eclipsefs: //p' fs/eclipsefs/host/files 2>/dev/null)

$(FUZZ)/sim: grade/host/eclipsefs_sim.c $(FUZZ_SOURCES) $(FUZZ_HEADERS)
	@mkdir -p $(@D)
	$(Q)gcc $(FUZZ_FLAGS) $(FUZZ_SAN) $(FUZZ_SOURCES) $< -o $@

$(FUZZ)/libfuzzer: grade/host/eclipsefs_sim.c $(FUZZ_SOURCES) $(FUZZ_HEADERS)
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) $(FUZZ_SAN) -fsanitize=fuzzer -Dmain=sim_main -w $(FUZZ_SOURCES) $< -o $@

# The checker, again, with sanitizers.
$(FUZZ)/fsck.eclipsefs: $(FUZZ_FSCK) $(wildcard fs/eclipsefs/host/*.h fs/eclipsefs/*.h)
	@mkdir -p $(@D)
	$(Q)gcc -g -O1 -std=gnu11 -I. $(FUZZ_SAN) -fno-sanitize-recover=undefined $(FUZZ_FSCK) -o $@

.PHONY: fuzz
fuzz: $(B)/bin/mkfs.eclipsefs $(B)/bin/fsck.eclipsefs $(B)/bin/eclipsefs $(FUZZ)/sim $(FUZZ)/fsck.eclipsefs
	$(Q)if command -v clang >/dev/null; then $(MAKE) --no-print-directory $(FUZZ)/libfuzzer; fi
	$(Q)ECLIPSE_BUILD=$(B) $(FUZZ_PYTHON) grade/host/fuzz.py --seconds $(FUZZ_SECONDS)
