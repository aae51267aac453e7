"""The gallery shows every map in the proportions of its image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agezoo.explain.method_gallery import write_method_gallery
from agezoo.explain.view_layout import LATERAL, PROJECTIONS
from agezoo.explain.volume_layout import orthogonal_slices


@pytest.mark.parametrize(("shape", "layout", "n_maps"), [((224, 224), PROJECTIONS, 2), ((256, 128), LATERAL, 6)])
def test_each_map_is_drawn_over_the_anatomy(tmp_path, shape, layout, n_maps):
    image = np.random.default_rng(0).uniform(0.2, 0.6, shape)
    region = np.zeros(shape, dtype=bool)
    region[shape[0] // 4 : shape[0] // 2, shape[1] // 8 : shape[1] // 4] = True
    maps = {f"method_{index}": region.astype(np.float32) for index in range(n_maps)}
    path = write_method_gallery(tmp_path / "g.png", image, {"a": region}, maps, title="case $1", layout=layout)
    with Image.open(path) as opened:
        picture = np.asarray(opened.convert("RGB")).astype(int)
    assert (picture[:, -2:] == 255).all()
    red, green, blue = np.moveaxis(picture, -1, 0)
    yellow = (red > 190) & (green > 190) & (red - blue > 40)
    columns = np.flatnonzero(yellow.sum(axis=0) > 10)
    rows = np.flatnonzero(yellow.sum(axis=1) > 10)
    breaks = np.flatnonzero(np.diff(columns) > 5)
    assert len(breaks) + 1 == n_maps
    width = columns[breaks[0]] - columns[0] + 1
    shown = np.hstack(layout.split(region))
    assert (rows[-1] - rows[0] + 1) / width == pytest.approx(shown.any(1).sum() / shown.any(0).sum(), rel=0.15)


def test_voxels_that_are_no_cubes_are_shown_in_the_bodys_proportions(tmp_path):
    image = np.random.default_rng(0).uniform(0.2, 0.6, (20, 16, 30))
    # 100 mm wide and 300 mm high, of voxels of 10 x 10 x 30 mm.
    region = np.zeros(image.shape, dtype=bool)
    region[5:15, 4:12, 10:20] = True
    path = write_method_gallery(
        tmp_path / "g.png", image, {"a": region}, {"map": region.astype(np.float32)}, title="t",
        layout=orthogonal_slices(image, voxel=(10, 8, 15)), field_of_view_mm=(200.0, 160.0, 900.0), dpi=200,
    )  # fmt: skip
    with Image.open(path) as opened:
        picture = np.asarray(opened.convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(picture, -1, 0)
    yellow = (red > 190) & (green > 190) & (red - blue > 40)
    columns = np.flatnonzero(yellow.sum(axis=0) > 60)
    first = columns[: np.flatnonzero(np.diff(columns) > 5)[0] + 1]
    rows = np.flatnonzero(yellow[:, first].sum(axis=1) > 3)
    assert (rows[-1] - rows[0] + 1) / len(first) == pytest.approx(3, rel=0.1)
