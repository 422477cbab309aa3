"""Why?: the reasons for one answer, wherever a page asks."""
