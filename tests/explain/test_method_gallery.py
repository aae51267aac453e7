"""The gallery shows every map in the proportions of its image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agezoo.explain.method_gallery import write_method_gallery
from agezoo.explain.view_layout import LATERAL, PROJECTIONS


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
