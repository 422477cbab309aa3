"""What a run's status is called."""

STATUS = {
    "queued": ("Waiting", ":material/hourglass_empty:"), "running": ("Training", ":material/play_circle:"),
    "finished": ("Finished", ":material/check_circle:"), "stopped": ("Stopped", ":material/stop_circle:"),
    "failed": ("Failed", ":material/error:"), "interrupted": ("Interrupted", ":material/power_off:"),
}
