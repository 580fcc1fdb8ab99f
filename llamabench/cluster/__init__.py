"""A run on several machines: its chunks are dealt out to workers of a Dask cluster, each with the whole model."""
