"""Many files at once: in several processes, and from what earlier runs have left."""
