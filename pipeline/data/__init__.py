"""The data layer: a data set is a folder that every other part reads through `Panel`.

`schema` is the contract, `writer` writes it, `panel` reads it, `synthetic` and `importing` make
data sets, `quality` counts bad rows, `check` verifies a finished set.
"""
