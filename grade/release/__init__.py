"""Makes the students' repository from the solved tree: `make release DEST=dir`."""
