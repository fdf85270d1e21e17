"""`secagg bench`: what the library costs on this machine, next to what the machine allows."""
