"""Generated from schemas/proto; `make protos` makes it anew."""
