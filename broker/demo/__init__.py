"""Pretend programs and a pretend identity provider: for demos, tests and customers' rehearsals."""
