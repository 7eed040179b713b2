"""What a commit costs from the repository to the last Envoy, stage by stage: the tables are exact,
and what they do not list was not done.

A table that differs is a stage that does more, or less: `fleet` says who calls whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.trace import fleet
from tests.trace.counted import shown

if TYPE_CHECKING:
    from tests.trace.world import World


def test_policy_for_one_service_reaches_its_callers_alone(world: World) -> None:
    """Three of `s0` in each zone: one cluster is built for the three of them; listeners read
    nothing of a connection's timeout.
    """
    assert world.trace(lambda: world.push({"default/s1.yaml": fleet.timeout("s1", 2000)})) == shown(
        """
                                                      global    east    west
        blobs read                                         1
        files parsed                                       1
        resources decoded                                 11       1       1
        insights counted                                   6
        entries of the diff                                1
        resources framed                                   3       1       1
        slices composed                                    2
        sent to zones: MeshTimeout                                 1       1
        sent to zones: RevisionManifest                            1       1
        bytes to zones                                          4087    4087
        rows written: policy                                       1       1
        contexts made: default                                     1       1
        proxies looked at                                          3       3
        destinations computed                                      1       1
        views that differ                                          3       3
        snapshots made                                             3       3
        built: cluster                                             1       1
        streams looked at                                          9       9
        sent to proxies: Cluster                                   3       3
        sent to proxies: ClusterLoadAssignment                     3       3
        bytes to proxies                                        4984    4980
        told to the global: ConvergenceReport                      1       1
        told to the global: DataplaneInsight                       1       1
        """
    )


def test_policy_that_loses_against_another_differs_for_nobody(world: World) -> None:
    """It stands behind the one that says the same of the same service."""
    loses = fleet.timeout("s1", 2000).replace("by-", "zz-")
    assert world.trace(lambda: world.push({"default/late.yaml": loses})) == shown(
        """
                                                      global    east    west
        blobs read                                         1
        files parsed                                       1
        resources decoded                                 11       1       1
        entries of the diff                                1
        resources framed                                   3       1       1
        slices composed                                    2
        sent to zones: MeshTimeout                                 1       1
        sent to zones: RevisionManifest                            1       1
        bytes to zones                                          4087    4087
        rows written: policy                                       1       1
        contexts made: default                                     1       1
        proxies looked at                                          3       3
        destinations computed                                      1       1
        told to the global: ConvergenceReport                      1       1
        """
    )


def test_commit_that_only_reformats_ends_at_the_parse(world: World) -> None:
    """A comment, another order of fields, a file that moved: zones are told the new revision.

    The blob of the file that moved is known; under its new path it is parsed again.
    """
    changed = {
        "default/s1.yaml": "# for s1\n" + fleet.timeout("s1", 1000),
        "default/s2.yaml": fleet.reordered(fleet.timeout("s2", 1000)),
        "moved/permission.yaml": fleet.PERMISSION.format(mesh="default"),
    }
    moved = ("default/permission.yaml",)
    assert world.trace(lambda: world.push(changed, without=moved)) == shown(
        """
                                                      global    east    west
        blobs read                                         2
        files parsed                                       3
        resources decoded                                 13
        resources framed                                   2       1       1
        slices composed                                    2
        sent to zones: RevisionManifest                            1       1
        bytes to zones                                          3677    3677
        told to the global: ConvergenceReport                      1       1
        """
    )


def test_commit_that_changes_no_policy_reads_nothing(world: World) -> None:
    assert world.trace(lambda: world.push({"NOTES.md": "for people\n"})) == shown(
        """
                                                      global    east    west
        resources decoded                                 10
        resources framed                                   2       1       1
        slices composed                                    2
        sent to zones: RevisionManifest                            1       1
        bytes to zones                                          3677    3677
        told to the global: ConvergenceReport                      1       1
        """
    )


def test_change_in_another_mesh_costs_this_one_nothing(world: World) -> None:
    """Two proxies of mesh `other` are looked at in each zone, and none of the 18 of `default`."""
    change = {"other/t0.yaml": fleet.timeout("t0", 2000, "other")}
    assert world.trace(lambda: world.push(change)) == shown(
        """
                                                      global    east    west
        blobs read                                         1
        files parsed                                       1
        resources decoded                                 11       1       1
        insights counted                                   2
        entries of the diff                                1
        resources framed                                   3       1       1
        slices composed                                    2
        sent to zones: MeshTimeout                                 1       1
        sent to zones: RevisionManifest                            1       1
        bytes to zones                                          4083    4083
        rows written: policy                                       1       1
        contexts made: other                                       1       1
        proxies looked at                                          1       1
        destinations computed                                      1       1
        views that differ                                          1       1
        snapshots made                                             1       1
        built: cluster                                             1       1
        streams looked at                                          3       3
        sent to proxies: Cluster                                   1       1
        sent to proxies: ClusterLoadAssignment                     1       1
        bytes to proxies                                        1292    1292
        told to the global: ConvergenceReport                      1       1
        told to the global: DataplaneInsight                       1       1
        """
    )


def test_changes_that_come_while_a_zone_does_not_read_merge(world: World) -> None:
    """Three commits, the last takes the others back. East reads only then: the first was on its
    way, the second was never sent to it, nor to its proxies. West reads and is sent all.
    """
    east = world.zones["east"]

    def changed_and_changed_back() -> None:
        east.reads = False
        world.push_each("default/s1.yaml", *(fleet.timeout("s1", ms) for ms in (2000, 3000, 1000)))
        world.release(east)

    assert world.trace(changed_and_changed_back) == shown(
        """
                                                      global    east    west
        blobs read                                         3
        files parsed                                       2
        resources decoded                                 32       2       3
        insights counted                                   6
        entries of the diff                                3
        resources framed                                   9       1       3
        slices composed                                    6
        sent to zones: MeshTimeout                                 2       3
        sent to zones: RevisionManifest                            2       3
        bytes to zones                                          8174   12261
        rows written: policy                                       2       3
        contexts made: default                                     2       3
        proxies looked at                                          6       9
        destinations computed                                      2       3
        views that differ                                          6       9
        snapshots made                                             6       9
        built: cluster                                             1       2
        streams looked at                                         18      27
        sent to proxies: Cluster                                   6       9
        sent to proxies: ClusterLoadAssignment                     6       9
        bytes to proxies                                        9970   14948
        told to the global: ConvergenceReport                      1       3
        told to the global: DataplaneInsight                       1       1
        """
    )


def test_changes_that_come_while_proxies_do_not_answer_merge(world: World) -> None:
    """The first is in flight, the second changes it, the third changes it back: when the three in
    east answer the first, nothing is left to be sent. Those in west are sent all three.
    """
    silent = [world.proxy(f"s0-{number}-east") for number in range(fleet.INSTANCES)]

    def changed_and_changed_back() -> None:
        for proxy in silent:
            proxy.reads = False
        world.push_each("default/s1.yaml", *(fleet.timeout("s1", ms) for ms in (2000, 3000, 2000)))
        for proxy in silent:
            world.read(proxy)

    assert world.trace(changed_and_changed_back) == shown(
        """
                                                      global    east    west
        blobs read                                         3
        files parsed                                       2
        resources decoded                                 32       3       3
        insights counted                                   6
        entries of the diff                                3
        resources framed                                   9       4       3
        slices composed                                    6
        sent to zones: MeshTimeout                                 3       3
        sent to zones: RevisionManifest                            3       3
        bytes to zones                                         12261   12261
        rows written: policy                                       3       3
        contexts made: default                                     3       3
        proxies looked at                                          9       9
        destinations computed                                      3       3
        views that differ                                          9       9
        snapshots made                                             9       9
        built: cluster                                             2       2
        streams looked at                                         15      27
        sent to proxies: Cluster                                   3       9
        sent to proxies: ClusterLoadAssignment                     3       9
        bytes to proxies                                        4984   14948
        told to the global: ConvergenceReport                      4       3
        told to the global: DataplaneInsight                       1       1
        """
    )


def test_proxy_that_does_not_read_is_sent_one_of_five_changes(world: World) -> None:
    """Four responses a type fewer than in west: nothing is encoded for it, nothing waits for it."""
    proxy = world.proxy("s0-0-east")
    proxy.reads = False
    five = [fleet.timeout("s1", milliseconds) for milliseconds in range(2000, 2005)]
    assert world.trace(lambda: world.push_each("default/s1.yaml", *five)) == shown(
        """
                                                      global    east    west
        blobs read                                         5
        files parsed                                       5
        resources decoded                                 55       5       5
        insights counted                                   6
        entries of the diff                                5
        resources framed                                  15       5       5
        slices composed                                   10
        sent to zones: MeshTimeout                                 5       5
        sent to zones: RevisionManifest                            5       5
        bytes to zones                                         20435   20435
        rows written: policy                                       5       5
        contexts made: default                                     5       5
        proxies looked at                                         15      15
        destinations computed                                      5       5
        views that differ                                         15      15
        snapshots made                                            15      15
        built: cluster                                             5       5
        streams looked at                                         35      45
        sent to proxies: Cluster                                  11      15
        sent to proxies: ClusterLoadAssignment                    11      15
        bytes to proxies                                       18316   24974
        told to the global: ConvergenceReport                      5       5
        told to the global: DataplaneInsight                       1       1
        """
    )
    assert len(proxy.unread) == 2


def test_proxy_that_reads_again_is_sent_the_newest_alone(world: World) -> None:
    """And nothing is looked at, or built, for that."""
    proxy = world.proxy("s0-0-east")
    proxy.reads = False
    five = [fleet.timeout("s1", milliseconds) for milliseconds in range(2000, 2005)]
    world.push_each("default/s1.yaml", *five)
    assert world.trace(lambda: world.read(proxy)) == shown(
        """
                                                      global    east    west
        insights counted                                   6
        resources framed                                           1
        streams looked at                                          4
        sent to proxies: Cluster                                   1
        sent to proxies: ClusterLoadAssignment                     1
        bytes to proxies                                        1667
        told to the global: ConvergenceReport                      1
        told to the global: DataplaneInsight                       1       1
        """
    )
