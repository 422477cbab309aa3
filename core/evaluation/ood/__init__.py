"""Whether an input looks like what a network was trained on (OOD: out of distribution)."""
