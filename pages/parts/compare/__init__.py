"""What only the page Compare runs shows: one module for each part."""
