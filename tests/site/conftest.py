"""The site, built once."""

import pytest

from support.site import Built, build, copied


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site as ``make docs`` builds it."""
    built = build(copied(tmp_path_factory.mktemp("repository")))
    assert built.returncode == 0, built.said
    return built
