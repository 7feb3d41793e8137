"""Directories we read: any SCIM 2.0 server, Microsoft Graph."""
