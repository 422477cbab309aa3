"""Files of weights from elsewhere: read, checked, matched with an architecture."""
