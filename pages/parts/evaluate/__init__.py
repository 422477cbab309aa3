"""What only the page Evaluate shows: one module for each section."""
