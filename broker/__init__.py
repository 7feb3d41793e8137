"""The identity broker: who is here, and who a flow step runs as."""

__version__ = "0.1.0"
