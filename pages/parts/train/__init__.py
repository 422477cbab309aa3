"""What only the page Train model shows."""
