"""The pack adds nothing to what the page itself says on its console."""

import re
from collections import Counter

import pytest
from page_server import RENDERERS


def words_of(messages):
    """How often each message was said, whatever the server's port and the build's file names are."""
    return Counter(re.sub(r":\d{4,5}/|-[\w-]{8}\.js(:\d+)*", "", message) for message in messages)


@pytest.fixture(scope="module")
def bare_server(start_server):
    """A server without any pack."""
    return start_server("--disable-all-custom-nodes")


@pytest.mark.parametrize("name", RENDERERS)
def test_a_first_load_says_no_more_than_without_the_pack(new_page, server, bare_server, name):
    said = []
    for place in (bare_server, server):
        place.use_renderer(name)
        page = new_page(place)
        page.open()
        page.page.wait_for_timeout(3000)
        said.append(words_of(page.messages))
        page.page.close()
    assert said[1] - said[0] == Counter()
