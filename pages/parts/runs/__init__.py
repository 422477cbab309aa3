"""A run as several pages show it: started, watched, stopped."""
