from collections.abc import Iterator

import pytest

from tests.servers import running_playlists, without


@pytest.fixture
def service_url(endpoint_url: str, table_name: str) -> Iterator[str]:
    """The service in a process of its own."""
    with running_playlists("serve", environment=without(PLAYLISTS_TABLE_NAME=table_name)) as served:
        yield served.url
