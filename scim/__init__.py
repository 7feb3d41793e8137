"""A whole SCIM 2.0 server in search of a host (RFC 7643, RFC 7644): no storage, no broker."""
