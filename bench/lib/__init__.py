"""What the benchmarks share. Import `lib.paths` first: it lets them find the harness of the tests."""
