"""What only the page Draw a digit shows."""
