"""Labels of the age-carrying regions of a CT phantom."""

from __future__ import annotations

TRABECULAR_BONE = 1
ENDPLATES_AND_DISCS = 2
AORTIC_WALL = 3
PARASPINAL_MUSCLE = 4
COSTAL_CARTILAGE = 5

LABELS: dict[str, int] = {
    "background": 0,
    "vertebral_trabecular_bone": TRABECULAR_BONE,
    "endplates_discs_osteophytes": ENDPLATES_AND_DISCS,
    "aortic_and_iliac_wall": AORTIC_WALL,
    "paraspinal_and_psoas_muscle": PARASPINAL_MUSCLE,
    "costal_cartilage": COSTAL_CARTILAGE,
}
"""Name of every label value in the mask files."""
