"""Parts of a network put together: assembly, inference, fast batch norm."""
