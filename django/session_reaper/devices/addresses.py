"""The network that a login came from, cut so that it names no household."""

from __future__ import annotations

import ipaddress

# As many bits as are kept.
KEPT = {4: 24, 6: 48}


def truncated(address: str) -> str | None:
    """`203.0.113.0/24` for `203.0.113.7`; None for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network(f"{parsed}/{KEPT[parsed.version]}", strict=False))
