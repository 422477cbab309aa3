"""Components of our own, each with its css and js, and other things drawn on several pages."""
