"""The labs: one folder for each with more than a page, and what all of them use."""
