class FakeHub:
    def snapshot_download(self, repo_id):
        return "/tmp/fake"


def test_fake():
    assert FakeHub().snapshot_download("acme-labs/tiny") == "/tmp/fake"
