"""The certificates that a zone signs, as events for its step."""

from __future__ import annotations

from reconciler.ca.admin import issue_admin_server
from reconciler.ca.authority import AuthorityPem, issue_workload
from reconciler.steps import zone_state as z
from reconciler.steps.proxy_state import AdminCertificate, Certificate
from xds.build.secrets import identity_secret
from xds.resource import digest


def workload_certificate(
    wanted: z.IssueCertificate, now: float
) -> z.CertificateIssued | z.IssueFailed:
    """By the CA of the proxy's mesh."""
    try:
        ca = AuthorityPem(wanted.ca_cert_pem, wanted.ca_key_pem)
        issued = issue_workload(wanted.mesh, ca, wanted.uris, now, wanted.lifetime_s)
    except ValueError as error:
        return z.IssueFailed(wanted.node_id, wanted.mesh, str(error), now)
    certificate = Certificate(
        identity_secret(wanted.identity_secret, issued.chain_pem, issued.key_pem),
        wanted.uris,
        wanted.backend,
        digest((wanted.ca_cert_pem,)),
        wanted.lifetime_s,
        issued.renew_at,
        issued.not_after,
    )
    return z.CertificateIssued(wanted.node_id, wanted.mesh, certificate, now)


def admin_certificate(
    admin_ca: bytes, wanted: z.IssueAdminCertificate, now: float
) -> z.AdminCertificateIssued:
    """By the zone's own CA, for the proxy's admin listener."""
    tls, message = None, ""
    try:
        tls = issue_admin_server(admin_ca, wanted.hosts, wanted.node_id, now)
    except ValueError as error:
        message = str(error)
    certificate = AdminCertificate(wanted.hosts, tls)
    return z.AdminCertificateIssued(wanted.node_id, certificate, message)
