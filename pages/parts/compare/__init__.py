"""What only the page Compare runs shows."""
