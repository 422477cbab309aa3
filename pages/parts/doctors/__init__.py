"""What both doctors say, as pages show it."""
