"""Keys, certificates and join files on disk: made once, private, never silently anew. Shell."""
