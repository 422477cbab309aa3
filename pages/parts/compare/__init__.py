"""What only the page Compare runs shows: the table of all runs, what is done with them, and what lies side by side."""
