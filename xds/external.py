"""What a proxy needs to reach somebody outside of the mesh: part of the values of `xds.view`."""

from __future__ import annotations

from dataclasses import dataclass

from xds.memo import Key

EXACT, PREFIX = "exact", "prefix"


@dataclass(frozen=True, slots=True)
class ExternalTls(Key):
    """TLS towards an address outside of the mesh. Secrets are SDS names on the ADS stream.

    Nobody is verified without `ca_secret` and `ca_file`, a file of the proxy's host. `sans`: kind
    and value; one of the DNS names and addresses in the certificate must be so. None: any.
    """

    sni: str = ""
    ca_secret: str = ""
    ca_file: str = ""
    sans: tuple[tuple[str, str], ...] = ()
    identity_secret: str = ""  # "": no client certificate
    allow_renegotiation: bool = False
    least: str = ""  # version, as Envoy calls it: TLSv1_2; "": its choice
    most: str = ""


@dataclass(frozen=True, slots=True)
class ExternalEndpoint(Key):
    address: str  # IP or name: the proxy looks it up
    port: int
    tags: tuple[tuple[str, str], ...] = ()  # as those of `xds.view.Endpoint`
    tls: ExternalTls | None = None  # None: plain text
    name: str = ""  # tells endpoints of different TLS apart
    zone: str | None = None
    subzone: str = ""
    priority: int = 0
