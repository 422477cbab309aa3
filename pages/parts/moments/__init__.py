"""What the page Go back in time is made of."""
