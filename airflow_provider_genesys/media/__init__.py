"""The media of recordings: find the recordings, fetch their files and store them."""
