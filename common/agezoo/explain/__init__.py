"""Where in an image the predicted age comes from.

* :mod:`agezoo.explain.attribution` - :func:`~agezoo.explain.attribution.explain`, the one call for every method.
* :mod:`agezoo.explain.score_cam` - Score-CAM without gradients, for 2D and 3D networks and any layer.
* :mod:`agezoo.explain.gradient_cams` - Grad-CAM, Grad-CAM++ and HiResCAM, at hardly more than the cost of a prediction.
* :mod:`agezoo.explain.cell_grid` - where the cells of a layer lie in the image, for every map of a layer.
* :mod:`agezoo.explain.captum_methods` - captum's pixel-wise methods (extra ``explain``).
* :mod:`agezoo.explain.background` - removes saliency where there is no patient.
* :mod:`agezoo.explain.noise_background` - whole bodies, whose background is noise.
* :mod:`agezoo.explain.localisation` - how well a map finds a known region: pointing game, energy inside.
* :mod:`agezoo.explain.conditioning` - networks that take more than the image, for example the sex.
* :mod:`agezoo.explain.overlay` - the picture of a case: its views with the map over the anatomy.
* :mod:`agezoo.explain.volume_layout` - a volume's views: three slices through its strongest point, or a montage.
* :mod:`agezoo.explain.body_layout` - a whole body's views: three slices, or a montage from front to back.

Import the modules themselves; the package alone pulls in neither torch nor matplotlib.
"""
