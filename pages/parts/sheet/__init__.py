"""What only the page Read a sheet shows."""
