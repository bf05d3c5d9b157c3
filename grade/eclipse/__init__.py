"""What the tests are written with: build products, a machine to boot, a shell to type into, the lists of the labs."""
