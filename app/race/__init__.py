"""`playlists race`: writers that rename one playlist at once, and the proof that nothing was lost."""
