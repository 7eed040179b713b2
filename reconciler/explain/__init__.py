"""What of a proxy's configuration comes from where. Nothing serves from it."""
