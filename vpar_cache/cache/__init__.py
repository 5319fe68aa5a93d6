"""In: rows of features. Out: sealed HDF5 shards and an index; and back. Alone imports h5py."""
