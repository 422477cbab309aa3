"""The lab 2-D classifier."""
