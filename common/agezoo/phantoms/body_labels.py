"""Labels of a whole-body phantom, and how much each planted region tells of the biological age."""

from __future__ import annotations

HEART = 1
AORTA = 2
LUNGS = 3
LIVER = 4
SPLEEN = 5
KIDNEYS = 6
PANCREAS = 7
SPINE = 8
BACK_MUSCLES = 9
PSOAS = 10
GLUTEAL_MUSCLES = 11
THIGH_MUSCLES = 12
SKELETON = 13
BLADDER = 14
BOWEL = 15
SUBCUTANEOUS_FAT = 16
VISCERAL_FAT = 17
OTHER_SOFT_TISSUE = 18

LABELS: dict[str, int] = {
    "background": 0,
    "heart": HEART,
    "aorta": AORTA,
    "lungs": LUNGS,
    "liver": LIVER,
    "spleen": SPLEEN,
    "kidneys": KIDNEYS,
    "pancreas": PANCREAS,
    "spine": SPINE,
    "back_muscles": BACK_MUSCLES,
    "psoas": PSOAS,
    "gluteal_muscles": GLUTEAL_MUSCLES,
    "thigh_muscles": THIGH_MUSCLES,
    "skeleton": SKELETON,
    "bladder": BLADDER,
    "bowel": BOWEL,
    "subcutaneous_fat": SUBCUTANEOUS_FAT,
    "visceral_fat": VISCERAL_FAT,
    "other_soft_tissue": OTHER_SOFT_TISSUE,
}
"""Name of every label value in the mask files. Every voxel of the body has a label; 0 is outside of it.

A region that ages holds every voxel that it touches, any other the voxels that it fills by half. The heart includes
the fat around it, the back muscles the fat between them, the spine its discs and arches, the bowel the stomach;
``skeleton`` is every bone but the spine; ``visceral_fat`` includes the loose tissue of the mediastinum.
"""

PLANTED_WEIGHTS: dict[str, float] = {"heart": 0.40, "aorta": 0.30, "spine": 0.18, "back_muscles": 0.12}
"""Share of the information on the biological age that each region carries; every other region carries none."""
