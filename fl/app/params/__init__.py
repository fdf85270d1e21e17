"""`secagg params`: neighbours and threshold of a sparse graph, chosen or certified."""
