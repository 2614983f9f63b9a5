"""Ways to answer challenges: the solvers, and a look at DNS as a CA sees it."""
