"""Nouns, kept: one module a noun, functions that take a transaction, SQL written as SQL."""
