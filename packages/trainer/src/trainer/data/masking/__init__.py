"""Which patches of the global crops the student does not see."""
