"""The frozen model that students learn from."""
