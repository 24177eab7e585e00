"""Flashing boards: which are there, checks before anything is written, writing, reading back, a question at the end."""
