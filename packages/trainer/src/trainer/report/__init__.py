"""`trainer report`: a run as one HTML page, from the files of its folder alone."""
