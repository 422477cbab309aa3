"""What only the page Build model shows."""
