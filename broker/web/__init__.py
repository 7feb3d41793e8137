"""The faces: JSON for services, SCIM for identity providers, pages for people."""
