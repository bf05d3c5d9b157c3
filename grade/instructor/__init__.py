"""The instructor's side: a class of submissions graded in sandboxes, and what other services want of the same
grader."""
