"""Files of a run: their paths, their life cycle, their JSON schemas."""
