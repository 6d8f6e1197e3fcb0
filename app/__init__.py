"""Playlists over HTTP on a shared DynamoDB table. Imports run `api -> store -> domain`."""
