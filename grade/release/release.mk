# The students' repository. (In a student's tree this file is another one, with the rule for next-lab.)
RELEASE_PYTHON = $(shell for p in $(PYTHON) /usr/bin/python3 python3.12 python3.11; do \
	$$p -c 'import clang.cindex, tomllib' 2>/dev/null && { echo $$p; exit; }; done; echo no-python3-with-libclang)

.PHONY: release release-check
release:
	$(Q)PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 $(RELEASE_PYTHON) -m grade.release.write '$(DEST)' --labs '$(LABS)' --seed '$(SEED)' \
		--flags '$(CC) $(KCFLAGS)'

# Everything about every lab; `make test` has the quick part of it.
release-check:
	$(Q)ECLIPSE_RELEASE=all $(MAKE) --no-print-directory test TEST='release*'
