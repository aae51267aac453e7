"""Which diagnosis groups are people without the disease under study."""

from __future__ import annotations

from agezoo.data.subject_table import normal_name

# Without "n", "0" and the like, which mean opposite things in different studies.
_CONTROLS = {
    *("cn", "hc", "nc", "nl", "hv", "con", "cont", "ctl", "ctrl", "ctr"),
    *("control", "controls", "healthy", "normal", "none", "unaffected", "td", "typical"),
    *("healthy_control", "healthy_controls", "normal_control", "normal_controls", "healthy_volunteer"),
    *("cognitively_normal", "cognitively_healthy", "cognitively_unimpaired", "cu", "no_diagnosis"),
}


def is_control(group: str | None) -> bool:
    """Whether a group's name is one of the usual ones for controls, or there is no group at all."""
    return group is None or normal_name(group) in _CONTROLS
