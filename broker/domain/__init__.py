"""Plain Python: what the broker talks about, without I/O and without a clock of its own."""
