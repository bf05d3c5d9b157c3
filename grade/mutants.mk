# Wrong solutions: is every one caught? make mutants [LAB=N] [MUTANT=glob] [JOBS=n]
MUTANT ?=
.PHONY: mutants
mutants:
	$(Q)MAKE='$(MAKE)' $(PYTEST_PYTHON) -m grade.mutants --build '$(B)' --jobs '$(JOBS)' $(if $(LAB),--lab '$(LAB)') \
		$(if $(MUTANT),--mutant '$(MUTANT)')
