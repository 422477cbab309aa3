"""What every page begins with: the frame, the menu, the services, the session's keys."""
