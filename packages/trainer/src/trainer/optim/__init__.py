"""Parameter groups, schedules, clipping and the moving average."""
