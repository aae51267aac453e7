"""What the values of a spine phantom's mask mean."""

LABELS: dict[str, int] = {
    "background": 0,
    "vertebral_bodies": 1,
    "discs": 2,
    "osteophytes": 3,
    "posterior_elements": 4,
    "aorta_calcification": 5,
}

VERTEBRAL_COLUMN = ("vertebral_bodies", "discs", "osteophytes", "posterior_elements")
"""Labels whose union is the vertebral column."""
