"""Flashing boards: which are there, what is checked before anything is written, writing, reading back, and a question at the end."""
