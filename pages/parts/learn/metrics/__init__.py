"""The lab on metrics."""
