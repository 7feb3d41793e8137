"""Verbs: what the broker does; a public method is one transaction, or says why not."""
