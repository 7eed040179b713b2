"""What it costs when an instance, a certificate or a zone comes or goes, stage by stage: the tables
are exact, and what they do not list was not done. `fleet` says who calls whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.trace import fleet
from tests.trace.counted import GLOBAL, NOTHING, shown

if TYPE_CHECKING:
    from pathlib import Path

    from tests.trace.world import World


def test_time_that_passes_costs_nothing(world: World) -> None:
    assert world.trace(lambda: world.settle(3600)) == NOTHING


def test_new_instance_is_told_to_the_callers_of_its_service(world: World) -> None:
    """The three of `s0` in its own zone, and the ingress; the three in the other zone send it more
    by way of that ingress. Beside them, what the new one itself is sent.
    """
    assert world.trace(lambda: world.start("east", fleet.instance("east", 1, 3))) == shown(
        """
                                                      global    east    west
        resources decoded                                  1       3       2
        insights counted                                   8
        resources framed                                   8       2
        slices composed                                    3
        sent to zones: ServiceInsight                              1       1
        sent to zones: ZoneIngress                                         1
        bytes to zones                                           676    1807
        rows written: local                                        1
        rows written: relayed                              1       1       2
        contexts made: default                                     1       1
        contexts made: other                                               1
        proxies looked at                                          6       3
        ingresses looked at                                        1       1
        endpoints computed                                         1       1
        views that differ                                          5       3
        snapshots made                                             6       3
        certificates asked for                                     1
        built: cluster                                             1
        built: endpoints                                           2       1
        built: listener                                            1
        streams looked at                                         16       6
        sent to proxies: Cluster                                   1
        sent to proxies: ClusterLoadAssignment                     5       3
        sent to proxies: Listener                                  1
        sent to proxies: Secret                                    1
        bytes to proxies                                       12602    2904
        told to the global: ConvergenceReport                      1
        told to the global: Dataplane                              1
        told to the global: DataplaneInsight                       2       1
        told to the global: ZoneIngress                            1
        told to the global: ZoneIngressInsight                     1
        told to the global: ZoneStatus                             1
        """
    )


def test_instance_that_goes_is_told_to_the_callers_of_its_service(world: World) -> None:
    """No proxy is sent anything but endpoints. Twice in the zone: when its stream breaks, and when
    it is deregistered.
    """
    gone = world.proxy("s1-2-east")
    assert world.trace(lambda: world.stop(gone)) == shown(
        """
                                                      global    east    west
        resources decoded                                  2       3       3
        insights counted                                   7
        resources framed                                  13       2
        slices composed                                    5
        sent to zones: ServiceInsight                              2       2
        sent to zones: ZoneIngress                                         1
        bytes to zones                                          1354    2485
        rows written: local                                        1
        rows written: relayed                              1       2       3
        contexts made: default                                     2       1
        contexts made: other                                               1
        proxies looked at                                          3       3
        ingresses looked at                                        2       1
        endpoints computed                                         1       1
        views that differ                                          4       3
        snapshots made                                             4       3
        built: endpoints                                           2       1
        streams looked at                                          8       6
        sent to proxies: ClusterLoadAssignment                     4       3
        bytes to proxies                                        2976    2904
        told to the global: ConvergenceReport                      1
        told to the global: Dataplane                              1
        told to the global: DataplaneInsight                       2       1
        told to the global: ZoneIngress                            1
        told to the global: ZoneIngressInsight                     1
        told to the global: ZoneStatus                             1
        """
    )


def test_certificate_that_is_renewed_is_sent_to_its_proxy_alone(tmp_path: Path, keys: Path) -> None:
    world = fleet.world(tmp_path, keys, renewals={"default.s1-0-east": 3600.0})
    assert world.trace(lambda: world.settle(3600)) == shown(
        """
                                                      global    east    west
        insights counted                                   2
        proxies looked at                                          2
        snapshots made                                             1
        certificates asked for                                     1
        streams looked at                                          2
        sent to proxies: Secret                                    1
        bytes to proxies                                         298
        told to the global: DataplaneInsight                       2
        """
    )


def test_zone_that_joins_is_not_noticed_by_the_proxies_of_others(world: World) -> None:
    assert world.trace(lambda: world.join("north"), columns=(GLOBAL, *fleet.ZONES)) == shown(
        """
                                                      global    east    west
        resources framed                                   1
        slices composed                                    1
        """
    )


def test_first_service_of_another_zone_is_told_to_its_callers_alone(world: World) -> None:
    """Endpoints of other services weigh what they did: nobody offers them there."""
    world.join("north")
    world.settle()
    world.start("north", fleet.ingress("north"))
    world.settle()
    first = fleet.sidecar("s1-0-north", "s1", "10.3.2.1")
    assert world.trace(
        lambda: world.start("north", first), columns=(GLOBAL, *fleet.ZONES)
    ) == shown(
        """
                                                      global    east    west
        resources decoded                                  1       2       2
        insights counted                                   8
        resources framed                                  12
        slices composed                                    5
        sent to zones: ServiceInsight                              1       1
        sent to zones: ZoneIngress                                 1       1
        bytes to zones                                          1235    1235
        rows written: relayed                              1       2       2
        contexts made: default                                     1       1
        contexts made: other                                       1       1
        proxies looked at                                          3       3
        ingresses looked at                                        1       1
        endpoints computed                                         1       1
        views that differ                                          3       3
        snapshots made                                             3       3
        built: endpoints                                           1       1
        streams looked at                                          6       6
        sent to proxies: ClusterLoadAssignment                     3       3
        bytes to proxies                                        3500    3498
        told to the global: DataplaneInsight                       1       1
        """
    )


def test_one_service_more_in_another_zone_is_told_to_its_callers(world: World) -> None:
    """The callers of `s2`: three in each of the other zones."""
    world.join("north")
    world.settle()
    world.start("north", fleet.ingress("north"))
    world.start("north", fleet.sidecar("s1-0-north", "s1", "10.3.2.1"))
    world.settle()
    more = fleet.sidecar("s2-0-north", "s2", "10.3.3.1")
    assert world.trace(lambda: world.start("north", more), columns=(GLOBAL, *fleet.ZONES)) == shown(
        """
                                                      global    east    west
        resources decoded                                  1       2       2
        insights counted                                   8
        resources framed                                  12
        slices composed                                    5
        sent to zones: ServiceInsight                              1       1
        sent to zones: ZoneIngress                                 1       1
        bytes to zones                                          1328    1328
        rows written: relayed                              1       2       2
        contexts made: default                                     1       1
        contexts made: other                                       1       1
        proxies looked at                                          3       3
        ingresses looked at                                        1       1
        endpoints computed                                         1       1
        views that differ                                          3       3
        snapshots made                                             3       3
        built: endpoints                                           1       1
        streams looked at                                          6       6
        sent to proxies: ClusterLoadAssignment                     3       3
        bytes to proxies                                        3500    3498
        told to the global: DataplaneInsight                       1       1
        """
    )
