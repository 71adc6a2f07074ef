"""The network between an agent and its cloud is lost for a while, without a word or with a refusal.

The longer losses are those of five minutes and more, with the grace and the silence after which an agent stops everything
made shorter with them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest

import processes
from cloud import RolesCloud
from fault_proxy import FaultProxy
from groups import App, echo_spec, serving_instances, wait_until_gone
from ports import free_address
from waiting import wait_for

OFFLINE = "Instance Interrupted (Node Offline)"
# A session is given up after two seconds, a node after four.
SHORT = ["--heartbeat", "500ms", "--node-grace", "4s"]


@dataclasses.dataclass
class Network:
    """Of the first machine, whose ways to cloud and gateway are lost together."""

    session: FaultProxy
    tunnels: FaultProxy

    def lose(self, how: str) -> None:
        for way in (self.session, self.tunnels):
            getattr(way, how)()

    def heal(self) -> None:
        self.lose("heal")


@pytest.fixture
def proxied(new_cloud: Callable[..., RolesCloud]) -> Iterator[Callable[..., tuple[RolesCloud, Network]]]:
    """A cloud with one machine, which dials proxies. A second one may be added, which shares the way to the gateway."""
    made: list[Network] = []

    def make(arguments: list[str], *agent_arguments: str) -> tuple[RolesCloud, Network]:
        cloud = new_cloud(roles=True, nodes=1, arguments=arguments)
        tunnels = free_address()
        made.append(Network(FaultProxy(cloud.nodes_address), FaultProxy(tunnels)))
        cloud.agents_dial = made[-1].session.address
        cloud.gateway_arguments = ["--tunnels", tunnels, "--tunnel-address", made[-1].tunnels.address]
        cloud.agent_arguments = ["--cloud-back-off-max", "1s", *agent_arguments]
        cloud.start()
        cloud.wait_for_nodes()
        return cloud, made[-1]

    yield make
    for network in made:
        network.lose("stop")


def add_machine(cloud: RolesCloud) -> str:
    cloud.agents_dial, cloud.node_count = cloud.nodes_address, 2
    cloud.start_agent(2)
    cloud.wait_for_nodes()
    return cloud.machine_ids()[2]


def make_app(cloud: RolesCloud) -> App:
    app = App(cloud, cloud.api(), echo_spec())
    app.wait_until_serving()
    return app


def life(app: App) -> tuple[str, str]:
    """Instance id and the mark of its process, asked through the gateway."""
    def look() -> tuple[str, str] | None:
        reply = app.call("GET", "/")
        return (reply.json["instance_id"], reply.json["run"]) if reply.status == 200 else None
    return wait_for(look, f"{app.name} behind the gateway", 30)


def runs_of(app: App, machine_id: str) -> list[processes.Process]:
    return processes.find(lambda process: process.environment.get("SALAD_MACHINE_ID") == machine_id
                          and process.environment.get("SALAD_CONTAINER_GROUP_NAME") == app.name)


def state_of(cloud: RolesCloud, machine_id: str) -> str:
    return next(node["state"] for node in cloud.nodes() if node["machine_id"] == machine_id)


@pytest.mark.parametrize("how", ["silence", "refuse"])
@pytest.mark.parametrize("arguments, seconds", [([], 5), (["--heartbeat", "500ms", "--node-grace", "20s"], 5)],
                         ids=["defaults", "session lost"])
def test_a_short_loss_changes_nothing(proxied: Callable[..., tuple[RolesCloud, Network]], how: str,
                                      arguments: list[str], seconds: float) -> None:
    cloud, network = proxied(arguments)
    app, other = make_app(cloud), add_machine(cloud)
    before, started = life(app), app.api.event_names(app.name)
    network.lose(how)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert [found["id"] for found in app.api.instances(app.name)] == [before[0]]
        time.sleep(0.2)
    network.heal()
    cloud.wait_for_nodes()
    assert life(app) == before
    assert [found["id"] for found in serving_instances(app.api, app.name)] == [before[0]]
    names = app.api.event_names(app.name)
    assert names[:len(started)] == started
    assert not {"Instance Allocated", "Instance Starting", OFFLINE} & set(names[len(started):]), names
    assert not runs_of(app, other)


@pytest.mark.parametrize("how", ["silence", "refuse"])
def test_a_long_loss_with_no_other_machine_ends_with_the_same_process(
        proxied: Callable[..., tuple[RolesCloud, Network]], how: str) -> None:
    cloud, network = proxied(SHORT)
    app, machine = make_app(cloud), cloud.machine_ids()[1]
    before = life(app)
    network.lose(how)
    wait_for(lambda: OFFLINE in app.api.event_names(app.name), "the machine to be given up", 60)
    assert state_of(cloud, machine) == "offline"
    assert not serving_instances(app.api, app.name)
    assert runs_of(app, machine), "what should run runs on"
    network.heal()
    cloud.wait_for_nodes()
    assert life(app) == before
    wait_for(lambda: [found["id"] for found in serving_instances(app.api, app.name)] == [before[0]],
             "the instance by its old id", 30)


@pytest.mark.parametrize("how", ["silence", "refuse"])
def test_a_long_loss_leaves_one_copy(proxied: Callable[..., tuple[RolesCloud, Network]], how: str) -> None:
    cloud, network = proxied(SHORT)
    app, machine = make_app(cloud), cloud.machine_ids()[1]
    other = add_machine(cloud)
    getattr(network.session, how)()
    wait_for(lambda: [found["machine_id"] for found in serving_instances(app.api, app.name)] == [other],
             "the instance on the other machine", 60)
    assert runs_of(app, machine), "nobody could tell the first machine"
    moved = life(app)
    network.heal()
    wait_for(lambda: not runs_of(app, machine), "the end of the first copy", 60)
    assert life(app) == moved, "the one that served goes on"


def test_a_machine_that_hears_nothing_for_long_ends_what_may_not_be_wanted(
        proxied: Callable[..., tuple[RolesCloud, Network]]) -> None:
    cloud, network = proxied(SHORT, "--stop-after-silence", "8s")
    unwanted, wanted = make_app(cloud), make_app(cloud)
    machine = cloud.machine_ids()[1]
    network.lose("silence")
    wait_for(lambda: state_of(cloud, machine) == "offline", "the machine to be given up", 60)
    unwanted.api.delete(f"/containers/{unwanted.name}")
    wait_until_gone(unwanted.api, unwanted.name)
    assert runs_of(unwanted, machine) and runs_of(wanted, machine), "nothing ends before its time"
    wait_for(lambda: not runs_of(unwanted, machine) and not runs_of(wanted, machine), "the end of all", 60)
    network.heal()
    cloud.wait_for_nodes()
    wait_for(lambda: serving_instances(wanted.api, wanted.name), "a new instance of what is wanted", 60)
    life(wanted)
    assert not runs_of(unwanted, machine)
