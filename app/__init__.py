"""Playlists over HTTP on a shared DynamoDB table. Imports run `api -> store -> domain`."""

__version__ = "0.1.0"
