"""One example's way through a network, and the weights it meets."""
