"""What the values of a brain phantom's mask mean."""

LABELS: dict[str, int] = {
    "background": 0,
    "ventricles": 1,
    "cortex": 2,
    "hippocampi": 3,
    "white_matter": 4,
    "sulcal_csf": 5,
}
"""Regions that change with biological age; deep grey matter, cerebellum and brain stem count as background."""
