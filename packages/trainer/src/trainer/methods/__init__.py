"""What is trained: a method turns crops into losses."""
