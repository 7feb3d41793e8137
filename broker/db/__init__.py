"""The engine room: it knows SQL and knows no noun."""
