"""What only the page Class digits shows."""
