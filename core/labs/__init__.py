"""What only the learn pages compute: each lab's arithmetic, and the code it shows."""
