"""End-to-end tests: a real `mesclun up`, real nodes, real processes, unmodified official SDKs.

Run: build/venv/bin/python -m pytest -q e2e        (tools/e2e_env.sh makes build/venv and build/node)
The binary is $MESCLUN_BIN, or build/dev/bin/mesclun. Tests share one cloud unless they break it; every test has a key
of its own, because the API counts requests by key, and waits for conditions, never for a time.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]

from cloud import BINARY, Cloud, RolesCloud  # noqa: E402
from companion import Companion  # noqa: E402
from edge import Edge  # noqa: E402
from engine import Engine, EngineRefused, missing  # noqa: E402
from fake_services import FakeMetadata, FakeStore  # noqa: E402
from groups import App, echo_spec, idle_spec, wait_until_gone  # noqa: E402
from http_call import Api  # noqa: E402


def pytest_sessionstart(session: pytest.Session) -> None:
    if not BINARY.exists() and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} is not built; set MESCLUN_BIN or run `cmake --workflow --preset dev`", returncode=2)


def _stop(cloud: Cloud) -> None:
    try:
        cloud.stop()
    finally:
        cloud.kill_everything()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The cloud that all tests share which leave it as they found it. A node is replaced soon."""
    shared = Cloud(tmp_path_factory.mktemp("cloud"), nodes=3)
    try:
        shared.start()
        shared.wait_for_nodes()
        yield shared
    finally:
        _stop(shared)


@pytest.fixture
def new_cloud(tmp_path: pathlib.Path) -> Iterator[Callable[..., Cloud]]:
    """Makes clouds for a test that breaks them."""
    made: list[Cloud] = []

    def make(roles: bool = False, **options: Any) -> Cloud:
        kind = RolesCloud if roles else Cloud
        made.append(kind(tmp_path / f"cloud{len(made)}", **options))
        return made[-1]

    yield make
    for one in made:
        one.kill_everything()


@contextlib.contextmanager
def _running_engine(disk: str = "") -> Iterator[Engine]:
    if lacks := missing():
        pytest.skip(f"not here: {lacks}")
    try:
        engine = Engine(disk)
    except EngineRefused as refused:
        pytest.skip(f"this machine runs no engine: {refused}")
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def running_engine() -> Callable[..., contextlib.AbstractContextManager[Engine]]:
    """Runs Docker Engines for the length of a `with`; skips the test of a machine that cannot."""
    return _running_engine


@pytest.fixture
def api(cloud: Cloud) -> Api:
    return cloud.api()


@pytest.fixture
def idle_group(api: Api) -> Iterator[dict[str, Any]]:
    """A group that was never started."""
    group = api.create(idle_spec())
    yield group
    api.delete(f"/containers/{group['name']}")


@pytest.fixture
def new_app(cloud: Cloud, api: Api) -> Iterator[Callable[..., App]]:
    """Makes and serves echo applications; they are deleted after the test."""
    made: list[App] = []

    def make(**changes: Any) -> App:
        made.append(App(cloud, api, echo_spec(**changes)))
        made[-1].wait_until_serving()
        return made[-1]

    yield make
    for app in made:
        api.delete(f"/containers/{app.name}")
    for app in made:
        wait_until_gone(api, app.name)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """A gateway that speaks TLS, for all tests of a module."""
    made = Edge(tmp_path_factory.mktemp("edge"))
    try:
        made.start()
        yield made
    finally:
        made.cloud.kill_everything()


@pytest.fixture(scope="module")
def app(cloud: Cloud) -> Iterator[App]:
    """One replica, so that two requests of a test meet in one process."""
    made = App(cloud, cloud.api(), echo_spec())
    try:
        made.wait_until_serving()
        yield made
    finally:
        made.delete()


@pytest.fixture(scope="module")
def shared_app(cloud: Cloud) -> Iterator[App]:
    """Two replicas that the tests of one module use without changing them."""
    app = App(cloud, cloud.api(), echo_spec(replicas=2))
    try:
        app.wait_until_serving()
        yield app
    finally:
        app.delete()


@pytest.fixture
def companion(tmp_path: pathlib.Path) -> Iterator[Callable[..., Companion]]:
    """Makes and starts mesclun-app with apps/fake_model.py behind it; waits until it is ready unless told not to."""
    made: list[Companion] = []

    def make(*options: str, config: dict[str, Any] | None = None, env: dict[str, str] | None = None,
             command: list[str] | None = None, app: str = "", wait: bool = True) -> Companion:
        one = Companion(tmp_path / f"companion{len(made)}", config or {}, list(options), env or {}, command, app)
        made.append(one)
        one.start()
        if wait:
            one.wait_for_state("ready")
        return one

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def metadata() -> Iterator[FakeMetadata]:
    service = FakeMetadata()
    yield service
    service.stop()


@pytest.fixture
def store() -> Iterator[FakeStore]:
    service = FakeStore()
    yield service
    service.stop()
