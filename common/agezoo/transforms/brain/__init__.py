"""The steps from a raw T1 to a brain on the MNI152 grid; :mod:`agezoo.transforms.brain_to_mni` puts them together."""
