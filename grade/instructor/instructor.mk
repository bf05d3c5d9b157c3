# The instructor's side: grade/instructor/GUIDE.md.
#
#   make grade-class SUBMISSIONS=dir OUT=dir [LAB=N] [JOBS=n] [SEED=n] [HIDDEN=dir] [RELEASE=dir] [SLURM=1]
#   make gradescope OUT=file.zip [LAB=N] [HIDDEN=dir] [RELEASE=dir]  an autograder for Gradescope
#   make classroom OUT=dir [LAB=N] [COURSE=url] [RELEASE=dir]  a workflow for GitHub Classroom
#   make class-check                                       a class of 40 made-up submissions, graded; takes some minutes
#   make forger [LAB=N] [TEST=glob]                        which tests believe a kernel that plays back another one's records
INSTRUCTOR_PYTHON = $(shell for p in $(PYTHON) /usr/bin/python3 python3.12 python3.11; do \
	$$p -c 'import clang.cindex, jinja2, pytest, tomllib' 2>/dev/null && { echo $$p; exit; }; done; \
	echo no-python3-with-clang-jinja2-pytest)
INSTRUCTOR = $(Q)MAKE='$(MAKE)' PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 $(INSTRUCTOR_PYTHON) -m grade.instructor
INSTRUCTOR_WORDS = $(if $(LAB),--lab '$(LAB)') $(if $(HIDDEN),--hidden '$(HIDDEN)') $(if $(RELEASE),--release '$(RELEASE)')
# What judges need besides the kernels that students send.
JUDGES_NEED := $(B)/archive.cpio $(B)/test-archive.cpio

.PHONY: grade-class gradescope classroom class-check forger judges-need
judges-need: $(JUDGES_NEED) host-tests tools user
grade-class: judges-need
	$(INSTRUCTOR).classrun '$(SUBMISSIONS)' '$(OUT)' --build '$(B)' --jobs '$(JOBS)' $(INSTRUCTOR_WORDS) \
		$(if $(filter-out file undefined,$(origin SEED)),--seed '$(SEED)') $(if $(TEST),--test '$(TEST)') $(if $(SLURM),--slurm) \
		$(if $(SECONDS),--seconds '$(SECONDS)')
gradescope:
	$(INSTRUCTOR).gradescope '$(OUT)' $(INSTRUCTOR_WORDS)
classroom:
	$(INSTRUCTOR).classroom '$(OUT)' $(if $(LAB),--lab '$(LAB)') $(if $(COURSE),--course '$(COURSE)') \
		$(if $(RELEASE),--release '$(RELEASE)')
class-check: judges-need
	$(INSTRUCTOR).class_check --build '$(B)' --jobs '$(JOBS)' $(if $(LAB),--lab '$(LAB)') $(if $(OUT),--out '$(OUT)')
forger: judges-need
	$(INSTRUCTOR).forger --build '$(B)' $(if $(LAB),--lab '$(LAB)') $(if $(TEST),--test '$(TEST)')
