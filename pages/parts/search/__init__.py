"""What the page Search settings is made of."""
