"""Whole-body Dixon MR: stitching of stations, water and fat, the network's grid, registration to an atlas."""
