"""Parts of Lessons."""
