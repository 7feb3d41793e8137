"""JSON for services: one noun a file, each closing over the service it faces."""
