"""The config that the session is about to train, and its form."""
