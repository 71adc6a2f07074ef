"""Images that a registry does not give to everybody: who shows what to whom, and where no secret is ever found."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from cloud import Cloud, unique_name
from engine import Engine, EngineRefused, Registry, missing
from groups import App, serving_instances
from http_call import Api
from registries import FakeEcr, TokenRealm, passwords
from waiting import wait_for

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: {missing()}")

USER, PASSWORD, AWS_PASSWORD, AWS_KEY = "robot", "hunter2-of-the-robot", "hunter2-of-aws", "AKIAE2E"


class World:
    """An engine, registries that want to know who pulls, and a cloud of one node that may call them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.engine = Engine()
        self.realm = TokenRealm(self.engine.folder / "realm", USER, PASSWORD)
        self.ecr = FakeEcr(AWS_KEY, AWS_PASSWORD)
        self.by_password = Registry(self.engine.folder / "by-password", passwords(
            self.engine.folder / "users", **{USER: PASSWORD, "AWS": AWS_PASSWORD}))
        self.by_token = Registry(self.engine.folder / "by-token", self.realm.configuration())
        self.cloud = Cloud(folder, nodes=1, arguments=[
            "--runtime", "docker", "--engine", f"unix:{self.engine.socket}", "--no-egress",
            "--private-addresses", "--ecr-api", f"{self.ecr.uri}/"])
        self.cloud.settings = {"MESCLUN_AGENT_IMAGE_CACHE_PRIVATE_AGE": "5s"}
        self.cloud.start()
        self.cloud.wait_for_nodes()

    def image(self, registry: Registry) -> str:
        """A fresh one, which the engine does not have."""
        name = f"{registry.address}/{unique_name('team')}/app:1"
        self.engine.push("e2e-busybox:1", name, USER, PASSWORD)
        return name

    def has(self, image: str) -> bool:
        return self.engine.run("image", "inspect", image, check=False).returncode == 0

    def stop(self) -> None:
        self.cloud.stop()
        self.realm.stop()
        self.ecr.stop()
        self.by_password.stop()
        self.by_token.stop()
        self.engine.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    try:
        made = World(tmp_path_factory.mktemp("private"))
    except EngineRefused as refused:
        pytest.skip(f"this machine runs no engine: {refused}")
    yield made
    made.stop()


def group(world: World, image: str, login: dict[str, Any] | None, api: Api | None = None) -> App:
    spec: dict[str, Any] = {
        "name": unique_name("private"), "autostart_policy": True, "restart_policy": "always", "replicas": 1,
        "container": {"image": image, "command": ["sleep", "600"], "resources": {"cpu": 1, "memory": 1024}},
        "networking": {"protocol": "http", "port": 8080, "auth": False}}
    if login is not None:
        spec["container"]["registry_authentication"] = login
    return App(world.cloud, api or world.cloud.api(), spec)


def runs(app: App) -> bool:
    return bool(serving_instances(app.api, app.name))


def told(app: App, *words: str) -> bool:
    return any(all(word in str(event) for word in words) for event in app.api.events(app.name))


def basic(password: str = PASSWORD) -> dict[str, Any]:
    return {"basic": {"username": USER, "password": password}}


def holds(folder: pathlib.Path, *secrets: str) -> list[str]:
    """Files below that have one of these in them."""
    wanted = [secret.encode() for secret in secrets]
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if any(secret in content for secret in wanted):
            found.append(str(path))
    return found


def assert_no_secret(world: World, app: App) -> None:
    shown = str(app.api.group(app.name)) + str(app.api.events(app.name))
    inspected = "".join(world.engine.run("inspect", container).stdout for container in world.engine.containers())
    for secret in (PASSWORD, AWS_PASSWORD):
        assert secret not in shown and secret not in inspected
    assert not holds(world.cloud.data / "nodes", PASSWORD, AWS_PASSWORD)


def test_a_wrong_password_is_told_and_a_patch_mends_it(world: World) -> None:
    app = group(world, world.image(world.by_password), basic("wrong"))
    wait_for(lambda: told(app, "cannot pull the image", "refuses the credentials"), "the reason", 60)
    patch = {"container": {"registry_authentication": basic()}}
    reply = app.api.patch(f"/containers/{app.name}", patch)
    assert reply.status == 200 and reply.json["version"] == 1, reply
    assert "registry_authentication" not in reply.json["container"]
    wait_for(lambda: runs(app), "an instance of the private image", 60)
    assert_no_secret(world, app)
    app.delete()


def test_nodes_get_a_token_for_one_repository(world: World) -> None:
    image = world.image(world.by_token)
    repository = image.removeprefix(f"{world.by_token.address}/").removesuffix(":1")
    world.realm.received.clear()
    app = group(world, image, {"docker_hub": {"username": USER, "personal_access_token": PASSWORD}})
    wait_for(lambda: runs(app), "an instance of the private image", 60)
    # Nobody but the cloud has asked: the engine had the token.
    assert world.realm.scopes() == [f"repository:{repository}:pull"]
    assert_no_secret(world, app)

    # It is here, but not for another organization.
    operator = world.cloud.operator()
    rival = unique_name("rival")
    assert operator.post("/api/operator/organizations", {"name": rival}).status == 201
    assert operator.post(f"/api/operator/organizations/{rival}/projects", {"name": "default"}).status == 201
    key = world.cloud.new_key(rival)
    thief = group(world, image, None, Api(world.cloud.api_address, key, rival, "default"))
    wait_for(lambda: told(thief, "cannot pull the image"), "the refusal", 60)
    thief.delete()
    app.delete()


def test_a_wrong_token_login_has_the_realms_words(world: World) -> None:
    app = group(world, world.image(world.by_token), basic("wrong"))
    wait_for(lambda: told(app, "cannot pull the image", "wrong user or password"), "the realm's words", 60)
    app.delete()


def test_without_credentials_a_private_image_is_not_for_us(world: World) -> None:
    app = group(world, world.image(world.by_password), None)
    wait_for(lambda: told(app, "cannot pull the image"), "the reason", 60)
    assert not runs(app)
    app.delete()


def test_aws_gives_a_password_of_hours_for_a_signed_question(world: World) -> None:
    image = world.image(world.by_password)
    login = {"aws_ecr": {"access_key_id": AWS_KEY, "secret_access_key": "signs-only"}}
    app = group(world, image, login)
    wait_for(lambda: runs(app), "an instance of the private image", 60)
    assert_no_secret(world, app)
    assert not holds(world.cloud.data / "nodes", "signs-only")
    assert all("signs-only" not in str(one) for one in world.ecr.received)
    app.delete()


def test_a_private_image_leaves_soon_unless_its_group_wants_it_cached(world: World) -> None:
    kept, left = world.image(world.by_password), world.image(world.by_password)
    app = group(world, kept, basic())
    wait_for(lambda: runs(app), "an instance of the private image", 60)
    before = app.api.instances(app.name)[0]
    reply = app.api.patch(f"/containers/{app.name}", {"container": {"image_caching": True}})
    assert reply.status == 200 and reply.json["container"]["image_caching"] is True, reply
    wait_for(lambda: app.api.instances(app.name)[0]["version"] > before["version"], "the new version", 20)
    assert app.api.instances(app.name)[0]["id"] == before["id"], "nothing restarts for it"
    app.delete()

    # What goes first was needed later.
    app = group(world, left, basic())
    wait_for(lambda: runs(app), "an instance of the private image", 60)
    app.delete()
    wait_for(lambda: not world.has(left), "the private image to leave", 60)
    assert world.has(kept)
