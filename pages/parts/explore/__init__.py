"""What only the page Explore data shows."""
