"""Looking into a data set: images found, neighbours, maps, odd ones."""
