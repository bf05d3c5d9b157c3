# What only a student's tree can do.
.PHONY: next-lab
next-lab:
	@sh grade/release/next_lab.sh

# A body that is not written yet fills in no result: the compiler would complain about its callers.
KCFLAGS += -Wno-maybe-uninitialized
