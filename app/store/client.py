"""The one DynamoDB client of a process."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aioboto3
from botocore.config import Config

from app.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient


@asynccontextmanager
async def open_client(settings: Settings) -> "AsyncIterator[DynamoDBClient]":
    """A client for as long as the block lasts; its first use costs about 140 ms, so make one only.

    Endpoint, credentials and profiles come from AWS's own configuration. The SDK makes single
    attempts: its retries would hide whether an earlier attempt had been applied.
    """
    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        max_pool_connections=settings.max_connections,
    )
    # botocore knows AWS_DEFAULT_REGION only; every other AWS SDK reads AWS_REGION first.
    session = aioboto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    async with session.client("dynamodb", config=config) as client:
        yield client
