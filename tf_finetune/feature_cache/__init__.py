"""Feature cache: outputs of frozen networks, computed once per picture."""
