"""HTML for people, over the same services; every page works by links and forms alone."""
