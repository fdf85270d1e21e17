"""`secagg demo`: handwritten digits learnt in four ways, on the terminal and as one page of HTML."""
