"""Keys, certificates and join files on disk: made once, private, never silently made anew. Shell."""
