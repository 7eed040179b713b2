"""The names of a mesh from state to state: what MeshServices are told of theirs."""

from __future__ import annotations

from reconciler.mesh_names import no_names
from tests.support.mesh import a_dataplane, a_mesh_service, an_inbound
from tests.support.names import a_generator, a_mesh_external, by_type


def test_mesh_services_and_they_alone_are_told_of_their_names() -> None:
    generator = a_generator("g", "{{ .Name }}.x")
    service, other = (a_mesh_service(n, {}, spec={"ports": [{"port": 80}]}) for n in "ab")
    rest = (generator, a_mesh_external("e"), a_dataplane("d", an_inbound("s")))
    first = no_names("default", "east").followed(by_type(service, other, *rest), None)
    told = [(each.name, each.generated[0].hostname, each.address) for each in first.services]
    assert told == [("a", "a.x", "241.0.0.0"), ("b", "b.x", "241.0.0.1")]
    left = first.followed(by_type(other, *rest), None)
    assert [each.name for each in left.services] == ["b"]
    same = left.followed(by_type(other, *rest, a_dataplane("x", an_inbound("t"))), None)
    assert same.services.chunks == left.services.chunks
