"""The outside programs: how to speak to each, and how to believe what it says."""
