"""The lab on text."""
