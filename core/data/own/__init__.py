"""Images of a person's own: read from an archive, kept as a data set."""
