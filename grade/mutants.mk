# Wrong solutions: is every one caught? make mutants [LAB=N] [MUTANT=glob] [JOBS=n]
MUTANT ?=
.PHONY: mutants
mutants:
	$(Q)MAKE='$(MAKE)' $(PYTEST_PYTHON) -m grade.mutants --build '$(B)' --jobs '$(JOBS)' $(if $(LAB),--lab '$(LAB)') \
		$(if $(MUTANT),--mutant '$(MUTANT)')

# Does the solution pass every time? make flake [RUNS=n] [LAB=N] [TEST=glob]
RUNS ?= 200
.PHONY: flake
flake:
	$(Q)MAKE='$(MAKE)' $(PYTEST_PYTHON) -m grade.flake --build '$(B)' --jobs '$(JOBS)' --runs '$(RUNS)' $(if $(LAB),--lab '$(LAB)') \
		$(if $(TEST),--test '$(TEST)')
