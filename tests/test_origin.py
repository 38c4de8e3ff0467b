import pytest

from registry_gate.origin import endpoint_allowed, origin_of

LISTED = ("https://huggingface.co", "https://mirror.example:8443")


@pytest.mark.parametrize(
    "endpoint", ["https://huggingface.co", "https://HuggingFace.co/", "https://huggingface.co:443",
                 "https://mirror.example:8443"],
)  # fmt: skip
def test_listed_origins_are_allowed(endpoint):
    assert endpoint_allowed(endpoint, LISTED)


@pytest.mark.parametrize(
    "endpoint",
    ["http://huggingface.co", "https://huggingface.co.evil.example", "https://huggingface.co@evil.example",
     "https://evil.example/huggingface.co", "https://huggingface.co/mirror", "https://huggingface.co?x",
     "https://mirror.example", "huggingface.co", "", "file:///huggingface.co", "https://huggingface.co:99999",
     "http://127.0.0.1:8000", "http://localhost", "http://[::1", "https://a b"],
)  # fmt: skip
def test_everything_else_is_not(endpoint):
    assert not endpoint_allowed(endpoint, LISTED)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:80"])
def test_loopback_is_a_word_of_its_own(endpoint):
    assert endpoint_allowed(endpoint, ("loopback",))
    assert not endpoint_allowed(endpoint, ())


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.2:80", "http://localhost.evil.example", "http://10.0.0.1", "https://localhost"],
)
def test_loopback_stands_for_nothing_wider(endpoint):
    assert not endpoint_allowed(endpoint, ("loopback",))


def test_origins_compare_without_case_and_default_ports():
    assert origin_of("HTTPS://Example.org/x") == origin_of("https://example.org:443")
    assert origin_of("ftp://example.org") is None
    assert origin_of("https://user@example.org") is None
