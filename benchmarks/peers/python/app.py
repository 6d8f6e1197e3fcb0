"""A peer to measure against: GET and PATCH of a playlist, as a tutorial on FastAPI and aioboto3 has it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
from botocore.exceptions import ClientError
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel


class Playlist(BaseModel):
    playlist_token: str
    playlist_name: str
    playlist_version: int
    track_tokens: list[str]


class Patch(BaseModel):
    playlist_name: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    endpoint_url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    async with aioboto3.Session().resource("dynamodb", endpoint_url=endpoint_url) as resource:
        app.state.table = await resource.Table(os.environ["TABLE"])
        yield


app = FastAPI(lifespan=lifespan)


async def load(table: Any, token: str) -> dict[str, Any]:
    answer = await table.get_item(Key={"partition_key": token, "sort_key": "INFO_"}, ConsistentRead=True)
    if "Item" not in answer:
        raise HTTPException(404)
    item: dict[str, Any] = answer["Item"]
    return item


def playlist(item: dict[str, Any]) -> Playlist:
    return Playlist(
        playlist_token=item["partition_key"],
        playlist_name=item["playlist_name"],
        playlist_version=int(item["playlist_version"]),
        track_tokens=item["track_tokens"],
    )


@app.get("/playlists/{token}", response_model=Playlist)
async def get(token: str, request: Request) -> Playlist:
    return playlist(await load(request.app.state.table, token))


@app.patch("/playlists/{token}", response_model=Playlist)
async def patch(token: str, body: Patch, request: Request) -> Playlist:
    table = request.app.state.table
    item = await load(table, token)
    version = item["playlist_version"]
    item["playlist_name"] = body.playlist_name
    item["playlist_version"] = version + 1
    try:
        await table.put_item(
            Item=item,
            ConditionExpression="playlist_version = :read_version",
            ExpressionAttributeValues={":read_version": version},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            raise HTTPException(409) from error
        raise
    return playlist(item)
