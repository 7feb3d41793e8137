"""What an operator types: the words of each command, and what it does beside a running service."""
